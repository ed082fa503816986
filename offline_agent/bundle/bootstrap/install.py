"""`install.pyz FILE --key PUB`: the program of a bundle, installed from the bundle alone.

    signature -> does it fit here -> every hash -> a virtual environment -> its models -> the link that starts it

    ~/.local/opt/offline-agent/VERSION-MANIFEST/    an environment, whole once it has `bundle.json`
    ~/.local/bin/offline-agent                      a link into one of them

Nothing of the bundle is run before all of it was checked. The link is set last, in one step: until then, and whenever something
goes wrong, what was installed before is what starts. Older environments stay, since a session may be running in one.
"""

import argparse
import os
import pwd
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from offline_agent.bundle.bootstrap.archive import Bundle
from offline_agent.bundle.bootstrap.environment import Environment, locked
from offline_agent.bundle.bootstrap.fits import WHEELS, fault_of, here
from offline_agent.bundle.bootstrap.key import PublicKey, read_key
from offline_agent.bundle.bootstrap.link import Link
from offline_agent.bundle.bootstrap.names import shown
from offline_agent.bundle.bootstrap.run import clean, run_shown
from offline_agent.bundle.bootstrap.shown import percentage
from offline_agent.bundle.bootstrap.versions import is_older
from offline_agent.errors import AgentError, BundleError, UsageError

COMMAND = "offline-agent"
Say = Callable[[str], None]
_STOPPED = 130


@dataclass(frozen=True)
class Order:
    """What is wanted: `to` holds the environments, `bin` gets the link. `program` is what installs the models of a bundle that has
    no program in it; by default the one that the link starts. Unless it may be `older`,
    what is installed is no older than what that is."""

    bundle: Path
    key: Path
    to: Path
    bin: Path
    models: bool = True
    program: tuple[str, ...] = ()
    older: bool = False


def default_places(home: Path) -> tuple[Path, Path]:
    """Where environments and the link go unless the person says otherwise. `home` is absolute."""
    return home / ".local" / "opt" / COMMAND, home / ".local" / "bin"


def main(argv: Sequence[str]) -> int:
    """Runs install.pyz and returns its exit code; what goes wrong is one line on standard error."""
    try:
        home = home_of(os.environ, os.getuid())
        arguments = _parser(*default_places(home)).parse_args(argv)
        order = Order(
            arguments.file,
            arguments.key,
            arguments.to,
            arguments.bin,
            not arguments.no_models,
            older=arguments.older,
        )
        install(order, _tell, {**os.environ, "HOME": str(home)})
    except AgentError as error:
        _tell(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _tell("stopped. What was installed before is as it was; run it again to go on.")
        return _STOPPED
    return 0


def home_of(environ: Mapping[str, str], user: int) -> Path:
    """The home directory of the user of that number. Raises UsageError where it is not known."""
    try:
        return Path(environ.get("HOME") or pwd.getpwuid(user).pw_dir).absolute()
    except KeyError:
        raise UsageError("This user has no home directory. Say where it is: HOME=DIR python3 install.pyz ...") from None


def install(order: Order, say: Say, environ: Mapping[str, str]) -> None:
    """Installs the program and the models of a bundle. A second time it is quick and changes nothing. Raises BundleError and what
    Bundle does, StorageError, UsageError for a link that is not this program's and for a version older than what it starts, InUse,
    and BundleError for models that the program did not take."""
    key = read_key(order.key)
    environ = clean(environ)
    with _nobody_else_writes(), Bundle.open(order.bundle, key) as bundle:
        say(_introduction(bundle, key))
        _require_fitting(bundle)
        link = Link(order.bin / COMMAND)
        link.check()
        if _has_program(bundle) and not order.older:
            _require_no_older(bundle.manifest.version, link.version())
        say("every hash in it is checked first.")
        with percentage("checking", bundle.size_of(lambda name: True)) as progress:
            bundle.check(progress)
        if not _has_program(bundle):
            _install_models(order, order.program or link.command(), environ)
            return
        program = _install_program(order, bundle, key, say, environ)
        if order.models:
            _install_models(order, (str(program),), environ)
        link.set(program)
        say(_conclusion(order, link.path, environ))


def _install_program(order: Order, bundle: Bundle, key: PublicKey, say: Say, environ: Mapping[str, str]) -> Path:
    """Where the program of this bundle is, once it is installed."""
    environment = Environment.of(bundle.manifest, order.to)
    with locked(order.to):
        if environment.is_whole(environ):
            say(f"{environment.directory} has this very program already.")
        else:
            say(f"installing into {environment.directory}; this takes a minute or two.")
            environment.build(bundle, key.id, here(), environ)
    return environment.program


def _install_models(order: Order, program: Sequence[str], environ: Mapping[str, str]) -> None:
    command = [*program, "bundle", "install", str(order.bundle), "--key", str(order.key), "--only-models"]
    ended = run_shown(command, environ)
    if ended == _STOPPED:
        raise KeyboardInterrupt
    if ended:
        raise BundleError(
            "The models of the bundle were not installed, for the reason above; what starts is what started before. "
            "Run it again once that is mended, or with --no-models for the program alone."
        )


def _require_fitting(bundle: Bundle) -> None:
    if fault := fault_of(bundle.manifest, here()):
        raise BundleError(fault)


def _require_no_older(version: str, present: str) -> None:
    """An older bundle is as well signed as it ever was: who has no key can still bring back what was mended since."""
    if is_older(version, present):
        raise UsageError(
            f"This bundle has offline-agent {version}, and {present} is installed, which is newer: what was mended since would be "
            "broken again. Nothing was installed. If that is what you want, say --older."
        )


@contextmanager
def _nobody_else_writes() -> Iterator[None]:
    """Whatever the umask is, what is made in the block can be changed by its owner and their group alone."""
    before = os.umask(0o077)
    os.umask(before | 0o002)
    try:
        yield
    finally:
        os.umask(before)


def _has_program(bundle: Bundle) -> bool:
    return any(member.name.startswith(WHEELS) for member in bundle.manifest.members)


def _introduction(bundle: Bundle, key: PublicKey) -> str:
    signer = f"{key.id} ({key.comment})" if key.comment else key.id
    names = ", ".join(str(model.get("name")) for model in bundle.manifest.models) or "no models"
    what = f"offline-agent {bundle.manifest.version} and {names}" if _has_program(bundle) else names
    return f"signed by the key {signer}: {what}."


def _conclusion(order: Order, link: Path, environ: Mapping[str, str]) -> str:
    listed = [Path(entry) for entry in environ.get("PATH", "").split(os.pathsep)]
    start = COMMAND if order.bin.absolute() in listed else shlex.quote(str(link))
    return f"done. Start it in a repository: {start} chat"


def _parser(to: Path, bin_directory: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="install.pyz",
        description="Installs offline-agent from a bundle, without a network. Everything in the bundle is checked against the "
        "public key before anything of it is run. Take this file and the key from who you trust, on another way than the bundle: "
        "who could change all three could have you run anything.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the bundle, or one of its parts")
    parser.add_argument("--key", type=Path, required=True, metavar="PUB", help="the public key file of who made it")
    add_places(parser, to, bin_directory)
    return parser


def add_places(parser: argparse.ArgumentParser, to: Path, bin_directory: Path) -> None:
    """The options that say what goes where."""
    parser.add_argument(
        "--to", type=Path, default=to, metavar="DIR", help="where the program goes (default: %(default)s)"
    )
    parser.add_argument(
        "--bin",
        type=Path,
        default=bin_directory,
        metavar="DIR",
        help="where the link to it goes (default: %(default)s)",
    )
    parser.add_argument("--no-models", action="store_true", help="install the program alone")
    parser.add_argument("--older", action="store_true", help="install it also in the place of a newer version")


def _tell(sentence: str) -> None:
    # A name in a bundle was chosen by somebody else, and a terminal obeys what it is sent.
    print(f"offline-agent: {shown(sentence)}", file=sys.stderr, flush=True)
