"""A real hub on loopback: it answers as Hugging Face does, over real files, or as badly as a server can.

    DIRECTORY/OWNER/NAME/...      the repositories; `*.gguf`, `*.safetensors` and `*.bin` are as in Git LFS, others as in git

    GET  hub      /api/models/OWNER/NAME[/revision/REV]    commit, files with sizes and hashes
    any  hub      /OWNER/NAME/resolve/REV/FILE             302 to the content host for LFS, 200 for others, with X-Repo-Commit
    any  content  /OWNER/NAME/FILE                         200, 206 and 416, with a strong ETag; nothing here takes a token

The content host is another port, so another origin. What is to go wrong is a `Fault` in `hub.faults`; what came is in `hub.seen`.

    with Hub(directory) as hub:
        hub.faults.append(Fault("content", close_after=1000, times=3))
        ... HubSettings(endpoint=hub.url) ...

As a program it serves a directory until it is ended, and prints its address: `python -m tests.library.hub_server DIRECTORY`.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

PATIENCE = 20.0
"""Seconds after which a thread gives up that nobody woke."""
Place = Literal["api", "resolve", "content"]
_LFS = (".gguf", ".safetensors", ".bin")
_PIECE = 1 << 16


@dataclass
class Fault:
    """What goes wrong for the next `times` requests to a place, whose path contains `path`. -1 is for ever.

    With a `status` the answer is that, with `headers` and `body`. Else the file is sent, but: only `close_after` bytes of it, or
    nothing more after `stall_after`; at `rate` bytes a second; with a range that is ignored, or other than announced; with
    `headers` in place of its own; with `body` in place of the file."""

    place: Place
    path: str = ""
    method: str = "GET"
    times: int = 1
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    close_after: int | None = None
    stall_after: int | None = None
    rate: int = 0
    ranges: Literal["honoured", "ignored", "wrong"] = "honoured"
    chunked: bool = False
    """Sent in HTTP's chunks, without a length."""
    after: int = 0
    """So many requests that would fit are let through first."""

    def fits(self, place: str, method: str, path: str) -> bool:
        if self.place != place or self.method not in ("", method) or self.path not in path or not self.times:
            return False
        self.after -= 1
        if self.after >= 0:
            return False
        self.times -= 1
        return True


@dataclass(frozen=True)
class Seen:
    """A request that arrived. Names of headers are in lower case; `sent` is how many bytes of a file it was sent."""

    place: Place
    method: str
    path: str
    headers: Mapping[str, str]
    sent: list[int]


class Hub:
    """`rate` limits every file to so many bytes a second. With `tls`, both hosts speak it and are known as `host`."""

    def __init__(
        self, directory: Path, rate: int = 0, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.directory = directory
        self.rate = rate
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.tokens: dict[str, str] = {}
        """The Authorization that a repository asks for, by `OWNER/NAME`."""
        self.gated: set[str] = set()
        """Repositories whose licence nobody has accepted."""
        self.announced: dict[str, dict[str, Any]] = {}
        """What the hub says of a file, by its path, in place of the truth: `sha256`, `size`, `blobId`."""
        self.licences: dict[str, str] = {}
        self.released = threading.Event()
        """Set when the hub closes: whoever stalls ends."""
        self._scheme, self._host = "https" if tls else "http", host
        self._servers = [_Server(("127.0.0.1", 0), _handler(self, main), tls) for main in (True, False)]
        self._threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in self._servers]
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        """The endpoint."""
        return self._address(0)

    @property
    def content_url(self) -> str:
        """Where the bytes are, and files that belong to no repository."""
        return self._address(1)

    def _address(self, which: int) -> str:
        return f"{self._scheme}://{self._host}:{self._servers[which].server_address[1]}"

    def commit(self, repository: str) -> str:
        """Of what the repository holds now."""
        files = sorted((path, digest(self.directory / repository / path)) for path in self.files(repository))
        return hashlib.sha1(json.dumps(files).encode()).hexdigest()

    def files(self, repository: str) -> list[str]:
        top = self.directory / repository
        return sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())

    def of(self, place: Place, method: str = "GET") -> list[Seen]:
        """What came to that place."""
        return [seen for seen in self.seen if seen.place == place and seen.method == method]

    def sent(self) -> int:
        """Bytes of files that went out."""
        return sum(sum(seen.sent) for seen in self.seen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None):
        super().__init__(address, handler)
        self._tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._tls is not None:  # in the thread of the request: a client that does not trust us would hold up all
            try:
                request = self._tls.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what is tested."""


@cache
def _digest(path: Path, mtime: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(path: Path) -> str:
    """The SHA-256 of a file as it is now."""
    status = path.stat()
    return _digest(path, status.st_mtime_ns, status.st_size)


def blob_id(path: Path) -> str:
    """What git calls it."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _handler(hub: Hub, is_hub: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.hub, Handler.is_hub = hub, is_hub
    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    is_hub: bool

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Tests are silent."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        place: Place = "content" if not self.is_hub else "api" if path.startswith("/api/") else "resolve"
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._seen = Seen(place, self.command, path, headers, [])
        self.hub.seen.append(self._seen)
        self._fault = next((each for each in self.hub.faults if each.fits(place, self.command, path)), None)
        with contextlib.suppress(OSError):  # the client hung up
            if self._fault and self._fault.status:
                self._say(self._fault.status, self._fault.body, **self._fault.headers)
            elif place == "content":
                self._content(path)
            else:
                getattr(self, f"_{place}")(path)

    # --- the hub -----------------------------------------------------------------------------------------------------

    def _api(self, path: str) -> None:
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path)
        repository = found[1] if found else ""
        if not self._may(repository):
            return
        if not self._is_revision(repository, found[2] if found else None):
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {found[2] if found else ''}")
            return
        blobs = "blobs" in parse_qs(urlsplit(self.path).query)
        self._json(
            {
                "_id": "1",
                "id": repository,
                "modelId": repository,
                "sha": self.hub.commit(repository),
                "private": repository in self.hub.tokens,
                "gated": "manual" if repository in self.hub.gated else False,
                "tags": [f"license:{self.hub.licences[repository]}"] if repository in self.hub.licences else [],
                "siblings": [self._sibling(repository, name, blobs) for name in self.hub.files(repository)],
            }
        )

    def _sibling(self, repository: str, name: str, blobs: bool) -> dict[str, Any]:
        if not blobs:
            return {"rfilename": name}
        file = self.hub.directory / repository / name
        told = self.hub.announced.get(name, {})
        size = told.get("size", file.stat().st_size)
        entry = {"rfilename": name, "size": size, "blobId": told.get("blobId") or "0" * 40}
        if name.endswith(_LFS):
            return entry | {"lfs": {"sha256": told.get("sha256") or digest(file), "size": size, "pointerSize": 135}}
        return entry | {"blobId": told.get("blobId") or blob_id(file)}

    def _resolve(self, path: str) -> None:
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        repository, revision, name = found.groups() if found else ("", "", "")
        if not self._may(repository, name):
            return
        if not self._is_revision(repository, revision):
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        if name not in self.hub.files(repository):
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        file = self.hub.directory / repository / name
        commit = {"X-Repo-Commit": self.hub.commit(repository)}
        if not name.endswith(_LFS):
            self._file(file, f'"{blob_id(file)}"', commit)
            return
        told = self.hub.announced.get(name, {})
        self._say(
            302,
            b"",
            Location=(self._fault and self._fault.headers.get("Location"))
            or f"{self.hub.content_url}/{quote(repository)}/{quote(name)}?Expires=1&Signature=s",
            X_Linked_Size=str(told.get("size", file.stat().st_size)),
            X_Linked_ETag=f'"{told.get("sha256") or digest(file)}"',
            X_Repo_Commit=commit["X-Repo-Commit"],
        )

    def _may(self, repository: str, name: str = "") -> bool:
        """Whether the repository is shown; says why not, as the hub does."""
        if not repository or not (self.hub.directory / repository).is_dir():
            self._refuse(401, "RepoNotFound", "Invalid username or password.")
            return False
        given = self.headers.get("Authorization")
        if self.hub.tokens.get(repository, given) != given:
            self._refuse(401, "RepoNotFound", "Invalid username or password.")
            return False
        if repository in self.hub.gated and name:  # that there is such a repository, everybody may know
            self._refuse(403, "GatedRepo", f"Access to model {repository} is restricted.")
            return False
        return True

    def _is_revision(self, repository: str, revision: str | None) -> bool:
        return revision in (None, "main", self.hub.commit(repository))

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        self._say(status, body, Content_Type="application/json", X_Error_Code=code, X_Error_Message=message)

    def _json(self, value: object) -> None:
        body = self._fault.body if self._fault and self._fault.body else json.dumps(value).encode()
        self._say(200, body, **{"Content-Type": "application/json", **(self._fault.headers if self._fault else {})})

    # --- bytes -------------------------------------------------------------------------------------------------------

    def _content(self, path: str) -> None:
        file = self.hub.directory / path.lstrip("/")
        if not file.is_file():
            self._say(404, b"<html>There is no such file.</html>", Content_Type="text/html")
            return
        self._file(file, f'"{digest(file)}"', {})

    def _file(self, file: Path, etag: str, more: Mapping[str, str]) -> None:
        fault = self._fault or Fault("content")
        if fault.body:
            self._say(200, fault.body, **{"Content-Type": "application/octet-stream", **fault.headers})
            return
        size = file.stat().st_size
        asked = None if fault.ranges == "ignored" else self._range(etag, size)
        start, end = asked or (0, size)
        headers = {"Content-Type": "application/octet-stream", "ETag": etag, "Accept-Ranges": "bytes", **more}
        if start >= size and asked:
            self._say(416, b"", **headers, Content_Range=f"bytes */{size}")
            return
        if asked:
            first = start + 1 if fault.ranges == "wrong" else start
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        headers |= {"Transfer-Encoding": "chunked"} if fault.chunked else {"Content-Length": str(end - start)}
        self._head(206 if asked else 200, {**headers, **fault.headers})
        if self.command == "GET":
            with file.open("rb") as source:
                self._send(source, start, end, fault)

    def _range(self, etag: str, size: int) -> tuple[int, int] | None:
        """Where the part begins that is asked for, and the byte after it; None where all of the file is."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not found or self.headers.get("If-Range", etag) != etag:
            return None
        return int(found[1]), min(size, int(found[2]) + 1) if found[2] else size

    def _send(self, source: BinaryIO, start: int, end: int, fault: Fault) -> None:
        """The bytes from `start` to before `end`, as the fault has it."""
        limit = next((n for n in (fault.close_after, fault.stall_after) if n is not None), end - start)
        last = min(end, start + limit)
        self.wfile.flush()
        if self.hub.rate or fault.rate or fault.chunked or not _is_plain(self.connection):
            for piece in self._pieces(source, start, last, fault.rate or self.hub.rate):
                self._write(piece, fault.chunked)
        else:
            source.seek(start)
            while start < last:
                sent = os.sendfile(self.connection.fileno(), source.fileno(), start, last - start)
                if not sent:
                    break
                self._seen.sent.append(sent)
                start += sent
        if fault.stall_after is not None:
            self.hub.released.wait(PATIENCE)
        if last < end:
            self.close_connection = True
        elif fault.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _write(self, piece: bytes, chunked: bool) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        self._seen.sent.append(len(piece))

    def _pieces(self, source: BinaryIO, start: int, end: int, rate: int) -> Iterator[bytes]:
        source.seek(start)
        began, done = time.monotonic(), 0
        while start + done < end:
            piece = source.read(min(_PIECE, end - start - done))
            done += len(piece)
            yield piece
            if rate and (ahead := done / rate - (time.monotonic() - began)) > 0:
                self.hub.released.wait(ahead)

    # --- answers -----------------------------------------------------------------------------------------------------

    def _say(self, status: int, body: bytes, **headers: str) -> None:
        self._head(status, {"Content-Length": str(len(body)), **headers})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()


def _is_plain(connection: object) -> bool:
    return not isinstance(connection, ssl.SSLSocket)  # the kernel cannot encrypt what it sends from a file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rate", type=int, default=0, help="bytes a second; by default as fast as can be")
    arguments = parser.parse_args()
    with Hub(arguments.directory, arguments.rate) as hub:
        print(hub.url, hub.content_url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
