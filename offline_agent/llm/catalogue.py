"""Which models there are: the declarations of `models/catalogue.toml` as values, and those that a person or a policy adds.

the program's list   models/catalogue.toml; what comes with the program, and what is to be had
the person's own     ~/.config/offline-agent/models.toml, in the same form: it adds, and cannot make a name mean another model
in place of both     the file of [library] catalogue; what comes with the program stays, as a part of it
"""

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from offline_agent.errors import ModelMismatch, UsageError
from offline_agent.llm.gguf import hash_file
from offline_agent.models import Card, EmbedderCard, Holding, ModelCard
from offline_agent.settings import EndpointSettings
from offline_agent.types import Value

NAME = "catalogue.toml"
OWN = "models.toml"
"""The person's own list, beside config.toml."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,98}[a-z0-9])?(?<!\.gguf)(?<!\.lock)")
"""What a directory of the library can be called, where a model of that name is kept; and what is not taken for a file's name."""
_MAP_TOKENS = 1024  # of prompt that is computed once a session; a small model loses itself in much more


class Catalogue(Value):
    models: dict[str, ModelCard] = Field(default_factory=dict)
    embedders: dict[str, EmbedderCard] = Field(default_factory=dict)

    def model(self, name: str) -> ModelCard:
        if name in self.embedders:
            raise UsageError(f"{name} makes vectors and cannot answer: [embedder] name uses it. Name a language model.")
        if name not in self.models:
            raise UsageError(_unknown("model", name, self.models, "bring any GGUF file with --model PATH"))
        return self.models[name]

    def embedder(self, name: str) -> EmbedderCard:
        if name not in self.embedders:
            raise UsageError(_unknown("embedder", name, self.embedders, "name a local directory in embedder.directory"))
        return self.embedders[name]

    def cards(self) -> tuple[Card, ...]:
        """All of them, language models first, in the order of the files."""
        return (*self.models.values(), *self.embedders.values())

    def find(self, name: str) -> Card | None:
        """The card of any kind with that name."""
        return self.models.get(name) or self.embedders.get(name)

    def of_holding(self, holding: Holding) -> Card | None:
        """The card of a model that the library has: by its name, else by its hashes."""
        held = {file.sha256 for file in holding.files}
        same = (card for card in self.cards() if card.kind == holding.kind and pins(card))
        by_hash = (card for card in same if held.issuperset(pins(card).values()))
        return self.find(holding.name) or next(by_hash, None)

    def unknown(self, name: str) -> UsageError:
        """What to say where nothing has that name."""
        everything = {**self.models, **self.embedders}
        return UsageError(_unknown("model", name, everything, "`offline-agent models import FILE` brings one"))

    def recognise(self, path: Path) -> ModelCard:
        """The card of a file wherever it lies: by size and hash where the catalogue has them, else what to assume of any GGUF. A
        file is read to its end only where a card has its very size."""
        with suppress(OSError):  # what is wrong with the file is said when it is opened as a model
            size = path.stat().st_size
            actual = ""
            for card in self.models.values():
                pinned, expected = _pin_of(card)
                if pinned and expected == size:
                    actual = actual or hash_file(path)
                    if actual == pinned:
                        return card.model_copy(update={"file": str(path), "sha256": actual, "size": size})
        return card_for(path)


def load_catalogue(directory: Path, own: Path | None = None, replacing: Path | None = None) -> Catalogue:
    """The catalogue in a `models/` directory with the person's `own` list, where that file exists; or, in place of both, the list
    `replacing`, with what comes with the program. Raises UsageError for what is missing or not understood, and for an own entry
    that gives a listed name to another model."""
    listed = _read(directory / NAME, directory)
    if replacing is not None:
        return _joined(_that_come_along(listed), _read(replacing, replacing.parent, absolute=True), f"{replacing}")
    if own is None or not own.exists():
        return listed
    added = _read(own, own.parent, absolute=True)
    for card in added.cards():
        _check_same(card, listed.find(card.name), own)
    return _joined(listed, added, str(own))


def card_for(path: Path) -> ModelCard:
    """What to assume of a GGUF file that the catalogue does not know; the rest is read from the file when it is loaded."""
    return ModelCard(name=path.stem, file=str(path), map_tokens=_MAP_TOKENS)


def card_held(card: Card | None, holding: Holding, path: Path) -> ModelCard:
    """The card of a language model that the library has at `path`: what the catalogue says of it, or what to assume, with the hash
    that was computed when it came. Raises ModelMismatch."""
    if card is not None:
        check_held(card, holding)
    first = holding.files[0]
    known = card if isinstance(card, ModelCard) else card_for(path).model_copy(update={"licence": holding.licence})
    held = {"name": holding.name, "file": str(path), "sha256": first.sha256, "size": first.size}
    return known.model_copy(update=held)


def check_held(card: Card, holding: Holding) -> None:
    """Raises ModelMismatch where the library has another file under this name than the card pins, and UsageError where it is
    a model of another kind."""
    if card.kind != holding.kind:
        raise UsageError(
            f"{card.name} is a model for {card.kind} in the catalogue, and the library has one for {holding.kind} under that name. "
            f"Remove it: `offline-agent models remove {card.name}`."
        )
    held = {file.name: file.sha256 for file in holding.files}
    pinned = pins(card)
    for name, sha256 in pinned.items():
        actual = held.get(name) or (holding.files[0].sha256 if len(pinned) == 1 else "")  # a single file may be renamed
        if actual != sha256:
            raise ModelMismatch(
                f"The library has another {name} under the name {card.name} than the catalogue pins (SHA-256). "
                f"`offline-agent models pull {card.name}` fetches the one that is meant."
            )


def pins(card: Card) -> dict[str, str]:
    """The hashes that a card has, by the name of the file; none where nobody has published them."""
    listed = {file.name: file.sha256 for file in card.source.files if file.sha256} if card.source else {}
    match card:
        case ModelCard(sha256=sha256, file=file) if sha256 and not listed:
            return {Path(file).name: sha256}
        case EmbedderCard(sha256=hashes):
            return {**listed, **hashes}
    return listed


def is_vouched_for(card: Card | None) -> bool:
    """Whether a catalogue has the hash of every file of it."""
    if card is None or not pins(card):
        return False
    return isinstance(card, EmbedderCard) or card.source is None or card.source.pinned


def card_of(endpoint: EndpointSettings) -> ModelCard:
    """What to assume of a model that a server runs; it tells the rest when it is asked."""
    host = urlsplit(endpoint.url).netloc
    notice = f"Questions, and the code that goes with them, are sent to {host} [endpoint.url]."
    name = endpoint.model or f"the model of {host}"
    return ModelCard(name=name, file="", map_tokens=_MAP_TOKENS, notice=notice)


def model_file(card: ModelCard, directory: Path) -> Path:
    """Where the file of a model is: beside the catalogue, unless the card names an absolute path."""
    return directory / card.file


def _read(path: Path, directory: Path, absolute: bool = False) -> Catalogue:
    """One list. Paths in it are relative to `directory`; `absolute`, for a list that did not come with the program, writes them
    out."""
    remedy = "correct it" if absolute else "restore it or install again"
    try:
        made = _made(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise UsageError(f"The catalogue {path} is not right at {place}: {first['msg']}.") from None
    except (
        OSError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError: no UTF-8, no TOML, or a number too long
        raise UsageError(f"The catalogue {path} cannot be read ({error}): {remedy}.") from None
    if wrong := [card.name for card in made.cards() if not _is_name(card)]:
        raise UsageError(
            f"The catalogue {path} names {wrong[0]!a}, and no model can be called that: up to 100 small letters, digits and . _ -, "
            "the first and the last a letter or digit, without .gguf or .lock."
        )
    if twice := set(made.models) & set(made.embedders):
        raise UsageError(f"The catalogue {path} names both a model and an embedder {min(twice)}. Rename one.")
    return _absolute(made, directory) if absolute else made


@lru_cache(maxsize=4)
def _made(text: str) -> Catalogue:
    """What a list says. A start wants the catalogue several times, for the model and for each embedder, and to parse it takes ten
    times as long as to read it. Raises ValueError and RecursionError; ValidationError is one."""
    values = tomllib.loads(text)
    _require_64_bits(values)
    return Catalogue.model_validate({part: _named(entries) for part, entries in values.items()})


def _require_64_bits(value: Any) -> None:
    """Raises ValueError for one that has more bits than TOML allows: sums and quotients are made of them."""
    if isinstance(value, dict | list):
        for below in value.values() if isinstance(value, dict) else value:
            _require_64_bits(below)
    elif isinstance(value, int) and abs(value) >= 1 << 63:
        raise ValueError("a number has more than 64 bits")


def _absolute(made: Catalogue, directory: Path) -> Catalogue:
    """The same with paths that hold wherever they are read: `file`, and `directory` where it is not inside a package."""
    models = {
        name: card.model_copy(update={"file": str(directory / card.file)}) if card.file else card
        for name, card in made.models.items()
    }
    embedders = {
        name: card.model_copy(update={"directory": str(directory / card.directory)})
        if card.directory and not card.package
        else card
        for name, card in made.embedders.items()
    }
    return Catalogue(models=models, embedders=embedders)


def _that_come_along(listed: Catalogue) -> Catalogue:
    """What is part of the program: without it there would be neither a built-in model nor a search by meaning."""
    return Catalogue(
        models={name: card for name, card in listed.models.items() if card.source is None},
        embedders={name: card for name, card in listed.embedders.items() if card.source is None},
    )


def _joined(first: Catalogue, second: Catalogue, place: str) -> Catalogue:
    models, embedders = {**first.models, **second.models}, {**first.embedders, **second.embedders}
    if twice := set(models) & set(embedders):
        raise UsageError(f"The catalogue {place} gives the name {min(twice)} to a model of another kind. Rename yours.")
    return Catalogue(models=models, embedders=embedders)


def _check_same(added: Card, listed: Card | None, place: Path) -> None:
    """Raises UsageError where a name that is known would come to mean another model. What is said of it may differ."""
    if listed is None or (
        added.kind == listed.kind and pins(added) == pins(listed) and _origin(added) == _origin(listed)
    ):
        return
    raise UsageError(
        f"The catalogue {place} names {added.name}, which the program's list has with other hashes or from elsewhere. "
        "Give yours another name."
    )


def _origin(card: Card) -> tuple[str, str]:
    return (card.source.repository, card.source.url) if card.source else ("", "")


def _pin_of(card: ModelCard) -> tuple[str, int]:
    """Hash and size of the file that is loaded; "" and 0 where they are not known."""
    if card.sha256:
        return card.sha256, card.size
    files = card.source.files if card.source else ()
    return (files[0].sha256, files[0].size) if files else ("", 0)


def _is_name(card: Card) -> bool:
    """What is never in the library may have capitals too."""
    return _NAME.fullmatch(card.name if card.source else card.name.lower()) is not None


def _named(entries: Any) -> Any:
    """The key of an entry is its name, whatever else it says: a second one could be another model's."""
    if not isinstance(entries, dict):
        return entries
    return {name: entry | {"name": name} if isinstance(entry, dict) else entry for name, entry in entries.items()}


def _unknown(kind: str, name: str, known: Mapping[str, Any], otherwise: str) -> str:
    near = get_close_matches(name.lower(), known, n=3)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"There is no {kind} named {name!r}. {meant}`offline-agent models list` shows what there is; or {otherwise}."
