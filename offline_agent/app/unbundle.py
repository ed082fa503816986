"""Bundles on the machine that they are for: looked at, and their models taken in. The program itself is installed by
bundle/bootstrap, which calls this one with `bundle install --only-models`.

    bundle -> holdings -> library -> the person's own list -> the default model
"""

import os
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from offline_agent.app.configure import CONFIG, MODEL, write_setting
from offline_agent.app.library import catalogue_of, library_of, lists_are_fixed, own_list
from offline_agent.bundle.bootstrap.archive import Bundle
from offline_agent.bundle.bootstrap.key import PublicKey, read_key
from offline_agent.bundle.order import CARDS
from offline_agent.environment import surroundings
from offline_agent.errors import BundleBroken, Denied, StorageError
from offline_agent.library.store import Library
from offline_agent.llm.catalogue import is_vouched_for, load_catalogue, pins
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


class Places(NamedTuple):
    """Where the program of a bundle goes, and the link that starts it; None for where they usually do."""

    to: Path | None = None
    bin: Path | None = None


def install_bundle(path: Path, key: Path, places: Places, models: bool, say: Say) -> None:
    """Installs program and models as install.pyz does. Raises what that does."""
    from offline_agent.bundle.bootstrap.install import Order, default_places, install

    environ = surroundings()
    to, bin_directory = default_places(Path(environ["HOME"]))
    # Isolated: the directory that a person is in may hold a package of our name.
    program = (sys.executable, "-I", "-m", "offline_agent")
    install(Order(path, key, places.to or to, places.bin or bin_directory, models, program), say, environ)


def install_models(settings: Settings, path: Path, key: Path, say: Say, progress: Progress) -> None:
    """Takes the models of a bundle into the library, its cards into the person's own list, and sets the default model where none is
    set. What is there already is left alone. Raises what Bundle and Library do, and Denied where the policy forbids a model."""
    with Bundle.open(path, read_key(key)) as bundle:
        holdings, library = _holdings(bundle), library_of(settings)
        _require_allowed(settings, holdings)
        for holding in holdings:
            held = library.find(holding.name)
            if held is not None and held.files == holding.files:
                say(f"{holding.name} is there already.")
                continue
            _admit(bundle, library, holding, path.name, progress)
            say(f"{holding.name} is in the library.")
        _add_cards(settings, bundle, say)
        _set_default(settings, bundle.manifest.default_model, say)


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


def _require_allowed(settings: Settings, holdings: Sequence[Holding]) -> None:
    """Raises Denied for a model that no list vouches for, where only listed ones may be used."""
    if not settings.library.listed_only:
        return
    catalogue = catalogue_of(settings)
    for holding in holdings:
        card = catalogue.find(holding.name)
        hashes = {file.sha256 for file in holding.files}
        if card is None or not is_vouched_for(card) or not set(pins(card).values()) <= hashes:
            raise Denied(
                f"Only models that the catalogue has the hash of may be used here [library.listed_only], and {holding.name} of "
                "this bundle is none. Nothing was installed."
            )


def _add_cards(settings: Settings, bundle: Bundle, say: Say) -> None:
    """Adds the bundle's entries to the person's own list, after those that are there. A name that is known keeps its meaning."""
    if not any(member.name == CARDS for member in bundle.manifest.members):
        return
    if lists_are_fixed(settings) or settings.library.catalogue is not None:
        say("The bundle's entries for the list of models are left out: the settings name a list of their own.")
        return
    try:
        cards = tomllib.loads(bundle.read(CARDS).decode())
    except ValueError as error:
        raise BundleBroken(f"The bundle's list of models cannot be read: {error}. Get the bundle anew.") from None
    known, own = catalogue_of(settings), own_list(settings)
    new = {
        part: {name: entry for name, entry in entries.items() if known.find(name) is None}
        for part, entries in cards.items()
    }
    if any(new.values()):
        _replace(own, _with(own, new), lambda path: load_catalogue(settings.models_directory, path))
        say(f"{own} lists {', '.join(name for entries in new.values() for name in entries)} now.")


def _set_default(settings: Settings, name: str, say: Say) -> None:
    """Has the model answer that the bundle names, unless the person or the policy has chosen one."""
    fields = {MODEL.field, MODEL.rival}
    config = settings.config_directory / CONFIG
    chosen = tomllib.loads(config.read_text(encoding="utf-8")).get(MODEL.part, {}) if config.exists() else {}
    fixed = {place.removeprefix(f"{MODEL.part}.") for place in settings.policy}
    if name and name != ModelSettings().name and not fields & (set(chosen) | fixed):
        place = write_setting(settings, MODEL, name)
        say(f"{name} is what answers now ({MODEL.name} in {place}).")


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


def _counted(progress: Progress, total: int) -> Callable[[int], None]:
    """Adds up the bytes that are done."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress(done, total)

    return count
