import pytest

from offline_agent.bundle.split import FAT32, parse_split
from offline_agent.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4G", 2**32 - 2**16),
        ("4g", 2**32 - 2**16),
        ("4 GiB".replace(" ", ""), 2**32 - 2**16),
        ("4096M", 2**32 - 2**16),
        ("4294967296", 2**32 - 2**16),
        ("4294967295", FAT32),
        ("5G", 5 * 2**30),
        ("700M", 700 * 2**20),
        ("1024K", 2**20),
        ("2T", 2**41),
        (" 1048577 ", 2**20 + 1),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_split(text) == size


def test_4g_is_for_sticks() -> None:
    assert parse_split("4G") <= FAT32
    assert parse_split("4G") % 65536 == 0


@pytest.mark.parametrize("text", ["", "G", "4X", "-4G", "4.5G", "1K", "0", "4 4G", "٤G", "9" * 30, "1023K"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError):
        parse_split(text)
