"""A worker process for tests that kill it: `python -m tests.retrieval.slow_worker ROOT DATA LOG` notes each text it embeds."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from offline_agent.retrieval.chroma import ChromaIndex
from offline_agent.retrieval.hashing import HashingEmbedder
from offline_agent.retrieval.worker import Worker, prepare_process

from .conftest import place_for

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SlowEmbedder(HashingEmbedder):
    """Takes its time and writes down what it embedded, first lines only."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        time.sleep(0.02)
        with self._log.open("a", encoding="utf-8") as log:
            log.writelines(text.partition("\n")[0] + "\n" for text in texts)
        return super().encode(texts)


def main(root: Path, data: Path, log: Path) -> None:
    place = place_for(root, data, lambda: SlowEmbedder(log), ChromaIndex)
    prepare_process(place.directory)
    Worker(place).run(lifeline=sys.stdin.fileno())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
