"""How well vectors find, on packages and clones that training never saw: alone, next to plain BM25, and the two together."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]

from offline_agent.retrieval.terms import query_terms, terms
from offline_agent.types import Chunk

from . import commits, cut, documented
from .git import Clone
from .sources import is_test

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
_SEED = 7


@dataclass(frozen=True)
class Case:
    """A question, the chunks that are searched, and what each is an answer's: the numbers of those in `right` are wanted.

    `unit` groups chunks that count as one (a file, or each chunk alone).
    """

    query: str
    searched: NDArray[np.int64]
    units: NDArray[np.int64]
    right: frozenset[int]


@dataclass(frozen=True)
class Collection:
    """Texts of chunks, each once, and the questions about them."""

    name: str
    texts: list[str]
    cases: list[Case]


def docstrings(name: str, root: Path, most: int = 200) -> Collection:
    """Docstring to function within one package: the words are taken out, and the chunk they were in has to be found."""
    chunks: list[Chunk] = []
    asked: list[tuple[str, str, str]] = []
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root.parent).as_posix()
        text = path.read_text(encoding="utf-8", errors="replace")
        if is_test(relative):
            continue
        described, own = cut.described(relative, text)
        chunks += own or cut.chunks(relative, text)
        for one in described:
            for query in documented.queries(one.words)[:1]:
                asked.append((query, relative, one.symbol))
    searched = np.arange(len(chunks))
    cases = []
    for query, relative, symbol in random.Random(_SEED).sample(asked, min(most, len(asked))):
        right = frozenset(n for n, chunk in enumerate(chunks) if chunk.path == relative and chunk.symbol == symbol)
        cases.append(Case(query, searched, searched, right))
    return Collection(name, [chunk.embedded_text for chunk in chunks], cases)


def localisation(clone: Clone, most: int = 200) -> Collection:
    """Commit to file: all source files of the version before are ranked by their best chunk."""
    texts: dict[str, int] = {}
    pieces: dict[tuple[str, str], list[int]] = {}
    cases = []
    for commit in commits.history(clone, most):
        files = {path: blob for path, blob in clone.files(f"{commit.id}^").items() if commits.is_source(path)}
        missing = {path: blob for path, blob in files.items() if (path, blob) not in pieces}
        sources = clone.texts(missing.values())
        for path, blob in missing.items():
            own = cut.chunks(path, sources.get(blob, ""))
            pieces[path, blob] = [texts.setdefault(chunk.embedded_text, len(texts)) for chunk in own]
        names = sorted(files)
        searched = [(n, unit) for unit, path in enumerate(names) for n in pieces[path, files[path]]]
        right = frozenset(names.index(one.path) for one in commit.code if one.path in files)
        if right and searched:
            numbers = np.array(searched)
            cases.append(Case(commits.questions(commit)[:2][-1], numbers[:, 0], numbers[:, 1], right))
    return Collection(clone.name, list(texts), cases)


class BM25:
    """Plain BM25 (k1 1.2, b 0.75) over the program's own terms, for a fixed set of texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.columns: dict[str, int] = {}
        rows, columns, values = [], [], []
        counted = [Counter(terms(text)) for text in texts]
        mean = sum(some.total() for some in counted) / max(1, len(counted))
        for row, some in enumerate(counted):
            norm = 1.2 * (0.25 + 0.75 * some.total() / mean)
            for term, count in some.items():
                rows.append(row)
                columns.append(self.columns.setdefault(term, len(self.columns)))
                values.append(count * 2.2 / (count + norm))
        matrix = sparse.csc_matrix((values, (rows, columns)), shape=(len(texts), len(self.columns)))
        frequency = np.diff(matrix.indptr)
        self.matrix = matrix @ sparse.diags(np.log(1 + (len(texts) - frequency + 0.5) / (frequency + 0.5)))
        self.matrix = self.matrix.tocsc()

    def scores(self, query: str) -> NDArray[np.float32]:
        wanted = [self.columns[term] for term, _ in query_terms(query) if term in self.columns]
        return np.asarray(self.matrix[:, wanted].sum(axis=1), dtype=np.float32).ravel()


def ranks(collection: Collection, score: Callable[[int, Case], NDArray[np.float32]]) -> list[int]:
    """The place of the best right unit, from 1, for each case; equal scores in the order of the chunks."""
    found = []
    for number, case in enumerate(collection.cases):
        scores = score(number, case)
        best = np.full(int(case.units.max()) + 1, -np.inf, dtype=np.float32)
        np.maximum.at(best, case.units, scores)
        top = max(best[unit] for unit in case.right)
        found.append(1 + int((best > top).sum()))
    return found


def standard(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean 0, deviation 1, so that two kinds of score can be added."""
    centred: NDArray[np.float32] = (scores - scores.mean()) / (scores.std() + 1e-6)
    return centred


def measure(collection: Collection, encoders: dict[str, Encode]) -> dict[str, list[int]]:
    """Ranks by BM25, by each encoder, and by each encoder with BM25, equally weighted."""
    bm25 = BM25(collection.texts)
    words = [bm25.scores(case.query)[case.searched] for case in collection.cases]
    result = {"BM25": ranks(collection, lambda n, _: words[n])}
    for name, encode in encoders.items():
        vectors = encode(collection.texts)
        asked = encode([case.query for case in collection.cases])
        near = [vectors[case.searched] @ asked[n] for n, case in enumerate(collection.cases)]
        result[name] = ranks(collection, lambda n, _, near=near: near[n])  # type: ignore[misc]
        both = [standard(near[n]) + standard(words[n]) for n in range(len(near))]
        result[f"BM25 + {name}"] = ranks(collection, lambda n, _, both=both: both[n])  # type: ignore[misc]
    return result


def mrr(found: Sequence[int]) -> float:
    return sum(1 / rank for rank in found) / max(1, len(found))


def accuracy(found: Sequence[int], top: int) -> float:
    return sum(rank <= top for rank in found) / max(1, len(found))


def report(
    described: Sequence[Collection], changed: Sequence[Collection], encoders: dict[str, Encode], slow: dict[str, Encode]
) -> str:
    """Markdown tables: docstring to function (MRR), and commit to file (share with a changed file first, among the first five).

    The `slow` encoders read only the first kind: the versions of a few hundred commits are tens of thousands of chunks.
    """
    parts = []
    if described:
        rows = _rows(described, {**encoders, **slow}, lambda found: f"{mrr(found):.3f}")
        parts.append(_table("docstring to function, MRR", described, rows))
    if changed:
        rows = _rows(changed, encoders, lambda found: f"{accuracy(found, 1):.2f} / {accuracy(found, 5):.2f}")
        parts.append(_table("commit to file, Acc@1 / Acc@5", changed, rows))
    return "\n\n".join(parts)


def _rows(
    collections: Sequence[Collection], encoders: dict[str, Encode], show: Callable[[Sequence[int]], str]
) -> dict[str, list[str]]:
    """For each way of ranking what it reaches in each collection, and over all questions."""
    found: dict[str, list[list[int]]] = {}
    for collection in collections:
        for name, some in measure(collection, encoders).items():
            found.setdefault(name, []).append(some)
    return {name: [*map(show, some), show([rank for each in some for rank in each])] for name, some in found.items()}


def _table(title: str, collections: Sequence[Collection], rows: dict[str, list[str]]) -> str:
    head = [title, *(f"{one.name} ({len(one.cases)} of {len(one.texts)})" for one in collections), "all"]
    lines = [head, ["---"] * len(head), *([name, *values] for name, values in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
