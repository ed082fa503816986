"""A virtual environment with the program of one bundle, made where it stays: its scripts hold its path.

DIRECTORY/VERSION-MANIFEST/     the environment; MANIFEST is the beginning of the SHA-256 of what was signed
DIRECTORY/VERSION-MANIFEST/bundle.json    written last, so an environment that has it is whole
DIRECTORY/.lock                 held (flock) by who makes one
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import venv
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from offline_agent.bundle.bootstrap.archive import Bundle
from offline_agent.bundle.bootstrap.fits import WHEELS, Here, fits
from offline_agent.bundle.bootstrap.manifest import Manifest
from offline_agent.bundle.bootstrap.run import run
from offline_agent.bundle.bootstrap.shown import percentage
from offline_agent.errors import BundleBroken, BundleError, InUse, StorageError, UsageError

PROGRAM = "offline-agent"
MARK = "bundle.json"
_LOCK = ".lock"
_UNPACKED = "wheels"
_NAME = re.compile(r"[0-9][A-Za-z0-9.+!]*-[0-9a-f]{16}")
_COMPILED = 1.3
"""What is installed takes for a byte in the wheels, with byte code. Measured of the whole program: 1.24."""
_BLOCK = 4096  # a file takes whole ones
_MISSING = re.compile(r"No matching distribution found for (\S+)")


@dataclass(frozen=True)
class Environment:
    directory: Path
    version: str
    manifest: str

    @classmethod
    def of(cls, manifest: Manifest, to: Path) -> "Environment":
        """Where the program of that bundle goes, below `to`."""
        digest = hashlib.sha256(manifest.to_bytes()).hexdigest()
        directory = to.absolute() / f"{manifest.version}-{digest[:16]}"
        if not _NAME.fullmatch(directory.name):
            raise BundleBroken("The bundle names no version of the program that could be one. Get the bundle anew.")
        return cls(directory, manifest.version, digest)

    @classmethod
    def version_of(cls, directory: Path) -> str:
        """The version in an environment that is whole; "" where it does not say."""
        try:
            return str(json.loads((directory / MARK).read_text(encoding="utf-8"))["version"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    @property
    def program(self) -> Path:
        return self.directory / "bin" / PROGRAM

    def is_whole(self, environ: Mapping[str, str]) -> bool:
        """Whether it was made to its end and still starts: the Python that it was made with may be gone."""
        try:
            mark = json.loads((self.directory / MARK).read_text(encoding="utf-8"))
            return mark["manifest"] == self.manifest and self._version_said(environ) == self.version
        except (OSError, ValueError, KeyError, TypeError, BundleError):
            return False

    def build(self, bundle: Bundle, key_id: str, machine: Here, environ: Mapping[str, str]) -> None:
        """Makes it, inside `locked`. What an interrupted installation left is removed first, and whatever goes wrong, so is what
        this one made. Raises StorageError, BundleBroken, and BundleError where the wheels are not all that is needed."""
        try:
            for left in (*_left_over(self.directory.parent), self.directory):
                if left.exists():
                    shutil.rmtree(left)
            self._fill(bundle, machine, environ)
            self._mark(key_id)
        except OSError as error:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise _unwritable(self.directory, error) from None
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def _fill(self, bundle: Bundle, machine: Here, environ: Mapping[str, str]) -> None:
        unpacked = self.directory / _UNPACKED
        self.directory.mkdir()  # raises where somebody else was quicker
        unpacked.mkdir(mode=0o700)  # nobody comes between the hash of a wheel and pip
        wanted = {f"{WHEELS}{name}" for name in _wheels(bundle.manifest) if fits(name, machine)}
        with percentage("unpacking", bundle.size_of(wanted.__contains__)) as progress:
            bundle.extract(unpacked, wanted.__contains__, progress, below=WHEELS)
        _require_room(self.directory, unpacked)
        venv.EnvBuilder(symlinks=True).create(self.directory)
        self._install(unpacked, environ)
        shutil.rmtree(unpacked)
        said = self._version_said(environ)
        if said != self.version:
            raise BundleError(
                f"The program was installed but does not start: {said or 'nothing was said'}. Report this."
            )

    def _install(self, wheels: Path, environ: Mapping[str, str]) -> None:
        """By the pip of the bundle, which may look nowhere else."""
        pip = next(iter(sorted(wheels.glob("pip-*.whl"))), None)
        if pip is None:
            raise BundleError("The bundle lacks pip, which installs the others. Ask who made it to make it anew.")
        looking = [
            "--no-index",
            "--only-binary=:all:",
            "--find-links",
            str(wheels),
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--no-input",
        ]
        wanted = f"{PROGRAM}=={self.version}"
        command = [str(self.directory / "bin" / "python"), "-I", str(pip / "pip"), "install", *looking, wanted]
        ended, said = run(command, environ)
        if ended:
            raise _failed(self.directory, said)

    def _version_said(self, environ: Mapping[str, str]) -> str:
        ended, said = run([str(self.program), "--version"], environ)
        last = said.strip().rpartition("\n")[2]
        return last.removeprefix(f"{PROGRAM} ") if not ended else last

    def _mark(self, key_id: str) -> None:
        mark = {"manifest": self.manifest, "key": key_id, "version": self.version, "python": sys.version.split()[0]}
        with (self.directory / MARK).open("w", encoding="utf-8") as file:
            file.write(json.dumps(mark, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())


def is_environment(directory: Path) -> bool:
    return (directory / MARK).is_file()


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One installation at a time. Raises InUse, StorageError where `directory` cannot be made, and UsageError where others could
    put something else in the place of what is installed there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _require_own(directory)
        file = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(directory, error) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InUse(f"Another installation into {directory} is going on. Wait for it to end.") from None
    finally:
        os.close(file)


def _require_own(directory: Path) -> None:
    status = directory.stat()
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & stat.S_IWOTH:
        raise UsageError(
            f"{directory} is another user's, or anybody may write there: they could change what is installed. Choose a directory "
            "of your own: --to DIR."
        )


def _wheels(manifest: Manifest) -> Iterable[str]:
    return (member.name.removeprefix(WHEELS) for member in manifest.members if member.name.startswith(WHEELS))


def _left_over(directory: Path) -> list[Path]:
    """Environments that were never finished. What has another name is not ours."""
    return [path for path in directory.iterdir() if _NAME.fullmatch(path.name) and not is_environment(path)]


def _require_room(directory: Path, wheels: Path) -> None:
    """Raises StorageError where the disk has no room for what the wheels hold."""
    needed = 0
    for path in wheels.glob("*.whl"):
        with zipfile.ZipFile(path) as archive:
            sizes = [entry.file_size for entry in archive.infolist()]
        needed += int(sum(sizes) * _COMPILED) + len(sizes) * _BLOCK
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise StorageError(
            f"{directory} has room for {free:,} bytes, and the program takes about {needed:,}. Make room and run it again, or "
            "install it elsewhere: --to DIR."
        )


def _failed(directory: Path, said: str) -> BundleError | StorageError:
    """What pip said, as one sentence."""
    if os.strerror(errno.ENOSPC) in said:
        return StorageError(
            f"The disk of {directory} is full. Make room and run it again, or install elsewhere: --to DIR."
        )
    if missing := _MISSING.search(said):
        return BundleError(
            f"The bundle lacks {missing[1]}, which the program needs here. Ask who made it to make it anew."
        )
    errors = [line for line in said.splitlines() if line.startswith("ERROR:")] or said.splitlines()[-1:] or ["nothing"]
    return BundleError(
        f"pip could not install what the bundle holds. It said: {errors[-1].removeprefix('ERROR:').strip()}"
    )


def _unwritable(directory: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{error.filename or directory} cannot be written: {error.strerror}. Check its owner and the room on its disk, or install "
        "elsewhere: --to DIR."
    )
