"""What looks at everything that was read, before a model or the vault gets it: secrets are masked, orders warned of."""

from collections.abc import Iterable
from pathlib import Path

from offline_agent.guard.formats import load_formats
from offline_agent.guard.redact import Redactor
from offline_agent.guard.suspect import Suspicion, load_features


class ReadingInspector:
    """An Inspector for one session, and any thread."""

    def __init__(self, redactor: Redactor, suspicion: Suspicion) -> None:
        self._redactor = redactor
        self._suspicion = suspicion

    def know(self, values: Iterable[str]) -> None:
        """Values of denied files, as `known.values_in` finds them, to mask wherever they turn up."""
        self._redactor.know(values)

    def mask(self, text: str) -> str:
        return self._redactor.mask(text)

    def suspicion(self, text: str) -> str:
        return self._suspicion.of(text)


def open_inspector(directory: Path) -> ReadingInspector:
    """By the declarations of an `index/` directory. Raises UsageError when they are missing or not understood."""
    return ReadingInspector(Redactor(load_formats(directory)), Suspicion(load_features(directory)))
