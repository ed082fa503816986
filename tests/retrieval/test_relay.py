"""Bytes go to one address, both ways, for as long as the one who started it lives."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from offline_agent.retrieval.relay import Relay
from tests.retrieval.proxy import free_port

BLOB = bytes(range(256)) * 4000


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back all it got, once its client is done."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=give_back, args=(client,), daemon=True).start()

    def give_back(client: socket.socket) -> None:
        with client:
            client.sendall(b"".join(iter(lambda: client.recv(65536), b"")))

    threading.Thread(target=answer, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def asked(path: Path, blob: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        client.sendall(blob)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_it_carries_bytes_both_ways_for_several_at_once(echo: int) -> None:
    with closing(Relay(f"http://127.0.0.1:{echo}/any/path")) as relay:
        answers: list[bytes] = []
        threads = [threading.Thread(target=lambda: answers.append(asked(relay.path, BLOB))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [BLOB] * 4
        assert relay.path.parent.stat().st_mode & 0o777 == 0o700
    assert not relay.path.parent.exists()


def test_who_cannot_be_reached_ends_the_connection() -> None:
    with closing(Relay(f"http://127.0.0.1:{free_port()}")) as relay, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(relay.path))
        assert client.recv(1) == b""


KILLED = """
import os, signal, sys
from offline_agent.retrieval.relay import Relay
print(Relay("http://127.0.0.1:9").path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_ends_with_whoever_started_it() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True)
    directory, give_up = Path(done.stdout.strip()).parent, time.monotonic() + 20
    assert directory.name.startswith("offline-agent-")
    while directory.exists() and time.monotonic() < give_up:
        time.sleep(0.02)
    assert not directory.exists()
