"""Models from this machine into the library: from a stick, a directory, or what another program keeps.

    found -> examined -> staged in quarantine, hashed -> recognised -> admitted

Nothing is believed but content: a model is a catalogue's where its hashes are, whatever it is called, and is refused where it has
the name of one and other hashes.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Literal

from offline_agent.errors import AgentError, EmbedderError, ModelBroken, StorageError, UsageError
from offline_agent.library import recognise, tree
from offline_agent.library.bring import shown
from offline_agent.library.found import Found
from offline_agent.library.others import found_at
from offline_agent.library.stage import Progress, Room, Staged, stage
from offline_agent.library.store import Library, holding_name
from offline_agent.models import Card, Holding
from offline_agent.types import Value

_STAGE = ".import"
"""In quarantine, so that what was fetched there is left alone until the import is known to be good."""


class Imported(Value):
    """A model that the library has now. `way` is how it came: its blocks are shared ("clone"), the file is ("link"), or neither.
    `notes` are sentences on that, and on who vouches for it."""

    holding: Holding
    way: Literal["clone", "link", "copy"]
    notes: tuple[str, ...] = ()


class Imports(Value):
    """What became of the models at a path; `faults` has a sentence for each that was not imported."""

    models: tuple[Imported, ...]
    faults: tuple[str, ...] = ()


def _silent(done: int, total: int) -> None:
    pass


def import_path(
    library: Library,
    cards: Iterable[Card],
    path: Path,
    *,
    name: str = "",
    listed_only: bool = False,
    link: bool = True,
    replace: bool = False,
    progress: Progress = _silent,
) -> Imports:
    """Imports every model at `path` (others.py says what that can be); the arguments are those of `Importer`. Raises what the first
    one did where none could be imported, and UsageError for a `name` where there are several."""
    found = found_at(path)
    if name and len(found) > 1:
        raise UsageError(f"{shown(path)} has {len(found)} models, which cannot all be {name}. Name the file of one.")
    importer = Importer(library, cards, listed_only=listed_only, link=link)
    models: list[Imported] = []
    faults: list[AgentError] = []
    for one in found:
        try:
            models.append(importer.bring(one, name, replace, progress))
        except AgentError as error:
            faults.append(error)
    if not models:
        raise faults[0]
    return Imports(models=tuple(models), faults=tuple(str(fault) for fault in faults))


class Importer:
    """Imports into `library`. `cards` are those of the catalogue; `listed_only` refuses what none of them vouches for. `link`
    allows hard links where they are safe (bring.py). `clock` gives seconds since 1970."""

    def __init__(
        self,
        library: Library,
        cards: Iterable[Card],
        *,
        listed_only: bool = False,
        link: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._library = library
        self._cards = tuple(cards)
        self._listed_only = listed_only
        self._link = link
        self._clock = clock

    def bring(self, found: Found, name: str = "", replace: bool = False, progress: Progress = _silent) -> Imported:
        """Imports one model, under `name` if one is given. `replace` lets it take the place of another with that name.

        Raises ModelBroken or EmbedderError for what is no model or would run code, ModelMissing, ModelMismatch where the content is
        not what a name promises or changes meanwhile, Denied for what is not listed, UsageError for a name that cannot be had,
        InUse, and StorageError. What was there before is there still.
        """
        self._refuse_early(found)
        with self._staging(name.lower() or holding_name(found.name)) as directory:
            room = Room(self._library.mode(), self._library.free)
            staged = stage(found, directory, room, self._link, progress)
            card = recognise.recognise(self._cards, staged.files)
            holding = self._of_card(found, staged, card, name) if card else self._of_nobody(found, staged, name)
            # A card's own files may always have its name; a name that was given is the person's.
            self._check_place(holding, replace or (card is not None and not name))
            self._admit(directory, holding, card.names if card else {file.name: file.name for file in staged.files})
        return Imported(holding=holding, way=staged.way, notes=tuple(_notes(holding, staged, found)))

    def _refuse_early(self, found: Found) -> None:
        """What can be known before gigabytes are copied."""
        if found.fault:
            raise (ModelBroken if found.kind == "chat" else EmbedderError)(found.fault)
        if self._listed_only and not recognise.could_be(self._cards, [file.size for file in found.files]):
            recognise.refuse_unlisted(found.origin)
        place = found.files[0].path if found.kind == "chat" else found.path
        if shown(place) == str(place):  # else it cannot be loaded from there; in the library it has another name
            self._library.examine(found.kind, place)

    @contextmanager
    def _staging(self, name: str) -> Iterator[Path]:
        """An empty directory in quarantine, gone afterwards."""
        with self._library.incoming(name) as quarantine:
            directory = quarantine / _STAGE
            try:
                tree.clear(directory)  # of a kill
                yield directory
            except OSError as error:
                raise StorageError(
                    f"{directory} cannot be written ({error.strerror}). Check its disk, its owner and mode."
                ) from None
            finally:
                with suppress(OSError):
                    tree.clear(directory)

    def _of_card(self, found: Found, staged: Staged, known: recognise.Recognised, name: str) -> Holding:
        card = known.card
        order = {new: file for file in staged.files for old, new in known.names.items() if old == file.name}
        files = [order[file.name].model_copy(update={"name": file.name}) for file in recognise.pinned_files(card)]
        source = card.source
        return Holding(
            name=name.lower() or holding_name(card.name),
            kind=card.kind,
            files=tuple(files),
            trust="catalogue",
            origin=found.origin,
            repository=source.repository if source else found.repository,
            revision=source.revision if source else found.revision,
            licence=card.licence,
            at=self._clock(),
        )

    def _of_nobody(self, found: Found, staged: Staged, name: str) -> Holding:
        """Raises ModelMismatch and Denied."""
        if self._listed_only:
            recognise.refuse_unlisted(found.origin)
        own = name.lower() or holding_name(found.name)
        card = recognise.namesake(self._cards, found.kind, own, "" if name else staged.files[0].name)
        if card and not recognise.agrees(card, found.kind, staged.files):
            recognise.refuse_impostor(card, found.origin)
        return Holding(
            name=name.lower() or (holding_name(card.name) if card else own),
            kind=found.kind,
            files=staged.files,
            trust="first use",
            origin=found.origin,
            repository=found.repository,
            revision=found.revision,
            licence=card.licence if card else "",
            at=self._clock(),
        )

    def _check_place(self, holding: Holding, replace: bool) -> None:
        there = self._library.find(holding.name)
        if there and there.files != holding.files and not replace:
            raise UsageError(
                f"The library has another model called {holding.name}. Give this one another name with --name, or have it take the "
                "place of that one with --replace."
            )

    def _admit(self, directory: Path, holding: Holding, names: dict[str, str]) -> None:
        here = directory.parent
        with nullcontext(here) if here.name == holding.name else self._library.incoming(holding.name) as quarantine:
            for old, new in names.items():
                tree.make((quarantine / new).parent)
                tree.clear(quarantine / new)  # of the same name, of a fetch that was not finished
                (directory / old).rename(quarantine / new)
            try:
                self._library.admit(holding)
            except BaseException:
                for new in names.values():
                    (quarantine / new).unlink(missing_ok=True)
                raise


def _notes(holding: Holding, staged: Staged, found: Found) -> Iterator[str]:
    place = shown(found.files[0].path if len(found.files) == 1 else found.path)
    match staged.way:
        case "link":
            yield f"It is linked to {place}: it takes no space, and what writes into the files there changes the model."
        case "clone":
            yield f"It shares its blocks with {place} until one of the two is written to."
        case "copy":
            yield f"It was copied: {staged.why}."
    if holding.trust == "first use":
        yield f"No catalogue knows it: {holding.files[0].sha256} is the SHA-256 that it has to have from now on."
