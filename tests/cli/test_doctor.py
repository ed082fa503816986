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
