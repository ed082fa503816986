"""`models pull` and `models import`: how a model comes to this machine."""

import argparse
import json
import sys
from collections.abc import Iterator

from offline_agent import app
from offline_agent.cli.meter import meter
from offline_agent.cli.options import settings_for, tell
from offline_agent.cli.terminal import counted, emit, file_size, printable
from offline_agent.errors import AgentError, HubRefused, Stopped, UsageError
from offline_agent.models import Holding
from offline_agent.settings import Settings

_TRUST = {
    "catalogue": "those of the catalogue",
    "hub": "those that the hub tells of its files",
    "first use": "unknown: those of what comes now count from then on",
}
_KINDS = {"chat": "a language model", "embedding": "an embedder", "reranking": "a reranker"}


def add_to(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _add_pull(actions)
    _add_import(actions)


def _add_pull(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = actions.add_parser(
        "pull",
        help="fetch one over the network, after saying from where and how much",
        description="Fetches a model from the hub of [hub] endpoint or from an address. It asks the server what there is, says "
        "where it will connect and how much it will fetch, and asks you. A fetch that was interrupted goes on where it stopped. "
        "What comes is kept apart until its hash and its header are right. A token for a private model: `offline-agent credentials "
        "set hub`.",
    )
    command.add_argument(
        "reference",
        metavar="MODEL",
        help="a name of `models list`, hub:OWNER/NAME/FILE.gguf[@REVISION], or https://HOST/FILE.gguf",
    )
    command.add_argument("--name", default="", metavar="NAME", help="what to call it here, for what no catalogue has")
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument("--json", action="store_true", help="one JSON object: the plan, and what is here now")
    command.set_defaults(run=pull)


def _add_import(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = actions.add_parser(
        "import",
        help="take models from a disk, a stick or another program",
        description="Takes models into the library: GGUF files, directories, sentence-transformers models, or what Ollama, LM "
        "Studio and the Hugging Face cache keep here. They are hashed and recognised by that. Where it is safe the file is linked, "
        "so it takes no space twice. Without PATH it lists what other programs have, and changes nothing.",
    )
    command.add_argument(
        "places", metavar="PATH", nargs="*", help="a file or directory, or what the list names (ollama:NAME)"
    )
    command.add_argument("--copy", action="store_true", help="copy, also where a link would do")
    command.add_argument("--replace", action="store_true", help="let it take the place of another model with its name")
    command.add_argument(
        "--name",
        default="",
        metavar="NAME",
        help="what to call it here (default: what the catalogue does, else the name of the file)",
    )
    command.add_argument("--json", action="store_true", help="one JSON object: models, faults; or, without PATH, found")
    command.set_defaults(run=bring)


# --- pull ------------------------------------------------------------------------------------------------------------


def pull(arguments: argparse.Namespace) -> int:
    settings = settings_for(arguments)
    fetcher = app.Fetcher(settings)
    plan = _planned(fetcher, arguments)
    for line in described(plan, settings):
        print(printable(line), file=sys.stderr)
    if plan.here is None and not _agreed(arguments.yes):
        print("Nothing was fetched.", file=sys.stderr)
        return 0
    holding = _pulled(fetcher, plan)
    for note in _recorded(settings, "pull", holding) if plan.here is None else ():
        tell(printable(note))
    if arguments.json:
        fetched = plan.missing if plan.here is None else 0
        emit(
            json.dumps(
                {"hosts": plan.hosts, "fetched": fetched, "model": holding.model_dump()}, ensure_ascii=False, indent=2
            )
        )
    else:
        print(printable(_done(holding, "is here already, and is what it was" if plan.here else "is here")))
    return 0


def _planned(fetcher: app.Fetcher, arguments: argparse.Namespace) -> app.Plan:
    def asking(address: str) -> None:
        tell(printable(f"Asking {address} what there is; nothing is fetched yet."))

    try:
        with meter("checking what is here") as shown:
            return fetcher.plan(arguments.reference, arguments.name, asking, shown.move)
    except HubRefused as error:
        if not fetcher.problem:
            raise
        # A token may be in a vault that does not open by itself, and then nobody could have known.
        raise HubRefused(f"{error} No token was looked for: {fetcher.problem}") from None


def _pulled(fetcher: app.Fetcher, plan: app.Plan) -> Holding:
    done = plan.on_disk
    try:
        with meter(plan.name) as shown:

            def show(pulled: app.Pulled) -> None:
                nonlocal done
                # While what is there is hashed it is all still there, however little was hashed.
                done = max(pulled.done, plan.on_disk) if pulled.phase == "hashing what is there" else pulled.done
                note = pulled.note or ("" if pulled.phase == "fetching" else pulled.phase)
                shown.show(pulled.done, pulled.total, pulled.rate, pulled.seconds_left, note)

            return fetcher.pull(plan, show)
    except KeyboardInterrupt:
        raise Stopped(_stopped(plan, done)) from None


def _stopped(plan: app.Plan, done: int) -> str:
    if not all(file.identity for file in plan.files):
        return f"Stopped. {plan.name} has to be fetched anew: its server does not say whether it is still the same."
    return f"Stopped. {file_size(done)} of {plan.name} are kept, and the same command goes on from there."


def described(plan: app.Plan, settings: Settings) -> Iterator[str]:
    """What is going to happen."""
    yield f"{plan.name}: {_KINDS[plan.kind]}, licence {plan.licence or 'not told'}"
    yield f"  from      {plan.origin}"
    if plan.revision:
        yield f"  revision  {plan.revision}"
    if plan.here is not None:
        return
    size = file_size(plan.size) if plan.size else "an unknown number of bytes"
    already = f", of which {file_size(plan.on_disk)} are here" if plan.on_disk else ""
    yield f"  connects  {', '.join(plan.hosts)}"
    yield f"  fetches   {size}{already}, in {counted(len(plan.files), 'file')}"
    yield f"  into      {settings.library_directory} ({file_size(plan.free)} free)"
    yield f"  hashes    {_TRUST[plan.trust]}"
    yield from (f"  note      {note}" for note in plan.notes)


def _agreed(yes: bool) -> bool:
    """Whether the person wants it, or has said --yes. Raises UsageError where there is no terminal to ask at."""
    if yes:
        return True
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise UsageError(
            "Nothing was fetched, for there is no terminal to ask at. Say --yes to fetch without a question."
        )
    print("Fetch it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


# --- import ----------------------------------------------------------------------------------------------------------


def bring(arguments: argparse.Namespace) -> int:
    settings = settings_for(arguments)
    if not arguments.places:
        return _list_others(arguments.json)
    if arguments.name and len(arguments.places) > 1:
        raise UsageError("Several models cannot have one name. Import them one by one, or leave out --name.")
    models: list[app.Imported] = []
    faults: list[str] = []
    code = 0
    for place in arguments.places:
        try:
            found = _brought(settings, place, arguments)
        except AgentError as error:
            code = code or error.exit_code
            found = app.Imports(models=(), faults=(str(error),))
        models += found.models
        faults += found.faults
        for fault in found.faults:
            tell(printable(fault))
    if arguments.json:
        listed = [one.model_dump() for one in models]
        emit(json.dumps({"models": listed, "faults": faults}, ensure_ascii=False, indent=2))
    return code


def _brought(settings: Settings, place: str, arguments: argparse.Namespace) -> app.Imports:
    try:
        with meter("import") as shown:
            how = app.How(arguments.name, link=not arguments.copy, replace=arguments.replace)
            found = app.import_models(settings, place, how, shown.move)
    except KeyboardInterrupt:
        raise Stopped(f"Stopped. Nothing of {printable(place)} was taken that was not whole.") from None
    for one in found.models:
        if not arguments.json:
            print(printable(_done(one.holding, "is here")))
        for note in (*one.notes, *_recorded(settings, "import", one.holding)):
            tell(printable(note))
    return found


def _list_others(as_json: bool) -> int:
    found = app.find_others()
    if as_json:
        listed = [
            {
                "reference": app.reference_of(one),
                "kind": one.kind,
                "size": one.size,
                "path": str(one.path),
                "fault": one.fault,
            }
            for one in found
        ]
        emit(json.dumps({"found": listed}, ensure_ascii=False, indent=2))
        return 0
    for one in found:
        print(printable(f"{file_size(one.size):>9}  {app.reference_of(one)}{f'  ({one.fault})' if one.fault else ''}"))
    if found:
        print("\n`offline-agent models import REFERENCE` takes one into the library.")
    else:
        print("No other program keeps models here: Ollama, LM Studio and the Hugging Face cache were looked for.")
    return 0


# --- both ------------------------------------------------------------------------------------------------------------


def _done(holding: Holding, what: str) -> str:
    uses = "ask --model" if holding.kind == "chat" else "models default"
    return f"{holding.name} {what} ({file_size(holding.size)}). `offline-agent {uses} {holding.name}` uses it."


def _recorded(settings: Settings, action: str, holding: Holding) -> tuple[str, ...]:
    """Has the audit chain hold what came from where. Returns what to tell."""
    files = {file.name: file.sha256 for file in holding.files}
    about = {"name": holding.name, "origin": holding.origin, "revision": holding.revision, "trust": holding.trust}
    return app.record(settings, action, **about, files=files)
