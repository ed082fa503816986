"""What tests of pulling need: a hub with a model on it, a library, and what was told on the way."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offline_agent.errors import ModelBroken
from offline_agent.library.pull import Pulled, Puller
from offline_agent.library.store import Library
from offline_agent.models import Kind, ModelCard, Source, SourceFile
from offline_agent.settings import HubSettings
from tests.library.hub_server import Hub, digest

REPOSITORY = "owner/model-GGUF"
FILE = "model-q4.gguf"
REFERENCE = f"hub:{REPOSITORY}/{FILE}"
SIZE = 300_000
SECONDS = 5.0
"""How long a connection may be silent where a test is not about that."""


def check(kind: Kind, path: Path) -> None:
    """The smallest check that can fail."""
    if kind == "chat" and not path.read_bytes()[4:].startswith(b"\x03\0\0\0"):
        raise ModelBroken(f"{path.name} is no GGUF of version 3.")


def gguf(size: int = SIZE, seed: int = 1) -> bytes:
    """Bytes that begin as a GGUF does."""
    return b"GGUF\x03\0\0\0" + random.Random(seed).randbytes(size - 8)


@dataclass
class Ground:
    """A hub with one model, and an empty library."""

    hub: Hub
    library: Library
    told: list[Pulled] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.hub.directory / REPOSITORY / FILE

    @property
    def url(self) -> str:
        """Of the file, on a host that is no hub."""
        return f"{self.hub.content_url}/{REPOSITORY}/{FILE}"

    @property
    def part(self) -> Path:
        return self.library.directory_of("model-q4").parent / ".incoming" / "model-q4" / f"{FILE}.part"

    def puller(self, token: str | None = None, listed_only: bool = False, **settings: Any) -> Puller:
        given = {"endpoint": self.hub.url, "timeout_seconds": SECONDS, "attempts": 3, **settings}
        return Puller(self.library, HubSettings(**given), lambda: token, {}, listed_only=listed_only, first_wait=0.01)

    def pull(self, wanted: Any = REFERENCE, **settings: Any) -> Any:
        puller = self.puller(**settings)
        return puller.pull(puller.plan(wanted), self.told.append)

    def card(self, **fields: Any) -> ModelCard:
        """One that pins the file as it is now; `fields` are of the file."""
        pinned = {"name": FILE, "size": self.file.stat().st_size, "sha256": digest(self.file)} | fields
        return ModelCard(name="model-q4", source=Source(repository=REPOSITORY, files=(SourceFile(**pinned),)))


@contextmanager
def ground(directory: Path, size: int = SIZE) -> Iterator[Ground]:
    (directory / "hub" / REPOSITORY).mkdir(parents=True)
    (directory / "hub" / REPOSITORY / FILE).write_bytes(gguf(size))
    with Hub(directory / "hub") as hub:
        yield Ground(hub, Library(directory / "models", check))
