import subprocess
from pathlib import Path

Path("full.txt").write_text("x\n")
Path("none.txt").write_text("")
Path("void.txt").write_text("")


def verify(*names: str) -> tuple[int, list[str]]:
    done = subprocess.run(["/bin/sh", "verify.sh", *names], capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()


assert verify("full.txt") == (0, []), f"for a file that is not empty: {verify('full.txt')}"
both = (1, ["empty: none.txt", "empty: void.txt"])
assert verify("none.txt", "full.txt", "void.txt") == both, f"{verify('none.txt', 'full.txt', 'void.txt')}, not {both}"
assert verify("none.txt", "full.txt")[0] == 1, "an empty file before one that is not is forgotten"
