"""What is in a store, for people."""

from pathlib import Path

from store import load_all


def report(path: Path) -> str:
    records = load_all(path)
    return f"{len(records)} records, the last is {records[-1]}" if records else "no records"
