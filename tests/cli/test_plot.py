"""Drawings, by the real matplotlib."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from offline_agent.cli.plot import Point, draw
from offline_agent.errors import UsageError

POINTS = (
    Point("qwen2.5-coder-7b", 7.1, 0.81, "calls, edits"),
    Point("qwen3-4b & <b>bold</b>", 7.2, 0.8, "calls"),
    Point("pri$e$ \x1b[31m", 300.0, None, ""),
)


def test_a_png_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "speed.PNG"
    draw(POINTS, path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(content[16:20]) == 1350  # pixels wide
    assert [made.name for made in tmp_path.iterdir()] == ["speed.PNG"]


@pytest.mark.parametrize("name", ["speed.html", "speed.svg"])
def test_names_are_text_and_nothing_is_fetched(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    draw(POINTS, path)
    text = path.read_text(encoding="utf-8")
    assert "qwen2.5-coder-7b (calls, edits)" in text
    assert "qwen3-4b &amp; &lt;b&gt;bold&lt;/b&gt; (calls)" in text
    assert "pri$e$ [31m" in text
    assert "<b>" not in text
    assert "<script" not in text
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#)|url\((?!#)|@import""", text)
    assert text.startswith("<!DOCTYPE html>" if name.endswith("html") else "<svg")


def test_the_same_points_are_the_same_file(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        draw(POINTS, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_single_point_and_many_at_one_place_can_be_drawn(tmp_path: Path) -> None:
    draw([Point("a", 5.0, 0.5, "calls")], tmp_path / "one.svg")
    draw([Point(f"model-{number}", 30.0, 0.5, "calls") for number in range(14)], tmp_path / "many.svg")
    assert all(f"model-{number} (calls)" in (tmp_path / "many.svg").read_text() for number in range(14))


@pytest.mark.parametrize(
    ("name", "said"),
    [("speed.pdf", "must end in .png, .svg, .html"), ("none/speed.png", "There is no directory"), ("x", "must end in")],
)
def test_what_cannot_be_drawn_is_said(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        draw(POINTS, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_nothing_measured_is_nothing_drawn(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no speed was measured"):
        draw([Point("a", 0.0, 0.5, "calls")], tmp_path / "speed.png")


def test_a_directory_in_its_place_is_left(tmp_path: Path) -> None:
    (tmp_path / "speed.png").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        draw(POINTS, tmp_path / "speed.png")
    assert [left.name for left in tmp_path.iterdir()] == ["speed.png"]


def test_without_matplotlib_the_extra_is_named(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from offline_agent.cli import main\n"
        f"sys.exit(main(['models', 'bench', '--plot', {str(tmp_path / 'speed.png')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'offline-agent[plot]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
