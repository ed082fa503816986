"""Entries of a person's own list of models, as they travel in a bundle with the models that they are about.

    their list -> entries of what is packed -> bundle -> entries that may be added -> another person's list

A bundle is made by somebody who is trusted to sign it. What it adds to a list here is still about its own models alone, and names
no place on this machine.
"""

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from offline_agent.app.library import catalogue_of, lists_are_fixed, own_list
from offline_agent.bundle.bootstrap.archive import Bundle
from offline_agent.bundle.order import CARDS
from offline_agent.errors import BundleBroken, StorageError
from offline_agent.llm.catalogue import load_catalogue
from offline_agent.models import Card, EmbedderCard, Holding, ModelCard
from offline_agent.settings import Settings

Entries = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By part of the list, then by name."""
_PARTS: Mapping[str, type[Card]] = {"models": ModelCard, "embedders": EmbedderCard}
_LOCAL = ("file", "directory", "package")
"""What an entry can say of where a model lies on one machine."""


def packed_cards(settings: Settings, names: Sequence[str]) -> bytes:
    """The entries for models that are packed, as TOML; empty where there is none. Comments stay here, and so do
    entries that name a place on this machine, and passwords in addresses: they are nobody else's."""
    import tomlkit

    own = own_list(settings)
    if not names or not own.exists():
        return b""
    listed: Entries = tomllib.loads(own.read_text(encoding="utf-8"))  # catalogue_of has read it before
    wanted = {
        part: {name: _without_password(entry) for name, entry in entries.items() if name in names and _travels(entry)}
        for part, entries in listed.items()
    }
    packed = {part: entries for part, entries in wanted.items() if entries}
    return tomlkit.dumps(packed).encode() if packed else b""


def read_cards(bundle: Bundle, holdings: Sequence[Holding]) -> Entries:
    """The entries that a bundle has for its models. Raises BundleBroken for any other."""
    if not any(member.name == CARDS for member in bundle.manifest.members):
        return {}
    parts = {holding.name: "models" if holding.kind == "chat" else "embedders" for holding in holdings}
    try:
        listed = tomllib.loads(bundle.read(CARDS).decode())
        for part, entries in listed.items():
            for name, entry in entries.items():
                if parts.get(name) != part or not _travels(entry):
                    raise ValueError(f"{name!a} is not about one of its models")
                _PARTS[part].model_validate({**entry, "name": name})
    except ValidationError as error:
        raise _broken(error.errors()[0]["msg"]) from None
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise _broken(str(error)) from None
    return listed


def add_cards(settings: Settings, cards: Entries, say: Callable[[str], None]) -> None:
    """Adds entries to the person's own list, after those that are there. A name that is known keeps its meaning. Raises
    StorageError."""
    if not cards:
        return
    if lists_are_fixed(settings) or settings.library.catalogue is not None:
        say("The bundle's entries for the list of models are left out: the settings name a list of their own.")
        return
    known, own = catalogue_of(settings), own_list(settings)
    new = {
        part: {name: entry for name, entry in entries.items() if known.find(name) is None}
        for part, entries in cards.items()
    }
    if any(new.values()):
        _replace(own, _with(own, new), lambda path: load_catalogue(settings.models_directory, path))
        say(f"{own} lists {', '.join(name for entries in new.values() for name in entries)} now.")


def _travels(entry: Mapping[str, Any]) -> bool:
    return "source" in entry and not any(entry.get(key) for key in _LOCAL)


def _without_password(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    source = entry["source"]
    if "@" not in urlsplit(source.get("url", "")).netloc:
        return entry
    address = urlsplit(source["url"])
    plain = address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()
    return {**entry, "source": {**source, "url": plain}}


def _broken(reason: str) -> BundleBroken:
    return BundleBroken(f"The bundle's list of models cannot be used: {reason}. Ask who made it to make it anew.")


def _with(path: Path, added: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of a TOML file with these entries in its tables, and everything else as the person wrote it."""
    import tomlkit

    document = tomlkit.parse(path.read_text(encoding="utf-8") if path.exists() else "")
    for part, entries in added.items():
        for name, entry in entries.items():
            if part not in document:
                document[part] = tomlkit.table()
            document[part][name] = entry
    return tomlkit.dumps(document)


def _replace(path: Path, text: str, check: Callable[[Path], object]) -> None:
    """Writes a file of the person's in one step, once `check` has read it. Raises StorageError and what the check does."""
    unfinished = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="utf-8")
        check(unfinished)
        os.replace(unfinished, path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}. Check that you own its directory, and make room."
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)
