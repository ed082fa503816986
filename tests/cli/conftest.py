from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def key_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach the keyring of whoever runs it."""
    monkeypatch.setenv("OFFLINE_AGENT_VAULT_KEY", "file")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small project whose path has a space and letters beyond ASCII; it is no git checkout."""
    root = tmp_path / "mein Projekt é"
    root.mkdir()
    (root / "pricing.py").write_text(
        'def apply_discount(total, code, *, today=None):\n    """Lower the total by the code."""\n    return total\n'
    )
    (root / "cart.py").write_text(
        'class Cart:\n    """A shopping cart."""\n\n    def add(self, item):\n        """Put an item into the cart."""\n'
        "        return apply_discount(item, 1)\n"
    )
    (root / "README.md").write_text("# Shop\n\nSells things.\n")
    return root
