"""The steps of scripts/bench/scale.py, each for a process of its own: `python -m scripts.bench.steps STEP PLACE [OPTIONS]`.

A step prints what it measured as one line of JSON. The repository is PLACE/repository, the home PLACE.
"""

import argparse
import json
import math
import os
import resource
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from offline_agent.app import SETTLED, Program, open_program
from offline_agent.llm.catalogue import load_catalogue
from offline_agent.retrieval import embed
from offline_agent.retrieval.evidence import FETCHED
from offline_agent.retrieval.store import Store
from offline_agent.settings import Settings, load_settings
from scripts.bench.freshness import seconds_until_found
from scripts.bench.sources import questions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from offline_agent.protocols import VectorIndex

Measured = dict[str, float]

_HITS = 10
_ROUNDING = 1e-5  # of cosines: texts that begin alike have one vector, and any of them is as near
_SHORT_TOKENS = 32
_SHORT_CHARACTERS = 200
_ALL = 10_000_000
_AT_ONCE = 2000  # texts
_SAVES = 40
_WARM = 5
_A_QUESTION = "Where is the connection closed?"


def index(place: Path, options: argparse.Namespace) -> Measured:
    """Until the first search is answered. Only the program's own imports come before."""
    _import_what_searches()
    with _program(place) as program:
        wall, cpu = time.monotonic(), _cpu()
        retriever = program.one_shot_retriever()
        retriever.search(_A_QUESTION, _HITS)
        wall, cpu = time.monotonic() - wall, _cpu() - cpu
        status = retriever.status()
    return {"files": status.files, "chunks": status.chunks, "wall": wall, "cpu": cpu}


def embed_all(place: Path, options: argparse.Namespace) -> Measured:
    """The transformer's vectors for all chunks, of whole texts or of the first words."""
    settings = _settings(place)
    card = load_catalogue(settings.models_directory).embedder(settings.embedder.name)
    directory = embed.directory_of(card, settings.embedder)
    short = options.vectors == "short"
    embed.go_offline()
    embedder = embed.SentenceEmbedder(
        directory,
        embed.fingerprint_of(card, settings.embedder),
        _SHORT_TOKENS if short else card.max_tokens,
        settings.embedder.batch,
    )
    began, count = time.monotonic(), 0
    with _program(place) as program, closing(_store(program)) as store:
        pending = store.pending(embedder.fingerprint, _ALL)
        pending.sort(key=lambda one: len(one[1]))
        for start in range(0, len(pending), _AT_ONCE):
            some = pending[start : start + _AT_ONCE]
            texts = [_shortened(text) if short else text for _, text in some]
            store.add_vectors(embedder.fingerprint, [key for key, _ in some], embedder.encode(texts))
            count += len(some)
    return {"vectors": count, "wall": time.monotonic() - began}


def search_all(place: Path, options: argparse.Namespace) -> Measured:
    """Everything that the index worker holds, in this process: memory, times of searches, and how exact Chroma is."""
    from offline_agent.retrieval.worker import prepare_process

    prepare_process(place)
    import sentence_transformers  # noqa: F401  what it takes by itself is not the index's
    import torch  # noqa: F401

    imported = _resident()
    from offline_agent.retrieval.chroma import ChromaIndex
    from offline_agent.retrieval.hydrate import RisingIndex
    from offline_agent.retrieval.indexer import reconcile
    from offline_agent.retrieval.loaded import Dense, load
    from offline_agent.retrieval.rank import load_weights
    from offline_agent.retrieval.search import search
    from offline_agent.retrieval.static import open_static

    settings = _settings(place)
    catalogue = load_catalogue(settings.models_directory)
    static = catalogue.embedder(settings.embedder.static)
    with _program(place) as program, closing(_store(program)) as store:
        loaded = load(store, partial(open_static, static, settings.models_directory / static.directory))
        embedder = embed.load(catalogue.embedder(settings.embedder.name), settings.embedder)
        vectors = RisingIndex(partial(ChromaIndex, embedder.fingerprint))
        reconcile(store, embedder.fingerprint, vectors)
        began = time.monotonic()
        vectors.hydrate(lambda: False)
        measured = {"rising": time.monotonic() - began, "risen": float(vectors.risen)}
        weights = load_weights(settings.index_declarations)
        dense = Dense(embedder, vectors)
        asked = questions(place / "repository", options.questions)
        ask = partial(_timed, lambda text: search(store, loaded, text, _HITS, weights, dense))
        times = {kind: ask(some) for kind, some in asked.items()}
        times["mix"] = [seconds for some in times.values() for seconds in some]
        for kind, some in times.items():
            measured[f"{kind} p50"] = 1000 * statistics.median(some)
            measured[f"{kind} p95"] = 1000 * statistics.quantiles(some, n=20)[-1]
        measured |= {"memory": _resident() - imported, "imports": imported}
        asked_vectors = embedder.encode([text for some in asked.values() for text in some])
        return measured | {
            "disk": _disk(place),
            "exact": _exactness(store, embedder.fingerprint, vectors, asked_vectors),
        }


def save(place: Path, options: argparse.Namespace) -> Measured:
    """Milliseconds from the end of a write to the hit, by a worker that has everything."""
    with _program(place) as program:
        retriever = program.following_retriever()
        while retriever.status().phase not in SETTLED:
            time.sleep(0.5)
        repository = place / "repository"
        found = [1000 * seconds_until_found(retriever, repository, number) for number in range(_SAVES)]
        return {"p50": statistics.median(found), "p95": statistics.quantiles(found, n=20)[-1]}


STEPS: dict[str, Callable[[Path, argparse.Namespace], Measured]] = {
    "index": index,
    "open": index,
    "embed": embed_all,
    "search": search_all,
    "save": save,
}


def _exactness(store: Store, fingerprint: str, vectors: "VectorIndex", asked: "NDArray[np.float32]") -> float:
    """Mean share of the exact nearest among the first that the index returns for as many as a search asks for."""
    import numpy as np

    keys: list[str] = []
    pages = []
    for some, page in store.vectors_in_use(fingerprint):
        keys += some
        pages.append(page)
    matrix, place = np.concatenate(pages), {key: row for row, key in enumerate(keys)}
    shares = []
    for vector in asked:
        scores = matrix @ vector
        least = np.partition(scores, -_HITS)[-_HITS]
        found = [place[key] for key, _ in vectors.search(vector, FETCHED)[:_HITS]]
        shares.append(np.count_nonzero(scores[found] >= least - _ROUNDING) / min(_HITS, len(keys)))
    return float(np.mean(shares))


def _timed(search: Callable[[str], object], texts: list[str]) -> list[float]:
    """Seconds of each search, after some that warm everything up."""
    for text in texts[:_WARM]:
        search(text)
    seconds = []
    for text in texts:
        began = time.perf_counter()
        search(text)
        seconds.append(time.perf_counter() - began)
    return seconds


def _shortened(text: str) -> str:
    """The first words of a chunk, without the line that says where it is from: many would be little else."""
    return (text.partition("\n")[2] or text)[:_SHORT_CHARACTERS]


def _settings(place: Path) -> Settings:
    return load_settings({"HOME": str(place)})


def _program(place: Path) -> Program:
    return open_program(_settings(place), place / "repository")


def _store(program: Program) -> Store:
    return Store(program.vault.database(f"{program.key}/index"))


def _import_what_searches() -> None:
    import numpy  # noqa: F401

    import offline_agent.retrieval.local
    import offline_agent.retrieval.static
    import offline_agent.retrieval.tokens  # noqa: F401


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident() -> float:
    """Bytes of this process in memory now."""
    return float(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _disk(place: Path) -> float:
    return float(sum(file.stat().st_size for file in (place / ".local").rglob("*") if file.is_file()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=sorted(STEPS))
    parser.add_argument("place", type=Path)
    parser.add_argument("--vectors", choices=("short", "full"), default="short")
    parser.add_argument("--questions", type=int, default=60)
    options = parser.parse_args()
    measured = STEPS[options.step](options.place, options)
    assert all(math.isfinite(value) for value in measured.values())
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
