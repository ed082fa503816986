"""What a path means to another process: the kernel, which opens it there, is asked whether that is right."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.guard.follow import AT_FDCWD, BadAddress, follow, path_of, read_memory, read_path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and openat2 are Linux's")
STEPS = ["a", "b", "c", "d", "..", ".", "", "loop"]
PLACES = ["d", "a/d", "a/b/d", "b/c", "b/a/a", "c/a", "c/b"]
paths = st.lists(st.sampled_from(STEPS), min_size=1, max_size=6).map("/".join)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("follow").resolve()


def _plant(root: Path, links: list[tuple[str, str, bool]]) -> None:
    shutil.rmtree(root)
    for directory in ("a/b/c", "b/a", "c"):
        (root / directory).mkdir(parents=True)
    (root / "loop").symlink_to("loop")
    for place, target, absolute in links:
        at = root / place
        if not os.path.lexists(at):
            at.symlink_to(f"{root}/{target}" if absolute else target or ".")


@given(st.lists(st.tuples(st.sampled_from(PLACES), paths, st.booleans()), max_size=6), paths)
def test_as_the_kernel_has_it(tree: Path, links: list[tuple[str, str, bool]], path: str) -> None:
    _plant(tree, links)
    found = follow(os.getpid(), str(tree), path.lstrip("/"), last=True)
    try:
        opened = os.open(f"{tree}/{path}", os.O_PATH)
    except OSError:
        assert found is None or not os.path.lexists(found) or path.endswith("/")
        return
    try:
        assert found == os.readlink(f"/proc/self/fd/{opened}")
    finally:
        os.close(opened)


@given(paths, paths)
def test_the_links_of_proc_lead_to_the_same(tree: Path, link: str, path: str) -> None:
    """The walk through /proc, and the kernel's way, agree on everything behind a descriptor."""
    _plant(tree, [("d", link, False)])
    directory = os.open(tree, os.O_PATH)
    try:
        direct = follow(os.getpid(), str(tree), f"d/{path}".rstrip("/"), last=True)
        by_descriptor = follow(os.getpid(), "/", f"/proc/self/fd/{directory}/d/{path}".rstrip("/"), last=True)
    finally:
        os.close(directory)
    assert by_descriptor == direct


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with a file open as 0."""
    (tmp_path / "open").touch()
    with (tmp_path / "open").open() as file, subprocess.Popen(["sleep", "60"], cwd=tmp_path, stdin=file) as process:
        yield process
        process.kill()


def test_a_link_itself(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    (tmp_path / "link").symlink_to("open")
    base = path_of(sleeper.pid, AT_FDCWD) or ""
    assert base == str(tmp_path.resolve())
    assert follow(sleeper.pid, base, "link", last=False) == f"{base}/link"
    assert follow(sleeper.pid, base, "link", last=True) == f"{base}/open"
    assert follow(sleeper.pid, base, "none", last=True) == f"{base}/none"
    assert follow(sleeper.pid, base, "none/x", last=True) is None


def test_proc_is_seen_with_the_other_process_s_eyes(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    opened = str(tmp_path.resolve() / "open")
    for path in (
        "/proc/self/fd/0",
        "/dev/stdin",
        "/dev/fd/0",
        "/proc/thread-self/fd/0",
        f"/proc/{sleeper.pid}/cwd/open",
    ):
        assert follow(sleeper.pid, "/", path, last=True) == opened
    assert follow(sleeper.pid, "/", "/proc/self/fd/999", last=True) == f"/proc/{sleeper.pid}/fd/999"
    assert path_of(sleeper.pid, 0) == opened
    assert path_of(sleeper.pid, 999) is None


def test_a_pipe_is_no_file() -> None:
    reading, writing = os.pipe()
    assert path_of(os.getpid(), reading) is None
    assert follow(os.getpid(), "/", f"/proc/self/fd/{writing}", last=True) is None
    os.close(reading)
    os.close(writing)


def test_memory() -> None:
    text = ctypes.create_string_buffer(b"x" * 300 + b"\0" + b"y" * 5000)
    address = ctypes.addressof(text)
    assert read_memory(os.getpid(), address, 3) == b"xxx"
    assert read_path(os.getpid(), address) == "x" * 300
    assert read_path(os.getpid(), address + 301) is None
    for bad in (0, 1, 2**63, 2**64 - 1):
        with pytest.raises(BadAddress):
            read_memory(os.getpid(), bad, 1)


def test_a_process_that_has_ended(sleeper: "subprocess.Popen[bytes]") -> None:
    sleeper.kill()
    sleeper.wait()
    assert path_of(sleeper.pid, 0) is None
    with pytest.raises(BadAddress):
        read_memory(sleeper.pid, 1, 1)
    with pytest.raises(FileNotFoundError):
        follow(sleeper.pid, "/", "/dev/null", last=True)
