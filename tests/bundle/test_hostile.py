"""What somebody may put on a stick who can sign nothing, or who got something signed that should not have been.

The tars are made by Python's own tarfile, as an attacker would.
"""

import tarfile
from pathlib import Path

import pytest

from offline_agent.bundle.bootstrap.archive import Bundle
from offline_agent.bundle.bootstrap.key import SIGNATURE_FILE_SIZE
from offline_agent.bundle.bootstrap.manifest import LARGEST, Manifest
from offline_agent.bundle.bootstrap.tar import header_of
from offline_agent.errors import BundleBroken, BundleError

from .made import KEY, STRETCH, by_tarfile, info, make, with_marks

A, B = b"a" * 1000, b"b" * 10
Members = list[tuple[tarfile.TarInfo, bytes]]


def listing(**contents: bytes) -> bytes:
    members = tuple(with_marks(name, content) for name, content in contents.items())
    return Manifest("0.1.0", "3.11", (), (), "", members, STRETCH).to_bytes()


MANIFEST = listing(a=A, b=B)
GOOD: Members = [(info("a", len(A)), A), (info("b", len(B)), B)]


def check(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with Bundle.open(path, KEY) as bundle:
        bundle.check()


def test_tarfile_makes_what_we_make(tmp_path: Path) -> None:
    check(tmp_path / "b", by_tarfile(MANIFEST, GOOD))


def sized(name: str, size: int, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    """A header that says `size`; tarfile writes so many bytes of the content, which therefore has them."""
    return info(name, size), content.ljust(size, b"\0")


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ([(info("../a", len(A)), A), GOOD[1]], r"\.\./a comes where a should be, and is not in its list"),
        ([(info("/etc/passwd", len(A)), A), GOOD[1]], r"/etc/passwd comes where a should be"),
        ([(info("a", 0, tarfile.SYMTYPE, "/etc/passwd"), b""), GOOD[1]], "a symbolic link, a, where a should be"),
        ([(info("a", 0, tarfile.SYMTYPE, "/etc"), b""), *GOOD], "a symbolic link, a, where a should be"),
        ([GOOD[0], (info("b", 0, tarfile.LNKTYPE, "a"), b"")], "a hard link, b, where b should be"),
        ([(info("a", 0, tarfile.DIRTYPE), b""), GOOD[1]], "a directory, a, where a should be"),
        ([(info("a", 0, tarfile.CHRTYPE), b""), GOOD[1]], "a device, a, where a should be"),
        ([(info("a", 0, tarfile.BLKTYPE), b""), GOOD[1]], "a device, a, where a should be"),
        ([(info("a", 0, tarfile.FIFOTYPE), b""), GOOD[1]], "a pipe, a, where a should be"),
        ([(info("a", 0, tarfile.GNUTYPE_SPARSE), b""), GOOD[1]], "a file with holes, a, where a should be"),
        ([(info("a", len(A), tarfile.AREGTYPE), A), GOOD[1]], "the header of a is changed"),
        ([(info("a", len(A), tarfile.CONTTYPE), A), GOOD[1]], "the header of a is changed"),
        ([GOOD[0], GOOD[0], GOOD[1]], "a comes where b should be, and is there twice"),
        ([GOOD[0], GOOD[1], GOOD[1]], "a file, b, comes after b, the last in its list"),
        ([GOOD[0], (info("c", len(B)), B), GOOD[1]], "c comes where b should be, and is not in its list"),
        ([*GOOD, (info("c", len(B)), B)], "a file, c, comes after b"),
        ([*GOOD, (info("c", 0, tarfile.SYMTYPE, "/"), b"")], "a symbolic link, c, comes after b"),
        ([GOOD[1], GOOD[0]], "b comes where a should be, and is there twice or in the wrong place"),
        ([GOOD[0]], "cut short: the bundle ends in b|it ends before b"),
        ([], "it ends before a"),
        ([(info("manifest.json", 3), b"{}\n"), *GOOD], r"manifest\.json comes where a should be, and is there twice"),
        ([sized("a", 1512, A), GOOD[1]], "a has 1,512 bytes by its header and 1,000"),
        ([sized("a", 5, A[:5]), GOOD[1]], "a has 5 bytes by its header and 1,000"),
        ([(info("A", len(A)), A), GOOD[1]], "A comes where a should be"),
        ([(info("a\\b", len(A)), A), GOOD[1]], "comes where a should be"),
        ([(info("a\x1b[2J", len(A)), A), GOOD[1]], r"'a\\x1b\[2J' comes where a should be"),
    ],
)
def test_what_the_manifest_does_not_list(tmp_path: Path, members: Members, fault: str) -> None:
    with pytest.raises(BundleBroken, match=fault) as raised:
        check(tmp_path / "b", by_tarfile(MANIFEST, members))
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    "headers",
    [
        {"path": "../../etc/passwd"},
        {"size": "1"},
        {"linkpath": "/etc"},
        {"GNU.sparse.major": "1"},
        {"comment": "nothing"},
    ],
)
def test_extended_headers_override_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    header = info("a", len(A))
    header.pax_headers = headers
    with pytest.raises(BundleBroken, match=r"an extended header, .*, where a should be"):
        check(tmp_path / "b", by_tarfile(MANIFEST, [(header, A), GOOD[1]], tarfile.PAX_FORMAT))


def test_gnu_long_names_are_no_way_either(tmp_path: Path) -> None:
    name = "x" * 150
    data = by_tarfile(listing(**{name: A}), [(info(name, len(A)), A)], tarfile.GNU_FORMAT)
    with pytest.raises(BundleBroken, match=rf"a long name, .*, where {name} should be"):
        check(tmp_path / "b", data)


@pytest.mark.parametrize("changes", [{"mode": 0o4755}, {"uid": 1000}, {"mtime": 1}, {"uname": "root"}])
def test_a_header_has_nothing_to_say(tmp_path: Path, changes: dict[str, object]) -> None:
    header = info("a", len(A))
    for field, value in changes.items():
        setattr(header, field, value)
    with pytest.raises(BundleBroken, match="the header of a is changed"):
        check(tmp_path / "b", by_tarfile(MANIFEST, [(header, A), GOOD[1]]))


@pytest.mark.parametrize("tail", [b"\0", b"x", bytes(512), b"more" * 1000])
def test_nothing_comes_after_the_end(tmp_path: Path, tail: bytes) -> None:
    with pytest.raises(BundleBroken, match=f"it goes on after its end, for {len(tail):,} bytes"):
        check(tmp_path / "b", by_tarfile(MANIFEST, GOOD) + tail)


def test_what_fills_a_block_is_zero(tmp_path: Path) -> None:
    data = by_tarfile(MANIFEST, GOOD).replace(A + b"\0", A + b"x")
    with pytest.raises(BundleBroken, match="what fills the last block of a is not zero"):
        check(tmp_path / "b", data)


def test_two_contents_of_one_size_cannot_change_places(tmp_path: Path) -> None:
    manifest = listing(a=A, b=A[::-1].replace(b"a", b"b"))
    with pytest.raises(BundleBroken, match="a is not as it was signed"):
        check(tmp_path / "b", by_tarfile(manifest, [(info("a", 1000), b"b" * 1000), (info("b", 1000), A)]))


@pytest.mark.parametrize(
    "name",
    ["../a", "/etc/passwd", "a/../../b", "a\\b", "con", "e\u0301", "a\n", "manifest.json", "manifest.sig", "", "."],
)
def test_a_signed_name_may_be_hostile_too(tmp_path: Path, name: str) -> None:
    manifest = listing(**{name: A})
    with pytest.raises(BundleBroken, match=r"manifest\.json of the bundle cannot be used"):
        check(tmp_path / "b", by_tarfile(manifest, [(info(name, len(A)), A)]))


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GGUF" * 1000,
        b"PK\x03\x04".ljust(5000, b"\0"),
        bytes(5000),
        header_of("manifest.json", LARGEST + 1) + bytes(5000),
        header_of("manifest.json", 8**12) + bytes(5000),
        header_of("other.json", 100) + bytes(5000),
    ],
)
def test_what_is_no_bundle(tmp_path: Path, start: bytes) -> None:
    with pytest.raises(BundleBroken, match=r"does not begin as a bundle|cut short"):
        check(tmp_path / "b", start)


def test_a_manifest_that_says_it_is_long_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(BundleBroken, match=r"cut short: the bundle ends in manifest\.json"):
        check(tmp_path / "b", header_of("manifest.json", LARGEST) + bytes(5000))


def test_nothing_is_parsed_before_the_signature_is_checked(tmp_path: Path) -> None:
    deep = b"[" * 100_000
    data = by_tarfile(deep, []).replace(b"offline-agent-signature-1", b"offline-agent-signature-2")
    with pytest.raises(BundleBroken, match=r"manifest\.sig .* is no signature"):
        check(tmp_path / "b", data)
    assert SIGNATURE_FILE_SIZE < 512


def test_the_list_of_one_bundle_does_not_vouch_for_another(tmp_path: Path) -> None:
    """Both are signed by the same key; only the signature is exchanged."""
    make(tmp_path / "one", {"a": A})
    make(tmp_path / "two", {"a": A[:-1] + b"b"})
    one, two = (tmp_path / "one").read_bytes(), (tmp_path / "two").read_bytes()
    place = slice(1024, 2048)
    assert one[place] != two[place]
    with pytest.raises(BundleError, match="list of contents was changed"):
        check(tmp_path / "b", two.replace(two[place], one[place]))
