"""detect-secrets as another Redactor: the same text, line by line through its plug-ins, what they find masked.

Only `analyze_string` is called, which looks at text alone: verification, by which some plug-ins ask a service whether a key works,
begins in `analyze_line` and in filters, and none of these is loaded.
"""

from collections.abc import Iterable, Iterator

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import BasePlugin
from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin


class DetectSecrets:
    """All plug-ins with their default settings, but the one that finds IP addresses."""

    def __init__(self) -> None:
        classes: Iterable[type[BasePlugin]] = get_mapping_from_secret_type_to_class().values()
        self._plugins: list[BasePlugin] = [one() for one in classes if "IPPublic" not in one.__name__]

    def mask(self, text: str) -> str:
        return "\n".join(self._masked(line) for line in text.split("\n"))

    def _masked(self, line: str) -> str:
        for secret in sorted(set(self._found(line)), key=len, reverse=True):
            line = line.replace(secret, "[redacted:peer#1]")
        return line

    def _found(self, line: str) -> Iterator[str]:
        for plugin in self._plugins:
            for secret in plugin.analyze_string(line):
                if (
                    not isinstance(plugin, HighEntropyStringsPlugin)
                    or plugin.calculate_shannon_entropy(secret) > plugin.entropy_limit
                ):
                    yield secret
