"""What leaves this machine is said in full, and so is who decided it."""

from pathlib import Path

import pytest

from offline_agent import app
from offline_agent.cli.doctor import examine
from offline_agent.settings import Settings, load_settings


def found(settings: Settings, place: Path, *names: str) -> list[str]:
    with app.open_program(settings, place) as program:
        return [str(check) for check in examine(program) if check.name in names]


def test_with_the_default_settings_nothing_leaves(tmp_path: Path) -> None:
    [policy, network] = found(load_settings(), tmp_path, "policy", "network")
    assert "fixes nothing" in policy
    assert network.startswith("ok")
    assert "nothing here opens a connection" in network


def test_a_server_and_what_it_gets_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLINE_AGENT_INDEX_CHROMA_URL", "https://team.example/chroma")
    settings = load_settings().model_copy(update={"policy": ("index.chroma_url", "log.days")})
    [policy, network] = found(settings, tmp_path, "policy", "network")
    assert "fixes index.chroma_url, log.days" in policy
    assert network.startswith("note")
    assert "https://team.example/chroma" in network
    assert "ids and vectors" in network
    assert "A vector can be turned back into text" in network


def test_what_is_wrong_with_the_library_is_told(tmp_path: Path) -> None:
    settings = load_settings()
    [none] = found(settings, tmp_path, "library")
    assert "no model was fetched or imported yet" in none
    begun = settings.library_directory / ".incoming" / "begun"
    begun.mkdir(parents=True)
    (begun / "part").write_bytes(b"x")
    [left] = found(settings, tmp_path, "library")
    assert left.startswith("note")
    assert "Of begun a part was fetched" in left
    (settings.library_directory / "broken").mkdir()
    [wrong] = found(settings, tmp_path, "library")
    assert wrong.startswith("wrong")
    assert "broken is no model" in wrong


def test_that_models_may_not_be_fetched_is_told(tmp_path: Path) -> None:
    settings = load_settings()
    assert "but for `models pull` and `bundle create`" in found(settings, tmp_path, "network")[0]
    hub = settings.hub.model_copy(update={"pull": False})
    [network] = found(settings.model_copy(update={"hub": hub}), tmp_path, "network")
    assert "[hub] pull forbids fetching models" in network
