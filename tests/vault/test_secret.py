import copy
import hashlib
import hmac
import logging
import pickle
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.vault.secret import Secret, derive

WORDS = b"correct horse battery staple"


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{:>40}".format, "{!r}".format, lambda s: "%s" % (s,)])  # noqa: UP031
def test_it_is_never_shown(show: Callable[[object], str]) -> None:
    assert "Secret(hidden)" in show(Secret(WORDS))
    assert "horse" not in show(Secret(WORDS)) + repr([Secret(WORDS)])


def test_neither_a_log_nor_a_traceback_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    def fail(key: Secret) -> None:
        raise ValueError(f"cannot use {key}")

    try:
        fail(Secret(WORDS))
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        logging.getLogger("test").exception("with %s", Secret(WORDS))
    assert "Secret(hidden)" in shown
    assert "horse" not in shown + caplog.text


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_neither_pickled_nor_copied(copied: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="neither pickled nor copied"):
        copied(Secret(WORDS))


def test_it_has_no_attributes_and_no_hash() -> None:
    assert not hasattr(Secret(WORDS), "__dict__")
    with pytest.raises(TypeError):
        hash(Secret(WORDS))


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_equal_when_the_bytes_are(one: bytes, other: bytes) -> None:
    assert (Secret(one) == Secret(other)) == (one == other)
    assert Secret(one) != one
    assert Secret(one).reveal() == one
    assert len(Secret(one)) == len(one)


def test_random_ones_differ() -> None:
    assert Secret.random() != Secret.random()
    assert len(Secret.random(16)) == 16


def test_derive_is_hkdf_sha256() -> None:
    # Extract with a salt of zeros, then one block of expand: RFC 5869 sections 2.2 and 2.3.
    key = Secret(bytes(range(32)))
    extracted = hmac.digest(bytes(32), key.reveal(), hashlib.sha256)
    assert derive(key, "pages").reveal() == hmac.digest(extracted, b"offline-agent pages\x01", hashlib.sha256)


def test_purposes_share_no_key() -> None:
    key = Secret.random()
    assert derive(key, "a") == derive(key, "a")
    assert len({derive(key, purpose).reveal() for purpose in ("a", "b", "a ")}) == 3
    assert len(derive(key, "a", 16)) == 16
