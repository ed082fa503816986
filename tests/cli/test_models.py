"""`offline-agent models` as a person runs it, with a hub on loopback where one is needed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from offline_agent import app
from offline_agent.cli import main
from offline_agent.cli.models_list import table
from offline_agent.errors import ModelMismatch
from offline_agent.settings import load_settings
from tests.cli.typed import typed, unattended
from tests.library.hub_server import Fault, Hub

POCKET = Path(__file__).parents[2] / "models" / "pocket.gguf"
FILE = "hub:them/small/small.gguf"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    place = tmp_path / "hub" / "them" / "small"
    place.mkdir(parents=True)
    (place / "small.gguf").write_bytes(POCKET.read_bytes() + bytes(32))  # another hash than the built-in one has
    with Hub(tmp_path / "hub") as running:
        monkeypatch.setenv("OFFLINE_AGENT_HUB_ENDPOINT", running.url)
        monkeypatch.setenv("OFFLINE_AGENT_HUB_ATTEMPTS", "1")
        yield running


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """What a command says as JSON."""
    assert main(["models", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def bring(capsys: pytest.CaptureFixture[str], name: str) -> Path:
    """Imports a copy of the built-in model; where it lies."""
    [model] = said(capsys, "import", str(POCKET), "--name", name, "--copy")["models"]
    return load_settings().library_directory / name / str(model["holding"]["files"][0]["name"])


# --- list, info, recommend -------------------------------------------------------------------------------------------


def test_the_list_for_programs(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    models = {model["name"]: model for model in said(capsys, "list")["models"]}
    assert models["pocket"]["default"]
    assert models["pocket"]["built_in"]
    assert not models["qwen3-8b"]["installed"]
    assert {model["kind"] for model in models.values()} == {"chat", "embedding", "reranking"}
    assert list(home.iterdir()) == []


def test_the_list_can_be_narrowed(capsys: pytest.CaptureFixture[str]) -> None:
    here = said(capsys, "list", "--installed")["models"]
    assert {model["name"] for model in here} == {"pocket", "all-MiniLM-L6-v2", "pocket-static"}
    rest = said(capsys, "list", "--available", "--kind", "reranking")["models"]
    assert rest
    assert {(model["kind"], model["installed"]) for model in rest} == {("reranking", False)}


def test_the_list_for_people_fits_a_narrow_terminal() -> None:
    code, shown = typed("models", "list", environment={"COLUMNS": "80", "LINES": "24"})
    rows = shown.splitlines()
    assert code == 0
    assert max(map(len, rows)) <= 80
    [default] = [row for row in rows if row.startswith("* pocket ")]
    assert default.endswith("built in")


def test_a_row_says_what_policy_forbids() -> None:
    settings = load_settings()
    bound = settings.model_copy(update={"library": settings.library.model_copy(update={"listed_only": True})})
    rows = "\n".join(table(app.entries_of(bound), bound))
    unpinned = [entry.name for entry in app.entries_of(bound) if not entry.vouched]
    assert rows.count("not allowed") == len(unpinned)


def test_what_is_known_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "info", "qwen3-8b"]) == 0
    told = capsys.readouterr().out
    assert "https://huggingface.co/Qwen/Qwen3-8B-GGUF at " in told
    assert "`offline-agent models pull qwen3-8b` fetches it" in told
    facts = said(capsys, "info", "qwen3-8b")
    assert facts["card"]["source"]["files"][0]["sha256"] in told
    assert Path(facts["card_file"]).is_file()
    assert main(["models", "info", "qwen3-8b", "--card"]) == 0
    assert capsys.readouterr().out.startswith("# ")
    assert main(["models", "info", "qwen3-8"]) == 2
    assert "Did you mean qwen3-8b" in capsys.readouterr().err


def test_what_is_recommended_fits_and_can_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    advice = said(capsys, "recommend", "--task", "embed")
    assert advice["machine"]["bandwidth"] > 0
    assert 1 <= len(advice["models"]) <= 3
    for model in advice["models"]:
        assert model["fits"] != "no"
        assert model["commands"][-1] == f"offline-agent models default {model['name']}"
    assert main(["models", "recommend"]) == 0
    assert "an estimate" in capsys.readouterr().out


# --- default, remove, verify -----------------------------------------------------------------------------------------


def test_a_default_is_chosen_and_answers(capsys: pytest.CaptureFixture[str], repository: Path) -> None:
    bring(capsys, "mine")
    assert main(["models", "default", "mine"]) == 0
    assert said(capsys, "default")["[model] name"] == "mine"
    answer = unattended("ask", "--repo", str(repository), "Where is apply_discount defined?")
    assert "pricing.py" in answer.stdout, answer.stderr
    once = unattended("fit", "--model", "pocket", "--json")
    assert json.loads(once.stdout)["model"] == "pocket"


def test_what_wins_over_a_default_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    bring(capsys, "mine")
    monkeypatch.setenv("OFFLINE_AGENT_ENDPOINT_URL", "http://127.0.0.1:9/v1")
    assert main(["models", "default", "mine"]) == 0
    assert "http://127.0.0.1:9/v1 answers" in capsys.readouterr().err
    monkeypatch.setenv("OFFLINE_AGENT_MODEL_NAME", "pocket")
    assert main(["models", "default", "mine"]) == 0
    assert "OFFLINE_AGENT_MODEL_* of your environment says otherwise" in capsys.readouterr().err


def test_what_is_not_here_is_no_default(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert main(["models", "default", "qwen3-8b"]) == 41
    assert main(["fit", "--model", "qwen3-8b"]) == 41
    assert main(["models", "default", "nobodys"]) == 2
    assert "models pull qwen3-8b" in capsys.readouterr().err
    assert not (home / ".config").exists()


def test_removing_asks_and_says_that_it_was_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    place = bring(capsys, "mine")
    main(["models", "default", "mine"])
    refused = unattended("models", "remove", "mine")
    assert refused.returncode == 2
    assert place.exists()
    code, shown = typed("models", "remove", "mine", answers=[("Type remove", "remove")])
    assert code == 0, shown
    assert "mine is what [model] name names" in shown
    assert "Removed: mine (9.6 MB)" in shown
    assert not place.parent.exists()


def test_verifying_tells_what_has_drifted(capsys: pytest.CaptureFixture[str]) -> None:
    place = bring(capsys, "mine")
    assert said(capsys, "verify", "mine")["models"][0]["faults"] == []
    place.chmod(0o644)
    with place.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    [model] = said(capsys, "verify", "mine", code=ModelMismatch.exit_code)["models"]
    assert "SHA-256" in model["faults"][0]
    assert main(["models", "verify", "--all"]) == ModelMismatch.exit_code
    shown = capsys.readouterr().out
    assert "pocket: as it was" in shown
    assert "mine: NOT as it was" in shown


def test_verifying_wants_to_know_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify"]) == 2
    assert main(["models", "verify", "--all", "pocket"]) == 2
    assert main(["models", "verify", "qwen3-8b"]) == 41
    (load_settings().library_directory / "broken").mkdir(parents=True)
    assert main(["models", "verify", "--all"]) == ModelMismatch.exit_code
    assert "broken is no model" in capsys.readouterr().err


# --- import ----------------------------------------------------------------------------------------------------------


def test_importing_recognises_by_content(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "some name.gguf").write_bytes(POCKET.read_bytes())
    [model] = said(capsys, "import", str(tmp_path))["models"]
    assert model["holding"]["trust"] == "catalogue"
    assert model["holding"]["licence"] == "Apache-2.0"


def test_what_cannot_be_imported_is_said_and_the_rest_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_bytes(b"no model")
    assert main(["models", "import", str(tmp_path / "no.gguf"), str(POCKET)]) == 42
    told = capsys.readouterr()
    assert "not a GGUF file" in told.err
    assert "pocket is here" in told.out
    assert main(["models", "import", str(tmp_path / "none"), "--name", "x"]) == 41
    assert main(["models", "import", "a", "b", "--name", "x"]) == 2


def test_another_model_is_replaced_when_that_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bring(capsys, "mine")
    other = tmp_path / "other.gguf"
    other.write_bytes(POCKET.read_bytes() + bytes(32))
    refused = said(capsys, "import", str(other), "--name", "mine", code=2)
    assert refused["models"] == []
    assert "--replace" in refused["faults"][0]
    [model] = said(capsys, "import", str(other), "--name", "mine", "--replace")["models"]
    assert model["holding"]["files"][0]["name"] == "other.gguf"


def test_what_a_directory_has_besides_is_a_fault_for_programs_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "a.gguf").write_bytes(POCKET.read_bytes() + bytes(32))
    (tmp_path / "stick" / "b.gguf").write_text("no model")
    found = said(capsys, "import", str(tmp_path / "stick"))
    assert [model["holding"]["name"] for model in found["models"]] == ["a"]
    assert "b.gguf" in found["faults"][0]


@pytest.mark.parametrize("place", ["x" * 300, "ollama:" + "x" * 5000, "a\0b"])
def test_a_path_that_cannot_be_is_not_there(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "import", place]) in (21, 41)
    assert "Check" in capsys.readouterr().err or place.startswith("ollama")


def test_without_a_path_others_are_listed(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["models", "import"]) == 0
    assert "No other program" in capsys.readouterr().out
    place = home / ".lmstudio" / "models" / "them" / "small"
    place.mkdir(parents=True)
    (place / "small.gguf").write_bytes(POCKET.read_bytes())
    [found] = said(capsys, "import")["found"]
    assert found["reference"].startswith("lm-studio:")
    [model] = said(capsys, "import", found["reference"], "--name", "theirs")["models"]
    assert model["holding"]["name"] == "theirs"
    assert main(["models", "import", "ollama:none"]) == 41


# --- pull ------------------------------------------------------------------------------------------------------------


def test_pulling_says_what_it_will_do_and_asks(hub: Hub) -> None:
    refused = unattended("models", "pull", FILE)
    assert refused.returncode == 2
    assert "connects  127.0.0.1" in refused.stderr
    assert "9.6 MB" in refused.stderr
    assert "--yes" in refused.stderr
    assert hub.sent() == 0
    code, shown = typed("models", "pull", FILE, answers=[("Fetch it?", "n")])
    assert code == 0
    assert "Nothing was fetched" in shown
    assert hub.sent() == 0
    code, shown = typed("models", "pull", FILE, answers=[("Fetch it?", "y")])
    assert code == 0, shown
    assert "small is here (9.6 MB)" in shown


def test_what_was_pulled_is_known_and_on_record(capsys: pytest.CaptureFixture[str], hub: Hub) -> None:
    with_vault()
    pulled = said(capsys, "pull", FILE, "--yes", "--name", "mine")
    assert pulled["fetched"] == POCKET.stat().st_size + 32
    assert pulled["model"]["trust"] == "hub"
    again = said(capsys, "pull", FILE, "--yes", "--name", "mine")
    assert again["fetched"] == 0
    assert main(["audit", "show"]) == 0
    told = capsys.readouterr().out
    assert told.count("action=pull") == 1
    assert pulled["model"]["files"][0]["sha256"] in told


def test_what_was_verified_and_is_damaged_is_pulled_again(capsys: pytest.CaptureFixture[str], hub: Hub) -> None:
    place = load_settings().library_directory / "small" / "small.gguf"
    said(capsys, "pull", FILE, "--yes")
    with place.open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"another byte")
    assert main(["models", "verify", "small"]) == 48
    assert "pull the model again" in capsys.readouterr().out
    assert said(capsys, "pull", FILE, "--yes")["fetched"] == place.stat().st_size
    assert main(["models", "verify", "small"]) == 0


@pytest.mark.parametrize("name", ["pocket", "smallest", "gte-small"])
def test_nothing_takes_the_name_of_a_model_of_the_catalogue(
    name: str, capsys: pytest.CaptureFixture[str], hub: Hub, home: Path
) -> None:
    own = home / ".config" / "offline-agent" / "models.toml"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("[models.smallest]\n[models.smallest.source]\nrepository = 'us/x'\nfiles = [{name = 'x.gguf'}]\n")
    assert main(["models", "pull", FILE, "--yes", "--name", name]) == 2
    assert f"another model called {name}" in capsys.readouterr().err
    assert app.library_of(load_settings()).all() == []


def test_a_pull_that_broke_off_is_listed_and_can_be_given_up(capsys: pytest.CaptureFixture[str], hub: Hub) -> None:
    hub.faults.append(Fault("content", close_after=1_000_000, times=-1))
    assert main(["models", "pull", FILE, "--yes"]) == 70
    assert said(capsys, "list")["unfinished"]["small"] >= 1_000_000
    assert main(["models", "list"]) == 0
    assert "small: 1.0 MB so far." in capsys.readouterr().out
    assert main(["models", "remove", "small", "--yes"]) == 0
    capsys.readouterr()
    assert said(capsys, "list")["unfinished"] == {}


def test_no_vault_is_made_for_a_pull(hub: Hub, home: Path) -> None:
    assert main(["models", "pull", FILE, "--yes"]) == 0
    assert [path.name for path in (home / ".local" / "share" / "offline-agent").iterdir()] == ["models"]


def test_a_token_goes_to_the_hub(hub: Hub) -> None:
    opened = app.open_vault(load_settings())
    opened.archive.credentials.set(app.HUB, "Bearer tok-4711")
    opened.close()
    assert main(["models", "pull", FILE, "--yes"]) == 0
    assert {seen.headers.get("authorization") for seen in hub.seen if seen.place == "api"} == {"Bearer tok-4711"}
    assert {seen.headers.get("authorization") for seen in hub.seen if seen.place == "content"} == {None}


def test_what_the_hub_refuses_is_one_line(capsys: pytest.CaptureFixture[str], hub: Hub) -> None:
    hub.faults.append(Fault("api", status=401, times=-1))
    assert main(["models", "pull", FILE, "--yes"]) == 71
    told = capsys.readouterr().err
    assert "credentials set hub" in told
    assert "No token was looked for" not in told


def test_policy_forbids_pulling(capsys: pytest.CaptureFixture[str], hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLINE_AGENT_LIBRARY_LISTED_ONLY", "true")
    assert main(["models", "pull", FILE, "--yes"]) == 61
    monkeypatch.setenv("OFFLINE_AGENT_HUB_PULL", "false")
    assert main(["models", "pull", "qwen3-8b", "--yes"]) == 61
    assert not hub.seen
    assert "Asking" not in capsys.readouterr().err


@pytest.mark.parametrize("reference", ["nobodys", "pocket", "hub:x", "http://example.org/x.gguf", "ftp://x/y.gguf"])
def test_what_cannot_be_pulled(reference: str, capsys: pytest.CaptureFixture[str], hub: Hub) -> None:
    assert main(["models", "pull", reference, "--yes"]) == 2
    assert not hub.seen
    assert "Asking" not in capsys.readouterr().err


def with_vault() -> None:
    app.open_vault(load_settings()).close()
