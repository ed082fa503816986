"""`offline-agent bundle`: the program and its models as one signed file, for a machine that has no network."""

import argparse
import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from offline_agent import app
from offline_agent.cli.options import open_existing, sentence, settings_for, tell
from offline_agent.cli.passphrase import TerminalPassphrases
from offline_agent.cli.terminal import counted, file_size, printable, progress_line
from offline_agent.errors import StorageError, UsageError

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3}
_LEAST_PART = 1_000_000
_MEGABYTE = 1_000_000
_SHOWN = 6  # names of wheels, before it is said how many more there are


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "bundle",
        help="the program and its models as one signed file, for a machine without a network",
        description="The program and its models as one signed file, for a machine without a network. There it needs Python and "
        "nothing else. Who does not trust the stick takes the public key and the installer there on another way.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_keygen(actions)
    _add_create(actions)
    _add_verify(actions)
    _add_install(actions)


def _add_keygen(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "make the key that bundles are signed with"
    command = actions.add_parser(
        "keygen",
        help=text,
        description=f"{sentence(text)} The private half stays in the vault; the public half, one line, is for the machines that "
        "bundles are for. Take it there on a way that you trust.",
    )
    command.add_argument(
        "--out", type=Path, metavar="PUB", help="write the public half to this file (default: print it)"
    )
    command.add_argument("--comment", default="", metavar="TEXT", help="whose key it is, for people")
    command.add_argument("--show", action="store_true", help="make none: the public half of the one there is")
    command.add_argument("--replace", action="store_true", help="replace the one there is")
    command.set_defaults(run=keygen)


def _add_create(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "make a bundle, signed with your key"
    command = actions.add_parser(
        "create",
        help=text,
        description=f"{sentence(text)} It says what it packs, and where pip would fetch what is lacking, before it connects "
        "anywhere. The versions are those that the program was tested with. Beside the bundle it puts the installer that opens it.",
    )
    command.add_argument(
        "--models", default="", metavar="A,B", help="models of the library to pack (see `models list`)"
    )
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the bundle to write")
    command.add_argument(
        "--default", default="", metavar="NAME", help="what answers there (default: the first of --models)"
    )
    command.add_argument(
        "--platform",
        action="append",
        default=[],
        metavar="TAG",
        help="for such machines, such as manylinux_2_28_x86_64 (default: for machines like this one)",
    )
    command.add_argument(
        "--python", default="", metavar="X.Y", help="for this version of Python (default: the one here)"
    )
    command.add_argument(
        "--wheels",
        type=Path,
        metavar="DIR",
        help="take wheels from here first, and keep here what is fetched or built; with all of them nothing connects anywhere",
    )
    command.add_argument(
        "--extra-index-url", action="append", default=[], metavar="URL", help="another index for pip to look in"
    )
    command.add_argument(
        "--split", type=_size, metavar="SIZE", help="in parts of at most so many bytes; 4G suits FAT32"
    )
    command.add_argument("--no-program", action="store_true", help="the models alone, for where the program is already")
    command.add_argument("--replace", action="store_true", help="replace FILE")
    command.add_argument("--yes", action="store_true", help="connect without a question")
    command.set_defaults(run=create)


def _add_verify(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "check the signature and every hash of a bundle, and list what is in it"
    command = actions.add_parser("verify", help=text, description=sentence(text))
    _add_bundle(command)
    command.add_argument("--json", action="store_true", help="as JSON, with every member")
    command.set_defaults(run=verify)


def _add_install(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "install the program and the models of a bundle"
    command = actions.add_parser(
        "install",
        help=text,
        description=f"{sentence(text)} Everything in it is checked before anything of it runs. What starts now goes on "
        "starting until the new one works. It is what install.pyz does where there is no program yet.",
    )
    _add_bundle(command)
    command.add_argument(
        "--to", type=Path, metavar="DIR", help="where the program goes (default: ~/.local/opt/offline-agent)"
    )
    command.add_argument("--bin", type=Path, metavar="DIR", help="where the link to it goes (default: ~/.local/bin)")
    command.add_argument("--older", action="store_true", help="install it also in the place of a newer version")
    only = command.add_mutually_exclusive_group()
    only.add_argument("--no-models", action="store_true", help="the program alone")
    only.add_argument("--only-models", action="store_true", help="the models alone, for this program")
    command.set_defaults(run=install)


def _add_bundle(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help="the bundle, or one of its parts")
    command.add_argument("--key", type=Path, required=True, metavar="PUB", help="the public key file of who made it")


# --- keygen ----------------------------------------------------------------------------------------------------------


def keygen(arguments: argparse.Namespace) -> int:
    if arguments.out is not None and arguments.out.exists() and not (arguments.show or arguments.replace):
        raise UsageError(f"{arguments.out} is there already. Name another file; no key was made.")
    if arguments.show:
        with closing(open_existing(arguments)) as opened:
            public = app.signing_key(opened.archive.credentials)[1]
    else:
        with closing(app.open_vault(settings_for(arguments), TerminalPassphrases(), tell)) as opened:
            public = app.make_signing_key(opened.archive.credentials, arguments.comment, arguments.replace)
            opened.archive.audit.add("bundle", action="keygen", key=public.id)
        tell(f"The private half of the key {public.id} is in the vault.")
    if arguments.out is None:
        sys.stdout.write(public.line())
        return 0
    try:
        arguments.out.write_text(public.line(), encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{arguments.out} cannot be written: {error.strerror}. Elsewhere: `offline-agent bundle keygen --show --out PUB`."
        ) from None
    print(f"{arguments.out} has the public half of the key {public.id}.")
    return 0


# --- create ----------------------------------------------------------------------------------------------------------


def create(arguments: argparse.Namespace) -> int:
    settings = settings_for(arguments)
    with closing(open_existing(arguments)) as opened:
        seed, public = app.signing_key(opened.archive.credentials)
        with _status_line() as say, tempfile.TemporaryDirectory(prefix="offline-agent-bundle-") as scratch:
            planned = app.plan_bundle(settings, _wish(arguments), Path(scratch), say)
            say("")
            print(_announcement(planned), file=sys.stderr)
            if planned.lacking and not _agreed(arguments.yes):
                print("Nothing was fetched.", file=sys.stderr)
                return 0
            with _megabytes("packing") as progress:
                made = app.create_bundle(planned, seed, progress)
        opened.archive.audit.add("bundle", action="create", file=str(made.files[0]), key=public.id)
    print(_directions(made, public.id))
    return 0


def _wish(arguments: argparse.Namespace) -> app.Wish:
    names = [name for name in re.split(r"[,\s]+", arguments.models) if name]
    return app.Wish(
        models=names,
        out=arguments.out,
        default=arguments.default,
        platforms=arguments.platform,
        python=arguments.python,
        wheels=arguments.wheels,
        indexes=arguments.extra_index_url,
        split=arguments.split,
        program=not arguments.no_program,
        replace=arguments.replace,
    )


def _announcement(planned: app.Planned) -> str:
    """What goes into the bundle, and where it would be fetched from."""
    order = planned.order
    lines = [f"{order.out} will hold:"]
    if order.targets:
        lines.append(f"  offline-agent {order.version} for {' and '.join(map(str, order.targets))}")
    lines += [f"  {holding.name}, {file_size(holding.size)}" for holding, _ in order.models]
    if planned.lacking:
        names = ", ".join(planned.lacking[:_SHOWN])
        more = f" and {len(planned.lacking) - _SHOWN} more" if len(planned.lacking) > _SHOWN else ""
        lines.append(f"pip fetches {names}{more}, and what those need in turn, from")
        lines += [f"  {place}" for place in planned.indexes or ("nowhere: no index is configured",)]
        lines.append("What has only its source is built here: llama.cpp takes some minutes.")
    return printable("\n".join(lines))


def _agreed(yes: bool) -> bool:
    if yes:
        return True
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise UsageError("There is no terminal to ask at. Say --yes to have it fetched; nothing was fetched.")
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _directions(made: app.Made, key: str) -> str:
    """What was made, and what to type on the other machine."""
    names = made.files[0].name if len(made.files) == 1 else f"{made.files[0].name} to {made.files[-1].name}"
    file = shlex.quote(made.files[0].name)
    lines = [
        f"{names}: {file_size(made.size)}, {counted(made.wheels, 'wheel')}, signed by the key {key}.",
        "",
        "There:",
    ]
    if made.installer is None:
        lines.append(f"  offline-agent bundle install {file} --key PUB")
    else:
        lines.append(f"  python3 {made.installer.name} {file} --key PUB")
    return "\n".join(lines)


# --- verify and install ----------------------------------------------------------------------------------------------


def verify(arguments: argparse.Namespace) -> int:
    with _megabytes("checking") as progress:
        found = app.verify_bundle(arguments.file, arguments.key, progress)
    print(_as_json(found) if arguments.json else _listed(found))
    return 0


def _as_json(found: app.Verified) -> str:
    values = found._asdict() | {
        "key": {"id": found.key.id, "comment": found.key.comment},
        "models": [holding.model_dump(mode="json") for holding in found.models],
        "members": [{"name": name, "size": size, "sha256": sha256} for name, size, sha256 in found.members],
    }
    return json.dumps(values, indent=2)


def _listed(found: app.Verified) -> str:
    wheels = [name for name, _, _ in found.members if name.startswith("wheels/")]
    lines = [f"Every byte is as it was signed by the key {found.key.id} {found.key.comment}".rstrip() + "."]
    if wheels:
        lines.append(f"  offline-agent {found.version} for Python {found.python} on {' and '.join(found.platforms)}")
    for holding in found.models:
        default = ", which answers unless another was chosen" if holding.name == found.default_model else ""
        lines.append(f"  {holding.name}, {file_size(holding.size)}, {holding.licence or 'licence unknown'}{default}")
    lines.append(
        f"  {counted(len(found.members), 'file')}, {counted(len(wheels), 'wheel')}, {file_size(found.size)} together"
    )
    return printable("\n".join(lines))


def install(arguments: argparse.Namespace) -> int:
    if arguments.only_models:
        with _megabytes("unpacking") as progress:
            app.install_models(settings_for(arguments), arguments.file, arguments.key, tell, progress)
        return 0
    wanted = app.Installing(arguments.to, arguments.bin, not arguments.no_models, arguments.older)
    app.install_bundle(arguments.file, arguments.key, wanted, tell)
    return 0


# --- shown -----------------------------------------------------------------------------------------------------------


@contextmanager
def _megabytes(what: str) -> Iterator[Callable[[int, int], None]]:
    """What to call with bytes; it shows them as megabytes, each once."""
    last = -1
    with progress_line(f"{what}, in MB:") as show:

        def progress(done: int, total: int) -> None:
            nonlocal last
            if show is not None and done // _MEGABYTE != last:
                last = done // _MEGABYTE
                show(last, total // _MEGABYTE)

        yield progress


@contextmanager
def _status_line() -> Iterator[Callable[[str], None]]:
    """What to call with what goes on; on a terminal each line takes the place of the last."""
    if not sys.stderr.isatty():
        yield lambda line: None
        return

    def show(line: str) -> None:
        sys.stderr.write(f"\r\x1b[K{printable(line)[: shutil.get_terminal_size().columns - 1]}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        show("")


def _size(text: str) -> int:
    """For `type`: bytes, such as 4G."""
    match = re.fullmatch(r"(\d{1,12})([KMG]?)B?", text.strip().upper())
    size = int(match[1]) * _UNITS[match[2]] if match else 0
    if size < _LEAST_PART:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is no size of 1M or more, such as 4G")
    return size
