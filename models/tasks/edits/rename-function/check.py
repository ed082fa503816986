from pathlib import Path

from export import export
from report import report
from store import read_records

for path in ("store.py", "report.py", "export.py"):
    assert "load_all" not in Path(path).read_text(), f"{path} still says load_all"
sample = Path("sample.txt")
sample.write_text("a\n\nb\n")
assert read_records(sample) == ["a", "b"], "read_records() does not read the records"
assert report(sample) == "2 records, the last is b", "report() does not work any more"
assert export(sample) == "a,b", "export() does not work any more"
