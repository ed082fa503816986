"""The one way out for an index worker whose team has a server: a small process that carries bytes to one address and no other.

The worker loads torch and Chroma and reads what strangers wrote, so the kernel keeps it from every internet socket (llm/confine.py)
also then. It speaks through a local socket to this process, which was started before and knows that address alone. It has no key,
and where the server speaks https it sees no token either: TLS begins in the worker.

    worker == local socket == relay -- TCP -- the server
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

_RUN = "from offline_agent.retrieval.relay import main; main()"
_CONNECT_SECONDS = 1.0
_PIECE = 65536


class Relay:
    """Carries bytes between the local socket `path` and the host of `url`, until it is closed or whoever made it is gone."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        directory = Path(tempfile.mkdtemp(prefix="offline-agent-"))  # mode 0700: nobody else's process gets in
        self.path = directory / "relay"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(self.path))
            listener.listen()
            door = listener.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _RUN, str(door), parts.hostname or "", str(port), str(directory)],
                pass_fds=[door],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Is the relay, until standard input ends."""
    door, host, port, directory = sys.argv[1:]
    listener = socket.socket(fileno=int(door))
    threading.Thread(target=_accept, args=(listener, (host, int(port))), daemon=True).start()
    try:
        while os.read(sys.stdin.fileno(), _PIECE):
            pass
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _accept(listener: socket.socket, address: tuple[str, int]) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_serve, args=(client, address), daemon=True).start()


def _serve(client: socket.socket, address: tuple[str, int]) -> None:
    """A client whose server cannot be reached sees its connection end."""
    with client:
        try:
            server = socket.create_connection(address, _CONNECT_SECONDS)
        except OSError:
            return
        with server:
            server.settimeout(None)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_carry, args=(server, client), daemon=True)
            back.start()
            _carry(client, server)
            back.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
