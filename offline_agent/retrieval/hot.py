"""What a person is busy with: files that were asked about or saved last."""

import threading
from collections.abc import Iterable

_MOST = 64  # files; at 10 chunks each, a minute of embedding on a CPU


class HotFiles:
    """The last paths, newest first. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: dict[str, None] = {}

    def touch(self, paths: Iterable[str]) -> None:
        """The first of `paths` counts as the newest."""
        with self._lock:
            self._paths = dict.fromkeys([*list(paths)[:_MOST], *self._paths])
            for path in list(self._paths)[_MOST:]:
                del self._paths[path]

    def paths(self) -> list[str]:
        with self._lock:
            return list(self._paths)
