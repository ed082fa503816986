"""A worker that a model file has taken over, or that is only slow: `python fake_worker.py MANNER FD`. It loads nothing."""

import sys
import time

from offline_agent.llm.messages import (
    LARGEST_REPLY,
    LARGEST_STATE,
    Confinement,
    Counted,
    CountTokens,
    Done,
    Link,
    Loaded,
    Request,
    State,
    Working,
    open_link,
    receive_request,
    send,
)
from offline_agent.models import ModelInfo
from offline_agent.types import Usage


def answer(link: Link, request: Request, manner: str) -> None:
    if manner == "noise":
        link.send_bytes(b"\xff\x00 no JSON")
    elif manner == "surrogates":
        link.send_bytes(b'{"type": "fragment", "id": 2, "kind": "said", "text": "\\ud800"}')
    elif manner == "depth":
        link.send_bytes(b"[" * 1_000_000)
    elif manner == "large frame":
        link.send_bytes(b"x" * (LARGEST_REPLY + 1))
    elif manner == "large state":
        send(link, State(id=request.id, size=0).model_copy(update={"size": LARGEST_STATE + 1}))
    elif manner == "too few counts":
        send(link, Counted(id=request.id, counts=()))
    elif manner == "slow":
        for _ in range(30):  # three times the patience of the front
            time.sleep(0.05)
            send(link, Working(id=request.id))
        send(link, Counted(id=request.id, counts=(1,)))
    elif isinstance(request, CountTokens):
        send(link, Done(id=request.id, usage=Usage(stopped="end")))  # which is no answer to it


def main(manner: str, descriptor: int) -> None:
    link = open_link(descriptor)
    info = ModelInfo(name="fake", path="", context=256, dialect="generic")
    send(link, Loaded(id=receive_request(link).id, info=info, settings="", confinement=Confinement()))
    while True:
        answer(link, receive_request(link), manner)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
