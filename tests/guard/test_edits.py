import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import EditError, GuardError
from offline_agent.guard.edits import read_bytes, read_text, write_atomic
from offline_agent.textfile import encode

LIMIT = 1_000_000
ROOT = os.geteuid() == 0


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel refuses to write more, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def as_nobody() -> Iterator[None]:
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def test_a_file_is_read_edited_and_written_with_its_ways(place: Path) -> None:
    path = place / "a.py"
    path.write_bytes(b"\xef\xbb\xbfx = 1\r\ny = 2\r\n")
    path.chmod(0o751)
    text = read_text(path, LIMIT, "a.py")
    assert (text.path, text.text, text.encoding) == ("a.py", "x = 1\ny = 2\n", "utf-8-sig")
    write_atomic(path, encode("x = 1\ny = 3\n", text, read_bytes(path, LIMIT)))
    assert path.read_bytes() == b"\xef\xbb\xbfx = 1\r\ny = 3\r\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o751
    assert names(place) == {"a.py"}


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_whatever_is_written_is_there(tmp_path_factory: pytest.TempPathFactory, first: bytes, second: bytes) -> None:
    path = tmp_path_factory.getbasetemp().resolve() / "written"
    for data in (first, second):
        write_atomic(path, data)
        assert read_bytes(path, LIMIT) == data


def test_a_new_file_has_the_mode_that_was_asked_for(place: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(place / "usual", b"")
        write_atomic(place / "script", b"", 0o755)
    finally:
        os.umask(before)
    assert stat.S_IMODE((place / "usual").stat().st_mode) == 0o640
    assert stat.S_IMODE((place / "script").stat().st_mode) == 0o755


def test_a_write_that_fails_leaves_everything_as_it_was(place: Path) -> None:
    path = place / "a.txt"
    path.write_bytes(b"before\n")
    with files_of_at_most(4096), pytest.raises(EditError, match=r"a\.txt cannot be written: .*Nothing was written"):
        write_atomic(path, b"x" * 10_000, shown="a.txt")
    assert path.read_bytes() == b"before\n"
    assert names(place) == {"a.txt"}


def test_a_read_only_file_is_left_alone_by_the_superuser_too(place: Path) -> None:
    path = place / "a.txt"
    path.write_bytes(b"before\n")
    path.chmod(0o444)
    with pytest.raises(EditError, match="is read-only"):
        write_atomic(path, b"after\n")
    assert path.read_bytes() == b"before\n"


@pytest.mark.skipif(not ROOT, reason="only the superuser can become somebody else")
def test_a_read_only_directory_and_a_file_of_somebody_else(place: Path) -> None:
    for parent in (place, *place.parents):
        parent.chmod(stat.S_IMODE(parent.stat().st_mode) | 0o011)  # or nobody could get here
    theirs, ours = place / "theirs", place / "shared"
    theirs.mkdir()
    (theirs / "a").write_bytes(b"before")
    (theirs / "a").chmod(0o666)
    ours.mkdir()
    ours.chmod(0o777)
    (ours / "a").write_bytes(b"before")
    (ours / "a").chmod(0o666)
    with as_nobody():
        with pytest.raises(EditError, match="permission denied"):
            write_atomic(theirs / "a", b"after")
        with pytest.raises(EditError, match="cannot be written: operation not permitted"):
            write_atomic(ours / "a", b"after")  # it would be nobody's file afterwards
    assert {(theirs / "a").read_bytes(), (ours / "a").read_bytes()} == {b"before"}
    assert names(theirs) == names(ours) == {"a"}


@pytest.mark.skipif(not ROOT, reason="only the superuser can give a file away")
def test_the_owner_is_kept(place: Path) -> None:
    path = place / "a"
    path.write_bytes(b"before")
    os.chown(path, 65534, 65533)
    path.chmod(0o4750)
    write_atomic(path, b"after")
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (65534, 65533, 0o4750)


def test_extended_attributes_are_kept(place: Path) -> None:
    path = place / "a"
    path.write_bytes(b"before")
    try:
        os.setxattr(path, "user.origin", b"there")
    except OSError:
        pytest.skip("this file system has none")
    write_atomic(path, b"after")
    assert os.getxattr(path, "user.origin") == b"there"


def test_another_name_of_the_file_keeps_the_old_content(place: Path) -> None:
    (place / "outside").write_bytes(b"before")
    os.link(place / "outside", place / "inside")
    write_atomic(place / "inside", b"after")
    assert (place / "outside").read_bytes() == b"before"
    assert (place / "inside").read_bytes() == b"after"


def test_no_link_is_followed_neither_last_nor_on_the_way(place: Path) -> None:
    secret = place / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"before")
    (place / "file").symlink_to(secret / "key")
    (place / "directory").symlink_to(secret)
    for path in (place / "file", place / "directory" / "key"):
        with pytest.raises(GuardError, match="symbolic link"):
            read_text(path, LIMIT)
        with pytest.raises(EditError):
            write_atomic(path, b"after")
    assert (secret / "key").read_bytes() == b"before"
    assert (place / "file").is_symlink()


def test_what_is_no_regular_file_is_neither_read_nor_written(place: Path) -> None:
    os.mkfifo(place / "pipe")
    (place / "directory").mkdir()
    for name, kind in (("pipe", "no regular file"), ("directory", "a directory")):
        with pytest.raises(GuardError, match=kind):
            read_text(place / name, LIMIT)
        with pytest.raises(EditError, match=kind):
            write_atomic(place / name, b"")


def test_what_is_no_text_says_what_it_is(place: Path) -> None:
    (place / "logo").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    with pytest.raises(GuardError, match="logo is a PNG image of 28 bytes, not text"):
        read_text(place / "logo", LIMIT, "logo")


def test_what_is_too_large_or_missing_is_said(place: Path) -> None:
    (place / "large").write_bytes(b"x" * 11)
    with pytest.raises(GuardError, match="has 11 bytes, and at most 10 can be read"):
        read_text(place / "large", 10)
    with pytest.raises(GuardError, match="there is no such file"):
        read_text(place / "gone", 10)
    with pytest.raises(EditError, match=r"there is no such file or directory. Nothing was written"):
        write_atomic(place / "gone" / "a", b"")


def test_whatever_else_goes_wrong_leaves_no_temporary_file(place: Path) -> None:
    path = place / "a"
    path.write_bytes(b"before")
    with pytest.raises(TypeError):
        write_atomic(path, object())  # type: ignore[arg-type]
    assert path.read_bytes() == b"before"
    assert names(place) == {"a"}
