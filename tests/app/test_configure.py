"""One value of config.toml changes; what a person wrote beside it stays."""

import tomllib
from pathlib import Path

import pytest

from offline_agent.app.configure import EMBEDDER, MODEL, RERANKER, STATIC, key_of, write_setting
from offline_agent.errors import UsageError
from offline_agent.models import EmbedderCard, ModelCard
from offline_agent.settings import Settings, load_settings

WRITTEN = """# mine
[model]   # the model
path = "/old.gguf"  # goes
threads = 3         # stays

[log]
days = 2
"""


@pytest.fixture
def settings() -> Settings:
    return load_settings()


def written(settings: Settings, text: str) -> Path:
    place = settings.config_directory / "config.toml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


def test_comments_and_other_values_stay(settings: Settings) -> None:
    place = written(settings, WRITTEN)
    place.chmod(0o644)
    assert write_setting(settings, MODEL, "qwen") == place
    text = place.read_text()
    assert text.startswith("# mine\n[model]   # the model\n")
    assert "threads = 3         # stays" in text
    assert tomllib.loads(text) == {"model": {"threads": 3, "name": "qwen"}, "log": {"days": 2}}
    assert place.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in place.parent.iterdir()) == ["config.toml"]


@pytest.mark.parametrize("text", ["# mine\r\n[model]\r\nthreads = 3\r\n", "# mine\r\n[log]\r\ndays = 2\r\n"])
def test_lines_end_as_they_ended(settings: Settings, text: str) -> None:
    place = written(settings, "")
    place.write_bytes(text.encode())
    write_setting(settings, MODEL, "qwen")
    lines = place.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert {line[-1:] for line in lines} == {b"\r"}
    assert lines[0] == b"# mine\r"
    assert load_settings().model.name == "qwen"


@pytest.mark.parametrize(
    "text", ['model.name = "a"\n', 'model = { path = "/a.gguf" }\n', "[model.x]\n[log]\n[model]\npath = '/a'\n"]
)
def test_a_table_in_any_form_is_changed(settings: Settings, text: str) -> None:
    place = written(settings, text)
    write_setting(settings, MODEL, "qwen")
    model = tomllib.loads(place.read_text())["model"]
    assert model["name"] == "qwen"
    assert "path" not in model


def test_a_file_is_made_where_there_is_none(settings: Settings) -> None:
    place = write_setting(settings, RERANKER, "r")
    assert tomllib.loads(place.read_text()) == {"index": {"reranker": "r"}}
    assert place.parent.stat().st_mode & 0o777 == 0o700
    assert str(load_settings().index.reranker) == "r"


def test_what_a_link_points_to_is_changed(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "dotfiles.toml").write_text("# kept elsewhere\n")
    settings.config_directory.mkdir(parents=True)
    (settings.config_directory / "config.toml").symlink_to(tmp_path / "dotfiles.toml")
    write_setting(settings, EMBEDDER, "e")
    assert (settings.config_directory / "config.toml").is_symlink()
    assert (tmp_path / "dotfiles.toml").read_text().startswith("# kept elsewhere\n")
    assert load_settings().embedder.name == "e"


@pytest.mark.parametrize("fixed", ["model.name", "model.path"])
def test_what_the_policy_fixes_is_not_written(settings: Settings, fixed: str) -> None:
    with pytest.raises(UsageError, match=r"fixes \[model\]"):
        write_setting(settings.model_copy(update={"policy": (fixed,)}), MODEL, "x")
    assert not settings.config_directory.exists()


@pytest.mark.parametrize("text", ["[model", "model = 3\nmodel = 4", "model = 3", "[[model]]"])
def test_a_file_that_cannot_be_understood_is_left_alone(settings: Settings, text: str) -> None:
    place = written(settings, text)
    with pytest.raises(UsageError, match="Nothing was written"):
        write_setting(settings, MODEL, "x")
    assert place.read_text() == text


def test_each_kind_has_its_setting() -> None:
    assert key_of(ModelCard(name="m")) == MODEL
    for form, key in (("transformer", EMBEDDER), ("static", STATIC), ("reranker", RERANKER)):
        card = EmbedderCard.model_validate({"name": "e", "form": form, "dimensions": 1, "max_tokens": 1})
        assert key_of(card) == key
