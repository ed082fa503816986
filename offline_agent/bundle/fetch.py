"""Wheels by way of pip: those that its index has, and those that are built here because it has only their source.

pip is asked as the person configured it: index, proxy and certificates are theirs. It is never given a name without a version, and
never follows a requirement by itself.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from packaging.utils import canonicalize_name

from offline_agent.bundle.targets import Target
from offline_agent.errors import BundleError

Say = Callable[[str], None]
"""Called with what goes on, a line at a time."""

EPOCH = "315532800"
"""1980-01-01, the first moment that a zip file can tell: what is built here bears no other date."""
PYPI = "https://pypi.org/simple"
BASELINE = {
    "x86_64": "-DGGML_NATIVE=OFF -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_BMI2=ON -DGGML_FMA=ON -DGGML_F16C=ON",
}
"""How llama.cpp is compiled for machines other than this one: x86-64-v3, which processors have since 2013. Its own default is the
processor that compiles, and one that is older ends with an illegal instruction. CMAKE_ARGS in the environment come after."""
UNSTABLE = "lib/pkgconfig/*"
"""Files for who compiles against llama.cpp. They hold the directory that it was built in, which is another each time."""
_NO_WHEEL = re.compile(r"No matching distribution found for ([A-Za-z0-9._-]+)==")
_UNREACHED = re.compile(r"Retry\(total=0|Could not fetch URL")
"""What pip says of an index that it gave up on. It goes on as if there was nothing in it, and ends with the name of a project."""
_REASON = re.compile(r"\[Errno -?\d+\] ([^'\")]+)")
_TOLD = ("Collecting", "Downloading", "Saved", "Building wheel", "Created wheel")
_LAST_LINES = 12


class Pip:
    """The pip beside this Python, run in `environment`. Raises BundleError for what it cannot do."""

    def __init__(self, environment: Mapping[str, str], extra_indexes: Sequence[str] = (), say: Say = lambda line: None):
        self._environment = {**environment, "SOURCE_DATE_EPOCH": EPOCH}
        self._extra = [option for url in extra_indexes for option in ("--extra-index-url", url)]
        self._indexes = extra_indexes
        self._say = say

    def indexes(self) -> tuple[str, ...]:
        """Where pip would look, without what an address may hold of a password."""
        config = self._config()
        found: list[str] = (
            [] if config.get("no-index") in ("1", "true", "yes", "on") else [config.get("index-url", PYPI)]
        )
        for name in ("extra-index-url", "find-links"):
            found += config.get(name, "").split()
        return tuple(dict.fromkeys(_without_secrets(url) for url in (*found, *self._indexes)))

    def download(self, pins: Mapping[str, str], target: Target, out: Path) -> list[str]:
        """Puts the wheels of these versions for that machine into `out`; returns the names of which there is none."""
        wanted = dict(pins)
        without: list[str] = []
        while wanted:
            ended, lines = self._run(
                "download", *_about(target), "--only-binary=:all:", "--dest", str(out), *_requirements(wanted)
            )
            if ended == 0:
                break
            _require_reached(lines)
            missing = [canonicalize_name(name) for name in _NO_WHEEL.findall("\n".join(lines))]
            if not missing or missing[0] not in wanted:
                raise _failed("fetch wheels", lines)
            wanted.pop(missing[0])
            without.append(missing[0])
        return without

    def build(self, name: str, version: str, out: Path) -> None:
        """Builds the wheel of a project that has only a source, for this machine, into `out`.

        Two builds make the same wheel, where its build system allows it. For llama-cpp-python that takes three things: the source
        is unpacked where compilers are told to call it `.`, since they write the paths of sources into what they make, and pip's
        own are different every time; the linker makes no id of what it was given; and UNSTABLE files are left out.
        """
        with tempfile.TemporaryDirectory(prefix="offline-agent-build-") as place:
            ended, lines = self._run("download", f"--no-binary={name}", "--dest", place, f"{name}=={version}")
            _require_reached(lines)
            archives = list(Path(place).glob("*.tar.gz"))
            if ended or len(archives) != 1:
                raise _failed(f"fetch the source of {name} {version}", lines)
            with tarfile.open(archives[0]) as archive:
                # What is unpacked is run next, so it could do worse than to leave its directory.
                archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
                archive.extractall(place)  # noqa: S202
            [source] = [path for path in Path(place).iterdir() if path.is_dir()]
            self._make(source, out, self._for_compilers(place))

    def build_own(self, checkout: Path, out: Path) -> None:
        """Builds the program's own wheel from a source checkout, with the hatchling beside this Python: no network is needed."""
        if find_spec("hatchling") is None:
            raise BundleError(
                "The program's wheel is built with hatchling, which is not beside this Python. Make the environment anew with "
                "scripts/setup, or bring the wheel: --wheels DIR."
            )
        self._make(checkout, out, self._environment, "--no-build-isolation")

    def _make(self, source: Path, out: Path, environment: Mapping[str, str], *options: str) -> None:
        # No cache: it knows a wheel by its source alone, and may have one that was compiled for this very processor.
        ended, lines = self._run(
            "wheel", "--no-cache-dir", *options, "--wheel-dir", str(out), str(source), environment=environment
        )
        if ended:
            raise _failed(f"build a wheel of {source.name}", lines)

    def _for_compilers(self, place: str) -> dict[str, str]:
        given = self._environment
        renamed = f"-ffile-prefix-map={place}=."
        return {
            **given,
            "CFLAGS": f"{renamed} {given.get('CFLAGS', '')}".strip(),
            "CXXFLAGS": f"{renamed} {given.get('CXXFLAGS', '')}".strip(),
            "LDFLAGS": f"{'-Wl,--build-id=none' if sys.platform == 'linux' else ''} {given.get('LDFLAGS', '')}".strip(),
            "SKBUILD_WHEEL_EXCLUDE": UNSTABLE,
            "CMAKE_ARGS": f"{BASELINE.get(os.uname().machine, '-DGGML_NATIVE=OFF')} {given.get('CMAKE_ARGS', '')}".strip(),
            "CMAKE_BUILD_PARALLEL_LEVEL": given.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 1)),
        }

    def _config(self) -> dict[str, str]:
        """pip's own settings by their name, whatever file or variable they stand in."""
        ended, lines = self._execute("config", "list", environment=self._environment)
        if ended:
            raise _failed("say how it is configured", lines)
        found: dict[str, str] = {}
        for line in lines:
            name, equals, value = line.partition("=")
            if equals:
                key = name.rpartition(".")[2]
                found[key] = f"{found.get(key, '')} {_unquoted(value)}".strip()
        return found

    def _run(self, action: str, *options: str, environment: Mapping[str, str] | None = None) -> tuple[int, list[str]]:
        extra = [action, "--no-deps", "--no-input", "--progress-bar=off", *self._extra, *options]
        return self._execute(*extra, environment=environment or self._environment)

    def _execute(self, *arguments: str, environment: Mapping[str, str]) -> tuple[int, list[str]]:
        """How pip ended, and the last lines that it wrote."""
        if find_spec("pip") is None:
            raise BundleError(
                "There is no pip beside this Python to fetch wheels with. Give a directory that has them all: --wheels DIR."
            )
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-color", *arguments]
        last: deque[str] = deque(maxlen=_LAST_LINES if arguments[0] != "config" else None)
        with subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as pip:
            for line in pip.stdout or ():
                if line := line.strip():
                    last.append(line)
                if line.startswith(_TOLD):
                    self._say(_without_secrets(line))
        return pip.returncode, list(last)


def _about(target: Target) -> list[str]:
    if not target.platform:
        return []
    version = f"{target.python[0]}{target.python[1]}"
    abis = [option for abi in (f"cp{version}", "abi3", "none") for option in ("--abi", abi)]
    platforms = [option for platform in target.platforms for option in ("--platform", platform)]
    return ["--implementation", "cp", "--python-version", version, *abis, *platforms]


def _requirements(pins: Mapping[str, str]) -> list[str]:
    return [f"{name}=={version}" for name, version in sorted(pins.items())]


def _unquoted(value: str) -> str:
    """pip shows a value as Python writes it, and a list of lines as one of strings."""
    try:
        return str(json.loads(value.replace("'", '"')))
    except ValueError:
        return value.strip("'\"")


_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def _without_secrets(text: str) -> str:
    """An address, or a line with addresses, without user and password."""
    return _CREDENTIALS.sub("", text)


def _require_reached(lines: Sequence[str]) -> None:
    """Raises BundleError where pip did not reach an index, whatever it made of that."""
    unreached = next((line for line in lines if _UNREACHED.search(line)), None)
    if unreached is not None:
        reason = found[1].strip() if (found := _REASON.search(unreached)) else "it gave up"
        raise BundleError(
            f"pip could not reach an index to fetch wheels from: {reason}. Check the network, proxy and certificates, or bring the "
            "wheels: --wheels DIR."
        )


def _failed(what: str, lines: Sequence[str]) -> BundleError:
    said = [line for line in lines if line.upper().startswith("ERROR:")] or list(lines)[-1:] or ["nothing"]
    reason = _without_secrets(said[-1].removeprefix("ERROR:").strip()).rstrip(".")
    return BundleError(
        f"pip could not {what}. It said: {reason}. Check the network and pip's index, or bring the wheels: --wheels DIR."
    )
