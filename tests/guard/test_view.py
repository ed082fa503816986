"""What commands are shown: an allow-list, on which no credential and no vault is."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import SandboxUnavailable, UsageError
from offline_agent.guard.view import ENVIRONMENT, HOME, View, environment_of, same_files, view_of
from offline_agent.settings import SandboxSettings

NAMES = st.text(st.characters(codec="ascii", categories=("Lu", "Nd"), include_characters="_"), min_size=1, max_size=12)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


def shown(root: Path, home: Path, *path: Path, **settings: tuple[Path, ...]) -> View:
    environ = {"PATH": os.pathsep.join(map(str, path)) or "/usr/bin"}
    return view_of(root, SandboxSettings(**settings), environ, home)[0]


@pytest.mark.parametrize(
    "name",
    ["shadow", "gshadow", "sudoers", "ssh", "ssl/private", "machine-id", "offline-agent", "gitconfig", "pip.conf"],
)
def test_what_etc_has_of_secrets_is_not_shown(root: Path, home: Path, name: str) -> None:
    readable = shown(root, home).readable
    secret = Path("/etc") / name
    assert not [path for path in readable if secret.is_relative_to(path) or path.is_relative_to(secret)]


def test_the_home_directory_is_not_shown(root: Path, home: Path) -> None:
    assert not [path for path in shown(root, home).readable if path.is_relative_to(home)]


def test_a_tool_chain_that_path_leads_to_is_shown_without_its_credentials(root: Path, home: Path) -> None:
    for directory in (".cargo/bin", ".cargo/registry", ".rustup/toolchains", ".ssh", ".local/share/offline-agent"):
        (home / directory).mkdir(parents=True)
    (home / ".cargo" / "credentials.toml").touch()
    readable = {path for path in shown(root, home, home / ".cargo" / "bin").readable if path.is_relative_to(home)}
    assert readable == {home / ".cargo/bin", home / ".cargo/registry", home / ".rustup/toolchains"}


def test_a_tool_chain_that_path_does_not_lead_to_is_not_shown(root: Path, home: Path) -> None:
    (home / ".cargo" / "bin").mkdir(parents=True)
    assert home / ".cargo" / "bin" not in shown(root, home).readable


def test_never_the_directory_in_which_the_vault_is(root: Path, home: Path) -> None:
    for directory in (".local/bin", ".local/share/uv/python", ".local/share/offline-agent"):
        (home / directory).mkdir(parents=True)
    readable = shown(root, home, home / ".local" / "bin").readable
    assert home / ".local/share/uv/python" in readable
    assert not [path for path in readable if (home / ".local/share/offline-agent").is_relative_to(path)]


def test_a_virtual_environment_on_path_is_shown(root: Path, home: Path) -> None:
    (home / "envs" / "one" / "bin").mkdir(parents=True)
    (home / "envs" / "one" / "pyvenv.cfg").touch()
    assert home / "envs" / "one" in shown(root, home, home / "envs" / "one" / "bin").readable


def test_directories_of_path_that_are_not_shown_are_told_and_left_out(root: Path, home: Path) -> None:
    (home / "tools").mkdir()
    view, notes = view_of(root, SandboxSettings(), {"PATH": f"{home}/tools:/usr/bin:relative:/not/there"}, home)
    assert view.environment["PATH"] == "/usr/bin"
    assert [note for note in notes if f"{home}/tools of PATH" in note]


def test_what_the_settings_name_is_shown(root: Path, home: Path) -> None:
    for name in ("data", "cache"):
        (home / name).mkdir()
    view = shown(root, home, readable=(Path("~/data"),), writable=(home / "cache",))
    assert (home / "data" in view.readable, view.writable) == (True, (home / "cache",))


def test_what_the_settings_name_and_is_not_there_is_told(root: Path, home: Path) -> None:
    _, notes = view_of(root, SandboxSettings(readable=(Path("/not/there"),)), {"PATH": "/usr/bin"}, home)
    assert "/not/there, which the settings show to commands, is not there." in notes


@pytest.mark.parametrize("name", ["~", "~/.local", "~/.local/share/offline-agent/vault", "~/.config", "/"])
def test_settings_cannot_show_the_vault(root: Path, home: Path, name: str) -> None:
    with pytest.raises(UsageError, match="name less"):
        shown(root, home, readable=(Path(name),))


def test_settings_name_whole_paths(root: Path, home: Path) -> None:
    with pytest.raises(UsageError, match="whole path"):
        shown(root, home, writable=(Path("cache"),))


@pytest.mark.parametrize("name", ["/", "/usr", "/etc", "home", "above"])
def test_a_repository_that_holds_more_than_a_repository_is_refused(home: Path, name: str) -> None:
    places = {"home": home, "above": home.parent}
    with pytest.raises(SandboxUnavailable, match="start in a directory further down"):
        shown(places.get(name, Path(name)), home)


@given(st.dictionaries(NAMES, st.text(max_size=8)))
def test_only_listed_variables_are_passed_on(environ: dict[str, str]) -> None:
    ours = environment_of({})
    passed = set(environment_of(environ)) - set(ours)
    assert all(name in ENVIRONMENT or name.startswith("LC_") for name in passed)


@pytest.mark.parametrize(
    "name", ["SSH_AUTH_SOCK", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "LD_PRELOAD", "BASH_ENV", "HOME"]
)
def test_variables_that_are_secrets_or_ways_out_are_not(name: str) -> None:
    assert environment_of({name: "canary"}).get(name, "") != "canary"


def test_variables_that_the_settings_name_are_passed_on() -> None:
    assert environment_of({"BUILD": "7"}, ["BUILD"])["BUILD"] == "7"
    assert environment_of({})["HOME"] == HOME


def test_other_names_of_a_denied_file_are_found(root: Path) -> None:
    (root / "sub").mkdir()
    (root / ".env").write_text("x")
    os.link(root / ".env", root / "sub" / "innocent")
    (root / "single").write_text("x")
    assert list(same_files([str(root / ".env"), str(root / "single")], [root])) == [str(root / "sub" / "innocent")]
