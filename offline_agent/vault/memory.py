"""The double of the journals: in memory, and in clear."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from offline_agent.errors import StorageError


class MemoryJournal:
    """A Journal that goes with the process."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._entries: list[tuple[str, list[bytes]]] = []

    def add(self, record: Mapping[str, Any], content: Iterable[bytes] = ()) -> None:
        self._entries.append((json.dumps(record), list(content)))

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for place, (record, _) in enumerate(list(self._entries)):
            yield place, json.loads(record)

    def content(self, place: int) -> Iterator[bytes]:
        yield from self._entries[place][1]

    @property
    def size(self) -> int:
        return sum(len(record) + sum(map(len, content)) for record, content in self._entries)

    def close(self) -> None:
        """Nothing is held."""


class MemoryJournals:
    """Journals that go with the process."""

    def __init__(self) -> None:
        self._journals: dict[int, MemoryJournal] = {}

    def begin(self) -> MemoryJournal:
        number = max(self._journals, default=0) + 1
        self._journals[number] = MemoryJournal(number)
        return self._journals[number]

    def open(self, number: int) -> MemoryJournal:
        """Raises StorageError where there is none."""
        if number not in self._journals:
            raise StorageError(f"Turn {number} cannot be undone any more: it was forgotten to make room.")
        return self._journals[number]

    def numbers(self) -> list[int]:
        return sorted(self._journals)

    def remove(self, number: int) -> None:
        self._journals.pop(number, None)
