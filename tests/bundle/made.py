"""Small bundles, well made and ill."""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from offline_agent.bundle.bootstrap.hashing import Hasher
from offline_agent.bundle.bootstrap.key import signature_text
from offline_agent.bundle.bootstrap.manifest import MANIFEST, SIGNATURE, Manifest, Member
from offline_agent.bundle.keys import public_of, sign
from offline_agent.bundle.write import Content, member_of, write_bundle

SEED = bytes(range(32))
KEY = public_of(SEED, "tests")
STRETCH = 4096  # bytes, so that little content has several marks
CONTENTS: dict[str, bytes] = {
    "install.pyz": b"print('hello')\n",
    "models/tiny/tiny.gguf": b"GGUF" + bytes(range(256)) * 50,
    "sbom.cdx.json": b"{}\n",
    "wheels/a-1.0-py3-none-any.whl": b"",
}


def manifest_of(contents: Mapping[str, Content]) -> Manifest:
    members = tuple(member_of(name, content) for name, content in contents.items())
    return Manifest("0.1.0", "3.11", ("manylinux_2_28_x86_64",), (), "", members, STRETCH)


def make(out: Path, contents: Mapping[str, Content] = CONTENTS, **how: object) -> tuple[Path, ...]:
    return write_bundle(out, manifest_of(contents), contents, SEED, **how)  # type: ignore[arg-type]


def with_marks(name: str, content: bytes) -> Member:
    hasher = Hasher(STRETCH)
    hasher.update(memoryview(content))
    return Member(name, len(content), hashlib.sha256(content).hexdigest(), tuple(hasher.marks))


def info(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """A header, with what the bundle's own writer has in it besides."""
    made = tarfile.TarInfo(name)
    made.size, made.type, made.linkname, made.mode = size, kind, link, 0o644
    return made


def by_tarfile(
    manifest: bytes, members: Iterable[tuple[tarfile.TarInfo, bytes]], tar_format: int = tarfile.USTAR_FORMAT
) -> bytes:
    """A bundle as Python's own tarfile makes it, with these members after a manifest that is signed."""
    signature = signature_text(KEY, sign(SEED, manifest))
    first = [(info(MANIFEST, len(manifest)), manifest), (info(SIGNATURE, len(signature)), signature)]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for header, content in first:
            tar.addfile(header, io.BytesIO(content))
        tar.format = tar_format
        for header, content in members:
            tar.addfile(header, io.BytesIO(content))
        end = tar.offset
    return stream.getvalue()[:end] + bytes(1024)
