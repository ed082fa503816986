"""What is asked of `create`, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from offline_agent.models import Holding

if TYPE_CHECKING:
    from offline_agent.bundle.targets import Target

CARDS = "catalogue/models.toml"
"""The member with entries for the person's own list of models."""


@dataclass(frozen=True)
class Order:
    """What a bundle shall hold. `models` are holdings with their directories. Without `targets` it holds no program. `pins` are the
    versions of what the program needs; `wheels` is a directory where they are looked for first, and kept; `own` another with the
    program's own wheel, unless that is there. `cards` are entries for the person's own list of models, as TOML."""

    out: Path
    version: str
    models: tuple[tuple[Holding, Path], ...] = ()
    default_model: str = ""
    cards: bytes = b""
    targets: "tuple[Target, ...]" = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    wheels: Path | None = None
    own: Path | None = None
    split: int | None = None
    replace: bool = False


@dataclass(frozen=True)
class Made:
    """A bundle that was made: its files, the installer beside it, and how many bytes and wheels."""

    files: tuple[Path, ...]
    installer: Path | None
    size: int
    wheels: int
