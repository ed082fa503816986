"""Bundles on the machine that they are for: looked at, and their models taken in. The program itself is installed by
bundle/bootstrap, which calls this one with `bundle install --only-models`.

    bundle -> holdings -> library -> the person's own list -> the default model
"""

import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from offline_agent.app.cards import add_cards, read_cards
from offline_agent.app.configure import CONFIG, MODEL, write_setting
from offline_agent.app.library import catalogue_of, library_of
from offline_agent.bundle.bootstrap.archive import Bundle
from offline_agent.bundle.bootstrap.key import PublicKey, read_key
from offline_agent.environment import surroundings
from offline_agent.errors import BundleBroken, BundleError, Denied, ModelMismatch, UsageError
from offline_agent.library.store import Library
from offline_agent.llm.catalogue import Catalogue, check_held, is_vouched_for, pins
from offline_agent.models import Holding
from offline_agent.settings import ModelSettings, Settings

Say = Callable[[str], None]
Progress = Callable[[int, int], None]
"""Is told how many bytes are done, and of how many."""


class Verified(NamedTuple):
    """A bundle whose every byte is as it was signed."""

    key: PublicKey
    version: str
    python: str
    platforms: tuple[str, ...]
    models: tuple[Holding, ...]
    default_model: str
    members: tuple[tuple[str, int, str], ...]
    size: int


def verify_bundle(path: Path, key: Path, progress: Progress) -> Verified:
    """Checks signature and every hash. Raises what Bundle does: BundleUntrusted, BundleBroken, BundleError, StorageError."""
    public = read_key(key)
    with Bundle.open(path, public) as bundle:
        bundle.check(_counted(progress, bundle.size_of(lambda name: True)))
        made = bundle.manifest
        members = tuple((member.name, member.size, member.sha256) for member in made.members)
        return Verified(
            public,
            made.version,
            made.python,
            made.platforms,
            _holdings(bundle),
            made.default_model,
            members,
            bundle.size,
        )


class Installing(NamedTuple):
    """Where the program of a bundle goes, and the link that starts it; None for where they usually do. Whether its `models` are
    taken in, and whether it may take the place of a newer version."""

    to: Path | None = None
    bin: Path | None = None
    models: bool = True
    older: bool = False


def install_bundle(path: Path, key: Path, wanted: Installing, say: Say) -> None:
    """Installs program and models as install.pyz does. Raises what that does."""
    from offline_agent.bundle.bootstrap.install import Order, default_places, install

    environ = surroundings()
    to, bin_directory = default_places(Path(environ["HOME"]).absolute())
    # Isolated: the directory that a person is in may hold a package of our name.
    program = (sys.executable, "-I", "-m", "offline_agent")
    order = Order(path, key, wanted.to or to, wanted.bin or bin_directory, wanted.models, program, wanted.older)
    install(order, say, environ)


def install_models(settings: Settings, path: Path, key: Path, say: Say, progress: Progress) -> None:
    """Takes the models of a bundle into the library, its cards into the person's own list, and sets the default model where none is
    set. A model that is there already is left alone; another of its name is replaced. Nothing is done before all of what the bundle
    says was looked at. Raises what Bundle and Library do, BundleError for what gives a listed name to another model, and Denied
    where the policy forbids a model."""
    with Bundle.open(path, read_key(key)) as bundle:
        holdings, library, catalogue = _holdings(bundle), library_of(settings), catalogue_of(settings)
        _require_allowed(settings, holdings, catalogue)
        _require_names(library, holdings)
        _require_same(holdings, catalogue)
        cards = read_cards(bundle, holdings)
        default = _default(bundle.manifest.default_model, holdings, catalogue)
        for holding in holdings:
            held = library.find(holding.name)
            if held is not None and held.files == holding.files:
                say(f"{holding.name} is there already.")
                continue
            _admit(bundle, library, holding, path.name, progress)
            say(
                f"{holding.name} is in the library{'' if held is None else ', in the place of the one that was there'}."
            )
        add_cards(settings, cards, say)
        _set_default(settings, default, say)


def _admit(bundle: Bundle, library: Library, holding: Holding, bundle_name: str, progress: Progress) -> None:
    below = f"models/{holding.name}/"
    origin = f"bundle {bundle_name}" + (f", from {holding.origin}" if holding.origin else "")
    taken = holding.model_copy(update={"trust": "bundle", "origin": origin, "at": time.time()})
    with library.incoming(holding.name) as quarantine:
        library.discard(holding.name)  # of an interrupted pull or import
        bundle.extract(quarantine, lambda name: True, _counted(progress, holding.size), below=below)
        library.admit(taken)


def _holdings(bundle: Bundle) -> tuple[Holding, ...]:
    """What the manifest says of its models. Raises BundleBroken where that is not what the members are."""
    members = {member.name: (member.size, member.sha256) for member in bundle.manifest.members}
    try:
        holdings = tuple(Holding.model_validate(values) for values in bundle.manifest.models)
    except ValidationError as error:
        raise BundleBroken(
            f"What the bundle says of its models is not understood: {error.errors()[0]['msg']}."
        ) from None
    for holding in holdings:
        said = {f"models/{holding.name}/{file.name}": (file.size, file.sha256) for file in holding.files}
        if not said or any(members.get(name) != value for name, value in said.items()):
            raise BundleBroken(
                f"The bundle does not hold what it says of {holding.name}. Ask who made it to make it anew."
            )
    return holdings


def _require_allowed(settings: Settings, holdings: Sequence[Holding], catalogue: Catalogue) -> None:
    """Raises Denied for a model that no list vouches for, where only listed ones may be used."""
    if not settings.library.listed_only:
        return
    for holding in holdings:
        card = catalogue.find(holding.name)
        hashes = {file.sha256 for file in holding.files}
        if card is None or not is_vouched_for(card) or not set(pins(card).values()) <= hashes:
            raise Denied(
                f"Only models that the catalogue has the hash of may be used here [library.listed_only], and {holding.name} of "
                "this bundle is none. Nothing was installed."
            )


def _require_names(library: Library, holdings: Sequence[Holding]) -> None:
    """Raises UsageError and BundleBroken for what the library would know by no name, or by another."""
    for holding in holdings:
        if library.directory_of(holding.name).name != holding.name:
            raise BundleBroken(
                f"The bundle names a model {holding.name!a}, and none has capitals. Ask who made it to make it anew."
            )


def _require_same(holdings: Sequence[Holding], catalogue: Catalogue) -> None:
    """Raises BundleError for a model that has the name of another here: it would be refused when it is used, and have taken the
    place of the right one."""
    for holding in holdings:
        card = catalogue.find(holding.name)
        try:
            if card is not None:
                check_held(card, holding)
        except (ModelMismatch, UsageError):
            raise BundleError(
                f"{holding.name} of this bundle is not the {holding.name} of the catalogue here: its hash or its kind is another. "
                "Nothing was installed. Ask who made it to pack it under another name."
            ) from None


def _default(name: str, holdings: Sequence[Holding], catalogue: Catalogue) -> str:
    """The model that is to answer: one of the bundle's, or one that comes with the program. Raises BundleBroken."""
    built_in = [card.name for card in catalogue.models.values() if card.source is None]
    if name and name not in (*(holding.name for holding in holdings if holding.kind == "chat"), *built_in):
        raise BundleBroken(f"The bundle has {name!a} answer, which it does not hold. Ask who made it to make it anew.")
    return name


def _set_default(settings: Settings, name: str, say: Say) -> None:
    """Has the model answer that the bundle names, unless the person or the policy has chosen one."""
    fields = {MODEL.field, MODEL.rival}
    config = settings.config_directory / CONFIG
    chosen = tomllib.loads(config.read_text(encoding="utf-8")).get(MODEL.part, {}) if config.exists() else {}
    fixed = {place.removeprefix(f"{MODEL.part}.") for place in settings.policy}
    if name and name != ModelSettings().name and not fields & (set(chosen) | fixed):
        place = write_setting(settings, MODEL, name)
        say(f"{name} is what answers now ({MODEL.name} in {place}).")


def _counted(progress: Progress, total: int) -> Callable[[int], None]:
    """Adds up the bytes that are done."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress(done, total)

    return count
