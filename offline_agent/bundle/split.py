"""`--split 4G`: how large the parts of a bundle are."""

import re

from offline_agent.errors import UsageError

FAT32 = 2**32 - 1
"""Bytes of the largest file that FAT32 takes."""
_SMALLEST = 2**20
_MARGIN = 2**16  # the largest cluster of FAT: a part that is a multiple of it wastes nothing
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_split(text: str) -> int:
    """The bytes of a part: `4G`, `700M`, or a number of bytes. Units are powers of 1024, but 4G is 64 KiB less: a byte less is all
    that FAT32 takes, and who writes 4G means that. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,18})([KMGT]?)(?:I?B)?", text.strip().upper(), re.ASCII)
    if not match:
        raise UsageError(f"{text!r} is no size of a part. Give one such as 4G, which fits a FAT32 stick, or 700M.")
    size = int(match[1]) * _UNITS.get(match[2], 1)
    if size < _SMALLEST:
        raise UsageError(f"Parts of {size:,} bytes are too small: give at least 1M.")
    return size - _MARGIN if size == FAT32 + 1 else size
