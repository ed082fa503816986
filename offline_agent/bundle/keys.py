"""The pair of keys that bundles are signed with: Ed25519 (RFC 8032)."""

import os

from offline_agent.bundle.bootstrap.ed25519 import KEY_SIZE
from offline_agent.bundle.bootstrap.key import DOMAIN, PublicKey
from offline_agent.errors import BundleError

SEED_SIZE = 32


def generate() -> bytes:
    """A new private half: 32 random bytes. Who has them can sign, so they rest in the vault."""
    return os.urandom(SEED_SIZE)


def public_of(seed: bytes, comment: str = "") -> PublicKey:
    """The public half; the comment, one line, says whose it is. Raises BundleError for what is no private half."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if len(seed) != SEED_SIZE:
        raise BundleError("The signing key is damaged. Make a new one: `offline-agent bundle keygen --replace`.")
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert len(public) == KEY_SIZE
    return PublicKey(public, " ".join("".join(filter(str.isprintable, comment)).split()))


def sign(seed: bytes, manifest: bytes) -> bytes:
    """The signature, 64 bytes, of the bytes of a manifest: the same whenever both are."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed).sign(DOMAIN + manifest)
