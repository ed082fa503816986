"""Which computed prompts are kept, under which names. Runs in the front; the bytes are llama.cpp's.

A state is good for one model, one set of context settings and one sequence of tokens. The first two are in its name, by hash, and a
prefix's tokens too; the tokens stand in front of the bytes as well, and the worker compares them with the prompt. So a state
that does not match is never found, and one that was found by mistake would only cost time.

    tokens (u32, how many) | token (i32) ... | state
"""

import hashlib
import logging
import struct
import threading
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

from offline_agent.errors import VaultError
from offline_agent.llm.gguf import hash_file
from offline_agent.models import ModelCard
from offline_agent.protocols import StateStore
from offline_agent.types import Message, ToolSpec

log = logging.getLogger(__name__)

FEWEST = 64
"""Tokens. Fewer are computed as quickly as they are looked for."""
_COUNT = struct.Struct("<I")


class States:
    """The states of one model in `store`. For the thread that may use the store."""

    def __init__(self, card: ModelCard, path: Path, store: StateStore) -> None:
        self.session = ""
        """The session whose state is wanted before that of a prefix, once."""
        self.wants_prefix = False
        """Whether the prefix that was asked for last was not found."""
        self._path = path
        self._store = store
        self._sha256 = card.sha256
        self._hashing: threading.Thread | None = None
        self._hashed = ""
        """The file that is being hashed, as `stat` saw it before: another may take its place meanwhile."""
        self._seen: tuple[object, ...] = ()
        self._prefix: tuple[int, ...] = ()
        self._offered = ""

    def is_new(self, process: int, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> bool:
        """Whether this beginning of a prompt has not been looked for in this process of the model."""
        system = tuple(m.content for m in messages if m.role == "system")
        seen = (process, system, tuple(tool.model_dump_json() for tool in tools))
        if seen == self._seen and not self.session:
            return False
        self._seen = seen
        return True

    def candidates(self, settings: str, prefix: Sequence[int]) -> Iterator[tuple[tuple[int, ...], bytes]]:
        """Tokens and states that may fit, the longest first. A consumer that takes one stops there, or says that it did harm."""
        self._prefix = tuple(prefix)
        self.wants_prefix = len(prefix) >= FEWEST
        model = self._known_hash()
        if not model:
            self._begin_hashing()
            return
        if self.session:
            session, self.session = self.session, ""
            yield from self._stored(_session_name(session, model, settings))
        if self.wants_prefix:
            for found in self._stored(_prefix_name(model, settings, self._prefix)):
                self.wants_prefix = False
                yield found
                self.wants_prefix = True  # it was of no use

    def forget(self) -> None:
        """The candidate that was looked at last is never offered again."""
        self._put(self._offered, b"")

    def keep_prefix(self, settings: str, tokens: Sequence[int], state: bytes) -> None:
        self.wants_prefix = False
        if state and tuple(tokens) == self._prefix and (model := self._hash()):
            self._keep(_prefix_name(model, settings, self._prefix), tokens, state)

    def keep_session(self, session: str, settings: str, tokens: Sequence[int], state: bytes) -> None:
        if len(tokens) >= FEWEST and state and (model := self._hash()):
            self._keep(_session_name(session, model, settings), tokens, state)

    def _keep(self, name: str, tokens: Sequence[int], state: bytes) -> None:
        self._put(name, _COUNT.pack(len(tokens)) + array("i", tokens).tobytes() + state)

    def _stored(self, name: str) -> Iterator[tuple[tuple[int, ...], bytes]]:
        data, self._offered = self._get(name), name
        if len(data) < _COUNT.size:
            return
        start = _COUNT.size
        end = start + 4 * _COUNT.unpack_from(data)[0]
        if end < len(data):
            yield tuple(array("i", data[start:end])), data[end:]

    # --- the store: no answer fails because a cache does ---

    def _get(self, name: str) -> bytes:
        try:
            return self._store.get(name) or b""
        except VaultError as error:
            log.warning("a computed prompt was not read: %s", error)
            return b""

    def _put(self, name: str, state: bytes) -> None:
        try:
            self._store.put(name, state)
        except VaultError as error:
            log.warning("a computed prompt was not kept: %s", error)

    # --- the hash of the model, which takes seconds for a large one: once for each state of the file ---

    def _known_hash(self) -> str:
        if not self._sha256 and (name := self._hash_name()):
            self._sha256 = self._get(name).decode("ascii", "replace")
        return self._sha256

    def _begin_hashing(self) -> None:
        if self._hashing is None:
            self._hashed = self._hash_name()
            self._hashing = threading.Thread(target=self._compute_hash, name="model-hash", daemon=True)
            self._hashing.start()

    def _compute_hash(self) -> None:
        try:
            self._computed = hash_file(self._path)
        except OSError as error:
            log.warning("%s cannot be hashed: %s", self._path, error)
            self._computed = ""

    def _hash(self) -> str:
        if not self._known_hash():
            self._begin_hashing()
            assert self._hashing is not None
            self._hashing.join()
            self._sha256 = self._computed
            if self._sha256 and self._hashed:
                self._put(self._hashed, self._sha256.encode())
        return self._sha256

    def _hash_name(self) -> str:
        """The file as `stat` sees it: another one of that path has another size, time or number. Empty where it is gone."""
        try:
            status = self._path.stat()
        except OSError:
            return ""
        return f"hash {self._path} {status.st_size} {status.st_mtime_ns} {status.st_ino}"


def _prefix_name(model: str, settings: str, tokens: Sequence[int]) -> str:
    return f"prefix {_digest(model, settings, array('i', tokens).tobytes().hex())}"


def _session_name(session: str, model: str, settings: str) -> str:
    return f"session {session} {_digest(model, settings)}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
