"""Checked against the RFC's own examples and against OpenSSL, by way of cryptography."""

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.bundle.bootstrap import ed25519
from offline_agent.bundle.bootstrap.ed25519 import is_public_key, verify

ORDER = 2**252 + 27742317777372353535851937790883648493
P = 2**255 - 19

RFC = [  # RFC 8032, section 7.1: public key, message, signature; all but the one with a message of 1023 bytes
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (  # "TEST SHA(abc)"
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]

# The eight points whose order divides 8, as RFC 7748 and the curve's equation have them, in their canonical encodings.
SMALL = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]


def openssl_accepts(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def pair(seed: bytes) -> tuple[Ed25519PrivateKey, bytes]:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return private, private.public_key().public_bytes_raw()


@pytest.mark.parametrize(("public", "message", "signature"), RFC)
def test_the_examples_of_the_rfc(public: str, message: str, signature: str) -> None:
    assert verify(bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature))
    assert not verify(bytes.fromhex(public), bytes.fromhex(message) + b"\0", bytes.fromhex(signature))


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
@settings(max_examples=40)
def test_what_is_signed_is_accepted(seed: bytes, message: bytes) -> None:
    private, public = pair(seed)
    assert verify(public, message, private.sign(message))


@given(
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=1, max_size=50),
    st.sampled_from(["public", "message", "signature"]),
    st.integers(0),
)
@settings(max_examples=120)
def test_one_changed_bit_is_judged_as_openssl_judges_it(seed: bytes, message: bytes, what: str, bit: int) -> None:
    private, public = pair(seed)
    values = {"public": public, "message": message, "signature": private.sign(message)}
    changed = bytearray(values[what])
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    values[what] = bytes(changed)
    assert not verify(values["public"], values["message"], values["signature"])
    assert not openssl_accepts(values["public"], values["message"], values["signature"])


@given(st.binary(max_size=70), st.binary(max_size=8), st.binary(max_size=70))
@settings(max_examples=60)
def test_anything_at_all_is_judged_without_an_error(public: bytes, message: bytes, signature: bytes) -> None:
    assert not verify(public, message, signature)


@pytest.mark.parametrize("times", [1, 2, 7])
def test_another_s_is_no_second_signature(times: int) -> None:
    private, public = pair(bytes(32))
    signature = private.sign(b"message")
    s = int.from_bytes(signature[32:], "little") + times * ORDER
    assert not verify(public, b"message", signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("encoded", SMALL)
def test_a_key_of_small_order_is_none(encoded: str) -> None:
    """Under the neutral point, for one, R = [S]B is a signature of every message: OpenSSL takes it."""
    small = bytes.fromhex(encoded)
    assert not is_public_key(small)
    base = (4 * pow(5, -1, P) % P).to_bytes(32, "little")
    one = base + (1).to_bytes(32, "little")
    assert not verify(small, b"any", one)
    if small == bytes.fromhex(SMALL[0]):
        assert openssl_accepts(small, b"any", one)


@pytest.mark.parametrize("y", [P, P + 1, P + 18, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_a_point_is_written_in_one_way(y: int, sign: int) -> None:
    assert not is_public_key((y | sign << 255).to_bytes(32, "little"))


def test_nothing_but_points_are_keys() -> None:
    found = [is_public_key(number.to_bytes(32, "little")) for number in range(2, 60)]
    assert 15 < sum(found) < 45  # about half of all numbers are the y of a point
    assert not is_public_key(bytes(31))


def test_a_key_with_a_part_of_small_order_is_judged_as_openssl_judges_it() -> None:
    """Where the cofactor makes a difference: the two equations disagree for seven of eight messages under such a key."""
    secret, nonce = 12345678901234567890, 98765432109876543210
    torsion = ed25519._decode(bytes.fromhex(SMALL[6]))
    assert torsion is not None
    multiple = ed25519._sum_of_multiples(secret, ed25519._BASE, 0, ed25519._BASE)
    public = ed25519._encode(ed25519._add(multiple, torsion))
    commitment = ed25519._encode(ed25519._sum_of_multiples(nonce, ed25519._BASE, 0, ed25519._BASE))
    found = set()
    for number in range(40):
        message = b"%d" % number
        k = int.from_bytes(hashlib.sha512(commitment + public + message).digest(), "little") % ORDER
        signature = commitment + ((nonce + k * secret) % ORDER).to_bytes(32, "little")
        found.add(verify(public, message, signature))
        assert verify(public, message, signature) == openssl_accepts(public, message, signature)
    assert found == {True, False}
