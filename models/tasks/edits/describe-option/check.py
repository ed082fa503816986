import re
from pathlib import Path

text = Path("README.md").read_text()
rows = re.findall(r"^\|\s*`?(--\w+)`?\s*\|\s*(.*?)\s*\|\s*$", text, flags=re.MULTILINE)
assert dict(rows).get("--retries") == "how often to try again", (
    f"the row of --retries is {dict(rows).get('--retries')!r}"
)
names = [name for name, _ in rows]
assert names == ["--header", "--output", "--retries", "--timeout"], f"the rows are {', '.join(names)}"
assert text.rstrip().endswith("Pages are written as they come."), "the last line is gone"
assert text.startswith("# fetch\n"), "the heading is gone"
