import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.actions import FileImage
from offline_agent.errors import GuardError
from offline_agent.guard.beneath import names_in, relative, shown, status_of
from offline_agent.guard.images import FileChanged, capture, look, restore, sweep

MEGABYTE = 1_000_000
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away takes root")


def image_of(root: Path, path: str) -> FileImage:
    return capture(root, path, MEGABYTE).image


def test_what_there_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "file").chmod(0o4751)
    (tmp_path / "directory").mkdir(0o700)
    (tmp_path / "link").symlink_to("nowhere")
    os.utime(tmp_path / "file", ns=(1, 1_234_567_890_123_456_789))
    captured = capture(tmp_path, "file", MEGABYTE)
    assert b"".join(captured.content) == b"content"
    assert captured.image == FileImage(
        path="file",
        kind="file",
        mode=0o4751,
        mtime_ns=1_234_567_890_123_456_789,
        size=7,
        sha256="ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73",
    )
    assert (image_of(tmp_path, "directory").kind, image_of(tmp_path, "directory").mode) == ("directory", 0o700)
    assert (image_of(tmp_path, "link").kind, image_of(tmp_path, "link").target) == ("symlink", "nowhere")
    assert image_of(tmp_path, ".").kind == "directory"
    for path in ("none", "none/below", "file/below"):
        assert image_of(tmp_path, path).kind == "absent"


def test_a_long_file_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    content = os.urandom(3 * 1024 * 1024 + 5)
    (tmp_path / "long").write_bytes(content)
    captured = capture(tmp_path, "long", 10 * MEGABYTE)
    pieces = list(captured.content)
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) == 1024 * 1024
    (tmp_path / "long").write_bytes(content + b"more")
    with pytest.raises(FileChanged, match="being written"):
        list(captured.content)
    (tmp_path / "long").unlink()
    os.mkfifo(tmp_path / "long")
    with pytest.raises(FileChanged, match="being replaced"):
        list(captured.content)


def test_what_is_no_file_or_too_large_is_lost_and_says_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(bytes(11))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    for path, why in (("pipe", "a named pipe"), ("socket", "a socket"), ("large", "11 bytes, more than is kept")):
        captured = capture(tmp_path, path, 10)
        assert (captured.image.kind, captured.image.lost) == ("file", True)
        assert why in captured.why
        assert list(captured.content) == []


@pytest.mark.parametrize("path", ["../up", "/absolute", "a/../../b", "nul\0", "\ud800"])
def test_no_path_leads_out(tmp_path: Path, path: str) -> None:
    with pytest.raises(GuardError, match=r"no path below the repository|no name that a file can have"):
        capture(tmp_path, path, 1)


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("secret")
    root = tmp_path / "root"
    (root / "out").symlink_to("../outside")
    (root / "loop").symlink_to("loop")
    for path in ("out/file", "out/new", "loop/x"):
        image = FileImage(path=path, kind="file", mode=0o644)
        for forbidden in (
            lambda path=path: capture(root, path, MEGABYTE),
            lambda image=image: restore(root, image, [b"written"]),
            lambda path=path: restore(root, FileImage(path=path, kind="absent")),
            lambda path=path: restore(root, FileImage(path=path, kind="directory", mode=0o755)),
        ):
            with pytest.raises(GuardError, match="symbolic link"):
                forbidden()
        assert look(root, path, 1).image.kind == "absent"
        assert status_of(root, path) is None
    assert names_in(root, "out") == []
    assert [file.name for file in (tmp_path / "outside").iterdir()] == ["file"]
    restore(root, FileImage(path="out", kind="file", mode=0o600), [b"own"])
    assert (root / "out").read_bytes() == b"own"
    assert (tmp_path / "outside/file").read_text() == "secret"


names = st.binary(min_size=1, max_size=40).map(os.fsdecode).filter(lambda name: not set("/\0") & set(name))


@given(name=names, content=st.binary(max_size=100), mode=st.integers(0, 0o7777), when=st.integers(0, 2**62))
def test_what_is_captured_comes_back(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes, mode: int, when: int
) -> None:
    if name in (".", ".."):
        return
    root = tmp_path_factory.mktemp("root")
    (root / name).write_bytes(content)
    (root / name).chmod(mode & ~stat.S_ISUID & ~stat.S_ISGID | stat.S_IRUSR)
    os.utime(root / name, ns=(0, when))
    captured = capture(root, name, MEGABYTE)
    kept = list(captured.content)
    (root / name).unlink()
    restore(root, captured.image, kept, captured.owner)
    again = capture(root, name, MEGABYTE)
    assert again.image == captured.image
    assert list(again.content) == kept
    assert FileImage(**captured.image.model_dump()) == captured.image
    assert shown(name).encode()


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("before")

    def breaking() -> Iterator[bytes]:
        yield b"half"
        assert (tmp_path / "file").read_text() == "before"
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        restore(tmp_path, FileImage(path="file", kind="file", mode=0o644), breaking())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "before"


def test_what_a_kill_left_beside_is_removed(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:

        def dying() -> Iterator[bytes]:
            yield b"half"
            os._exit(0)

        restore(tmp_path, FileImage(path="file", kind="file", mode=0o644), dying())
    os.waitpid(pid, 0)
    [beside] = tmp_path.iterdir()
    assert beside.read_bytes() == b"half"
    sweep(tmp_path, "file")
    sweep(tmp_path, "file")
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_way_stays(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("kept")
    for image in (
        FileImage(path="full", kind="absent"),
        FileImage(path="full", kind="file", mode=0o644),
        FileImage(path="full/file", kind="directory", mode=0o755),
        FileImage(path="full/file/below", kind="file", mode=0o644),
        FileImage(path="none/below", kind="file", mode=0o644),
        FileImage(path="none/below", kind="directory", mode=0o755),
    ):
        with pytest.raises(GuardError, match="cannot be restored"):
            restore(tmp_path, image)
    assert (tmp_path / "full/file").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    restore(tmp_path, FileImage(path="none/below", kind="absent"))


def test_a_directory_keeps_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/file").write_text("kept")
    restore(tmp_path, FileImage(path="d", kind="directory", mode=0o511, mtime_ns=5))
    status = (tmp_path / "d").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o511, 5)
    assert names_in(tmp_path, "d") == ["d/file"]
    assert names_in(tmp_path, ".") == ["d"]


@as_root
def test_owners_come_back(tmp_path: Path) -> None:
    for name in ("file", "link", "directory"):
        restore(
            tmp_path,
            FileImage(path=name, kind=name.replace("link", "symlink"), mode=0o4755, target="x"),  # type: ignore[arg-type]
            (),
            (65534, 65534),
        )
        status = (tmp_path / name).lstat()
        assert (status.st_uid, status.st_gid) == (65534, 65534)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o4755


@given(st.text(max_size=30))
def test_a_path_is_written_in_one_way(text: str) -> None:
    try:
        path = relative(text)
    except GuardError:
        return
    assert relative(path) == relative(f"./{path}") == path
