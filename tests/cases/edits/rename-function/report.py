"""What is in a store, for people."""

from pathlib import Path

from store import read_records


def report(path: Path) -> str:
    records = read_records(path)
    return f"{len(records)} records, the last is {records[-1]}" if records else "no records"
