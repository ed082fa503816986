"""The arguments of bubblewrap: what is mounted later lies on top, so the order is the policy."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.guard.bubblewrap import features_of, find_program, options
from offline_agent.guard.view import View

FEATURES = frozenset({"--size", "--disable-userns"})
NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map("/".join)


def view(root: Path, denied: tuple[str, ...] = (), protected: tuple[str, ...] = ()) -> View:
    return View(root, (Path("/usr"),), (), denied, protected, {})


def mounts(arguments: list[str]) -> list[tuple[str, str]]:
    """What is mounted, in order: how and where."""
    at = {"--bind": 2, "--ro-bind": 2, "--tmpfs": 1}
    return [(word, arguments[place + at[word]]) for place, word in enumerate(arguments) if word in at]


@given(st.sets(NAMES, max_size=4), st.sets(NAMES, max_size=3))
def test_on_top_of_a_denied_path_nothing_is_mounted_and_what_leads_to_it_cannot_be_renamed(
    denied: set[str], protected: set[str]
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name in denied | protected:
            (root / name).mkdir(parents=True, exist_ok=True)
        arguments = options(view(root, tuple(denied), tuple(protected)), root, 1, FEATURES, True)
    order = mounts(arguments)
    for name in denied:
        path = root / name
        last = max(place for place, (_, where) in enumerate(order) if path.is_relative_to(where))
        assert order[last][0] == "--tmpfs"
    for name in denied | protected:
        hidden = [other for other in denied if (root / name).is_relative_to(root / other)]
        above = [parent for parent in (root / name).parents if parent.is_relative_to(root)]
        assert hidden or all(str(parent) in {where for _, where in order} for parent in above)


def test_a_denied_file_is_hidden_behind_a_device_that_does_not_open(tmp_path: Path) -> None:
    (tmp_path / ".env").touch()
    arguments = options(view(tmp_path, (".env",)), tmp_path, 1, FEATURES, False)
    assert " ".join(["--ro-bind", "/dev/null", str(tmp_path / ".env")]) in " ".join(arguments)


def test_root_gets_another_name_and_nobody_new_namespaces(tmp_path: Path) -> None:
    assert "--uid" in options(view(tmp_path), tmp_path, 1, FEATURES, True)
    assert "--uid" not in options(view(tmp_path), tmp_path, 1, FEATURES, False)
    assert "--disable-userns" in options(view(tmp_path), tmp_path, 1, FEATURES, False)
    assert "--disable-userns" not in options(view(tmp_path), tmp_path, 1, frozenset(), False)


def test_the_memory_behind_what_can_be_written_is_limited(tmp_path: Path) -> None:
    arguments = options(view(tmp_path), tmp_path, 4096, FEATURES, False)
    own = [place for place, word in enumerate(arguments) if word == "--tmpfs"]
    assert {tuple(arguments[place - 2 : place]) for place in own} == {("--size", "4096")}


def test_a_program_that_a_command_could_have_put_there_is_not_taken(tmp_path: Path) -> None:
    for name in ("repository/bin", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "bwrap").write_text("#!/bin/sh\n")
        (tmp_path / name / "bwrap").chmod(0o755)
    root = tmp_path / "repository"
    (tmp_path / "alias").symlink_to(root / "bin")
    path = {"PATH": f"{root}/bin:{tmp_path}/alias:relative:{tmp_path}/elsewhere"}
    assert find_program("bwrap", path, [root]) == f"{tmp_path}/elsewhere/bwrap"
    assert find_program("bwrap", {"PATH": f"{root}/bin"}, [root]) == ""
    assert find_program("bwrap", {}, [root]) == ""


def test_what_does_not_run_has_no_features(tmp_path: Path) -> None:
    assert features_of(str(tmp_path / "missing")) == frozenset()


def test_objects_are_hidden_on_request(tmp_path: Path) -> None:
    root = Path(os.path.realpath(tmp_path))
    (root / ".git" / "objects").mkdir(parents=True)
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (root / ".git" / "refs").mkdir()
    hidden = View(root, (), (), (), (), {}, hide_history=True)
    assert ("--tmpfs", str(root / ".git" / "objects")) in mounts(options(hidden, root, 1, FEATURES, False))


@pytest.mark.parametrize("name", ["/etc/shadow", "/proc/sys", "/sys", "/run", "/var", "/home", "/root"])
def test_what_is_not_named_is_not_mounted(tmp_path: Path, name: str) -> None:
    sources = [
        arguments[place + 1]
        for arguments in [options(view(tmp_path), tmp_path, 1, FEATURES, True)]
        for place, word in enumerate(arguments)
        if word in ("--bind", "--ro-bind", "--dev-bind")
    ]
    assert not [source for source in sources if Path(name).is_relative_to(source)]
