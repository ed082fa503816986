"""What a pull is going to do, said before it does it."""

from typing import Literal

from offline_agent.models import Holding, Kind, SourceFile
from offline_agent.types import Value

RESERVE = 1_000_000_000
"""Bytes that stay free on the disk; a twentieth of what is fetched, where that is more."""


class Wanted(SourceFile):
    """A file to fetch from `url`. `size` and `sha256` are what the card pins, else what the hub announces; 0 and "" where neither
    does. `blob` is the name that git has for the content of a small file, which holds a SHA-1 of it. `version` is what the
    server of a single file calls its present content: a strong ETag, or when it was changed."""

    url: str
    blob: str = ""
    version: str = ""

    @property
    def identity(self) -> str:
        """The same for the same content, wherever it comes from; "" where nothing tells."""
        if self.sha256:
            return f"sha256 {self.sha256}"
        if self.blob:
            return f"git {self.blob}"
        return f"{self.version} of {self.url}" if self.version else ""


class Plan(Value):
    """To fetch the model `name`. `hosts` is where it will connect; `size` is in bytes, 0 where it is not known; `on_disk` of them
    were fetched already; `free` is what the disk has. `here` is the model, where the library has it already: then nothing is
    fetched. `notes` are sentences."""

    name: str
    kind: Kind
    origin: str
    hosts: tuple[str, ...]
    files: tuple[Wanted, ...]
    size: int = 0
    on_disk: int = 0
    free: int = 0
    trust: Literal["catalogue", "hub", "first use"]
    repository: str = ""
    revision: str = ""
    licence: str = ""
    notes: tuple[str, ...] = ()
    here: Holding | None = None

    @property
    def missing(self) -> int:
        """Bytes that are still to be fetched; 0 where that is not known."""
        return max(0, self.size - self.on_disk)

    @property
    def room(self) -> int:
        """Bytes that the disk must have free."""
        return self.missing + max(RESERVE, self.size // 20)
