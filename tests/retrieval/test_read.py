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
        ("UTF-32 ü".encode("utf-32"), "UTF-32 ü"),
        (b"\x1b[31mred\x1b[0m caf\xe9\x0cnext\r\n", "\x1b[31mred\x1b[0m café\x0cnext\r\n"),
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
        ("a\0b".encode("utf-16"), "binary"),
        (bytes(range(1, 256)), "binary"),
        (b"x" * (LIMIT + 1), "larger than 1,000 bytes"),
    ],
)
def test_what_is_not_text_says_why(repo: Repo, data: bytes, reason: str) -> None:
    repo.write("file", data)
    found = read(repo.root, "file", LIMIT)
    assert isinstance(found, Unread)
    assert found.skipped.reason == reason
    assert found.state.size == len(data)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("web/package-lock.json", "a generated lock file"),
        ("Cargo.lock", "a generated lock file"),
        ("go.sum", "a generated lock file"),
        ("app.min.js", "minified"),
        ("app.js.map", "a source map"),
    ],
)
def test_generated_files_are_known_by_their_names(repo: Repo, path: str, reason: str) -> None:
    repo.write(path, "{}")
    found = read(repo.root, path, LIMIT)
    assert isinstance(found, Unread)
    assert found.skipped.reason == reason
    assert found.state.size == 2


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("bundle.js", "var a=1;" * 10_000, "minified, or data: most of it is in lines of more than 5,000 characters"),
        ("rows.txt", "1\n" * 200_000, "more than 100,000 lines"),
    ],
)
def test_text_that_nobody_reads_is_skipped_with_the_reason(repo: Repo, path: str, text: str, reason: str) -> None:
    repo.write(path, text)
    found = read(repo.root, path, 1_000_000)
    assert isinstance(found, Unread)
    assert found.skipped.reason == reason


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("small.json", "[1, 2]," * 2000),
        ("prose.txt", ("One paragraph a line. " * 200 + "\n") * 20),
        ("embedded.py", "x = 1\n" * 10_000 + f"PICTURE = '{'A' * 50_000}'\n"),
        ("pictures.ipynb", f'{{"cells": [], "picture": "{"A" * 50_000}"}}'),
    ],
)
def test_long_lines_alone_are_no_reason(repo: Repo, path: str, text: str) -> None:
    repo.write(path, text)
    assert isinstance(read(repo.root, path, 1_000_000), Document)


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
