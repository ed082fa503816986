"""BM25 over every chunk, in memory: what takes SQLite's full-text index half a second in a repository of 100,000 chunks, when the
question is a pasted issue, takes some milliseconds here.

A file's words are one blob of 64-bit little-endian numbers, a posting each, which the store keeps beside the chunks:

    63         32 31            8 7     0
    | term's CRC | chunk in file | count |       count: occurrences, those in symbol and path many times over; at most 255

In memory the postings of all files are sorted, so each term's chunks are one slice. A changed file goes into a second segment, and
its old chunks are marked as dead, until there are so many that all is sorted again.
"""

import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from offline_agent.retrieval.best import best
from offline_agent.retrieval.terms import stem, word_terms, words
from offline_agent.types import Chunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with its usual constants.
_K1 = 1.2
_B = 0.75
_SYMBOL, _PATH = 8, 4  # a term in the symbol or the path says more than one in the body
_MOST = 255
_RECENT = 2000  # chunks that changed before all is sorted again


class FileWords(NamedTuple):
    """The postings of one file: `first` is the number of its first chunk, `lengths` has the terms of each chunk (uint16)."""

    first: int
    lengths: bytes
    postings: bytes


def file_words(first: int, chunks: Sequence[Chunk]) -> FileWords:
    """What the store keeps of a file whose chunks have the numbers `first`, `first` + 1, ..."""
    import numpy as np

    lengths, postings = [], []
    for position, chunk in enumerate(chunks):
        counts = _counted(chunk)
        lengths.append(min(sum(counts.values()), 65535))
        postings += [code << 32 | position << 8 | min(count, _MOST) for code, count in counts.items()]
    return FileWords(first, np.array(lengths, "<u2").tobytes(), np.array(postings, "<u8").tobytes())


def _counted(chunk: Chunk) -> dict[int, int]:
    """How often each term is in a chunk, by its code."""
    counts: dict[int, int] = {}
    for text, times in ((chunk.text, 1), (chunk.symbol, _SYMBOL), (chunk.path, _PATH), (chunk.signature, 1)):
        for word, count in Counter(words(text)).items():
            for code in _codes(word):
                counts[code] = counts.get(code, 0) + times * count
    return counts


@lru_cache(maxsize=100_000)  # source code says the same words over and over
def _codes(word: str) -> tuple[int, ...]:
    return tuple(_code(stem(term)) for term in word_terms(word))


def _code(term: str) -> int:
    return zlib.crc32(term.encode("utf-8", "surrogatepass"))


Postings = tuple["NDArray[np.uint32]", "NDArray[np.uint8]"]
"""Chunks of a segment with one term, and how often they have it."""


class _Segment:
    """Sorted postings of some files. Chunks are numbered by their place in it; only which of them are `alive` changes.

    `chunks` and `terms` count what is alive: a score must not depend on what was there before.
    """

    def __init__(self, files: Mapping[str, FileWords]) -> None:
        import numpy as np

        lengths = [np.frombuffer(file.lengths, "<u2") for file in files.values()]
        sizes = np.array([len(some) for some in lengths], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.spans = {path: (int(starts[i]), int(starts[i + 1])) for i, path in enumerate(files)}
        self.paths = list(files)
        self.starts = starts[:-1]
        firsts = np.array([file.first for file in files.values()], dtype=np.int64)
        self.ids: NDArray[np.int64] = np.repeat(firsts - starts[:-1], sizes) + np.arange(starts[-1])
        self.lengths: NDArray[np.float32] = _joined(lengths, np.float32)
        self.alive: NDArray[np.bool_] = np.ones(len(self.ids), dtype=bool)
        self._count()
        filled = np.flatnonzero(sizes)
        self._by_first = filled[np.argsort(firsts[filled])]
        self._firsts = firsts[self._by_first]
        self._sort([np.frombuffer(file.postings, "<u8") for file in files.values()], starts)

    def bury(self, paths: Iterable[str]) -> None:
        """These files are gone, or in another segment."""
        for path in paths:
            begin, end = self.spans.get(path, (0, 0))
            self.alive[begin:end] = False
        self._count()

    def living(self, docs: "NDArray[np.uint32]") -> int:
        """How many of these chunks are alive."""
        return len(docs) if self.chunks == len(self.ids) else int(self.alive[docs].sum())

    def paths_of(self, numbers: "NDArray[np.int64]") -> list[str | None]:
        """The file of each chunk, by the numbers of the store; None for those that are not here."""
        import numpy as np

        if not len(self.ids):
            return [None] * len(numbers)
        rank = np.searchsorted(self._firsts, numbers, side="right") - 1
        files = self._by_first[rank]
        places = np.clip(self.starts[files] + numbers - self._firsts[rank], 0, len(self.ids) - 1)
        here = (self.ids[places] == numbers) & self.alive[places]
        return [self.paths[file] if known else None for file, known in zip(files.tolist(), here.tolist(), strict=True)]

    def _count(self) -> None:
        self.chunks = int(self.alive.sum())
        self.terms = int(self.lengths[self.alive].sum(dtype="float64"))

    def _sort(self, postings: "list[NDArray[np.uint64]]", starts: "NDArray[np.int64]") -> None:
        import numpy as np

        counts = [len(some) for some in postings]
        packed: NDArray[np.uint64] = _joined(postings, np.uint64)
        packed += np.repeat(starts[:-1].astype(np.uint64) << np.uint64(8), counts)
        packed.sort()
        codes = (packed >> np.uint64(32)).astype(np.uint32)
        begins = (
            np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]])) if len(codes) else codes.astype(np.int64)
        )
        self._codes = codes[begins]
        self._begins = np.append(begins, len(codes))
        self._docs: NDArray[np.uint32] = ((packed >> np.uint64(8)) & np.uint64(0xFFFFFF)).astype(np.uint32)
        self._counts: NDArray[np.uint8] = packed.astype(np.uint8)

    def postings(self, codes: Sequence[int]) -> "list[Postings]":
        """For each term the chunks that have it, and how often they do."""
        import numpy as np

        if not len(self._codes):
            return [(self._docs, self._counts)] * len(codes)
        places = np.searchsorted(self._codes, np.array(codes, dtype=np.uint32)).clip(max=len(self._codes) - 1)
        known = self._codes[places] == np.array(codes, dtype=np.uint32)
        begins, ends = self._begins[places], np.where(known, self._begins[places + 1], self._begins[places])
        return [
            (self._docs[begin:end], self._counts[begin:end])
            for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
        ]


class Matches(NamedTuple):
    """The best chunks by number with their scores, best first, ties by number; and the best files by path, likewise."""

    chunks: list[tuple[int, float]]
    files: dict[str, float]


class WordIndex:
    """BM25 over the files given so far. Any thread may search while one changes it.

    `load` gives the words of every file by path, from the store.
    """

    def __init__(self, load: Callable[[], Mapping[str, FileWords]]) -> None:
        self._load = load
        self._recent: dict[str, FileWords] = {}
        # Replaced as a whole, so that a search sees one state or the next.
        self._segments = (_Segment(load()), _Segment({}))

    def update(self, changed: Mapping[str, FileWords | None]) -> None:
        """Files that were stored, or None for what is gone. The store has them already."""
        base, _ = self._segments
        for path, known in changed.items():
            self._recent.pop(path, None)
            if known is not None:
                self._recent[path] = known
        if sum(len(some.lengths) // 2 for some in self._recent.values()) > max(_RECENT, len(base.ids) // 20):
            self._recent = {}
            self._segments = (_Segment(self._load()), _Segment({}))
            return
        self._segments = (base, _Segment(self._recent))
        base.bury(
            changed
        )  # afterwards: a search between may find old chunks, which the store does not know, but misses no new ones

    def paths_of(self, numbers: Sequence[int]) -> dict[int, str]:
        """The files of those of the chunks that are here: the store takes ten times as long to say."""
        import numpy as np

        asked = np.array(numbers, dtype=np.int64)
        return {
            number: path
            for segment in self._segments
            for number, path in zip(numbers, segment.paths_of(asked), strict=True)
            if path is not None
        }

    def search(self, asked: Mapping[str, float], limit: int) -> "Matches":
        """What matches best; `asked` has the weight of each term."""
        import numpy as np

        segments = self._segments
        total = sum(segment.chunks for segment in segments)
        if not total:
            return Matches([], {})
        mean = sum(segment.terms for segment in segments) / total
        weights = _weights(asked)
        found = [segment.postings(list(weights)) for segment in segments]
        rarities = _rarities(segments, found, total)
        worth = [weight * rarity for weight, rarity in zip(weights.values(), rarities, strict=True)]
        scores = [_scores(*one, worth, max(mean, 1.0)) for one in zip(segments, found, strict=True)]
        files = [pair for segment, some in zip(segments, scores, strict=True) for pair in _pooled(segment, some, limit)]
        chunks = _best(np.concatenate(scores), np.concatenate([segment.ids for segment in segments]), limit)
        return Matches(chunks, dict(sorted(files, key=lambda pair: (-pair[1], pair[0]))[:limit]))


def _pooled(segment: _Segment, scores: "NDArray[np.float32]", limit: int) -> list[tuple[str, float]]:
    """The best files with the root of the sum of their chunks' squared scores: many fair chunks may be worth more than a
    single good one."""
    import numpy as np

    if not len(scores):
        return []
    filled = np.flatnonzero(np.diff(np.append(segment.starts, len(scores))))
    sums = np.sqrt(np.add.reduceat(scores**2, segment.starts[filled]))
    return [(segment.paths[filled[i]], float(sums[i])) for i in best(sums, limit).tolist() if sums[i] > 0]


def _weights(asked: Mapping[str, float]) -> dict[int, float]:
    """By code: terms with one stem are one term, which weighs what the heaviest does."""
    weights: dict[int, float] = {}
    for term, weight in asked.items():
        code = _code(stem(term))
        weights[code] = max(weights.get(code, 0.0), weight)
    return weights


def _rarities(segments: Sequence[_Segment], found: "Sequence[Sequence[Postings]]", total: int) -> list[float]:
    """The inverse document frequency of each term, which is positive also for what is everywhere."""
    rarities = []
    for term in zip(*found, strict=True):
        frequency = sum(segment.living(docs) for segment, (docs, _) in zip(segments, term, strict=True))
        rarities.append(math.log(1 + (total - frequency + 0.5) / (frequency + 0.5)))
    return rarities


def _scores(
    segment: _Segment, found: "Sequence[Postings]", worth: Sequence[float], mean: float
) -> "NDArray[np.float32]":
    import numpy as np

    scores = np.zeros(len(segment.ids), dtype=np.float32)
    norms = np.float32(_K1 * (1 - _B)) + np.float32(_K1 * _B / mean) * segment.lengths
    for (docs, counts), weight in zip(found, worth, strict=True):
        if len(docs):
            times = counts.astype(np.float32)
            scores[docs] += np.float32(weight * (_K1 + 1)) * times / (times + norms[docs])
    if segment.chunks < len(scores):
        scores[~segment.alive] = 0.0
    return scores


def _best(scores: "NDArray[np.float32]", ids: "NDArray[np.int64]", limit: int) -> list[tuple[int, float]]:
    import numpy as np

    limit = min(limit, int(np.count_nonzero(scores > 0)))
    near = best(scores, limit)
    pairs = zip(ids[near].tolist(), scores[near].tolist(), strict=True)
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:limit]


def _joined(arrays: "Sequence[NDArray[Any]]", kind: type) -> "NDArray[Any]":
    import numpy as np

    return np.concatenate(arrays).astype(kind) if arrays else np.zeros(0, dtype=kind)
