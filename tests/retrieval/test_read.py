"""Any bytes become text or a reason; none becomes an exception."""

import os

import pytest

from offline_agent.retrieval.read import Document, Unread, read

from .conftest import Repo

LIMIT = 1000


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"plain\n", "plain\n"),
        ("héllo".encode(), "héllo"),
        (b"\xef\xbb\xbfwith a mark", "with a mark"),
        ("UTF-16 ü".encode("utf-16"), "UTF-16 ü"),
        (b"\xfe\xff" + "big".encode("utf-16-be"), "big"),
        (b"caf\xe9 in Latin-1", "café in Latin-1"),
    ],
)
def test_text_is_read_whatever_its_encoding(repo: Repo, data: bytes, text: str) -> None:
    repo.write("file", data)
    document = read(repo.root, "file", LIMIT)
    assert isinstance(document, Document)
    assert document.text == text
    assert document.state.size == len(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x7fELF\0\0", "binary"),
        (b"\xff\xfe\x00\xd8", "binary"),
        (b"x" * (LIMIT + 1), "larger than 1,000 bytes"),
    ],
)
def test_what_is_not_text_says_why(repo: Repo, data: bytes, reason: str) -> None:
    repo.write("file", data)
    found = read(repo.root, "file", LIMIT)
    assert isinstance(found, Unread)
    assert found.skipped.reason == reason
    assert found.state.size == len(data)


def test_what_vanished_is_none(repo: Repo) -> None:
    repo.write("file")
    assert read(repo.root, "gone", LIMIT) is None
    assert read(repo.root, "file/below", LIMIT) is None
    (repo.root / "directory").mkdir()
    assert read(repo.root, "directory", LIMIT) is None


def test_links_and_fifos_are_not_opened(repo: Repo) -> None:
    (repo.root / "link").symlink_to("/etc/passwd")
    os.mkfifo(repo.root / "fifo")
    for name in ("link", "fifo"):
        assert isinstance(read(repo.root, name, LIMIT), Unread)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_says_so(repo: Repo) -> None:
    repo.write("file", "x").chmod(0)
    found = read(repo.root, "file", LIMIT)
    assert isinstance(found, Unread)
    assert "cannot be read" in found.skipped.reason
