"""A pull that is killed, in every phase, and goes on. scripts/kill-pull kills fifty, at random."""

import time
from pathlib import Path

import pytest

from offline_agent.library.store import Library
from scripts.bench.kill_pull import Victim
from scripts.bench.pull import FILE, REPOSITORY
from tests.library.hub_server import Hub
from tests.library.pulling import check, gguf

SIZE = 3_000_000


@pytest.mark.parametrize(
    ("replaces", "phases"),
    [(False, ("fetching", "hashing what is there", "fetching")), (True, ("start", "fetching", "checking"))],
)
def test_a_pull_goes_on_from_where_it_was_killed(tmp_path: Path, replaces: bool, phases: tuple[str, ...]) -> None:
    top, models = tmp_path / "hub" / REPOSITORY, tmp_path / "models"
    top.mkdir(parents=True)
    older = b""
    with Hub(tmp_path / "hub") as hub:
        if replaces:
            older = gguf(5000)
            (top / FILE).write_bytes(older)
            Victim(hub.url, models, 0).end()
        (top / FILE).write_bytes(gguf(SIZE))
        hub.rate = 2 * SIZE
        hub.seen.clear()
        for phase in phases:
            victim = Victim(hub.url, models, 0.05)
            assert victim.reach(phase)
            time.sleep(0.1 if phase == "fetching" else 0)
            victim.kill()
            assert content(models) in (older, gguf(SIZE))
        Victim(hub.url, models, 0).end()
        assert content(models) == gguf(SIZE)
        assert len([seen for seen in hub.of("content") if "range" in seen.headers]) >= 1
        assert hub.sent() < 1.5 * SIZE


def content(models: Path) -> bytes:
    """Of the model that is found, which is whole; nothing where there is none."""
    library = Library(models, check)
    holding = library.find("model")
    return library.path_of(holding).read_bytes() if holding else b""
