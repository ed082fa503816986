"""Which card of a catalogue a model is, by the hashes of its files."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from offline_agent.errors import Denied, ModelMismatch
from offline_agent.models import Card, EmbedderCard, HeldFile, Kind, ModelCard, SourceFile


def pinned_files(card: Card) -> tuple[SourceFile, ...]:
    """The files of a card, with what it pins of each: those of its source, or those that come with the program."""
    if card.source is not None and card.source.files:
        return card.source.files
    match card:
        case ModelCard(file=file, sha256=sha256, size=size) if file and sha256:
            return (SourceFile(name=PurePosixPath(file).name, size=size, sha256=sha256),)
        case EmbedderCard(sha256=hashes):
            return tuple(SourceFile(name=name, sha256=sha256) for name, sha256 in hashes.items())
    return ()


def is_pinned(card: Card) -> bool:
    """Whether the hash of every file is known beforehand."""
    files = pinned_files(card)
    return bool(files) and all(file.sha256 for file in files)


class Recognised(NamedTuple):
    """A card, and the names of its files there by those that they have here. Other files are none of it."""

    card: Card
    names: dict[str, str]


def recognise(cards: Iterable[Card], files: Sequence[HeldFile]) -> Recognised | None:
    """The card whose hashes the files have, whatever they are called. None where no card pins such."""
    for card in filter(is_pinned, cards):
        names: dict[str, str] = {}
        for pinned in pinned_files(card):
            # The same content may be there twice: the one with the name first.
            same = [file.name for file in files if file.sha256 == pinned.sha256 and file.name not in names]
            if not same:
                break
            names[min(same, key=lambda name: name != pinned.name)] = pinned.name
        else:
            return Recognised(card, names)
    return None


def could_be(cards: Iterable[Card], sizes: Sequence[int]) -> bool:
    """Whether files of such sizes could be those of a card that pins hashes."""
    return any(
        all(not file.size or file.size in sizes for file in pinned_files(card)) for card in filter(is_pinned, cards)
    )


def namesake(cards: Iterable[Card], kind: Kind, name: str, file: str = "") -> Card | None:
    """The card that has the name, or whose first file is called `file`."""
    for card in cards:
        first = [PurePosixPath(pinned.name).name.casefold() for pinned in pinned_files(card)[:1]]
        if card.name.casefold() == name or (card.kind == kind == "chat" and file.casefold() in first):
            return card
    return None


def agrees(card: Card, kind: Kind, files: Sequence[HeldFile]) -> bool:
    """Whether a model that was not recognised may be the card's for all that the card says: as a rule because nobody has published
    its hashes."""
    hashes, sizes = {file.sha256 for file in files}, {file.size for file in files}
    return card.kind == kind and all(
        pinned.sha256 in ("", *hashes) and pinned.size in (0, *sizes) for pinned in pinned_files(card)
    )


def refuse_impostor(card: Card, origin: str) -> None:
    """Raises ModelMismatch: the model at `origin` claims to be a card, whose hashes it has not."""
    raise ModelMismatch(
        f"{origin} has the name of {card.name}, and not its content: the catalogue has another SHA-256 for that. Fetch it again, "
        "or give it another name with --name."
    )


def refuse_unlisted(origin: str) -> None:
    """Raises Denied: [library] listed_only is on, and no card vouches for the model at `origin`."""
    raise Denied(
        f"{origin} is no model whose hash the catalogue has, and [library] listed_only allows no other. "
        "Add it to the catalogue, or ask who administers this machine."
    )
