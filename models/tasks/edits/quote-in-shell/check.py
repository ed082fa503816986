import subprocess
from pathlib import Path

NAMES = ["plain.txt", "two words.txt", "three  spaces here.txt", "a*b.txt"]
for number, name in enumerate(NAMES):
    Path(name).write_text(f"content {number}\n")
done = subprocess.run(["/bin/sh", "backup.sh", *NAMES], capture_output=True, text=True)
assert done.returncode == 0, f"backup.sh failed: {done.stderr.strip()[-120:]}"
for number, name in enumerate(NAMES):
    copy = Path("backup", name)
    assert copy.exists(), f"{name!r} was not copied"
    assert copy.read_text() == f"content {number}\n", f"the copy of {name!r} is another file"
assert len(list(Path("backup").iterdir())) == len(NAMES), "something else was copied too"
assert "copied two words.txt" in done.stdout, "it does not say any more what it copied"
