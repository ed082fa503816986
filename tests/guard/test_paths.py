import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.actions import Decision
from offline_agent.errors import Denied, GuardError
from offline_agent.guard.paths import Located, listed_name, locate
from offline_agent.guard.permissions import decide
from offline_agent.guard.policy import Policy


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "repository"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").touch()
    (root / ".env").write_text("SECRET=1")
    return root


def decision(located: Located, permission: str = "read", policy: Policy | None = None) -> Decision:
    return decide(located.requests(permission), policy or Policy()).decision


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (".", "."),
        ("./", "."),
        ("src", "src"),
        ("src/", "src"),
        ("src/a.py", "src/a.py"),
        ("./src//./a.py", "src/a.py"),
        ("src/../src/a.py", "src/a.py"),
        ("src/new.py", "src/new.py"),
        ("new/deep/../er/x", "new/er/x"),
        ("src/a.py/..", "src"),
        ("../repository/src", "src"),
        ("a b\\c*?.py", "a b\\c*?.py"),
        ("größe.py", "größe.py"),
    ],
)
def test_a_path_inside_is_relative_to_the_root(root: Path, text: str, value: str) -> None:
    for written in (text, f"{root}/{text}"):
        located = locate(root, written)
        assert (located.value, located.inside, located.aliases) == (value, True, ())
        assert located.real == root / value
        assert [(one.permission, one.value) for one in located.requests("edit")] == [("edit", value)]


@pytest.mark.parametrize("text", ["..", "../other", "/etc/hostname", "~", "~/notes", "src/../../x", "/"])
def test_a_path_outside_is_absolute_and_needs_leave_to_be_there(root: Path, text: str) -> None:
    located = locate(root, text, home=root.parent / "home")
    assert not located.inside
    assert located.value.startswith("/")
    assert [one.permission for one in located.requests("read")] == ["external_directory", "read"]
    assert decision(located) == "deny"


def test_a_neighbour_whose_name_begins_the_same_is_outside(root: Path) -> None:
    assert not locate(root, f"{root}-other/x").inside


def test_paths_may_be_from_a_directory_and_from_home(root: Path) -> None:
    assert locate(root, "a.py", directory="src").value == "src/a.py"
    assert locate(root, "../.env", directory="src").value == ".env"
    assert locate(root, "~/x", home=root / "src").value == "src/x"


BAD = (
    "",
    "a\0b",
    "a\nb",
    "a\rb",
    "a\x1b[31mb",
    "a\u202eb",
    "a\u200bb",
    "\udcff",
    "x" * 256,
    "a/" * 2049,
    "~root/x",
    "~nobody",
)


@pytest.mark.parametrize("text", BAD, ids=ascii)
def test_what_is_no_path_is_refused(root: Path, text: str) -> None:
    with pytest.raises(GuardError, match=r"\. [A-Z]|\.$"):
        locate(root, text, home=Path("/home/me"))


@pytest.mark.parametrize(
    "text", ["/proc/self/root/etc/shadow", "/proc/self/cwd/.env", "/proc/1/environ", "/dev/fd/0", "/dev/stdin", "/proc"]
)
def test_other_names_of_everything_are_refused(root: Path, text: str) -> None:
    (root / "link").symlink_to(text)
    for written in (text, f"/.{text}", f"/tmp/..{text}", "link"):
        with pytest.raises(Denied):
            locate(root, written)


# --- links ----------------------------------------------------------------------------------------------------------


def link(at: Path, target: str | Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.symlink_to(target)


def test_a_link_is_what_it_leads_to_and_what_it_is_called(root: Path) -> None:
    link(root / "notes.txt", ".env")
    link(root / "deep" / "er", "../src")
    located = locate(root, "notes.txt")
    assert (located.value, located.aliases) == (".env", ("notes.txt",))
    assert decision(located) == "deny"
    assert "notes.txt" in located.shown
    assert locate(root, "deep/er/a.py").value == "src/a.py"
    assert locate(root, "deep/er/../.env").value == ".env"
    assert locate(root, "deep/er/a.py").aliases == ("deep/er/a.py",)


def test_a_denied_name_is_denied_wherever_it_leads(root: Path) -> None:
    link(root / "sub" / ".env", "../src/a.py")
    link(root / ".ssh", "src")
    assert decision(locate(root, "sub/.env")) == "deny"
    assert decision(locate(root, ".ssh/a.py")) == "deny"
    assert decision(locate(root, "src/a.py")) == "allow"


def test_links_that_lead_out_are_outside(root: Path) -> None:
    link(root / "out", "/etc")
    link(root / "up", "../..")
    link(root / "twice", "out/hostname")
    for text in ("out/hostname", "up", "twice", "out/../etc/hostname"):
        located = locate(root, text)
        assert not located.inside
        assert decision(located) == "deny"
    assert locate(root, "twice").value == os.path.realpath("/etc/hostname")


def test_a_dangling_link_is_the_file_that_it_would_make(root: Path) -> None:
    link(root / "a", "b/.env")
    assert locate(root, "a").value == "b/.env"
    link(root / "c", "/nowhere/x")
    assert not locate(root, "c").inside


def test_links_in_a_circle_are_refused(root: Path) -> None:
    link(root / "a", "b")
    link(root / "b", "a")
    with pytest.raises(GuardError, match="symbolic links"):
        locate(root, "a/x")


def test_a_hard_link_is_told(root: Path) -> None:
    os.link(root / ".env", root / "other.txt")
    assert locate(root, "other.txt").linked
    assert not locate(root, "src/a.py").linked


def test_two_files_whose_names_differ_in_case_alone_are_two(root: Path) -> None:
    os.link(root / ".env", root / ".ENV")
    assert locate(root, ".ENV").value == ".ENV"
    assert locate(root, ".env").value == ".env"


def test_where_case_does_not_count_the_name_is_the_one_in_the_directory() -> None:
    names = ["a", "Größe.PY", ".Env", ".env.Local"]
    given = (".ENV", ".Env", "GRÖSSE.py", "gro\u0308ße.py", "b")
    assert [listed_name(name, names) for name in given] == [".Env", ".Env", "Größe.PY", "Größe.PY", "b"]


@given(
    st.lists(
        st.sampled_from(("src", "..", ".", "", ".env", "link", "up", "new", "a.py", "out")), min_size=1, max_size=8
    )
)
def test_the_way_is_the_kernels(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    root = tmp_path_factory.getbasetemp().resolve() / "kernel" / "repository"
    if not root.exists():
        (root / "src" / "new").mkdir(parents=True)
        (root / ".env").touch()
        link(root / "link", "src/new")
        link(root / "src" / "up", "..")
        link(root / "out", "../..")
    text = "/".join([".", *parts])
    assert os.fspath(locate(root, text).real) == os.path.realpath(root / text)


VARIANTS = st.lists(st.sampled_from((".", "src/..", "src/./..", "link/..", "up", "src/back", "")), max_size=4)


@given(VARIANTS, st.sampled_from((".env", ".ENV", "notes", "sub/../.env", "src/back/notes")))
def test_however_it_is_written_a_denied_file_is_denied(
    tmp_path_factory: pytest.TempPathFactory, detours: list[str], name: str
) -> None:
    root = tmp_path_factory.getbasetemp().resolve() / "denied" / "repository"
    if not root.exists():
        (root / "src").mkdir(parents=True)
        (root / "sub").mkdir()
        (root / "real").mkdir()
        (root / ".env").touch()
        link(root / "notes", ".env")
        link(root / "up", "../repository")
        link(root / "link", "real")
        link(root / "src" / "back", root)
    text = "/".join([*detours, name]).lstrip("/")
    for permission in ("read", "edit"):
        assert decision(locate(root, text), permission) == "deny"


# --- leave for good -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "always"),
    [
        ("src/a.py", "src/*"),
        ("src/deep/a.py", "src/deep/*"),
        ("a.py", "a.py"),
        (".github/workflows/x.yml", ".github/workflows/x.yml"),
        (".", ""),
        ("a*/b", ""),
        ("src/a?", ""),
    ],
)
def test_what_an_approval_would_cover(root: Path, text: str, always: str) -> None:
    assert [one.always for one in locate(root, text).requests("edit")] == [always]


def test_an_approval_outside_is_of_the_directory(root: Path) -> None:
    assert {one.always for one in locate(root, "/srv/data/x").requests("read")} == {"/srv/data/*"}
    assert {one.always for one in locate(root, "/x").requests("read")} == {"/x"}
