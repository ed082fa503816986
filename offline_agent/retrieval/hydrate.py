"""Exact answers at once, and a graph such as Chroma's that fills up behind them.

Nothing of a graph is on disk, so each process builds it anew: Chroma takes 13 s for 20,000 vectors and two minutes for 100,000,
behind other work on two cores. Nobody waits for that. The exact index answers while the graph fills, adds what the graph lacks for
a moment after each save, and answers for good where the graph fails.

It takes 1.5 KB a vector beside Chroma's 2 to 3. So in a large repository it lets go of what the graph has; where the graph then
fails, the vectors are missing until somebody adds them again.

A graph may also be a team's, on a server. What keeps one from answering may pass by itself, so it is tried again after a while.
"""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from offline_agent.errors import StorageError
from offline_agent.protocols import VectorIndex
from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.memory import trim

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_AT_ONCE = 32  # Chroma holds Python's global lock while it adds: 15 ms for as many, which a search may have to wait for
_PAUSE = 0.002  # seconds between two batches, for whoever waits for that lock
_PATIENCE = 1.0  # seconds that searches without a gap may hold up a batch
_RETRY_SECONDS = 60.0
_FEW = 256  # keys that the graph may lack and answer all the same
_KEPT = 20_000  # vectors that are held twice: 30 MB


_PASSING = ", on this machine alone. It is tried again every minute."
_FOR_GOOD = (
    ", a little slower in a large repository. "
    "End all sessions of this repository and start again to give it another try."
)


class Passing(StorageError):
    """A graph cannot be used now, but may be later: a server that is down, for one."""


class RisingIndex:
    """A VectorIndex, which any thread may use. `hydrate` opens the graph and fills it; `problem` says in a sentence why it cannot.

    `open_graph` makes an empty VectorIndex, or raises a StorageError. After one that is Passing, `hydrate` begins anew once
    `retry_seconds` are over. More than `kept` vectors are not held beside the graph: when it fails `on_loss` is called, and `keys`
    has no more than what is left.
    """

    def __init__(
        self,
        open_graph: Callable[[], VectorIndex],
        retry_seconds: float = _RETRY_SECONDS,
        kept: int = _KEPT,
        on_loss: Callable[[], None] = lambda: None,
    ) -> None:
        self.problem = ""
        self._kept = kept
        self._on_loss = on_loss
        self._settled: set[str] = set()  # keys whose vectors are in the graph alone
        self._retry_seconds = retry_seconds
        self._retry_at = 0.0  # by time.monotonic(): before, the graph is let be
        self._open_graph = open_graph
        self._exact = ExactIndex()
        self._graph: VectorIndex | None = None
        self._lock = threading.Lock()
        # Keys that the graph does not have as the exact index has them, in the order of their change.
        self._lagging: dict[str, None] = {}
        self._telling: Sequence[str] = ()
        self._changed = threading.Condition()
        self._preferred = 0

    def keys(self) -> set[str]:
        with self._lock:
            return self._exact.keys() | self._settled

    def add(self, keys: Sequence[str], vectors: "NDArray[np.float32]") -> None:
        with self._lock:
            self._exact.add(keys, vectors)
            self._settled.difference_update(keys)
            self._lagging.update(dict.fromkeys(keys))

    def remove(self, keys: Sequence[str]) -> None:
        with self._lock:
            self._exact.remove(keys)
            self._settled.difference_update(keys)
            self._lagging.update(dict.fromkeys(keys))

    def search(self, vector: "NDArray[np.float32]", limit: int) -> list[tuple[str, float]]:
        graph, gaps = self._graph_and_gaps()
        if graph is not None:
            try:
                return self._filled(graph.search(vector, limit + min(len(gaps), _FEW)), gaps, vector, limit)
            except StorageError as error:
                self._do_without(error)
        return self._exact.search(vector, limit)

    @property
    def risen(self) -> bool:
        """True while the graph has everything and answers."""
        return self._whole_graph() is not None

    @property
    def retry_in(self) -> float | None:
        """Seconds until `hydrate` should be called again although nothing was added; None where there is no need."""
        return max(0.0, self._retry_at - time.monotonic()) if self.problem and self._retry_at < math.inf else None

    @contextlib.contextmanager
    def preferred(self) -> Iterator[None]:
        """While it lasts `hydrate` pauses, for a search and for what comes before it."""
        with self._changed:
            self._preferred += 1
        try:
            yield
        finally:
            with self._changed:
                self._preferred -= 1
                self._changed.notify_all()

    def hydrate(self, should_stop: Callable[[], bool]) -> None:
        """Fills the graph until it has everything, some vectors at a time. One thread at a time calls it; a graph that fails is a
        `problem` and no exception."""
        count, started = 0, time.monotonic()
        while not self._is_resting() and not should_stop() and (told := self._tell_some()):
            count += told
            self.give_way()
        if self.risen:
            self.problem = ""
            self._let_go()
        if count:
            log.info("the graph was told %d vectors in %.1f s%s", count, time.monotonic() - started, self._outlook())

    def close(self) -> None:
        with self._lock:
            graph, self._graph = self._graph, None
        _close(graph)

    def _tell_some(self) -> int:
        """How many; 0 when there is nothing to tell, or the graph failed."""
        with self._lock:
            some = list(islice(self._lagging, _AT_ONCE))
            for key in some:
                del self._lagging[key]
            self._telling = some
        if not some:
            return 0
        try:
            self._tell(some)
        except StorageError as error:
            self._do_without(error)
            return 0
        finally:
            self._telling = ()
        return len(some)

    def _tell(self, keys: Sequence[str]) -> None:
        """What changes here meanwhile is lagging again, so it is told once more."""
        graph = self._graph
        if graph is None:
            graph = self._graph = self._open_graph()
        here, vectors = self._exact.held(keys)
        if gone := set(keys).difference(here):
            graph.remove(sorted(gone))
        if here:
            graph.add(here, vectors)
            if not self._lagging:
                # Chroma puts off a part of its work until it is first asked: nobody should have to wait for that.
                graph.search(vectors[0], 1)

    def give_way(self) -> None:
        """Waits while a search is answered, but not for ever: before each piece of work that would slow it down."""
        time.sleep(_PAUSE)
        with self._changed:
            self._changed.wait_for(lambda: not self._preferred, _PATIENCE)

    def _whole_graph(self) -> VectorIndex | None:
        with self._lock:
            return None if self._lagging or self._telling else self._graph

    def _let_go(self) -> None:
        """Of what the graph has, where that is much."""
        with self._lock:
            if self._graph is None or self._lagging or self._telling:
                return
            self._lagging = {}  # emptied one by one, it would still take the room of all
            if len(self._exact) + len(self._settled) <= self._kept:
                return
            much = len(self._exact) > _FEW
            self._settled |= self._exact.keys()
            self._exact = ExactIndex()
        if much:
            trim()

    def _graph_and_gaps(self) -> tuple[VectorIndex | None, set[str]]:
        """The graph where it has nearly everything, and what it may lack or have otherwise."""
        with self._lock:
            if len(self._lagging) > _FEW and not self._settled:
                return None, set()
            return self._graph, {*self._lagging, *self._telling}

    def _filled(
        self, found: list[tuple[str, float]], gaps: set[str], vector: "NDArray[np.float32]", limit: int
    ) -> list[tuple[str, float]]:
        """What the graph found, with what it lacks."""
        if not gaps:
            return found
        here, vectors = self._exact.held(sorted(gaps))
        others = zip(here, (vectors @ vector).tolist(), strict=True) if here else ()
        known = [pair for pair in found if pair[0] not in gaps]
        return sorted([*known, *others], key=lambda pair: (-pair[1], pair[0]))[:limit]

    def _is_resting(self) -> bool:
        return time.monotonic() < self._retry_at

    def _do_without(self, error: StorageError) -> None:
        passing = isinstance(error, Passing)
        with self._lock:
            graph, self._graph = self._graph, None
            self._retry_at = time.monotonic() + self._retry_seconds if passing else math.inf
            self._lagging.update(dict.fromkeys(self._exact.keys()))  # the next graph is an empty one
            lost, self._settled = self._settled, set()
        self.problem = f"{error} Search by meaning goes on without it{_PASSING if passing else _FOR_GOOD}"
        log.warning("%s", self.problem)
        _close(graph)
        if lost:
            self._on_loss()

    def _outlook(self) -> str:
        return "; it answers from now on" if self.risen else f"; {len(self._lagging)} are left"


def _close(graph: VectorIndex | None) -> None:
    if graph is not None:
        with contextlib.suppress(StorageError):
            graph.close()
