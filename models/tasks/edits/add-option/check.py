import subprocess
import sys
from pathlib import Path

Path("sample.txt").write_text("one two\nthree\n\nfour five six\n")


def count(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-B", "count.py", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"count.py {' '.join(arguments)} failed: {done.stderr.strip()[-120:]}"
    return done.stdout.strip()


assert count("sample.txt") == "4", f"without --words it prints {count('sample.txt')}, not 4"
assert count("--words", "sample.txt") == "6", f"with --words it prints {count('--words', 'sample.txt')}, not 6"
