"""What reading a file's text gives, on its way into the store."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from offline_agent.types import Chunk, Definition


class Parsed(NamedTuple):
    """A file's chunks, the names it defines and uses (with how often), and what it imports, as paths without an ending."""

    chunks: Sequence[Chunk]
    definitions: Sequence[Definition] = ()
    references: Mapping[str, int] = MappingProxyType({})
    imports: Sequence[str] = ()
