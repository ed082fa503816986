"""What is packed as install.pyz runs where there is Python and nothing else."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from offline_agent.bundle import bootstrap

from .made import KEY, make

MODULES = sorted(Path(bootstrap.__file__).parent.glob("*.py"))
OWN = ("offline_agent.errors", "offline_agent.bundle.bootstrap")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_it_needs_the_standard_library_alone(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            assert name.split(".")[0] in sys.stdlib_module_names or name.startswith(OWN)


def test_a_bare_python_reads_a_bundle(tmp_path: Path) -> None:
    """Isolated, and without site-packages, as on a machine where nothing is installed."""
    make(tmp_path / "b", split=5000)
    (tmp_path / "key.pub").write_text(KEY.line())
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from offline_agent.bundle.bootstrap.archive import Bundle\n"
        "from offline_agent.bundle.bootstrap.key import read_key\n"
        "with Bundle.open(Path(sys.argv[2]), read_key(Path(sys.argv[3]))) as bundle:\n"
        "    bundle.check()\n"
        "    print(bundle.manifest.version)\n"
    )
    top = Path(bootstrap.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, top, tmp_path / "b", tmp_path / "key.pub"],
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("0.1.0\n", "")
