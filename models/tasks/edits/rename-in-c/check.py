import re
from pathlib import Path

WANTED = {"line.h": (3, 1, 1), "line.c": (2, 1, 0), "main.c": (1, 1, 1)}
for name, wanted in WANTED.items():
    words = re.findall(r"\w+", Path(name).read_text())
    for old in ("BUFSZ", "rd_line"):
        assert old not in words, f"{name} still says {old}"
    found = tuple(words.count(new) for new in ("LINE_LENGTH", "read_line", "RD_LINE_MAX"))
    assert found == wanted, f"{name} has LINE_LENGTH, read_line and RD_LINE_MAX {found} times, not {wanted}"
assert "#define LINE_LENGTH 256" in Path("line.h").read_text(), "line.h does not define LINE_LENGTH as 256"
assert "fgets(buffer, LINE_LENGTH, file) != NULL" in Path("line.c").read_text(), "line.c does something else now"
