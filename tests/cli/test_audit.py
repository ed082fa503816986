import json
from contextlib import closing
from pathlib import Path

import pytest

from offline_agent import app
from offline_agent.cli import main
from offline_agent.errors import VaultDamaged
from offline_agent.settings import load_settings


@pytest.fixture
def heads() -> list[str]:
    """A chain of three records, and the head after each."""
    with closing(app.open_vault(load_settings(), say=lambda sentence: None)) as vault:
        audit, heads = vault.archive.audit, []
        for name in ("one", "two\x1b[2J", "drei é"):
            audit.add("model", name=name, sizes=[1, 2])
            head = audit.head()
            heads.append(f"{head.number}:{head.hash}")
        return heads


def tamper() -> None:
    """With the vault's key, as only its owner can."""
    with closing(app.open_vault(load_settings())) as vault:
        vault.archive.main.execute("DROP TRIGGER audit_update")
        vault.archive.main.execute("UPDATE audit SET body = '{}' WHERE number = 2")


@pytest.mark.usefixtures("heads")
def test_records_for_people_and_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "show"]) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == ["1", "2", "3"]
    assert "name=drei é sizes=[1,2]" in said
    assert "\x1b" not in said
    assert main(["audit", "show", "--json", "--limit", "2"]) == 0
    assert [json.loads(line)["number"] for line in capsys.readouterr().out.splitlines()] == [2, 3]
    assert main(["audit", "show", "--since", "9999-01-01"]) == 0
    assert capsys.readouterr().out == ""


def test_a_chain_that_holds_tells_its_head(heads: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify"]) == 0
    assert heads[-1] in capsys.readouterr().out
    assert main(["audit", "verify", "--head", heads[0]]) == 0


def test_the_first_broken_link_is_named(heads: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    tamper()
    assert main(["audit", "verify"]) == VaultDamaged.exit_code
    assert "record 2" in capsys.readouterr().err
    assert main(["vault", "verify"]) == VaultDamaged.exit_code
    assert "audit record 2" in capsys.readouterr().out


def test_a_head_that_was_kept_is_missed(heads: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    other = f"1:{heads[1].partition(':')[2]}"
    assert main(["audit", "verify", "--head", other]) == VaultDamaged.exit_code
    assert main(["audit", "verify", "--head", f"7:{'0' * 64}"]) == VaultDamaged.exit_code
    capsys.readouterr()


@pytest.mark.usefixtures("heads")
@pytest.mark.parametrize(
    "head", ["", "3", "3:abc", f"x:{'0' * 64}", f"1:{'G' * 64}", f"1:{'0' * 64}0", f"{'9' * 19}:{'0' * 64}"]
)
def test_what_is_no_head_is_refused(head: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", "--head", head]) == 2
    assert "NUMBER:HASH" in capsys.readouterr().err


@pytest.mark.usefixtures("heads")
def test_an_export_is_verified_without_the_vault(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "chain.jsonl"
    assert main(["audit", "export", "--out", str(out)]) == 0
    said = capsys.readouterr().err
    head = next(word.rstrip(".") for word in said.split() if word.startswith("4:"))
    assert "in clear" in said
    lines = out.read_text().splitlines()
    assert json.loads(lines[-1])["body"] == {"action": "audit-export", "to": str(out)}
    (home / ".local").rename(home / "away")
    assert main(["audit", "verify", "--file", str(out), "--head", head]) == 0
    out.write_text("\n".join(lines[:-1]))
    assert main(["audit", "verify", "--file", str(out)]) == 0
    assert main(["audit", "verify", "--file", str(out), "--head", head]) == VaultDamaged.exit_code
    out.write_text("\n".join(lines).replace("drei", "vier"))
    assert main(["audit", "verify", "--file", str(out)]) == VaultDamaged.exit_code
    assert "record 3" in capsys.readouterr().err
    out.write_bytes(b"\xff\xfe\n")
    assert main(["audit", "verify", "--file", str(out)]) == VaultDamaged.exit_code
    assert main(["audit", "verify", "--file", str(tmp_path / "none")]) == 2


@pytest.mark.usefixtures("heads")
def test_an_export_to_a_pipe_is_lines_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "export"]) == 0
    said = capsys.readouterr()
    assert [json.loads(line)["number"] for line in said.out.splitlines()] == [1, 2, 3, 4]
    assert "in clear" in said.err
