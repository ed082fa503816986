"""`offline-agent map` as a person runs it."""

import json
from pathlib import Path

import pytest

from offline_agent.cli import main
from offline_agent.cli.map import meant


def test_the_map_names_what_is_used(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "--repo", str(repository)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["pricing.py"] in lines
    assert lines[lines.index(["pricing.py"]) + 1] == ["def", "apply_discount(total,", "code,", "*,", "today=None)", "1"]


def test_the_map_for_programs_is_within_its_budget(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "--json", "--tokens", "28", "--repo", str(repository)]) == 0
    outline = json.loads(capsys.readouterr().out)
    assert outline["files"] == 3
    assert 0 < outline["tokens"] <= 28
    [entry] = outline["entries"]
    assert entry["path"] == "pricing.py"
    assert entry["definitions"][0]["symbol"] == "apply_discount"


def test_words_and_paths_bring_what_they_mean(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for asked in ("cart.py", "shopping cart"):
        assert main(["map", "--tokens", "14", "--repo", str(repository), asked]) == 0
        assert capsys.readouterr().out.startswith("cart.py\n")


def test_an_empty_directory_has_nothing_to_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "--repo", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "There is nothing to map.\n"


def test_no_tokens_is_a_mistake(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["map", "--tokens", "0", "--repo", str(repository)])


def test_what_is_typed_is_a_path_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").touch()
    here = tmp_path / "src"
    assert meant(tmp_path, here, ["a.py", "retry", "src/a.py", "uploads"]) == (
        ["src/a.py", "src/a.py"],
        "retry uploads",
    )
    assert meant(tmp_path, tmp_path, ["."]) == ([], "")
    assert meant(tmp_path, tmp_path, ["/etc", "x" * 5000, "nul\0byte"])[0] == []
