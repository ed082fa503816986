"""How models come to this machine, and whether they are still what came: pulled, imported, verified."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from offline_agent.app.library import catalogue_of, library_of
from offline_agent.app.library_vault import HubToken
from offline_agent.app.shelf import Entry, entries_of, entry_of
from offline_agent.environment import surroundings
from offline_agent.errors import AgentError, ModelMissing, StorageError, UsageError
from offline_agent.library.found import Found
from offline_agent.library.imports import Importer, Imports, import_path
from offline_agent.library.plan import Plan
from offline_agent.library.progress import Pulled
from offline_agent.library.reference import is_reference
from offline_agent.library.verify import verify
from offline_agent.llm.catalogue import check_held, model_file, pins
from offline_agent.llm.gguf import check_pinned
from offline_agent.models import EmbedderCard, Holding, ModelCard
from offline_agent.settings import Settings

Progress = Callable[[int, int], None]
"""Gets the bytes that are done, and of how many."""
_REFERENCE = re.compile(r"[a-z-]+:")
"""How the name of what another program keeps begins: see `reference_of`."""


# --- from a hub ------------------------------------------------------------------------------------------------------


class Fetcher:
    """Fetches models, as the settings allow it. Nothing else in the program reaches a hub."""

    def __init__(self, settings: Settings) -> None:
        from offline_agent.library.pull import Puller

        self._catalogue = catalogue_of(settings)
        self._token = HubToken(settings)
        listed = settings.library.listed_only
        self._puller = Puller(library_of(settings), settings.hub, self._token, surroundings(), listed_only=listed)

    def plan(self, wanted: str, name: str, asking: Callable[[str], None], progress: Progress) -> Plan:
        """What fetching a model of the catalogue, or a reference, would do; `asking` and `progress` are as for Puller.plan. Raises
        UsageError for a name that nobody has, for a `name` for what has one, and for one that would be taken for another model of
        the catalogue; and what Puller.plan does."""
        if is_reference(wanted):
            plan = self._puller.plan(wanted, name, asking, progress)
            self._refuse_impostor(plan)
            return plan
        card = self._catalogue.find(wanted) or self._catalogue.find(wanted.lower())
        if card is None:
            raise self._catalogue.unknown(wanted)
        if name:
            raise UsageError(f"{wanted} has its name from the catalogue. Leave out --name.")
        return self._puller.plan(card, "", asking, progress)

    def _refuse_impostor(self, plan: Plan) -> None:
        """Where a card has the name of what nobody listed, only the card's own files may have it: they would be used as the card's,
        and a card without hashes could not tell."""
        card = self._catalogue.find(plan.name)
        pinned = set(pins(card).values()) if card else set()
        if card is not None and not (pinned and pinned <= {file.sha256 for file in plan.files}):
            raise UsageError(
                f"The catalogue has another model called {plan.name}. Give this one a name of its own: --name NAME."
            )

    def pull(self, plan: Plan, progress: Callable[[Pulled], None]) -> Holding:
        """Raises what Puller.pull does."""
        return self._puller.pull(plan, progress)

    @property
    def problem(self) -> str:
        """Why no token could be looked for; empty where it could."""
        return self._token.problem


# --- from this machine -----------------------------------------------------------------------------------------------


def find_others() -> list[Found]:
    """What other programs of the person keep on this machine."""
    from offline_agent.library import others

    around = surroundings()
    return others.find_others(Path(around["HOME"]), around)


def reference_of(found: Found) -> str:
    """What to write to import it: `ollama:NAME`, or its path where no program keeps it."""
    return f"{_slug(found.tool)}:{found.name}" if found.tool else str(found.path)


class How(NamedTuple):
    """How models are imported: under the `name` if one is given, by a `link` where that is safe, and whether one may `replace`
    another that has its name."""

    name: str = ""
    link: bool = True
    replace: bool = False


def import_models(settings: Settings, place: str, how: How, progress: Progress) -> Imports:
    """Imports what is at a path, or what `reference_of` names. Raises what `import_path` does, and ModelMissing for a program that
    keeps no such model."""
    library, cards, listed = library_of(settings), catalogue_of(settings).cards(), settings.library.listed_only
    if _REFERENCE.match(place) is None or os.path.lexists(place):
        return import_path(library, cards, Path(place), listed_only=listed, progress=progress, **how._asdict())
    kept = next((found for found in find_others() if reference_of(found) == place), None)
    if kept is None:
        raise ModelMissing(f"No program here keeps a model {place}: `offline-agent models import` lists what there is.")
    importer = Importer(library, cards, listed_only=listed, link=how.link)
    return Imports(models=(importer.bring(kept, how.name, how.replace, progress),))


def _slug(tool: str) -> str:
    return tool.lower().replace(" ", "-")


# --- whether they are what came ------------------------------------------------------------------------------------------


class Verified(NamedTuple):
    """A model whose files were read, with a sentence for each thing that is not as it should be."""

    name: str
    size: int
    faults: tuple[str, ...]


def verify_models(
    settings: Settings, names: tuple[str, ...], progress: Callable[[str], Progress]
) -> Iterator[Verified]:
    """Reads the files of the models with these names, or of all on this machine where none is given, what comes with the program
    too. `progress` is asked for each by its name. Raises UsageError for a name that nothing has, and ModelMissing for a model that
    is not here."""
    chosen = [entry_of(settings, name) for name in names] if names else entries_of(settings)
    for entry in chosen:
        if entry.place is not None:
            yield Verified(entry.name, entry.size, tuple(_faults(settings, entry, progress(entry.name))))
        elif names:
            raise ModelMissing(
                f"{entry.name} is not on this machine. `offline-agent models list --installed` shows what is."
            )


def _faults(settings: Settings, entry: Entry, progress: Progress) -> Iterator[str]:
    """Sentences. A file that cannot be read is one more fault."""
    try:
        if entry.holding is None:
            _check_built_in(settings, entry)
            return
        yield from (drift.sentence for drift in verify(library_of(settings), entry.holding, progress))
        if entry.listed:
            check_held(entry.card, entry.holding)
    except StorageError:
        raise
    except AgentError as error:
        yield str(error)


def _check_built_in(settings: Settings, entry: Entry) -> None:
    card = entry.card
    if isinstance(card, ModelCard):
        check_pinned(model_file(card, settings.models_directory), card.sha256, card.size)
    elif isinstance(card, EmbedderCard) and entry.place is not None:
        from offline_agent.retrieval import embed

        embed.verify(card, entry.place)
