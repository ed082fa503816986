"""The catalogue of models, and the double that stands in for one."""

import hashlib
from pathlib import Path

import pytest

from offline_agent.errors import ModelDied, ModelError, ModelMismatch, UsageError
from offline_agent.events import Finished, Said
from offline_agent.llm.catalogue import card_for, card_held, check_held, load_catalogue, model_file, pins
from offline_agent.llm.child import child_environment, printable
from offline_agent.llm.hardware import physical_cores
from offline_agent.llm.header import model_parts
from offline_agent.llm.scripted import ScriptedModel
from offline_agent.models import EmbedderCard, HeldFile, Holding, ModelCard, Source, SourceFile
from offline_agent.types import Message, Sampling

from .conftest import text_of

MODELS = Path(__file__).parents[2] / "models"


def test_the_catalogue_that_ships() -> None:
    catalogue = load_catalogue(MODELS)
    pocket = catalogue.model("pocket")
    assert pocket.name == "pocket"
    assert model_file(pocket, MODELS) == MODELS / "pocket.gguf"
    assert catalogue.embedder("all-MiniLM-L6-v2").dimensions == 384


def test_unknown_names_lead_to_the_known() -> None:
    catalogue = load_catalogue(MODELS)
    with pytest.raises(UsageError, match=r"no model named 'gpt'.*`offline-agent models list`.* --model PATH"):
        catalogue.model("gpt")
    with pytest.raises(UsageError, match=r"no model named 'pockte'. Did you mean pocket"):
        catalogue.model("pockte")
    with pytest.raises(UsageError, match=r"no embedder named 'x'.*embedder\.directory"):
        catalogue.embedder("x")
    with pytest.raises(UsageError, match="makes vectors and cannot answer"):
        catalogue.model("pocket-static")
    assert "Did you mean pocket-static" in str(catalogue.unknown("pocketstatic"))
    assert "models import FILE" in str(catalogue.unknown("x"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[models", "cannot be read"),
        ("[models.x]\nfile = 3", r"models\.x\.file"),
        ("[models.x]\nfile = 'x'\ncolour = 'red'", r"models\.x\.colour"),
        ("models = 1", "at models"),
        ("[animals]", "at animals"),
    ],
)
def test_a_damaged_catalogue(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "catalogue.toml").write_text(text)
    with pytest.raises(UsageError, match=reason):
        load_catalogue(tmp_path)


def test_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_catalogue(tmp_path)


def test_a_bare_file() -> None:
    card = card_for(Path("/data/Qwen3-4B.Q4_K_M.gguf"))
    assert (card.name, card.context, card.answers) == ("Qwen3-4B.Q4_K_M", 8192, "prose")
    assert model_file(card, MODELS) == Path("/data/Qwen3-4B.Q4_K_M.gguf")


def test_split_models_are_all_their_parts(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"big[1]-0000{number}-of-00002.gguf").touch()
    (tmp_path / "big1-00001-of-00002.gguf").touch()
    parts = model_parts(tmp_path / "big[1]-00001-of-00002.gguf")
    assert [p.name for p in parts] == ["big[1]-00001-of-00002.gguf", "big[1]-00002-of-00002.gguf"]
    assert model_parts(tmp_path / "one.gguf") == [tmp_path / "one.gguf"]


def test_the_worker_gets_no_secret() -> None:
    environ = {
        "PATH": "/bin",
        "AWS_SECRET_ACCESS_KEY": "x",
        "CUDA_VISIBLE_DEVICES": "0",
        "HOME": "/root",
        "PYTHONSTARTUP": "x.py",
    }
    given = child_environment(environ)
    assert given["PATH"] == "/bin"
    assert given["CUDA_VISIBLE_DEVICES"] == "0"
    assert not {"AWS_SECRET_ACCESS_KEY", "HOME", "PYTHONSTARTUP"} & set(given)


def test_small_helpers() -> None:
    assert physical_cores() >= 1
    assert printable("a\x1b[2J\nb\u202e") == "a [2J b"


# --- the double ----------------------------------------------------------------------------------------------------

QUESTION = [Message(role="user", content="?")]


def test_a_script_is_replayed_and_prompts_are_kept() -> None:
    model = ScriptedModel(["It is in a.py.", ["[", "1]"], ModelDied("gone")])
    *words, end = model.stream(QUESTION, Sampling())
    assert words == [Said(text=text) for text in ("It", " is", " in", " a.py.")]
    assert isinstance(end, Finished)
    assert end.message == Message(role="assistant", content="It is in a.py.")
    assert text_of(model.stream(QUESTION, Sampling(seed=1))) == "[1]"
    with pytest.raises(ModelDied, match="gone"):
        list(model.stream(QUESTION, Sampling()))
    with pytest.raises(ModelError, match="no answer number 4"):
        list(model.stream(QUESTION, Sampling()))
    assert model.prompts == [tuple(QUESTION)] * 4
    assert model.samplings[1].seed == 1
    assert model.load().name == "scripted"
    assert model.count_tokens(["one two", ""]) == [2, 0]


def test_stopping_early_is_noticed() -> None:
    model = ScriptedModel(["one two three"])
    answer = model.stream(QUESTION, Sampling())
    next(answer)
    answer.close()  # type: ignore[attr-defined]
    assert model.stopped_early == 1
    model.close()
    assert model.closed


def test_a_known_file_is_recognised_wherever_it_lies(tmp_path: Path) -> None:
    copy = tmp_path / "renamed.gguf"
    copy.write_bytes((MODELS / "pocket.gguf").read_bytes())
    assert load_catalogue(MODELS).recognise(copy).name == "pocket"
    copy.write_bytes(bytes(copy.stat().st_size))
    assert load_catalogue(MODELS).recognise(copy) == card_for(copy)
    assert load_catalogue(MODELS).recognise(tmp_path / "missing.gguf").name == "missing"


# --- lists of others -------------------------------------------------------------------------------------------------

A, B = "a" * 64, "b" * 64
LISTED = f"""
[models.ours]
file = "ours.gguf"
sha256 = "{A}"
size = 3

[models.theirs]
licence = "MIT"
[models.theirs.source]
repository = "them/theirs"
files = [{{ name = "theirs.gguf", size = 4, sha256 = "{B}" }}]
"""


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "catalogue.toml").write_text(LISTED)
    return tmp_path / "models"


def own_list(place: Path, text: str) -> Path:
    path = place / "own" / "models.toml"
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_an_own_list_adds(listed: Path, tmp_path: Path) -> None:
    text = (
        '[models.mine]\nfile = "sub/mine.gguf"\n[embedders.near]\ndirectory = "near"\ndimensions = 2\nmax_tokens = 9\n'
    )
    catalogue = load_catalogue(listed, own=own_list(tmp_path, text))
    assert [card.name for card in catalogue.cards()] == ["ours", "theirs", "mine", "near"]
    assert model_file(catalogue.model("mine"), listed) == tmp_path / "own" / "sub" / "mine.gguf"
    assert catalogue.embedder("near").directory == str(tmp_path / "own" / "near")
    assert catalogue.find("nobody") is None


def test_no_own_list_is_none(listed: Path, tmp_path: Path) -> None:
    assert load_catalogue(listed, own=tmp_path / "none.toml") == load_catalogue(listed)


def test_an_own_list_cannot_make_a_name_mean_another_model(listed: Path, tmp_path: Path) -> None:
    text = LISTED.replace("b" * 64, "c" * 64)
    with pytest.raises(UsageError, match=r"models\.toml names ours.*Give yours another name"):
        load_catalogue(listed, own=own_list(tmp_path, '[models.ours]\nfile = "other.gguf"\n'))
    (tmp_path / "own" / "models.toml").write_text(text[text.index("[models.theirs]") :])
    with pytest.raises(UsageError, match="names theirs"):
        load_catalogue(listed, own=tmp_path / "own" / "models.toml")


def test_an_entry_has_the_name_of_its_place_alone(listed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names theirs"):
        load_catalogue(listed, own=own_list(tmp_path, '[models.theirs]\nname = "mine"\nfile = "mine.gguf"\n'))


@pytest.mark.parametrize("name", ["Mine", "x.gguf", "x.lock", "x-", "../x", "x/y", "", "-x", "\\u001b[2J", "a" * 101])
def test_a_name_that_the_library_cannot_have_is_told(listed: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no model can be called that") as raised:
        load_catalogue(listed, own=own_list(tmp_path, f'[models."{name}"]\nsource = {{ url = "https://x/y.gguf" }}\n'))
    assert str(raised.value).isprintable()


def test_an_own_list_may_say_how_a_listed_model_is_used(listed: Path, tmp_path: Path) -> None:
    text = LISTED[LISTED.index("[models.theirs]") :].replace('licence = "MIT"', "context = 77")
    assert load_catalogue(listed, own=own_list(tmp_path, text)).model("theirs").context == 77


def test_a_name_means_one_kind(listed: Path, tmp_path: Path) -> None:
    twice = "dimensions = 2\nmax_tokens = 9\n"
    with pytest.raises(UsageError, match="both a model and an embedder x"):
        load_catalogue(listed, own=own_list(tmp_path, f"[models.x]\n[embedders.x]\n{twice}"))
    (tmp_path / "own" / "models.toml").write_text(f"[embedders.ours]\n{twice}")
    with pytest.raises(UsageError, match="names ours"):
        load_catalogue(listed, own=tmp_path / "own" / "models.toml")


def test_a_damaged_own_list_is_to_be_corrected(listed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"own/models\.toml cannot be read .*correct it"):
        load_catalogue(listed, own=own_list(tmp_path, "[models"))


@pytest.mark.parametrize(
    "text", ["[models.x]\nsize = " + "9" * 5000, "[models.x]\nsize = " + "9" * 400, "[models.x]\ntraps = " + "[" * 5000]
)
def test_an_own_list_that_python_cannot_read_is_to_be_corrected(listed: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_catalogue(listed, own=own_list(tmp_path, text))


def test_a_list_in_place_of_both_leaves_what_comes_with_the_program(listed: Path, tmp_path: Path) -> None:
    own = own_list(tmp_path, "[models.mine]\n")
    (tmp_path / "theirs.toml").write_text('[models.only]\nlicence = "MIT"\n')
    catalogue = load_catalogue(listed, own=own, replacing=tmp_path / "theirs.toml")
    assert sorted(catalogue.models) == ["only", "ours"]
    with pytest.raises(UsageError, match="cannot be read"):
        load_catalogue(listed, own=own, replacing=tmp_path / "missing.toml")


def test_models_that_are_to_be_had_are_recognised_too(listed: Path, tmp_path: Path) -> None:
    content = b"four"
    text = LISTED.replace("b" * 64, hashlib.sha256(content).hexdigest())
    (listed / "catalogue.toml").write_text(text)
    path = tmp_path / "found.gguf"
    path.write_bytes(content)
    card = load_catalogue(listed).recognise(path)
    assert (card.name, card.file, card.size) == ("theirs", str(path), 4)
    assert card.sha256 == hashlib.sha256(content).hexdigest()


# --- what the library has --------------------------------------------------------------------------------------------


def held(name: str = "m", sha256: str = "b" * 64) -> Holding:
    file = HeldFile(name="theirs.gguf", size=4, sha256=sha256)
    return Holding(name=name, kind="chat", files=(file,), trust="catalogue", origin="a stick", licence="MIT")


def test_the_card_of_a_held_model_has_the_hash_that_was_computed(listed: Path) -> None:
    card = card_held(load_catalogue(listed).model("theirs"), held("theirs"), Path("/lib/theirs/theirs.gguf"))
    assert (card.name, card.sha256, card.size) == ("theirs", "b" * 64, 4)
    assert model_file(card, listed) == Path("/lib/theirs/theirs.gguf")


def test_a_held_model_without_a_card_is_any_gguf_under_its_name() -> None:
    card = card_held(None, held("brought"), Path("/lib/brought/theirs.gguf"))
    assert (card.name, card.licence, card.context) == ("brought", "MIT", 8192)


def test_what_is_held_must_be_what_the_card_pins(listed: Path) -> None:
    card = load_catalogue(listed).model("theirs")
    with pytest.raises(ModelMismatch, match="`offline-agent models pull theirs`"):
        check_held(card, held("theirs", "c" * 64))
    with pytest.raises(UsageError, match="for embedding"):
        check_held(card, held().model_copy(update={"kind": "embedding"}))
    check_held(card, held("theirs").model_copy(update={"files": (HeldFile(name="x.gguf", size=4, sha256="b" * 64),)}))


def test_pins_are_by_file() -> None:
    files = (SourceFile(name="a", sha256="1" * 64), SourceFile(name="b"))
    assert pins(ModelCard(name="x", source=Source(repository="o/n", files=files))) == {"a": "1" * 64}
    assert pins(ModelCard(name="x", file="d/f.gguf", sha256="2" * 64)) == {"f.gguf": "2" * 64}
    assert pins(EmbedderCard(name="x", dimensions=1, max_tokens=1, sha256={"w": "3" * 64})) == {"w": "3" * 64}
    assert pins(ModelCard(name="x")) == {}
