"""Which models there are: the declarations of `models/catalogue.toml` as values."""

import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from offline_agent.errors import UsageError
from offline_agent.llm.gguf import hash_file
from offline_agent.models import EmbedderCard, ModelCard
from offline_agent.settings import EndpointSettings
from offline_agent.types import Value

_MAP_TOKENS = 1024  # of prompt that is computed once a session; a small model loses itself in much more


class Catalogue(Value):
    models: dict[str, ModelCard] = Field(default_factory=dict)
    embedders: dict[str, EmbedderCard] = Field(default_factory=dict)

    def model(self, name: str) -> ModelCard:
        if name not in self.models:
            raise UsageError(_unknown("model", name, self.models, "bring any GGUF file with --model PATH"))
        return self.models[name]

    def embedder(self, name: str) -> EmbedderCard:
        if name not in self.embedders:
            raise UsageError(_unknown("embedder", name, self.embedders, "name a local directory in embedder.directory"))
        return self.embedders[name]

    def recognise(self, path: Path) -> ModelCard:
        """The card of a file wherever it lies: by size and hash where the catalogue has them, else what to assume of any GGUF."""
        with suppress(OSError):  # what is wrong with the file is said when it is opened as a model
            size = path.stat().st_size
            for card in self.models.values():
                if card.sha256 and card.size == size and hash_file(path) == card.sha256:
                    return card
        return card_for(path)


def load_catalogue(directory: Path) -> Catalogue:
    """The catalogue in a `models/` directory. Raises UsageError when it is missing or not understood."""
    path = directory / "catalogue.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return Catalogue.model_validate({part: _named(entries) for part, entries in values.items()})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"The catalogue {path} cannot be read ({error}): restore it or install again.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise UsageError(f"The catalogue {path} is not right at {place}: {first['msg']}.") from None


def card_for(path: Path) -> ModelCard:
    """What to assume of a GGUF file that the catalogue does not know; the rest is read from the file when it is loaded."""
    return ModelCard(name=path.stem, file=str(path), map_tokens=_MAP_TOKENS)


def card_of(endpoint: EndpointSettings) -> ModelCard:
    """What to assume of a model that a server runs; it tells the rest when it is asked."""
    host = urlsplit(endpoint.url).netloc
    notice = f"Questions, and the code that goes with them, are sent to {host} [endpoint.url]."
    name = endpoint.model or f"the model of {host}"
    return ModelCard(name=name, file="", map_tokens=_MAP_TOKENS, notice=notice)


def model_file(card: ModelCard, directory: Path) -> Path:
    """Where the file of a model is: beside the catalogue, unless the card names an absolute path."""
    return directory / card.file


def _named(entries: Any) -> Any:
    """The key of an entry is its name, so that no name is written twice."""
    if not isinstance(entries, dict):
        return entries
    return {name: {"name": name} | entry if isinstance(entry, dict) else entry for name, entry in entries.items()}


def _unknown(kind: str, name: str, known: dict[str, Any], otherwise: str) -> str:
    return f"There is no {kind} named {name!r}; known are {', '.join(sorted(known)) or 'none'}. Or {otherwise}."
