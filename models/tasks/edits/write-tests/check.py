import subprocess
import sys
from pathlib import Path

RUN = """
import test_stack
tests = [function for name, function in vars(test_stack).items() if name.startswith("test_")]
for test in tests:
    test()
print(len(tests))
"""


def run() -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-B", "-c", RUN], capture_output=True, text=True)


assert Path("test_stack.py").exists(), "there is no test_stack.py"
good = Path("stack.py").read_text()
done = run()
assert done.returncode == 0, f"the tests fail although stack.py is right: {done.stderr.strip()[-120:]}"
assert done.stdout.strip() != "0", "there are no functions whose names begin with test_"
BROKEN = {
    "takes the wrong end with pop": ("self._items.pop()", "self._items.pop(0)"),
    "removes with peek": ("self._items[-1]", "self._items.pop()"),
    "raises no IndexError": ("return self._items.pop()", "return self._items.pop() if self._items else 0"),
}
for what, (old, new) in BROKEN.items():
    assert old in good, "stack.py was changed"
    Path("stack.py").write_text(good.replace(old, new))
    assert run().returncode != 0, f"the tests do not notice a stack that {what}"
