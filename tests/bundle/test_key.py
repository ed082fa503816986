import base64
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.bundle import keys
from offline_agent.bundle.bootstrap.key import (
    SIGNATURE_FILE_SIZE,
    PublicKey,
    check_signature,
    parse_key,
    read_key,
    signature_text,
)
from offline_agent.errors import BundleBroken, BundleError, BundleUntrusted, UsageError

from .made import KEY, SEED

MANIFEST = b'{"a":1}\n'


def signed(seed: bytes = SEED) -> bytes:
    return signature_text(keys.public_of(seed), keys.sign(seed, MANIFEST))


def test_a_key_file_is_one_line() -> None:
    assert KEY.line() == f"offline-agent-key-1 {base64.b64encode(KEY.raw).decode()} tests\n"
    assert parse_key(KEY.line()) == KEY
    assert parse_key(KEY.line().rstrip()) == KEY


def test_the_id_of_a_key_is_of_its_bytes() -> None:
    done = subprocess.run(["sha256sum"], input=KEY.raw, capture_output=True, check=True)
    assert KEY.id == done.stdout.decode()[:16]
    assert PublicKey(KEY.raw, "another comment").id == KEY.id


@pytest.mark.parametrize("comment", ["", "Ann Example, 2026", "é 漢字 with  spaces "])
def test_any_comment(comment: str) -> None:
    key = keys.public_of(SEED, comment)
    assert parse_key(key.line()) == key
    assert key.line().count("\n") == 1


def test_a_comment_cannot_be_a_second_line() -> None:
    assert keys.public_of(SEED, "one\noffline-agent-key-1 \x1b[2J").comment == "oneoffline-agent-key-1 [2J"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "offline-agent-key-1",
        "offline-agent-key-1 AAAA",
        KEY.line().replace("key-1", "key-2"),
        KEY.line() + KEY.line(),
        KEY.line().replace("=", ""),
        KEY.line() + "x" * 5000,
        KEY.line().replace("tests", "\x1b[2Jtests"),
        f"offline-agent-key-1 {base64.b64encode(bytes(32)).decode()}",  # a point of small order
        f"offline-agent-key-1 {base64.b64encode(bytes([2]) + bytes(31)).decode()}",  # no point
    ],
)
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(UsageError, match="public key") as raised:
        parse_key(text)
    assert "\x1b" not in str(raised.value)


@given(st.text(max_size=80))
def test_any_text_is_a_key_or_a_clear_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_key(text)


def test_a_key_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_text(KEY.line())
    assert read_key(path) == KEY
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(UsageError, match=r"key\.pub is no public key"):
        read_key(path)
    path.unlink()
    with pytest.raises(UsageError, match="No such file"):
        read_key(path)
    os.mkfifo(path)
    with pytest.raises(UsageError, match="is no file"):
        read_key(path)


def test_keys_are_random_and_whole() -> None:
    assert keys.generate() != keys.generate()
    assert len(keys.generate()) == keys.SEED_SIZE
    with pytest.raises(BundleError, match="damaged"):
        keys.public_of(b"short")


def test_a_signature_is_of_one_length_and_always_the_same() -> None:
    assert signed() == signed()
    assert len(signed()) == SIGNATURE_FILE_SIZE == len(signed(bytes(32)))


def test_the_right_key() -> None:
    check_signature(KEY, MANIFEST, signed(), "b")


def test_an_old_key_is_told_from_the_new_one() -> None:
    new = keys.public_of(bytes(32), "new")
    with pytest.raises(BundleUntrusted) as raised:
        check_signature(KEY, MANIFEST, signed(bytes(32)), "b")
    assert new.id in str(raised.value)
    assert f"{KEY.id} (tests)" in str(raised.value)
    assert raised.value.exit_code == 76


def test_a_key_id_alone_proves_nothing() -> None:
    forged = signature_text(KEY, keys.sign(bytes(32), MANIFEST))
    with pytest.raises(BundleUntrusted, match="Use nothing of it"):
        check_signature(KEY, MANIFEST, forged, "b")


def test_a_signature_of_the_bare_manifest_is_none() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    bare = Ed25519PrivateKey.from_private_bytes(SEED).sign(MANIFEST)
    with pytest.raises(BundleUntrusted):
        check_signature(KEY, MANIFEST, signature_text(KEY, bare), "b")


def test_every_changed_byte_of_a_signature_file_is_found() -> None:
    text = signed()
    for at in range(len(text)):
        changed = bytearray(text)
        changed[at] ^= 1
        with pytest.raises(BundleError):
            check_signature(KEY, MANIFEST, bytes(changed), "b")


@pytest.mark.parametrize(
    "text", [b"", signed()[:-1], signed() + b"\n", signed().replace(b"\n", b"\r\n"), b"\xff" * 132]
)
def test_what_is_no_signature(text: bytes) -> None:
    with pytest.raises(BundleBroken, match="no signature"):
        check_signature(KEY, MANIFEST, text, "b")
