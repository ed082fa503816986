"""How fast main memory is. A token costs one reading of all weights that compute it, so this bounds how fast a model writes."""

import threading
import time

_BYTES = 96 << 20
"""Of the copied arrays together: several times the caches of a workstation's CPU."""


def measure_bandwidth(threads: int, seconds: float = 0.1) -> float:
    """Bytes of main memory that are read or written a second while `threads` copy at once: the best of as many rounds as begin in
    that time, two at least. Nobody else's work is in the best one. The arrays must be made first, which takes about as long."""
    import numpy as np

    threads = max(1, threads)
    sources = [np.ones(_BYTES // 8 // threads) for _ in range(threads)]
    copies = [np.zeros_like(source) for source in sources]
    moved = 2 * sum(source.nbytes for source in sources)
    best, rounds, end = 0.0, 0, time.monotonic() + seconds
    while rounds < 2 or time.monotonic() < end:
        copying = [threading.Thread(target=np.copyto, args=pair) for pair in zip(copies, sources, strict=True)]
        started = time.perf_counter()
        for one in copying:
            one.start()
        for one in copying:
            one.join()
        best, rounds = max(best, moved / (time.perf_counter() - started)), rounds + 1
    return best
