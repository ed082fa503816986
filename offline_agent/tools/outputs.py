"""The double of where long outputs rest: in memory, and gone with the program."""

from collections import OrderedDict

_MOST = 64_000_000  # characters


class MemoryOutputs:
    """Outputs of one session. The oldest make room where all have more than `most` characters."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._number = 0

    def keep(self, text: str) -> str:
        self._number += 1
        name = f"output:{self._number}"
        self._texts[name] = text
        while len(self._texts) > 1 and sum(map(len, self._texts.values())) > self._most:
            self._texts.popitem(last=False)
        return name

    def find(self, name: str) -> str | None:
        return self._texts.get(name)
