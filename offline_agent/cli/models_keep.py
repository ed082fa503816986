"""`models default`, `models remove` and `models verify`: what becomes of those that are here."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack

from offline_agent import app
from offline_agent.cli.meter import Progress, meter
from offline_agent.cli.options import sentence, settings_for, tell
from offline_agent.cli.terminal import confirmed, emit, file_size, printable
from offline_agent.errors import ModelMismatch, UsageError
from offline_agent.settings import Settings, load_settings


def add_to(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _add_default(actions)
    _add_remove(actions)
    _add_verify(actions)


def _add_default(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = actions.add_parser(
        "default",
        help="show or choose what is used",
        description="Without NAME: which model answers, which embeds, and which reranks. With NAME: has that one used from now on, "
        "by a line in config.toml; what else stands there stays as it is.",
    )
    command.add_argument("name", metavar="NAME", nargs="?", help="a model on this machine, as `models list` names it")
    command.add_argument("--json", action="store_true", help="one JSON object: settings and what they name")
    command.set_defaults(run=default)


def _add_remove(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "remove models from this machine"
    command = actions.add_parser(
        "remove", help=text, description=sentence(text) + " What is left of one that was being fetched goes too."
    )
    command.add_argument("names", metavar="NAME", nargs="+", help="as `models list` names it")
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument("--json", action="store_true", help="one JSON object: removed, bytes")
    command.set_defaults(run=remove)


def _add_verify(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "read models again and say what is not as it was"
    command = actions.add_parser(
        "verify",
        help=text,
        description=sentence(text) + " Exit code 48 when something is, or when a record is damaged.",
    )
    command.add_argument("names", metavar="NAME", nargs="*", help="as `models list` names it")
    command.add_argument("--all", action="store_true", help="all on this machine, those that came with the program too")
    command.add_argument(
        "--json", action="store_true", help="one JSON object: models with name, size and faults; records"
    )
    command.set_defaults(run=verify)


# --- default ---------------------------------------------------------------------------------------------------------


def default(arguments: argparse.Namespace) -> int:
    settings = settings_for(arguments)
    if arguments.name is not None:
        key, place = app.make_default(settings, arguments.name)
        tell(printable(f"{key.name} is {arguments.name} now, in {place}."))
        settings = load_settings()
        _tell_what_wins(arguments.name, key, settings)
    used = used_models(settings)
    if arguments.json:
        emit(json.dumps(used, ensure_ascii=False, indent=2))
    elif arguments.name is None:
        emit("\n".join(f"{setting:<20}  {value or 'none'}" for setting, value in used.items()))
    return 0


def used_models(settings: Settings) -> dict[str, str]:
    """What each setting names; "" where nothing is."""
    model, embedder = settings.model, settings.embedder
    answers = {"[endpoint] url": settings.endpoint.url} if settings.endpoint.url else {}
    own = {"[model] path": str(model.path)} if model.path else {"[model] name": model.name}
    vectors = (
        {"[embedder] directory": str(embedder.directory)} if embedder.directory else {"[embedder] name": embedder.name}
    )
    reranker = str(settings.index.reranker or "")
    return {**answers, **own, **vectors, "[embedder] static": embedder.static, "[index] reranker": reranker}


def _tell_what_wins(name: str, key: app.Key, settings: Settings) -> None:
    """Says what keeps the choice from counting."""
    used = used_models(settings)
    if used.get(key.name, "") != name:
        tell(f"But a variable OFFLINE_AGENT_{key.part.upper()}_* of your environment says otherwise, and wins.")
    elif key.part == "model" and settings.endpoint.url:
        tell(f"But {settings.endpoint.url} answers as long as [endpoint] url names it.")


# --- remove ----------------------------------------------------------------------------------------------------------


def remove(arguments: argparse.Namespace) -> int:
    settings = settings_for(arguments)
    found = [app.removable(settings, name) for name in dict.fromkeys(arguments.names)]
    names = [one.name for one in found]
    for one in found:
        if one.use:
            tell(f"{one.name} is what {one.use.name} names: choose another, `models default NAME`.")
    if not arguments.yes:
        print(printable(f"{', '.join(names)}: {file_size(sum(one.size for one in found))}."), file=sys.stderr)
    if not confirmed("Type remove to remove that for good:", "remove", arguments.yes):
        print("Nothing was removed.")
        return 0
    freed = sum(app.remove_model(settings, name) for name in names)
    for note in app.record(settings, "remove", models=names, bytes=freed):
        tell(note)
    if arguments.json:
        emit(json.dumps({"removed": names, "bytes": freed}, ensure_ascii=False, indent=2))
    else:
        print(f"Removed: {', '.join(names)} ({file_size(freed)}).")
    return 0


# --- verify ----------------------------------------------------------------------------------------------------------


def verify(arguments: argparse.Namespace) -> int:
    settings = settings_for(arguments)
    if bool(arguments.names) == arguments.all:
        raise UsageError("Name the models to verify, or say --all.")
    records = tuple(app.library_of(settings).faults()) if arguments.all else ()
    found = list(_verified(settings, tuple(dict.fromkeys(arguments.names)), arguments.json))
    for fault in records:
        tell(printable(fault))
    if arguments.json:
        emit(json.dumps({"models": [one._asdict() for one in found], "records": records}, ensure_ascii=False, indent=2))
    return ModelMismatch.exit_code if records or any(one.faults for one in found) else 0


def _verified(settings: Settings, names: tuple[str, ...], silent: bool) -> Iterator[app.VerifiedModel]:
    """Each as it is done, told unless `silent`."""
    with ExitStack() as shown:

        def progress(name: str) -> Progress:
            shown.close()
            return shown.enter_context(meter(name)).move

        for one in app.verify_models(settings, names, progress):
            shown.close()
            if not silent:
                state = "as it was" if not one.faults else "NOT as it was"
                print(
                    printable(
                        "\n".join([f"{one.name}: {state} ({file_size(one.size)})", *(f"  {f}" for f in one.faults)])
                    )
                )
            yield one
