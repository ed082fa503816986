from pathlib import Path

import pytest

from offline_agent.cli import main
from offline_agent.cli.terminal import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc é 日本", "a\tb\nc é 日本"),
        ("\x1b]0;title\x07red \x1b[31m", "]0;title" + "red [31m"),
        ("a\rb\x9b2J\x7f", "ab2J"),
        ("if admin\u202e}", "if admin}"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_hostile_file_cannot_drive_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "evil.py").write_text('def evil():\n    "\x1b[2J\x1b]0;owned\x07"\n')
    main(["search", "evil", "--repo", str(tmp_path)])
    said = capsys.readouterr().out
    assert "evil.py" in said
    assert "\x1b" not in said
