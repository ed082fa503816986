"""Bundles made: on a machine that can reach an index, of what it has. What becomes of them on the other is in unbundle.py.

library + catalogue + versions -> order -> what is lacking -> bundle, signed with the key in the vault
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from offline_agent import __version__
from offline_agent.app.cards import packed_cards
from offline_agent.app.library import catalogue_of, library_of
from offline_agent.bundle.bootstrap.key import PublicKey
from offline_agent.bundle.order import Made, Order
from offline_agent.environment import surroundings
from offline_agent.errors import BundleError, UsageError
from offline_agent.library.store import Library
from offline_agent.llm.catalogue import Catalogue
from offline_agent.models import Holding
from offline_agent.settings import Settings
from offline_agent.vault.credentials import Credentials

if TYPE_CHECKING:
    from offline_agent.bundle.fetch import Pip
    from offline_agent.bundle.targets import Target

SIGNING = "signing"
"""The private half of the key that bundles are signed with, among the credentials of the vault."""
LOCK = "requirements.lock"
"""The versions that the program was tested with: beside `models/` when it is installed, at the top of a source checkout."""
Say = Callable[[str], None]
Progress = Callable[[int, int], None]
"""Is told how many bytes are done, and of how many."""


# --- keys ------------------------------------------------------------------------------------------------------------


def make_signing_key(credentials: Credentials, comment: str, replace: bool) -> PublicKey:
    """A new pair; the private half goes into the vault. Raises UsageError where there is one and `replace` is not set."""
    from offline_agent.bundle.keys import generate, public_of

    if credentials.get(SIGNING) is not None and not replace:
        raise UsageError(
            "The vault has a signing key already; --show prints its public half. --replace makes another: bundles signed so far "
            "can be checked with the present public key only, so keep that."
        )
    seed = generate()
    public = public_of(seed, comment)
    credentials.set(SIGNING, f"{seed.hex()} {public.comment}".strip())
    return public


def signing_key(credentials: Credentials) -> tuple[bytes, PublicKey]:
    """Both halves. Raises BundleError where there is none."""
    from offline_agent.bundle.keys import public_of

    kept = credentials.get(SIGNING)
    if kept is None:
        raise BundleError("There is no key to sign with yet. Make one: `offline-agent bundle keygen`.")
    encoded, _, comment = kept.partition(" ")
    try:
        seed = bytes.fromhex(encoded)
    except ValueError:
        seed = b""
    return seed, public_of(seed, comment)


# --- made ------------------------------------------------------------------------------------------------------------


class Wish(NamedTuple):
    """What a person asks of `bundle create`. Without `platforms` it is for machines like this one; `python` is the version there,
    such as "3.12", and "" the one that runs here."""

    models: Sequence[str]
    out: Path
    default: str = ""
    platforms: Sequence[str] = ()
    python: str = ""
    wheels: Path | None = None
    indexes: Sequence[str] = ()
    split: int | None = None
    program: bool = True
    replace: bool = False


class Planned(NamedTuple):
    """What `bundle create` is about to do: `lacking` are names of wheels to be fetched or built, and `indexes` where pip looks."""

    order: Order
    pip: "Pip"
    lacking: tuple[str, ...]
    indexes: tuple[str, ...]


def plan_bundle(settings: Settings, wish: Wish, scratch: Path, say: Say) -> Planned:
    """Looks at what is here, and connects nowhere. The program's own wheel is built into `scratch`, a directory that has to last
    until the bundle is made, since it says what else is needed. `say` is told what pip does. Raises UsageError and BundleError."""
    from offline_agent.bundle.create import lacking_wheels
    from offline_agent.bundle.fetch import Pip
    from offline_agent.bundle.wheels import read_pins

    _require_new(wish)
    library, catalogue = library_of(settings), catalogue_of(settings)
    held = [(holding, library.directory_of(holding.name)) for holding in _wanted(wish.models, library, catalogue)]
    pip = Pip(surroundings(), wish.indexes, say)
    order = Order(
        out=wish.out.absolute(),
        version=__version__,
        models=tuple(held),
        default_model=_default(wish.default, [holding for holding, _ in held], catalogue),
        cards=packed_cards(settings, [holding.name for holding, _ in held]),
        targets=_targets(wish) if wish.program else (),
        pins=read_pins(_lock(settings)) if wish.program else {},
        wheels=wish.wheels,
        own=_own_wheel(settings, wish, pip, scratch) if wish.program else None,
        split=wish.split,
        replace=wish.replace,
    )
    lacking = lacking_wheels(order)
    return Planned(order, pip, lacking, pip.indexes() if lacking else ())


def create_bundle(planned: Planned, seed: bytes, progress: Progress) -> Made:
    """Makes it, signed by the private half. Raises BundleError, StorageError, UsageError where the file is there already."""
    from offline_agent.bundle.create import make

    return make(planned.order, planned.pip, seed, progress)


def _own_wheel(settings: Settings, wish: Wish, pip: "Pip", scratch: Path) -> Path | None:
    """The directory with the program's own wheel, built from the source checkout that this is; None where that is not so, or the
    person brings the wheel. It is not kept with the others: the source changes."""
    brought = wish.wheels is not None and any(wish.wheels.glob("offline_agent-*.whl"))
    if brought or not (settings.declarations / "pyproject.toml").is_file():
        return None
    pip.build_own(settings.declarations, scratch)
    return scratch


def _require_new(wish: Wish) -> None:
    """Said before wheels are built for minutes; what writes the bundle looks again."""
    from offline_agent.bundle.bootstrap.parts import parts_beside

    if not wish.replace and (wish.out.exists() or parts_beside(wish.out.absolute())):
        raise UsageError(f"{wish.out} is there already. Give another name, or --replace to have it replaced.")


def _wanted(names: Sequence[str], library: Library, catalogue: Catalogue) -> list[Holding]:
    """The models of these names, each once; one that comes with the program needs no packing."""
    wanted = {}
    for name in names:
        holding, card = library.find(name), catalogue.find(name)
        if holding is not None:
            wanted[holding.name] = holding
        elif card is None or card.source is not None:
            raise UsageError(
                f"The library has no model {name!a} to pack. `offline-agent models list` says what it has; `models pull` and "
                "`models import` bring more."
            )
    return list(wanted.values())


def _default(name: str, held: Sequence[Holding], catalogue: Catalogue) -> str:
    """Which model the other machine uses unless it has chosen one: by default the first that can answer."""
    able = [holding.name for holding in held if holding.kind == "chat"]
    if name and name not in able and (name not in catalogue.models or catalogue.models[name].source is not None):
        raise UsageError(
            f"--default {name!a} is not among the language models that are packed. Name it with --models too."
        )
    return name or next(iter(able), "")


def _targets(wish: Wish) -> "tuple[Target, ...]":
    from offline_agent.bundle.targets import python_of, target_of, this_machine, this_platform

    python = python_of(wish.python)
    if not wish.platforms:
        return (this_machine(),) if python == this_machine().python else (target_of(this_platform(), python),)
    return tuple(target_of(text, python) for text in dict.fromkeys(wish.platforms))


def _lock(settings: Settings) -> str:
    path = settings.declarations / LOCK
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"The list of versions {path} cannot be read: {error}. Install the program again.") from None
