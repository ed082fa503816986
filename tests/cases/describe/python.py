"""The module."""
import functools


@functools.lru_cache(maxsize=len("def fake(x): ("))
def cached(key: str = ":", *, sep="a  b", made=lambda x, y=(1, 2): [x, y]) -> dict[str, int]:  # noqa: (
    r"""Look up :class:`Thing` by its key, e.g. `a.b`, in version 3.1 or later. Not this.

    :param key: no
    """
    return {}


async def spread(
    first,  # why (this
    second: "tuple[int, ...]" = (1, 2),
    *rest: int,
):
    # not documentation
    '''
    Spread them out
    over two lines

    Args:
        first: no
    '''


def bare(): return ":"


def empty():
    """"""


def generic[T: (int, str)](value: T) -> T:
    """Args:
        value: the value
    """


def quoted():
    "Say \"hi\": once."


class Empty:
    pass


class Derived(Base, metaclass=Meta):
    'One.'

    def __init__(self, path: "str | None" = None) -> None:
        """Make `~one`, i.e. this one! And more."""

    @property
    def size(self) -> int:
        """:returns: how many"""

    @overload
    def take(self, at: int) -> str: ...
    def take(self, at): 
        """Take :py:meth:`~pkg.Thing.take` or :func:`this <other>`."""


class One: __init__ = None


class Inline:
    """In line.""";  x = 1
