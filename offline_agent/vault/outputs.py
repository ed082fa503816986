"""Long outputs of tools, sealed: what the model is shown only the ends of, it can read by range.

They are blobs (blobs.py) of the kind "output". The label is `session SESSION output:N`, and the content begins with it, so that the
same output in two sessions is two blobs: the address of a blob is that of its content, and the first label would stay.
"""

from collections.abc import Callable

from offline_agent.vault.blobs import BlobStore
from offline_agent.vault.schema import storable

KIND = "output"
_NAME = "output:"
_LIMIT = 16_000_000  # characters: as much output as a command may write, by default


class SealedOutputs:
    """The Outputs of the session `session`, for the thread of `blobs`. A text of more than `limit` characters is kept without its
    middle. Where the session goes on later, its names are still known.

    Both methods raise a VaultError.
    """

    def __init__(self, blobs: BlobStore, session: str, limit: int = _LIMIT) -> None:
        self._blobs = blobs
        self._session = session
        self._limit = limit
        self._number = 0

    def keep(self, text: str) -> str:
        self._number = max(self._number, self._last()) + 1  # another of the same session may have kept some since
        name = f"{_NAME}{self._number}"
        label = self._label(name)
        self._blobs.put(f"{label}\n{_shortened(storable(text), self._limit)}".encode(), KIND, label)
        return name

    def find(self, name: str) -> str | None:
        label = self._label(name)
        address = next((blob.address for blob in self._blobs.entries(KIND) if blob.label == label), None)
        return self._blobs.read(address).decode().removeprefix(f"{label}\n") if address else None

    def _label(self, name: str) -> str:
        return f"{_prefix(self._session)}{name}"

    def _last(self) -> int:
        """The highest number that the session has given and that is still there."""
        start = self._label(_NAME)
        labels = (blob.label for blob in self._blobs.entries(KIND) if blob.label.startswith(start))
        return max((int(label.removeprefix(start)) for label in labels), default=0)


def forget_outputs(blobs: BlobStore, sessions: Callable[[str], bool]) -> int:
    """Removes the outputs of sessions that are not stored any more, of which `sessions` says whether they are; returns how many.
    Raises a VaultError."""
    gone = [blob for blob in blobs.entries(KIND) if not sessions(_session_of(blob.label))]
    for blob in gone:
        blobs.remove(blob.address)
    return len(gone)


def _prefix(session: str) -> str:
    return f"session {session} "


def _session_of(label: str) -> str:
    return label.removeprefix("session ").rpartition(" ")[0]


def _shortened(text: str, limit: int) -> str:
    """The first and the last half of what may be kept, and between them how much is not."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters were not kept]\n{text[len(text) - half :]}"
