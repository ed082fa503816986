"""All models that there are, as a person sees them: of the catalogue, and of the library, whether they fit and which are used."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from offline_agent.app.configure import EMBEDDER, MODEL, RERANKER, STATIC, Key, key_of, write_setting
from offline_agent.app.library import catalogue_of, choose_model, directory_of, library_of
from offline_agent.errors import AgentError, UsageError
from offline_agent.llm.catalogue import Catalogue, is_vouched_for, model_file
from offline_agent.llm.hardware import Memory, look_around
from offline_agent.llm.recommend import Fits, Machine, Recommendation, fits, recommend, size_of
from offline_agent.models import Card, EmbedderCard, Holding, Kind, ModelCard, Source, SourceFile, Task
from offline_agent.settings import Settings


@dataclass(frozen=True)
class Entry:
    """A model that there is. `card` is assumed from the holding where no list has it (`listed` is false then); `place` is where it
    lies, None where it is not on this machine; `size` is in bytes, 0 where nobody knows; `use` is the setting that has it used, or
    None."""

    card: Card
    listed: bool
    vouched: bool
    holding: Holding | None
    place: Path | None
    size: int
    fits: Fits
    use: Key | None

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def kind(self) -> Kind:
        return self.card.kind


def entries_of(settings: Settings, memory: Memory | None = None) -> list[Entry]:
    """All of them: those of the catalogue in its order, then what the library has besides. `memory` is what is free, looked for
    unless given."""
    catalogue, library = catalogue_of(settings), library_of(settings)
    memory = memory or free_memory()
    held = {holding.name: holding for holding in library.all()}
    listed = [_entry(settings, card, held.pop(card.name, None), memory) for card in catalogue.cards()]
    return [*listed, *(_of_holding(settings, catalogue, holding, memory) for holding in held.values())]


def entry_of(settings: Settings, name: str) -> Entry:
    """The one of that name. Raises UsageError where there is none."""
    library = library_of(settings)
    catalogue, holding = catalogue_of(settings), library.find(name)
    card = catalogue.find(name) or catalogue.find(name.lower())
    if card is not None:
        return _entry(settings, card, holding, free_memory())
    if holding is None:
        raise catalogue.unknown(name)
    return _of_holding(settings, catalogue, holding, free_memory())


def free_memory() -> Memory:
    """Of this machine, with what llama.cpp may have of its GPUs."""
    from offline_agent.llm.gpu import with_gpus

    return with_gpus(look_around())


def recommended(settings: Settings, task: Task, count: int = 3) -> tuple[Machine, tuple[Recommendation, ...]]:
    """The best models for the task on this machine, and what it has: the bandwidth of its memory is measured now."""
    from offline_agent.llm.bandwidth import measure_bandwidth

    memory = free_memory()
    machine = Machine(memory=memory, bandwidth=measure_bandwidth(memory.cores))
    entries = [entry for entry in entries_of(settings, memory) if entry.vouched or not settings.library.listed_only]
    here = {entry.name for entry in entries if entry.place}
    return machine, recommend((entry.card for entry in entries), machine, task, here, count)


def make_default(settings: Settings, name: str) -> tuple[Key, Path]:
    """Has the model of that name used from now on: the setting that says so, and the file it was written to. Raises UsageError, and
    what `choose_model` or `embedder_of` do where it cannot be used."""
    card = entry_of(settings, name).card
    if card.kind == "chat":
        model = settings.model.model_copy(update={"name": card.name, "path": None})
        choose_model(settings.model_copy(update={"model": model}))
    else:
        directory_of(settings, card.name)
    key = key_of(card)
    return key, write_setting(settings, key, card.name)


def card_file(settings: Settings, name: str) -> Path | None:
    """The text about a model that comes with the program: of that name, or about a family that it is named in. None where there is
    none."""
    places = sorted((settings.models_directory / "cards").glob("*.md"))
    if own := next((place for place in places if place.stem == name), None):
        return own
    named = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])")
    return next((place for place in places if named.search(place.read_text(encoding="utf-8"))), None)


class Removable(NamedTuple):
    """What the library has under a name, whole or not: bytes, and the setting that has it used."""

    name: str
    size: int
    use: Key | None


def removable(settings: Settings, name: str) -> Removable:
    """What would be removed. Raises UsageError for what is not in the library."""
    library, card = library_of(settings), catalogue_of(settings).find(name)
    holding, left = library.find(name), library.unfinished().get(name.lower(), 0)
    comes_along = card is not None and card.source is None
    if comes_along and holding is None:
        raise UsageError(f"{name} is part of the program and cannot be removed. Choose another: `models default NAME`.")
    if not library.directory_of(name).exists() and not left:
        raise UsageError(
            f"There is no model {name} in {settings.library_directory}: `models list --installed` says what is."
        )
    known = holding and _of_holding(settings, catalogue_of(settings), holding, Memory(free=0))
    use = known.use if known and not comes_along else None  # what is part of the program stays in use
    return Removable(name.lower(), left + (holding.size if holding else 0), use)


def remove_model(settings: Settings, name: str) -> int:
    """Removes a model from the library, or what was fetched of one; returns the bytes that are free again. Raises UsageError,
    InUse and StorageError."""
    library = library_of(settings)
    if library.directory_of(name).exists():
        return library.remove(name)
    left = library.unfinished().get(name, 0)
    library.discard(name)
    return left


def _of_holding(settings: Settings, catalogue: Catalogue, holding: Holding, memory: Memory) -> Entry:
    """Of a model that the library has under a name which may be no list's."""
    card = catalogue.of_holding(holding)
    if card is None:
        return _entry(settings, _assumed(holding), holding, memory, listed=False)
    return _entry(settings, card.model_copy(update={"name": holding.name}), holding, memory)


def _entry(settings: Settings, card: Card, holding: Holding | None, memory: Memory, listed: bool = True) -> Entry:
    place = _place(settings, card, holding)
    return Entry(
        card=card,
        listed=listed,
        vouched=listed and is_vouched_for(card),
        holding=holding,
        place=place,
        size=holding.size if holding else size_of(card) or _size_at(place),
        fits=fits(card if size_of(card) else _sized(card, place), memory),
        use=_use(settings, card),
    )


def _assumed(holding: Holding) -> Card:
    """Of a model that no list has."""
    if holding.kind == "chat":
        return ModelCard(name=holding.name, licence=holding.licence, size=holding.size)
    form: Literal["reranker", "transformer"] = "reranker" if holding.kind == "reranking" else "transformer"
    return EmbedderCard(name=holding.name, licence=holding.licence, form=form, dimensions=1, max_tokens=512)


def _sized(card: Card, place: Path | None) -> Card:
    """With the size of its files, where it is here and no list has it: then it can be told whether it fits."""
    files = (SourceFile(name="files", size=_size_at(place)),)
    return card.model_copy(update={"source": Source(files=files)})


def _place(settings: Settings, card: Card, holding: Holding | None) -> Path | None:
    if holding is not None:
        return library_of(settings).path_of(holding)
    if card.source is not None:
        return None
    if isinstance(card, ModelCard):
        path = model_file(card, settings.models_directory)
    else:
        try:
            path = directory_of(settings, card.name)
        except AgentError:
            return None
    return path if path.exists() else None


def _use(settings: Settings, card: Card) -> Key | None:
    """What is used at present: a path, or a server, that the settings name wins over every name."""
    key = key_of(card)
    used = {
        MODEL: "" if settings.model.path or settings.endpoint.url else settings.model.name,
        EMBEDDER: "" if settings.embedder.directory else settings.embedder.name,
        STATIC: settings.embedder.static,
        RERANKER: str(settings.index.reranker or ""),
    }
    return key if used[key] == card.name else None


def _size_at(place: Path | None) -> int:
    if place is None:
        return 0
    paths = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in paths)
