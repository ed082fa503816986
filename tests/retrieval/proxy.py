"""A small reverse proxy such as a team puts in front of its Chroma server: it checks one header, and can misbehave on demand."""

import http.client
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_PATIENCE = 30.0
CHROMA = Path(sys.executable).with_name("chroma")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def chroma_server(directory: Path) -> Iterator[int]:
    """A real `chroma run` on loopback; its port."""
    port = free_port()
    command = [str(CHROMA), "run", "--path", str(directory), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=directory)
    try:
        give_up = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, "chroma run has ended"
                time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


class Proxy(ThreadingHTTPServer):
    """Forwards `/team/...` to a server on loopback for who sends `authorization`, and keeps every body that came in.

    `delay` holds each answer up for so many seconds, `drip` sends it byte by byte, a tenth of a second apart; `says` is a status
    and a body that is answered instead.
    """

    daemon_threads = True

    def __init__(self, upstream: int, authorization: str = "", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.authorization = upstream, authorization
        self.delay, self.drip = 0.0, False
        self.says: tuple[int, bytes] | None = None
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.server_port}/team"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone away is no news."""

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_POST(self) -> None:
        proxy = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy.bodies.append(body)
        proxy.headers.append(dict(self.headers))
        time.sleep(proxy.delay)
        if proxy.says is not None:
            self._answer(*proxy.says)
        elif proxy.authorization and self.headers.get("Authorization") != proxy.authorization:
            self._answer(401, b"<html>Who are you?</html>")
        else:
            self._answer(*self._forwarded(body))

    def do_GET(self) -> None:
        self.do_POST()

    def _forwarded(self, body: bytes) -> tuple[int, bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=_PATIENCE)
        try:
            upstream.request(self.command, self.path.removeprefix("/team"), body, {"Content-Type": "application/json"})
            response = upstream.getresponse()
            return response.status, response.read()
        except OSError:
            return 502, b"<html>Bad gateway</html>"
        finally:
            upstream.close()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status in (301, 302, 307, 308):
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for piece in (body[at : at + 1] for at in range(len(body))) if self.server.drip else (body,):
            self.wfile.write(piece)
            if self.server.drip:
                time.sleep(0.1)

    def log_message(self, *arguments: object) -> None:
        """The tests look at `bodies` and `headers`."""
