"""Secrets go into the vault and nowhere else: not on a screen, not into a file, not into an argument."""

import base64
import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.app import CHROMA, open_vault
from offline_agent.cli.credentials import authorization
from offline_agent.errors import UsageError
from offline_agent.settings import load_settings
from tests.cli.typed import COMMAND, typed, unattended

TOKEN = "tok-4711-of-the-team"


def stored() -> str | None:
    opened = open_vault(load_settings())
    try:
        return opened.archive.credentials.get(CHROMA)
    finally:
        opened.close()


def test_a_token_is_piped_in_listed_by_name_and_erased(home: Path) -> None:
    said = subprocess.run(
        [*COMMAND, "credentials", "set", "chroma"], input=f"{TOKEN}\n", capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    assert stored() == f"Bearer {TOKEN}"
    listed = unattended("credentials", "list")
    shown = unattended("audit", "show", "--json")
    assert listed.stdout == "chroma\n"
    assert '"set"' in shown.stdout
    assert TOKEN not in said.stdout + said.stderr + listed.stdout + shown.stdout + unattended("logs").stdout
    assert not [path for path in home.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert "erased" in unattended("credentials", "remove", "chroma").stdout
    assert "none" in unattended("credentials", "remove", "chroma").stdout
    assert stored() is None


def test_a_password_is_typed_unseen() -> None:
    code, shown = typed("credentials", "set", "chroma", "--user", "ann", answers=[("not shown", "pass wörd")])
    assert code == 0, shown
    assert "pass w" not in shown
    value = stored()
    assert value is not None
    assert base64.b64decode(value.removeprefix("Basic ")).decode() == "ann:pass wörd"


@pytest.mark.parametrize("given", [b"", b"\n", b"two words\n", b"\xff\xfe\n", b"x" * 9000])
def test_what_is_no_token_changes_nothing(given: bytes, home: Path) -> None:
    environment = os.environ | {"PYTHONUTF8": "1"}
    said = subprocess.run([*COMMAND, "credentials", "set", "chroma"], input=given, env=environment, capture_output=True)
    assert said.returncode == UsageError.exit_code
    assert b"was changed" in said.stderr
    assert not (home / ".local").exists()


def test_only_servers_there_are_can_have_one() -> None:
    assert unattended("credentials", "set", "elsewhere").returncode == 2


@given(st.text(), st.none() | st.text())
def test_any_text_is_one_header_or_refused(secret: str, user: str | None) -> None:
    with contextlib.suppress(UsageError):
        value = authorization(secret, user)
        assert value.isascii()
        assert value.isprintable()


def test_a_refusal_does_not_repeat_the_secret() -> None:
    for user in (None, "ann"):
        with pytest.raises(UsageError) as caught:
            authorization("secret\n words", user)
        assert "secret" not in str(caught.value)
