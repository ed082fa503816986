"""What there is to answer, embed and rerank with: the catalogue, what the library has of it, and what was chosen.

    settings -> catalogue + library -> card and place of a model, or of an embedder

What is in the library was hashed when it came. So a start compares records only, which costs nothing; `models verify` reads the
files again.
"""

import os
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from offline_agent.app.checks import check_model
from offline_agent.errors import Denied, EmbedderError, ModelMismatch, ModelMissing, UsageError
from offline_agent.library.store import Library
from offline_agent.llm.catalogue import (
    OWN,
    Catalogue,
    card_held,
    check_held,
    is_vouched_for,
    load_catalogue,
    model_file,
)
from offline_agent.llm.recommend import gigabytes, size_of
from offline_agent.models import Card, EmbedderCard, Holding, ModelCard
from offline_agent.settings import EmbedderSettings, Settings

_C = TypeVar("_C", bound=Card)
_WEIGHTS = "model.safetensors"


def library_of(settings: Settings) -> Library:
    return Library(settings.library_directory, check_model)


def catalogue_of(settings: Settings) -> Catalogue:
    """The catalogue with the person's own models, or what the settings have in its place. Where the policy of the machine allows
    listed models only, a person cannot list any. Raises UsageError, and Denied for a list that the policy does not name."""
    replacing = settings.library.catalogue
    if lists_are_fixed(settings):
        if replacing is not None and "library.catalogue" not in settings.policy:
            raise Denied("The policy of this machine allows listed models only: unset [library] catalogue.")
        return load_catalogue(settings.models_directory, replacing=replacing)
    return load_catalogue(settings.models_directory, own_list(settings), replacing)


def own_list(settings: Settings) -> Path:
    """Where the person's own list is, or would be."""
    return settings.config_directory / OWN


def lists_are_fixed(settings: Settings) -> bool:
    """Whether the policy of the machine says which models may be used."""
    return settings.library.listed_only and "library.listed_only" in settings.policy


# --- language models -------------------------------------------------------------------------------------------------


class Chosen(NamedTuple):
    """A language model that answers: what is known of it, its file, and whether the file was compared with the card's hash, when
    it came into the library or just now."""

    card: ModelCard
    path: Path
    checked: bool


def choose_model(settings: Settings) -> Chosen:
    """The model that the settings name.

    Raises UsageError for a name that is not known, ModelMissing for a model that is not on this machine, ModelMismatch where the
    library has another than the catalogue means, and Denied for one that no list vouches for where it must.
    """
    catalogue, path = catalogue_of(settings), settings.model.path
    return _named(settings, catalogue) if path is None else _at(path, settings, catalogue)


def model_of(settings: Settings) -> tuple[ModelCard, Path]:
    """What is known of that model, and where its file is. Raises as `choose_model` does."""
    chosen = choose_model(settings)
    return chosen.card, chosen.path


def _at(path: Path, settings: Settings, catalogue: Catalogue) -> Chosen:
    library = library_of(settings)
    holding = _held_at(path, library, settings.library_directory)
    if holding is None:
        card = catalogue.recognise(path)
        return Chosen(_allowed(card, card if card.sha256 else None, settings), path, checked=True)
    listed = catalogue.of_holding(holding)
    return Chosen(_allowed(card_held(listed, holding, path), listed, settings), path, checked=True)


def _named(settings: Settings, catalogue: Catalogue) -> Chosen:
    name, library = settings.model.name, library_of(settings)
    listed, holding = catalogue.models.get(name), library.find(name)
    if listed is not None and listed.file:
        return Chosen(_allowed(listed, listed, settings), model_file(listed, settings.models_directory), checked=False)
    if holding is None or name in catalogue.embedders:
        raise _not_here(catalogue.model(name))
    if holding.kind != "chat":
        raise UsageError(f"{name} is a model for {holding.kind} and cannot answer. Name a language model.")
    path, known = library.path_of(holding), catalogue.of_holding(holding)
    _check_there(holding, path)
    return Chosen(_allowed(card_held(known, holding, path), known, settings), path, checked=True)


def _check_there(holding: Holding, path: Path) -> None:
    """Raises ModelMissing or ModelMismatch for a file of the library that is no more what came. What may not be read is told by who
    opens it."""
    mend = f"Pull or import {holding.name} again; `offline-agent models verify {holding.name}` says all that is wrong."
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise ModelMissing(f"{path} is gone from the library. {mend}") from None
    except OSError:
        return
    if size != holding.files[0].size:
        raise ModelMismatch(f"{path} has {size:,} bytes, and had {holding.files[0].size:,} when it came. {mend}")


def _held_at(path: Path, library: Library, directory: Path) -> Holding | None:
    """What the library knows of a file in it that is loaded by its path."""
    try:
        steps = path.resolve().relative_to(directory.resolve()).parts
    except (OSError, ValueError):
        return None
    holding = library.find(steps[0]) if len(steps) > 1 else None
    held = holding is not None and holding.kind == "chat" and library.path_of(holding).resolve() == path.resolve()
    return holding if held else None


def _allowed(card: _C, listed: Card | None, settings: Settings) -> _C:
    """The card, unless only listed models may be used and no hash of a list vouches for it. Raises Denied."""
    if settings.library.listed_only and not is_vouched_for(listed):
        raise Denied(
            f"Only models that the catalogue has the hash of may be used here [library.listed_only], and {card.name} is none. "
            "`offline-agent models list` shows them."
        )
    return card


def _not_here(card: Card) -> ModelMissing:
    size = size_of(card)
    return ModelMissing(
        f"{card.name} is not on this machine. `offline-agent models pull {card.name}` fetches it"
        f"{f' ({gigabytes(size)})' if size else ''}."
    )


# --- embedders and rerankers -----------------------------------------------------------------------------------------


def embedder_of(settings: Settings, name: str) -> EmbedderCard:
    """What is known of the embedder or reranker of that name, with the place of its files unless they are in a package, and the
    hashes they must have. Raises UsageError, ModelMissing, ModelMismatch, Denied or an EmbedderError."""
    catalogue = catalogue_of(settings)
    listed, holding = catalogue.embedders.get(name), library_of(settings).find(name)
    if listed is not None and listed.source is None:
        return _allowed(_beside_catalogue(listed, settings), listed, settings)
    if holding is None or holding.kind == "chat":
        raise _not_here(catalogue.embedder(name))
    known = catalogue.of_holding(holding)
    return _allowed(_held_embedder(settings, known, holding), known, settings)


def directory_of(settings: Settings, name: str) -> Path:
    """Where the files of that embedder or reranker are. Raises as `embedder_of` does."""
    from offline_agent.retrieval import embed

    return embed.directory_of(embedder_of(settings, name), EmbedderSettings())


def _beside_catalogue(card: EmbedderCard, settings: Settings) -> EmbedderCard:
    if card.package:
        return card
    return card.model_copy(update={"directory": str(settings.models_directory / card.directory)})


def _held_embedder(settings: Settings, listed: Card | None, holding: Holding) -> EmbedderCard:
    directory = library_of(settings).path_of(holding)
    if listed is not None:
        check_held(listed, holding)
    hashes = {file.name: file.sha256 for file in holding.files}
    if _WEIGHTS not in hashes:
        raise EmbedderError(
            f"{holding.name} has no {_WEIGHTS}, so it cannot be used. Pull or import another form of it."
        )
    known = listed if isinstance(listed, EmbedderCard) else _assumed(holding, directory)
    return known.model_copy(update={"name": holding.name, "package": "", "directory": str(directory), "sha256": hashes})


def _assumed(holding: Holding, directory: Path) -> EmbedderCard:
    """What to assume of an embedder that no catalogue knows: its files say how much it reads at once."""
    from offline_agent.retrieval import embed

    form: Literal["reranker", "transformer"] = "reranker" if holding.kind == "reranking" else "transformer"
    card = EmbedderCard(name=holding.name, licence=holding.licence, form=form, dimensions=1, max_tokens=512)
    most = embed.max_tokens_of(card, EmbedderSettings(directory=directory))
    return card.model_copy(update={"max_tokens": most})


# --- names -----------------------------------------------------------------------------------------------------------


def is_name(text: str) -> bool:
    """Whether what a person wrote names a model, and not a file: it does not look like a path, and there is none."""
    if not text or {"/", os.sep, "\0"} & set(text) or text.lower().endswith(".gguf"):
        return False
    return not os.path.lexists(text)
