"""Wheels: read, chosen for a machine, fetched and built. pip runs for real, with a directory for its index."""

import contextlib
import os
import socket
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from offline_agent.bundle.collect import Shelf, closure, collect, lacking
from offline_agent.bundle.fetch import Pip
from offline_agent.bundle.targets import python_of, target_of, this_machine, this_platform
from offline_agent.bundle.wheels import allows, best_of, read_pins, read_wheel
from offline_agent.errors import BundleError, UsageError

from .wheelhouse import program_wheel, source, wheel

MIT = "License: MIT\n"
HERE = this_machine()
LINUX = target_of("manylinux_2_28_x86_64", (3, 11))
MAC = target_of("macosx_14_0_arm64", (3, 12))


def offline(index: Path | None = None) -> dict[str, str]:
    """The environment of a pip that has this directory for an index, and no other."""
    given = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index or "")}
    return {**{name: value for name, value in os.environ.items() if not name.startswith("PIP_")}, **given}


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_wheel_says_what_it_is_and_needs(tmp_path: Path) -> None:
    found = read_wheel(
        wheel(
            tmp_path,
            "Some.Thing",
            "2.0+cpu",
            ["a>=1", "b; sys_platform == 'darwin'", "c; extra == 'x'"],
            metadata="License: MIT\n",
        )
    )
    assert (found.name, found.version, found.licences) == ("some-thing", "2.0+cpu", ("MIT",))
    assert [need.name for need in found.needs(LINUX)] == ["a"]
    assert [need.name for need in found.needs(MAC)] == ["a", "b"]
    assert [need.name for need in found.needs(LINUX, ["x"])] == ["a", "c"]
    assert found.size == found.path.stat().st_size


@pytest.mark.parametrize(
    ("lines", "licence", "licences"),
    [
        ("License-Expression: MIT OR Apache-2.0\n", "MIT OR Apache-2.0", ()),
        ("License: BSD\n", "", ("BSD",)),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License\n", "", ("MIT License",)),
        ("License: Copyright\n  and a long text\nClassifier: License :: OSI Approved\n", "", ()),
        ("", "", ()),
    ],
)
def test_licences_stand_in_three_places(tmp_path: Path, lines: str, licence: str, licences: tuple[str, ...]) -> None:
    found = read_wheel(wheel(tmp_path, "a", metadata=lines))
    assert (found.licence, found.licences) == (licence, licences)


def _renamed(path: Path) -> None:
    path.rename(path.with_name("b-1.0-py3-none-any.whl"))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"print")] ^= 1
    path.write_bytes(data)


def _with(name: str, text: str = "") -> object:
    def add(path: Path) -> None:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, text)

    return add


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_renamed, "says that it is a 1.0"),
        (_cut, "no whole zip"),
        (_flipped, "is damaged"),
        (_with("../evil.py"), "unpacked elsewhere"),
        (_with("/etc/evil"), "unpacked elsewhere"),
        (_with("a\\..\\evil"), "unpacked elsewhere"),
        (_with("other-1.0.dist-info/METADATA"), "more than one"),
    ],
)
def test_what_is_no_sound_wheel_is_refused(tmp_path: Path, damage: object, said: str) -> None:
    damage(wheel(tmp_path, "a", files={"a/b.py": "print(1)\n"}))  # type: ignore[operator]
    [path] = tmp_path.iterdir()
    with pytest.raises(BundleError, match=said):
        read_wheel(path)


def test_a_file_that_only_has_the_name_is_refused(tmp_path: Path) -> None:
    for name, said in (("a-1.0-py3-none-any.whl", "no whole zip"), ("nonsense.whl", "not that of a wheel")):
        (tmp_path / name).write_bytes(b"no zip")
        with pytest.raises(BundleError, match=said):
            read_wheel(tmp_path / name)


@given(at=st.integers(0, 900), change=st.integers(1, 255))
def test_any_byte_may_be_wrong(tmp_path_factory: pytest.TempPathFactory, at: int, change: int) -> None:
    path = wheel(tmp_path_factory.mktemp("wheel"), "a", requires=["b>=1"], metadata="License: MIT\n")
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= change
    path.write_bytes(data)
    with contextlib.suppress(BundleError):
        assert read_wheel(path).name == "a"


@given(st.text(max_size=60))
def test_any_list_of_versions_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BundleError):
        for name, version in read_pins(text).items():
            assert read_pins(f"{name}=={version}  # why\n\n# a comment") == {name: version}


def test_versions_are_read_under_the_name_that_all_agree_on() -> None:
    assert read_pins("Jinja2==3.1.6\nruamel_yaml==1.0 # x\n") == {"jinja2": "3.1.6", "ruamel-yaml": "1.0"}
    with pytest.raises(BundleError, match="Line 2"):
        read_pins("a==1\nb>=2\n")


def test_a_pin_meets_a_requirement_or_not() -> None:
    pins = {"torch": "2.13.0", "new": "1.0rc1"}
    assert allows(Requirement("Torch>=2.2"), pins)
    assert allows(Requirement("new>=0.5"), pins)
    assert not allows(Requirement("torch<2"), pins)
    assert not allows(Requirement("other"), pins)


# --- choosing --------------------------------------------------------------------------------------------------------


def test_the_best_wheel_for_a_machine_is_chosen(tmp_path: Path) -> None:
    tags = [
        "py3-none-any",
        "cp311-cp311-manylinux_2_17_x86_64",
        "cp311-cp311-manylinux_2_34_x86_64",
        "cp312-cp312-macosx_11_0_arm64",
    ]
    paths = [wheel(tmp_path, "a", tag=tag) for tag in tags] + [wheel(tmp_path, "a", "2.0")]
    chosen = {target: best_of(paths, "a", "1.0", target) for target in (LINUX, MAC)}
    assert chosen == {LINUX: paths[1], MAC: paths[3]}
    assert best_of(paths, "a", "3.0", LINUX) is None


def test_a_local_version_is_the_pinned_one_too(tmp_path: Path) -> None:
    plain, cpu = wheel(tmp_path, "torch", "2.13.0"), wheel(tmp_path, "torch", "2.13.0+cpu")
    assert best_of([plain, cpu], "torch", "2.13.0", LINUX) == cpu


def test_a_platform_takes_wheels_that_need_less() -> None:
    tags = {tag.platform for tag in LINUX.tags}
    assert {"manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux_2_5_x86_64", "linux_x86_64", "any"} <= tags
    assert "manylinux_2_29_x86_64" not in tags
    assert {"macosx_11_0_universal2", "macosx_14_0_arm64"} <= {tag.platform for tag in MAC.tags}


NO_PLATFORMS = ["", "win_amd64", "manylinux_x86_64", "manylinux_2_28", "manylinux_1_5_x86_64", "linux_", "macosx_a_b_c"]


@pytest.mark.parametrize("text", NO_PLATFORMS)
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Give a tag"):
        target_of(text, (3, 11))


@pytest.mark.parametrize("text", ["3", "2.7", "3.10", "3.x", "four", "3.11.2"])
def test_a_python_that_cannot_run_the_program_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"such as 3\.11"):
        python_of(text)


def test_this_machine_is_known_by_its_tag() -> None:
    assert target_of(this_platform(), sys.version_info[:2]) == HERE
    assert python_of("") == sys.version_info[:2]
    assert (MAC.environment["sys_platform"], MAC.environment["python_version"]) == ("darwin", "3.12")


# --- what is needed --------------------------------------------------------------------------------------------------


def house(directory: Path) -> dict[str, str]:
    """A program with what it needs; the versions of all of it."""
    program_wheel(directory, "1.0", ["web[fast]", "mac-only; sys_platform == 'darwin'"])
    wheel(directory, "pip", "26.3")
    wheel(directory, "web", requires=["loop; extra == 'fast'", "docs; extra == 'docs'"])
    wheel(directory, "loop", requires=["web"])
    wheel(directory, "unneeded")
    names = ("web", "loop", "docs", "mac-only", "unneeded")
    return {"offline-agent": "1.0", "pip": "26.3", **dict.fromkeys(names, "1.0")}


def kept_of(index: Path, kept: Path, *names: str) -> Path:
    """The directory `kept` with the program's wheel, which comes from no index, and those of these names. pip, which takes a second
    each time, is not asked for what is there."""
    kept.mkdir()
    for name in ("offline_agent", "pip", *names):
        [path] = index.glob(f"{name}-*.whl")
        path.rename(kept / path.name)
    return kept


def test_what_is_needed_follows_extras_and_markers(tmp_path: Path) -> None:
    pins = house(tmp_path)
    assert sorted(closure(LINUX, pins, Shelf(tmp_path).find)) == ["loop", "offline-agent", "pip", "web"]
    assert lacking(LINUX, pins, Shelf(tmp_path)) == ()
    assert lacking(MAC, pins, Shelf(tmp_path)) == ("mac-only",)
    assert lacking(LINUX, pins, Shelf()) == ("offline-agent", "pip")


def test_what_is_not_pinned_is_not_packed(tmp_path: Path) -> None:
    pins = house(tmp_path)
    with pytest.raises(BundleError, match=r"web-1.0-py3-none-any.whl needs loop .* have none"):
        closure(LINUX, {name: pin for name, pin in pins.items() if name != "loop"}, Shelf(tmp_path).find)
    wheel(tmp_path, "web", requires=["loop>=2"])
    with pytest.raises(BundleError, match=r"needs loop>=2 .* have 1.0"):
        closure(LINUX, pins, Shelf(tmp_path).find)


def test_with_every_wheel_at_hand_pip_is_not_asked(tmp_path: Path) -> None:
    pins, kept = house(tmp_path / "kept"), tmp_path / "kept"
    nowhere = Pip({"PATH": "/nonexistent"}, say=lambda line: pytest.fail(line))
    found = collect([HERE], pins, kept, tmp_path, nowhere)
    assert [one.name for one in found] == ["loop", "offline-agent", "pip", "web"]


# --- pip -------------------------------------------------------------------------------------------------------------


def test_wheels_are_fetched_kept_and_built_where_there_is_only_a_source(tmp_path: Path) -> None:
    index, kept = tmp_path / "index", tmp_path / "kept"
    pins = house(index)
    (index / "loop-1.0-py3-none-any.whl").unlink()
    source(index, "loop")
    kept_of(index, kept)
    lines: list[str] = []
    found = collect([HERE], pins, kept, tmp_path, Pip(offline(index), say=lines.append))
    assert [one.name for one in found] == ["loop", "offline-agent", "pip", "web"]
    assert sorted(path.name for path in kept.iterdir()) == sorted(one.filename for one in found)
    assert any("web-1.0" in line for line in lines)
    with zipfile.ZipFile(kept / "loop-1.0-py3-none-any.whl") as archive:
        told = archive.read("loop.py").decode()
    # The compiler calls the directory above the source `.`, and nothing bears a date of its own.
    assert told.startswith("-ffile-prefix-map=")
    assert told.endswith("=. 315532800")


def test_what_nobody_has_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    pins = house(tmp_path / "index")
    (tmp_path / "index" / "loop-1.0-py3-none-any.whl").unlink()
    kept = kept_of(tmp_path / "index", tmp_path / "kept", "web")
    with pytest.raises(BundleError, match=r"pip could not fetch the source of loop 1.0.*--wheels DIR"):
        collect([HERE], pins, kept, tmp_path, Pip(offline(tmp_path / "index")))


def test_an_index_that_is_not_reached_is_not_one_without_the_wheel(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    unreached = {
        **offline(),
        "PIP_NO_INDEX": "0",
        "PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple",
        "PIP_RETRIES": "1",
    }
    with pytest.raises(BundleError, match=r"could not reach an index.*Connection refused.*--wheels DIR"):
        Pip(unreached).download({"loop": "1.0"}, HERE, tmp_path)


def test_for_another_machine_nothing_is_built(tmp_path: Path) -> None:
    index = tmp_path / "index"
    pins = house(index)
    (index / "loop-1.0-py3-none-any.whl").unlink()
    source(index, "loop")
    kept = kept_of(index, tmp_path / "kept", "web")
    with pytest.raises(
        BundleError, match=r"no wheel of loop==1.0 for Python 3.11 on manylinux_2_28_x86_64. Build it on such"
    ):
        collect([LINUX], pins, kept, tmp_path, Pip(offline(index)))


def test_no_source_beside_the_program(tmp_path: Path) -> None:
    index = tmp_path / "index"
    pins = house(index)
    next(index.glob("offline_agent*")).unlink()
    with pytest.raises(BundleError, match="make the bundle from a source checkout"):
        collect([HERE], pins, index, tmp_path, Pip(offline()))


def test_where_pip_looks_is_told_without_passwords(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://ann:secret@mirror.example/simple\nextra-index-url = https://b.example\n"
    )
    pip = Pip(
        {**offline(), "PIP_CONFIG_FILE": str(config), "PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "/wheels"},
        ["https://t:k@c.example"],
    )
    assert pip.indexes() == ("https://mirror.example/simple", "https://b.example", "/wheels", "https://c.example")
    bare = {**offline(), "PIP_NO_INDEX": "0"}
    assert Pip(bare).indexes() == ("https://pypi.org/simple",)
    assert Pip(offline(tmp_path)).indexes() == (str(tmp_path),)
