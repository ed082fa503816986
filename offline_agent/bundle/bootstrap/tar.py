"""The bytes around the members: a POSIX tar that can be written in one way only.

    header     512 bytes, ustar: the name, mode 0644, owner 0, the size, modified 0 (1970), a regular file, no names of people
    content    and zeros up to a multiple of 512
    end        1024 zeros

A name of over 100 bytes or not in ASCII, and a size of 8 GiB or more, do not fit a ustar header. Then a pax header comes first
(type x, named ././@PaxHeader), with a `path` or `size` record, and its content padded in the same way.

So who knows names and sizes knows every byte that is no content, and the place of all. A reader computes them from the signed
manifest and compares: it believes no header, and a link, a second file of the same name or a size that lies has no effect but
to be found. The headers are there for `tar tf`, and for people who have nothing but that.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from tarfile import BLKTYPE, CHRTYPE, DIRTYPE, FIFOTYPE, GNUTYPE_SPARSE, LNKTYPE, SYMTYPE, HeaderError, TarInfo

BLOCK = 512
END = bytes(2 * BLOCK)
_NAME = 100  # bytes that the header has for it
_LARGEST = 8**11 - 1  # in eleven octal digits
_PAX_NAME = b"././@PaxHeader"
_KINDS = {
    SYMTYPE: "a symbolic link",
    LNKTYPE: "a hard link",
    DIRTYPE: "a directory",
    CHRTYPE: "a device",
    BLKTYPE: "a device",
    FIFOTYPE: "a pipe",
    GNUTYPE_SPARSE: "a file with holes",
    b"S": "a file with holes",
    b"x": "an extended header",
    b"g": "an extended header",
    b"L": "a long name",
    b"K": "a long link",
}


@dataclass(frozen=True)
class Entry:
    """Where a member is: its header begins at byte `at` of the bundle, its content at `start`; what comes next begins at `end`."""

    name: str
    size: int
    at: int
    header: bytes

    @property
    def start(self) -> int:
        return self.at + len(self.header)

    @property
    def stop(self) -> int:
        """Where the content ends and the zeros begin."""
        return self.start + self.size

    @property
    def end(self) -> int:
        return self.stop + padding(self.size)


def lay_out(sizes: Iterable[tuple[str, int]]) -> Iterator[Entry]:
    """Names and their sizes, in bytes -> where each is."""
    at = 0
    for name, size in sizes:
        entry = Entry(name, size, at, header_of(name, size))
        yield entry
        at = entry.end


def padding(size: int) -> int:
    return -size % BLOCK


def header_of(name: str, size: int) -> bytes:
    """All blocks that come before the content."""
    records = b""
    short = name.encode("ascii", "replace").replace(b"?", b"_")
    if short != name.encode() or len(short) > _NAME:
        records += _record("path", name)
    if size > _LARGEST:
        records += _record("size", str(size))
    plain = _block(short[:_NAME], size if size <= _LARGEST else 0, b"0")
    return _block(_PAX_NAME, len(records), b"x") + records + bytes(padding(len(records))) + plain if records else plain


def describe(block: bytes) -> tuple[str, str, int]:
    """What a block that should be a header says it is: a kind, in words, its name and its size. Only to be told to people. The
    kind is "the end" for zeros and "no header" for what cannot be read as one."""
    if not any(block):
        return "the end", "", 0
    try:
        info = TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (HeaderError, ValueError):
        return "no header", "", 0
    return _KINDS.get(info.type, "a file"), info.name, info.size


def _record(key: str, value: str) -> bytes:
    """`LENGTH key=value\\n` where the length, in decimal, counts itself."""
    rest = f" {key}={value}\n".encode()
    length = len(rest)
    while len(str(length).encode() + rest) != length:
        length = len(str(length).encode() + rest)
    return str(length).encode() + rest


def _block(name: bytes, size: int, kind: bytes) -> bytes:
    before = name.ljust(_NAME, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"%011o\0" % 0
    after = kind + bytes(100) + b"ustar\x0000" + bytes(512 - 265)
    checksum = sum(before) + sum(b" " * 8) + sum(after)
    return before + b"%06o\0 " % checksum + after
