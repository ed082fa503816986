"""Bytes that must not be seen: keys and passphrases on their way through the program."""

import hmac
import secrets
from typing import NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class Secret:
    """Bytes that no log, traceback, f-string, pickle or copy can show by accident. Only `reveal` hands them out.

    Python cannot wipe them: bytes are immutable, and freed memory keeps them until it is used again. What keeps them from others
    is that no other process may read this one's memory and that no core is dumped (kernel.py).
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = bytes(value)

    @classmethod
    def random(cls, length: int = 32) -> "Secret":
        """`length` bytes from the operating system's generator."""
        return cls(secrets.token_bytes(length))

    def reveal(self) -> bytes:
        """The bytes, to be handed straight to what needs them and kept in no variable."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        """In time that does not depend on where the two differ."""
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __repr__(self) -> str:
        return "Secret(hidden)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is neither pickled nor copied")


def derive(key: Secret, purpose: str, length: int = 32) -> Secret:
    """A key of `length` bytes for one purpose, so that no two purposes share one: HKDF-SHA256 (RFC 5869) without salt, with
    "offline-agent <purpose>" as info. `key` must be random already; this is no password hash."""
    info = f"offline-agent {purpose}".encode()
    return Secret(HKDF(SHA256(), length=length, salt=None, info=info).derive(key.reveal()))
