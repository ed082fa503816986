"""`models list` and `models info`: what there is, and what is known of one."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

from offline_agent import app
from offline_agent.cli.options import sentence, settings_for, tell
from offline_agent.cli.terminal import counted, emit, file_size, local_time, printable
from offline_agent.errors import UsageError
from offline_agent.models import Card, EmbedderCard, Kind, ModelCard
from offline_agent.settings import Settings

KINDS: dict[Kind, str] = {
    "chat": "language models",
    "embedding": "embedders, for search by meaning",
    "reranking": "rerankers, which look at the best results again",
}
_NARROW = 96  # columns: with fewer there is none for the licence
_FITS = {"partly on the GPU": "partly GPU", "on the GPU": "on the GPU", "unknown": "?"}
_LABEL = 12  # columns of the names of facts


def add_to(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _add_list(actions)
    _add_info(actions)


def _add_list(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "the models there are: name, size, parameters, licence, whether they fit here, whether they are here"
    command = actions.add_parser(
        "list",
        help="the models there are, and which are here",
        description=sentence(text)
        + " A star marks what is used. Whether one fits is judged by the memory that is free now.",
    )
    which = command.add_mutually_exclusive_group()
    which.add_argument("--installed", action="store_true", help="only those on this machine")
    which.add_argument("--available", action="store_true", help="only those that are not")
    command.add_argument("--kind", choices=get_args(Kind), help="only of that kind")
    command.add_argument(
        "--json", action="store_true", help="one JSON object: models, library, free, unfinished; bytes"
    )
    command.set_defaults(run=show_all)


def _add_info(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "what is known of one: where it is from, its hashes, what it needs, its traps"
    command = actions.add_parser("info", help=text, description=sentence(text))
    command.add_argument("name", metavar="NAME", help="as `models list` names it")
    how = command.add_mutually_exclusive_group()
    how.add_argument("--card", action="store_true", help="the text of its card instead, where it has one")
    how.add_argument("--json", action="store_true", help="one JSON object; sizes in bytes")
    command.set_defaults(run=show_one)


# --- list ------------------------------------------------------------------------------------------------------------


def show_all(arguments: argparse.Namespace) -> int:
    settings = settings_for(arguments)
    library = app.library_of(settings)
    entries = [entry for entry in app.entries_of(settings) if _wanted(entry, arguments)]
    if arguments.json:
        listed = [as_json(entry) for entry in entries]
        found = {"models": listed, "library": str(settings.library_directory), "free": library.free()}
        emit(json.dumps({**found, "unfinished": library.unfinished()}, ensure_ascii=False, indent=2))
    else:
        emit("\n".join(table(entries, settings)) if entries else "There is none of that kind.")
        for line in unfinished(library.unfinished()):
            emit(line)
    for fault in library.faults():
        tell(printable(fault))
    return 0


def _wanted(entry: app.Entry, arguments: argparse.Namespace) -> bool:
    if arguments.kind and entry.kind != arguments.kind:
        return False
    return entry.place is not None if arguments.installed else entry.place is None if arguments.available else True


def table(entries: Sequence[app.Entry], settings: Settings) -> Iterator[str]:
    """Lines for each kind, cut where the terminal ends."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    licence = width is None or width >= _NARROW
    for kind, title in KINDS.items():
        rows = [entry for entry in entries if entry.kind == kind]
        if rows:
            yield title
            longest = max(len(entry.name) for entry in rows)
            yield from (_row(entry, longest, licence, settings)[:width] for entry in rows)
    here = sum(entry.place is not None for entry in entries)
    yield f"{here} of {counted(len(entries), 'model')} on this machine. `models info NAME` says more of one."


def unfinished(sizes: Mapping[str, int]) -> Iterator[str]:
    """A line for each model of which a part was fetched: the bytes of that, by name."""
    for name, size in sizes.items():
        yield f"{name}: {file_size(size)} so far. `models pull` goes on from there, `models remove {name}` gives it up."


def _row(entry: app.Entry, longest: int, with_licence: bool, settings: Settings) -> str:
    card = entry.card
    cells = [
        f"{'*' if entry.use else ' '} {printable(entry.name):<{longest}}",
        f"{file_size(entry.size) if entry.size else '?':>8}",
        f"{app.billions(card.parameters) if card.parameters else '?':>6}",
        *([f"{printable(card.licence or '?')[:18]:<18}"] if with_licence else []),
        f"{_FITS.get(entry.fits, entry.fits):<11}",
        state(entry, settings),
    ]
    return "  ".join(cells).rstrip()


def state(entry: app.Entry, settings: Settings) -> str:
    """In a word or two: whether it is here, and whether it may be."""
    if settings.library.listed_only and not entry.vouched:
        return "not allowed"
    if entry.place is None:
        return ""
    return "here" if entry.holding else "built in"


def as_json(entry: app.Entry) -> dict[str, object]:
    card = entry.card
    return {
        "name": entry.name,
        "kind": entry.kind,
        "size": entry.size,
        "parameters": card.parameters,
        "licence": card.licence,
        "fits": entry.fits,
        "installed": entry.place is not None,
        "built_in": entry.place is not None and entry.holding is None,
        "default": entry.use is not None,
        "listed": entry.listed,
        "hashes_known": entry.vouched,
        "good_for": card.good_for,
        "path": str(entry.place or ""),
    }


# --- info ------------------------------------------------------------------------------------------------------------


def show_one(arguments: argparse.Namespace) -> int:
    settings = settings_for(arguments)
    entry = app.entry_of(settings, arguments.name)
    place = app.card_file(settings, entry.card.name)
    about = str(place or "")
    if arguments.card:
        emit(_card_text(place, entry.name))
    elif arguments.json:
        facts = {**as_json(entry), "card": entry.card.model_dump(mode="json"), "card_file": about}
        holding = entry.holding.model_dump(mode="json") if entry.holding else None
        emit(json.dumps({**facts, "holding": holding}, ensure_ascii=False, indent=2))
    else:
        emit("\n".join(described(entry, settings, about)))
    return 0


def _card_text(place: Path | None, name: str) -> str:
    if place is None:
        raise UsageError(f"{name} has no card. `offline-agent models info {name}` says what is known.")
    return place.read_text(encoding="utf-8").rstrip("\n")


def described(entry: app.Entry, settings: Settings, card_file: str) -> Iterator[str]:
    """Lines for people."""
    card, least, comfortable = entry.card, *app.needs(entry.card)
    yield " ".join(filter(None, [f"{entry.name}: {_kind_of(card)}.", card.summary]))
    facts = {
        "parameters": _parameters(card),
        "licence": card.licence,
        "good for": ", ".join(card.good_for),
        "size": file_size(entry.size) if entry.size else "",
        "memory": f"at least {app.gigabytes(least)}, better {app.gigabytes(comfortable)}; fits here: {entry.fits}"
        if least
        else "",
        "context": _context(card),
        "dialect": card.dialect if isinstance(card, ModelCard) else "",
        "source": _source(card, settings),
        "here": str(entry.place or f"no; `offline-agent models pull {entry.name}` fetches it"),
        "from": _origin(entry),
        "used": _used(entry),
        "card": f"{card_file} (--card shows it)" if card_file else "",
    }
    yield from (f"{label:<{_LABEL}}{fact}" for label, fact in facts.items() if fact)
    yield from (f"{'mind':<{_LABEL}}{trap}" for trap in card.traps)
    yield from (f"{'sha256':<{_LABEL}}{line}" for line in _hashes(entry))
    if not entry.listed:
        yield "No catalogue has it: what is not known of it is assumed."


def _used(entry: app.Entry) -> str:
    if entry.use:
        return entry.use.name
    return f"no; `offline-agent models default {entry.name}` has it used" if entry.place else "no"


def _kind_of(card: Card) -> str:
    if isinstance(card, EmbedderCard):
        return {"transformer": "an embedder", "static": "a static embedder", "reranker": "a reranker"}[card.form]
    return "a language model"


def _parameters(card: Card) -> str:
    active = card.active_parameters if isinstance(card, ModelCard) else 0
    part = f", {app.billions(active)} of them for each token" if active else ""
    return f"{app.billions(card.parameters)}{part}" if card.parameters else ""


def _context(card: Card) -> str:
    if isinstance(card, ModelCard):
        trained = f", trained for {card.trained_context:,}" if card.trained_context else ""
        return f"{card.context:,} tokens{trained}"
    return f"{card.max_tokens:,} tokens of a text are read" if isinstance(card, EmbedderCard) else ""


def _source(card: Card, settings: Settings) -> str:
    source = card.source
    if source is None:
        return ""
    if source.url:
        return source.url
    return f"{settings.hub.endpoint}/{source.repository}" + (f" at {source.revision}" if source.revision else "")


def _origin(entry: app.Entry) -> str:
    """Where the files that are here came from, and who vouched for them."""
    held = entry.holding
    if held is None:
        return "the program itself" if entry.place else ""
    at = f" on {local_time(held.at, 'minutes')}" if held.at else ""
    vouched = {
        "catalogue": "its hashes are those of the catalogue",
        "hub": "its hashes are those that the hub told",
        "bundle": "its hashes are those of a signed bundle",
        "first use": "nobody vouched for its hashes: they are those of the first time",
    }[held.trust]
    return f"{held.origin}{at}; {vouched}"


def _hashes(entry: app.Entry) -> Iterable[str]:
    known = {file.name: file.sha256 for file in entry.holding.files} if entry.holding else app.pins(entry.card)
    if not known:
        return ["nobody has published it; what is fetched first is kept and compared from then on"]
    return [f"{sha256}  {name}" for name, sha256 in known.items()]
