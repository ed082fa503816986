"""Small wheels, sources of small projects, and a pip to install them with."""

import io
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import distribution
from importlib.util import cache_from_source
from pathlib import Path

from offline_agent.bundle.collect import INSTALLER_VERSION, PROGRAM

MOMENT = (1980, 1, 1, 0, 0, 0)
PROGRAM_CODE = """\
import os, sys

def main():
    if sys.argv[1:] == ["--version"]:
        print("offline-agent " + {version!r})
    elif sys.argv[1:3] == ["bundle", "install"]:
        with open(os.path.join(os.environ["HOME"], "asked"), "a") as file:
            file.write(" ".join(sys.argv[3:]) + os.linesep)
        return int(os.environ.get("MODELS_END_WITH", "0"))
    return 0
"""
"""Stands for the program where the whole of it would take minutes: it says its version, and writes down what it is asked for."""


def wheel(
    directory: Path,
    name: str,
    version: str = "1.0",
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    files: Mapping[str, str] | None = None,
    metadata: str = "",
) -> Path:
    """A wheel that pip installs. `metadata` are more lines of its METADATA; `files` go beside its module."""
    module = name.replace("-", "_")
    about = f"{module}-{version}.dist-info"
    lines = [f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{metadata}"]
    lines += [f"Requires-Dist: {requirement}\n" for requirement in requires]
    contents = {
        f"{module}/__init__.py": "",
        **(files or {}),
        f"{about}/METADATA": "".join(lines),
        f"{about}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    contents[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in (*contents, f"{about}/RECORD"))
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in contents.items():
            archive.writestr(zipfile.ZipInfo(entry, MOMENT), text)
    return path


def program_wheel(
    directory: Path, version: str = "1.0", requires: Sequence[str] = (), code: str = PROGRAM_CODE
) -> Path:
    """A wheel with a command `offline-agent`."""
    entry = {
        f"offline_agent-{version}.dist-info/entry_points.txt": f"[console_scripts]\n{PROGRAM} = offline_agent.main:main\n",
        "offline_agent/main.py": code.replace("{version!r}", repr(version)),
    }
    return wheel(directory, PROGRAM, version, requires, files=entry)


def pip_wheel(directory: Path) -> Path:
    """The pip that runs here as a wheel, under the version that bundles have. It has the compiled modules in the place of their
    sources, where there are any: Python keeps no byte code of what it runs from a zip file, and compiling takes most of a run."""
    here = distribution("pip")
    about = f"pip-{INSTALLER_VERSION}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: pip\nVersion: {INSTALLER_VERSION}\nLicense: MIT\n"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"pip-{INSTALLER_VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(map(str, here.files or ())):
            if file.startswith("pip/") and "__pycache__" not in file:
                source = Path(str(here.locate_file(file)))
                compiled = Path(cache_from_source(str(source))) if source.suffix == ".py" else source
                kept, name = (
                    (compiled, Path(file).with_suffix(compiled.suffix)) if compiled.exists() else (source, file)
                )
                archive.writestr(zipfile.ZipInfo(str(name), MOMENT), kept.read_bytes())
        archive.writestr(zipfile.ZipInfo(f"{about}/METADATA", MOMENT), metadata)
        archive.writestr(zipfile.ZipInfo(f"{about}/RECORD", MOMENT), "")
    return path


BACKEND = """\
import os, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = {name!r} + "-1.0-py3-none-any.whl"
    about = {name!r} + "-1.0.dist-info/"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        for entry, text in (
            ({name!r} + ".py", os.environ.get("CFLAGS", "").replace(os.getcwd(), "WHERE") + " " + os.environ["SOURCE_DATE_EPOCH"]),
            (about + "METADATA", "Metadata-Version: 2.1\\nName: " + {name!r} + "\\nVersion: 1.0\\n"),
            (about + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"),
            (about + "RECORD", ""),
        ):
            archive.writestr(zipfile.ZipInfo(entry), text)
    return name
"""
"""A build backend that writes down what compilers would be told."""


def source(directory: Path, name: str) -> Path:
    """A project that has only its source."""
    files = {
        "pyproject.toml": f'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n',
        "backend.py": BACKEND.replace("{name!r}", repr(name)),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for entry, text in files.items():
            header = tarfile.TarInfo(f"{name}-1.0/{entry}")
            header.size = len(text)
            archive.addfile(header, io.BytesIO(text.encode()))
    return path


def this_python() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"
