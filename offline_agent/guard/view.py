"""What a command is shown of the machine: decided once, from the person's settings, and the same for every mechanism.

Nothing in a repository has a say in it, except to be seen less of.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from offline_agent.errors import SandboxUnavailable, UsageError

if TYPE_CHECKING:  # the launcher imports this module, and has no time for pydantic
    from offline_agent.settings import SandboxSettings

SYSTEM = ("/usr", "/opt", "/nix/store", "/gnu/store")
LINKED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Links into /usr nearly everywhere, directories elsewhere."""
ETC = (
    *("passwd", "group", "nsswitch.conf", "hosts", "localtime", "ld.so.cache", "os-release", "alternatives"),
    *("ssl/certs", "pki/tls/certs", "pki/ca-trust/extracted", "terminfo", "mime.types", "fonts", "python3*", "java*"),
)
"""All of /etc that is shown: a list of what to hide would miss the next file with a password in it. Each costs a command a
mount, which is a fifth of a millisecond."""

HOME = "/home/agent"
"""The home that a command has: empty, and gone when it ends."""

_CONDA = ("bin", "envs", "etc/fonts", "include", "lib", "libexec", "share", "ssl")
TOOL_CHAINS: Mapping[str, tuple[str, ...]] = {
    ".local": ("bin", "lib", "share/uv/python", "share/uv/tools", "share/pipx/venvs", "pipx/venvs"),
    ".local/share/mise": ("shims", "installs", "plugins"),
    ".local/share/fnm": ("node-versions", "aliases"),
    ".local/share/pnpm": ("global", "nodejs"),
    ".pyenv": ("bin", "libexec", "plugins", "pyenv.d", "shims", "version", "versions"),
    ".rbenv": ("bin", "libexec", "plugins", "shims", "version", "versions"),
    ".nodenv": ("bin", "libexec", "shims", "version", "versions"),
    ".cargo": ("bin", "env", "registry", "git"),
    ".nvm": ("alias", "nvm.sh", "versions"),
    ".asdf": ("bin", "installs", "lib", "plugins", "shims"),
    ".volta": ("bin", "tools"),
    ".sdkman": ("candidates",),
    ".ghcup": ("bin", "ghc"),
    ".dotnet": ("dotnet", "host", "packs", "sdk", "shared", "tools"),
    ".bun": ("bin",),
    ".deno": ("bin",),
    ".npm-global": ("bin", "lib"),
    ".yarn": ("bin",),
    ".nix-profile": ("bin", "lib", "share"),
    "go": ("bin", "pkg/mod"),
    "bin": ("",),
    **dict.fromkeys(("miniconda3", "anaconda3", "miniforge3", "mambaforge"), _CONDA),
}
"""What belongs to a tool chain in the home directory that PATH leads to. Never a whole directory where one of its files may be a
credential (~/.cargo/credentials.toml), and never ~/.local/share, where the vault is."""
COMPANIONS: Mapping[str, tuple[str, ...]] = {
    ".cargo": (".rustup/toolchains", ".rustup/settings.toml", ".local/share/uv/python")
}
"""What such a tool chain keeps elsewhere in the home directory."""

ENVIRONMENT = (
    *("LANG", "LANGUAGE", "TERM", "COLORTERM", "NO_COLOR", "TZ", "USER", "LOGNAME", "CI", "SOURCE_DATE_EPOCH"),
    *("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "PYENV_ROOT", "PYENV_VERSION", "NVM_DIR", "ASDF_DIR"),
    *("JAVA_HOME", "GOROOT", "GOPATH", "RUSTUP_HOME", "CARGO_HOME", "RUSTUP_TOOLCHAIN", "RBENV_ROOT", "DOTNET_ROOT"),
)
"""The variables that every command is given, besides PATH and LC_*: names of places and languages, no place for a password."""

_GIT = {"safe.directory": "*", "user.name": "offline-agent", "user.email": "offline-agent@localhost", "gc.auto": "0"}
"""What git needs where the person's own ~/.gitconfig is not: files may seem to be somebody else's, commits need a name, and nothing
may stay behind to collect garbage."""


@dataclass(frozen=True)
class View:
    """`root` and `writable` may be changed; `readable`, and all of them, may be read and run. Of what is below the root, `denied`
    paths cannot be read and `protected` paths not changed; both exist, and are relative unless they lie elsewhere. `hide_history`
    takes git's objects away."""

    root: Path
    readable: tuple[Path, ...]
    writable: tuple[Path, ...]
    denied: tuple[str, ...]
    protected: tuple[str, ...]
    environment: Mapping[str, str]
    hide_history: bool = False


def view_of(
    root: Path, settings: "SandboxSettings", environ: Mapping[str, str], home: Path
) -> tuple[View, tuple[str, ...]]:
    """What commands see in any case, and what a person should know about it.

    Raises SandboxUnavailable for a repository that cannot be shown without showing what must stay hidden, and UsageError for
    settings that would.
    """
    _refuse_too_wide(root, environ, home)
    notes: list[str] = []
    extras = [tuple(_chosen(paths, environ, home, notes)) for paths in (settings.readable, settings.writable)]
    system = tuple(path for path in map(Path, SYSTEM + LINKED) if path.exists())
    readable = (*system, *_etc(Path("/etc")), *_tool_chains(environ, home), *extras[0])
    shown = [*readable, *extras[1], root]
    path, missing = _search_path(environ.get("PATH", ""), shown)
    if missing:
        notes.append(
            f"Commands do not see {', '.join(missing)} of PATH: name the directories in [sandbox] readable to show them."
        )
    environment = environment_of(environ, settings.environment) | {"PATH": path}
    return View(root, readable, extras[1], (), (), environment), tuple(notes)


def environment_of(environ: Mapping[str, str], more: Sequence[str] = ()) -> dict[str, str]:
    """What is left of the environment, and what git needs to work without the person's own configuration."""
    names = {*ENVIRONMENT, *more}
    kept = {name: value for name, value in environ.items() if name in names or name.startswith("LC_")}
    git = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_COUNT": str(len(_GIT))}
    for number, (key, value) in enumerate(_GIT.items()):
        git |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    plain = {"HOME": HOME, "SHELL": "/bin/bash", "GIT_TERMINAL_PROMPT": "0", "LANG": "C.UTF-8", "TERM": "dumb"}
    return plain | git | kept


def own_directories(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Where this program keeps the vault, its key file and its settings."""
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "offline-agent"
    return data, Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "offline-agent"


def same_files(paths: Sequence[str], below: Iterable[Path]) -> Iterator[str]:
    """Other names (hard links) of the files `paths`, absolute, in the directories `below`. Nobody looks where there can be none."""
    wanted = set()
    for path in paths:
        status = os.lstat(path)
        if status.st_nlink > 1 and not os.path.isdir(path):
            wanted.add((status.st_dev, status.st_ino))
    known = set(paths)
    for directory in below if wanted else ():
        yield from (name for name in _files_of(directory, wanted) if name not in known)


def _files_of(directory: Path, wanted: set[tuple[int, int]]) -> Iterator[str]:
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            try:
                status = os.lstat(path)
            except OSError:  # gone meanwhile
                continue
            if (status.st_dev, status.st_ino) in wanted:
                yield path


def _refuse_too_wide(root: Path, environ: Mapping[str, str], home: Path) -> None:
    for inside in (home, *own_directories(environ, home), *map(Path, (*SYSTEM, "/etc", "/proc", "/dev", "/run"))):
        if Path(os.path.realpath(inside)).is_relative_to(root):
            raise SandboxUnavailable(
                f"Commands cannot be confined to {root}, since {inside} is in it: start in a directory further down."
            )


def _chosen(paths: Sequence[Path], environ: Mapping[str, str], home: Path, notes: list[str]) -> Iterator[Path]:
    """The directories that the person's settings name, without symbolic links; those that are not there are noted."""
    for given in paths:
        path = Path(os.path.realpath(home / Path(*given.parts[1:]) if given.parts[:1] == ("~",) else given))
        for own in own_directories(environ, home):
            if own.is_relative_to(path) or path.is_relative_to(own):
                raise UsageError(
                    f"Setting sandbox.readable or writable names {given}, which would show commands {own}: name less."
                )
        if not given.is_absolute() and given.parts[:1] != ("~",):
            raise UsageError(f"Setting sandbox.readable or writable names {given}: write the whole path.")
        if path.exists():
            yield path
        else:
            notes.append(f"{given}, which the settings show to commands, is not there.")


def _etc(directory: Path) -> Iterator[Path]:
    for pattern in ETC:
        yield from sorted(directory.glob(pattern))


def _tool_chains(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Directories in the home directory that PATH leads to, by the list above, and virtual environments."""
    entries = [Path(entry) for entry in environ.get("PATH", "").split(os.pathsep) if entry.startswith("/")]
    for name, parts in TOOL_CHAINS.items():
        own = [home / name / part for part in parts]
        if any(entry.is_relative_to(place) or entry == home / name for entry in entries for place in own):
            yield from (place for place in own if place.exists())
            yield from (home / other for other in COMPANIONS.get(name, ()) if (home / other).exists())
    for entry in entries:
        if entry.name == "bin" and entry.is_relative_to(home) and (entry.parent / "pyvenv.cfg").is_file():
            yield entry.parent


def _search_path(path: str, shown: Sequence[Path]) -> tuple[str, list[str]]:
    """The entries of PATH that lead somewhere inside, and those that exist but do not."""
    entries = dict.fromkeys(entry for entry in path.split(os.pathsep) if entry.startswith("/") and os.path.isdir(entry))
    inside = [entry for entry in entries if any(Path(entry).is_relative_to(place) for place in shown)]
    return os.pathsep.join(inside or ["/usr/bin", "/bin"]), [entry for entry in entries if entry not in inside]
