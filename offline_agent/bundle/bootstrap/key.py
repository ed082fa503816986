"""The public key file and the signature file of a bundle.

    offline-agent-key-1 BASE64 COMMENT      one line: the 32 bytes of an Ed25519 public key; what comes after is for people

    offline-agent-signature-1               three lines: what it is
    0123456789abcdef                        the id of the key that signed: 16 hex digits of the SHA-256 of its 32 bytes
    BASE64                                  the signature, 64 bytes, over b"offline-agent bundle 1\n" and then the manifest's bytes

What is signed begins with words of its own, so that no signature made for another purpose can pass for a bundle's. The key id is
not signed: it tells people which key to look for, and nothing is believed for its sake.
"""

import base64
import binascii
import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path

from offline_agent.bundle.bootstrap import ed25519
from offline_agent.errors import BundleBroken, BundleUntrusted, UsageError

DOMAIN = b"offline-agent bundle 1\n"
_KEY = "offline-agent-key-1"
_SIGNATURE = "offline-agent-signature-1"
_LONGEST = 4096  # characters of a key file, with any comment
_ID = 16


@dataclass(frozen=True)
class PublicKey:
    """The 32 bytes of the key; the comment says whose it is."""

    raw: bytes
    comment: str = ""

    @property
    def id(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()[:_ID]

    def line(self) -> str:
        """What the public key file holds."""
        return " ".join(filter(None, (_KEY, base64.b64encode(self.raw).decode(), self.comment))) + "\n"


def read_key(path: Path) -> PublicKey:
    """The key in a public key file. Raises UsageError for what is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path} is no file. Give the public key file of who made the bundle.")
        with path.open("rb") as file:
            text = file.read(_LONGEST + 1).decode("utf-8")
    except OSError as error:
        raise UsageError(
            f"The public key {path} cannot be read: {error.strerror}. Give the key file of who made the bundle."
        ) from None
    except UnicodeDecodeError:
        text = ""
    return parse_key(text, str(path))


def parse_key(text: str, where: str = "What was given") -> PublicKey:
    """The key in the text of a public key file; `where` names it in errors. Raises UsageError for what is none."""
    what, encoded, comment = (*text.rstrip("\n").split(" ", 2), "", "", "")[:3]
    raw = _decoded(encoded, ed25519.KEY_SIZE)
    if what != _KEY or raw is None or len(text) > _LONGEST or not comment.isprintable():
        raise UsageError(f"{where} is no public key: a key file is one line, `{_KEY} BASE64 COMMENT`.")
    if not ed25519.is_public_key(raw):
        raise UsageError(f"{where} looks like a public key, but no signature can be checked with it. Get it anew.")
    return PublicKey(raw, comment)


def signature_text(key: PublicKey, signature: bytes) -> bytes:
    """What `manifest.sig` holds; of the same length for every signature."""
    return f"{_SIGNATURE}\n{key.id}\n{base64.b64encode(signature).decode()}\n".encode("ascii")


SIGNATURE_FILE_SIZE = len(signature_text(PublicKey(bytes(ed25519.KEY_SIZE)), bytes(ed25519.SIGNATURE_SIZE)))


def check_signature(key: PublicKey, manifest: bytes, text: bytes, where: str) -> None:
    """Returns where `text`, a `manifest.sig`, is a signature of the bytes of `manifest` by `key`; `where` names the bundle.

    Raises BundleUntrusted where it is not, saying which key it claims to be of, and BundleBroken where it is no signature.
    """
    signer, signature = _parse_signature(text, where)
    if signer != key.id:
        raise BundleUntrusted(
            f"{where} is signed by the key {signer}, and the key that was given is {_named(key)}. "
            "Ask who made the bundle for their present public key, on a way that you trust, or for one signed by the key you have."
        )
    if not ed25519.verify(key.raw, DOMAIN + manifest, signature):
        raise BundleUntrusted(
            f"The signature of {where} is not of the key that it names, {_named(key)}, or its list of contents was changed. "
            "Use nothing of it; get the bundle anew."
        )


def _parse_signature(text: bytes, where: str) -> tuple[str, bytes]:
    what, signer, encoded = (*text.decode("ascii", "replace").split("\n"), "", "")[:3]
    signature = _decoded(encoded, ed25519.SIGNATURE_SIZE)
    if (
        signature is None
        or f"{what}\n{signer}\n{encoded}\n".encode() != text
        or what != _SIGNATURE
        or not _is_id(signer)
    ):
        raise BundleBroken(f"The manifest.sig of {where} is no signature: it is damaged. Get the bundle anew.")
    return signer, signature


def _is_id(text: str) -> bool:
    return len(text) == _ID and set(text) <= set("0123456789abcdef")


def _named(key: PublicKey) -> str:
    return f"{key.id} ({key.comment})" if key.comment else key.id


def _decoded(encoded: str, size: int) -> bytes | None:
    """The bytes, where there are so many and they are written in the one way that base64 has for them."""
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == size and base64.b64encode(raw).decode() == encoded else None
