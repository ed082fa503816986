"""install.pyz: what reads and installs a bundle, as one file that any Python 3 runs. The same modules make the same bytes."""

import importlib.resources
import io
import zipfile
from collections.abc import Iterator
from importlib.resources.abc import Traversable

_SHEBANG = b"#!/usr/bin/env python3\n"
_FIRST_MOMENT = (1980, 1, 1, 0, 0, 0)  # that a zip file can tell
_MODE = 0o644 << 16
_START = "offline_agent/bundle/bootstrap/__main__.py"


def installer() -> bytes:
    """The zip application (PEP 441). It holds the package `bundle.bootstrap` with what that imports, and begins with a file that an
    older Python can read far enough to say that it is too old."""
    package = importlib.resources.files("offline_agent")
    files = dict(_modules(package))
    made = io.BytesIO()
    made.write(_SHEBANG)
    with zipfile.ZipFile(made, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted({**files, "__main__.py": files[_START]}.items()):
            entry = zipfile.ZipInfo(name, _FIRST_MOMENT)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, _MODE, 3
            archive.writestr(entry, data, compresslevel=9)
    return made.getvalue()


def _modules(package: Traversable) -> Iterator[tuple[str, bytes]]:
    for name in ("__init__.py", "errors.py", "bundle/__init__.py"):
        yield f"offline_agent/{name}", package.joinpath(*name.split("/")).read_bytes()
    for file in package.joinpath("bundle", "bootstrap").iterdir():
        if file.name.endswith(".py"):
            yield f"offline_agent/bundle/bootstrap/{file.name}", file.read_bytes()
