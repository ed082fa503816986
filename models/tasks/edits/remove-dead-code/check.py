import ast
import subprocess
import sys
from pathlib import Path

import palette

tree = ast.parse(Path("colours.py").read_text())
names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
for name in ("mix", "to_text"):
    assert name not in names, f"{name}() is still there, and nobody calls it"
missing = {"parse", "brightness", "invert", "is_dark"} - names
assert not missing, f"{', '.join(sorted(missing))} is gone, and something calls it"
done = subprocess.run([sys.executable, "-B", "main.py", "#000010", "#ffffff"], capture_output=True, text=True)
assert done.stdout.splitlines() == ["#000010 dark (255, 255, 239)", "#ffffff light (0, 0, 0)"], (
    "main.py does not work any more"
)
assert palette.PRIMARY == (32, 64, 128), "palette.py does not work any more"
