"""The model's process: `python -m offline_agent.llm.worker FD`. It owns llama.cpp and speaks llm/messages.py over FD.

    start -> import llama.cpp -> Load arrives -> confine -> open the file -> requests, one after the other -> FD closes -> end

Only the front starts it, and nothing imports it. A second thread reads, so that a cancel is seen while the model computes and
the process ends at once when the front is gone, however it went.
"""

import os
import queue
import re
import sys
import threading
from contextlib import suppress
from pathlib import Path

import llama_cpp

from offline_agent.errors import ModelError
from offline_agent.llm.confine import confine
from offline_agent.llm.gguf import check_pinned
from offline_agent.llm.llama import Engine, Log
from offline_agent.llm.messages import (
    Cancel,
    Counted,
    CountTokens,
    Done,
    Failed,
    Generate,
    Link,
    Load,
    Loaded,
    Piece,
    Request,
    open_link,
    receive_request,
    send,
)
from offline_agent.llm.template import warm_up

STDERR = 2


class Worker:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._cancelled = 0

    def run(self) -> None:
        log = Log()
        llama_cpp.llama_backend_init()
        warm_up()
        load = receive_request(self._link)
        assert isinstance(load, Load), "the front begins with Load"
        confinement = confine(model_parts(Path(load.path)), gpu=llama_cpp.llama_supports_gpu_offload())
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            check_pinned(Path(load.path), load.sha256, load.size)
            engine = Engine(load, log)
        except ModelError as error:
            send(self._link, Failed(id=load.id, error=type(error).__name__, message=str(error)))
            return
        send(self._link, Loaded(id=load.id, info=engine.info, confinement=confinement))
        while True:
            request = self._requests.get()
            try:
                self._answer(engine, request)
            except ModelError as error:
                send(self._link, Failed(id=request.id, error=type(error).__name__, message=str(error)))

    def _answer(self, engine: Engine, request: Request) -> None:
        if isinstance(request, CountTokens):
            send(self._link, Counted(id=request.id, counts=engine.count_tokens(request.texts)))
        elif isinstance(request, Generate):
            usage = engine.generate(
                request.messages,
                request.sampling,
                emit=lambda text: send(self._link, Piece(id=request.id, text=text)),
                cancelled=lambda: request.id <= self._cancelled,
            )
            send(self._link, Done(id=request.id, usage=usage))

    def _listen(self) -> None:
        while True:
            try:
                request = receive_request(self._link)
            except (EOFError, OSError):  # the front closed the link or died
                os._exit(0)  # at once, even out of the middle of a computation
            if isinstance(request, Cancel):
                self._cancelled = request.id
            else:
                self._requests.put(request)


def model_parts(path: Path) -> list[Path]:
    """The files of a model: one, or all of a split one (`name-00001-of-00003.gguf`), which llama.cpp opens by itself."""
    split = re.fullmatch(r"(.*)-\d{5}-of-(\d{5})\.gguf", path.name)
    return sorted(path.parent.glob(f"{_literal(split[1])}-*-of-{split[2]}.gguf")) if split else [path]


def _literal(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)


def main(descriptor: int) -> None:
    os.set_blocking(STDERR, False)  # a pipe that the front reads only after a crash: when it is full, the rest is lost
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the front is gone
        Worker(open_link(descriptor)).run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
