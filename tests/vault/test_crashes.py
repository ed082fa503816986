"""`kill -9` at random moments loses nothing that was said to be stored; `scripts/crash-vault` strikes oftener."""

from pathlib import Path

import pytest

from scripts.bench.crash.ground import Lost, Notes, opened
from scripts.bench.crash.hunt import Hunt
from scripts.bench.crash.kinds import KINDS, Kind, chatted


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kill_loses_nothing(kind: Kind, tmp_path: Path) -> None:
    hunt = Hunt(kind, tmp_path / "place", seed=1)
    for _ in range(3):
        hunt.kill_one()
    assert hunt.tally.kills == 3
    assert hunt.tally.losses == []


def test_what_is_lost_would_be_told(tmp_path: Path) -> None:
    with opened(tmp_path) as held:
        held.archive.audit.add("command", name="one")
    Notes(tmp_path).done("audit one")
    assert chatted(tmp_path, inside=False) is False
    Notes(tmp_path).done("audit two")
    with pytest.raises(Lost, match="1 of 2 are gone, such as the audit record two"):
        chatted(tmp_path, inside=False)


def test_a_vault_that_does_not_open_would_be_told(tmp_path: Path) -> None:
    making = next(kind for kind in KINDS if kind.name == "chatting")
    hunt = Hunt(making, tmp_path / "place", seed=1)
    hunt.kill_one()
    [database] = (tmp_path / "place").rglob("main.db")
    database.write_bytes(bytes(1000))
    hunt._check(inside=True)
    [loss] = hunt.tally.losses
    assert "main.db" in loss
