import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from offline_agent.errors import UsageError
from offline_agent.settings import IndexSettings, Settings, load_settings


def write_config(home: Path, text: str) -> None:
    path = home / ".config" / "offline-agent" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_defaults_need_nothing(home: Path) -> None:
    settings = load_settings({"HOME": str(home)})
    assert settings.data_directory == home / ".local" / "share" / "offline-agent"
    assert (settings.models_directory / "catalogue.toml").is_file()
    assert (settings.index_declarations / "ignore").is_file()


def test_environment_beats_file(home: Path) -> None:
    write_config(home, "[index]\nmax_file_bytes = 10\nquiet_seconds = 0.3\n")
    settings = load_settings({"HOME": str(home), "OFFLINE_AGENT_INDEX_MAX_FILE_BYTES": "20"})
    assert (settings.index.max_file_bytes, settings.index.quiet_seconds) == (20, 0.3)


def test_xdg_directories_are_followed(home: Path) -> None:
    settings = load_settings({"HOME": str(home), "XDG_DATA_HOME": "/elsewhere"})
    assert settings.data_directory == Path("/elsewhere/offline-agent")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[index]\nmax_file_bytes = 'many'", "index.max_file_bytes"),
        ("[index]\nmax_files = 1", "index.max_files"),
        ("[indx]\nx = 1", "[indx]"),
        ("index = 1", "section [index]"),
        ("not toml", "cannot be read"),
    ],
)
def test_a_wrong_configuration_is_named(home: Path, text: str, said: str) -> None:
    write_config(home, text)
    with pytest.raises(UsageError) as caught:
        load_settings({"HOME": str(home)})
    assert said in str(caught.value)
    assert "config.toml" in str(caught.value)


def test_a_wrong_variable_is_named(home: Path) -> None:
    with pytest.raises(UsageError, match=r"model\.context"):
        load_settings({"HOME": str(home), "OFFLINE_AGENT_MODEL_CONTEXT": "wide"})


def with_policy(home: Path, text: str, mode: int = 0o644, **environ: str) -> Settings:
    """Settings under a policy that is ours, as the real one is root's."""
    policy = home / "policy.toml"
    policy.write_text(text)
    policy.chmod(mode)
    return load_settings({"HOME": str(home), **environ}, policy, policy_owner=os.getuid())


def test_policy_beats_file_and_environment(home: Path) -> None:
    write_config(home, "[index]\nchroma_url = 'https://team/chroma'\nmax_file_bytes = 10\n")
    settings = with_policy(
        home,
        "[index]\nchroma_url = ''\n[log]\ndays = 1\n",
        OFFLINE_AGENT_INDEX_CHROMA_URL="https://elsewhere",
        OFFLINE_AGENT_LOG_DAYS="7",
    )
    assert (settings.index.chroma_url, settings.index.max_file_bytes, settings.log.days) == ("", 10, 1)
    assert settings.policy == ("index.chroma_url", "log.days")


def test_without_a_policy_nothing_is_fixed(home: Path) -> None:
    assert load_settings({"HOME": str(home)}, home / "no policy.toml").policy == ()


def test_nobody_else_can_set_what_policy_has_fixed(home: Path) -> None:
    with pytest.raises(UsageError, match="unknown section"):
        with_policy(home, "policy = []\n")
    write_config(home, "policy = ['index.chroma_url']\n")
    with pytest.raises(UsageError, match="unknown section"):
        load_settings({"HOME": str(home)})


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o777])
def test_a_policy_that_others_can_write_stops_the_program(home: Path, mode: int) -> None:
    with pytest.raises(UsageError, match=r"not believed.*chown root"):
        with_policy(home, "[log]\ndays = 1\n", mode)


def test_a_policy_of_another_owner_stops_the_program(home: Path) -> None:
    policy = home / "policy.toml"
    policy.write_text("")
    with pytest.raises(UsageError, match="not believed"):
        load_settings({"HOME": str(home)}, policy, policy_owner=os.getuid() + 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[index]\nmax_files = 1", "index.max_files"),
        ("[log]\ndays = 'few'", "log.days"),
        ("index = 1", "section [index]"),
        ("not toml", "cannot be read"),
    ],
)
def test_a_wrong_policy_is_named(home: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_policy(home, text)
    assert said in str(caught.value)
    assert "policy.toml" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:8000", "https://host", "https://host/a/b"]
)
def test_addresses_of_a_server(url: str) -> None:
    assert IndexSettings(chroma_url=url).chroma_url == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://192.168.1.7:8000", "use https"),
        ("http://host", "use https"),
        ("http://127.0.0.1.evil.example", "use https"),
        ("https://me:secret@host", "credentials set chroma"),
        ("ftp://host", "no address"),
        ("host:8000", "no address"),
        ("https://", "no address"),
        ("https://host?x=1", "no address"),
        ("https://host:99999", "no address"),
        ("https://[", "no address"),
    ],
)
def test_what_is_no_safe_address_is_refused(url: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        IndexSettings(chroma_url=url)


@given(st.text())
def test_any_text_is_an_address_or_refused(url: str) -> None:
    with contextlib.suppress(ValidationError):
        assert IndexSettings(chroma_url=url).chroma_url == url
