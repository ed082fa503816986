"""Which model a name or a path means, and what keeps it from being used."""

import os
from pathlib import Path

import pytest

from offline_agent.app.embedders import Embedders
from offline_agent.app.library import (
    catalogue_of,
    choose_model,
    directory_of,
    embedder_of,
    is_name,
    library_of,
    model_of,
    own_list,
)
from offline_agent.app.shelf import card_file, entries_of, entry_of, make_default, removable, remove_model
from offline_agent.errors import (
    Denied,
    EmbedderError,
    EmbedderHashMismatch,
    ModelMismatch,
    ModelMissing,
    UsageError,
)
from offline_agent.settings import IndexSettings, LibrarySettings, Settings, load_settings
from tests.app.models import POCKET, admit, admit_pocket, listed_only, named, safetensors, write_embedder


@pytest.fixture
def settings() -> Settings:
    return load_settings()


def own(settings: Settings, text: str) -> None:
    settings.config_directory.mkdir(parents=True, exist_ok=True)
    own_list(settings).write_text(text)


def test_the_built_in_model_is_checked_when_it_is_loaded(settings: Settings) -> None:
    card, path, checked = choose_model(settings)
    assert (card.name, path.name) == ("pocket", "pocket.gguf")
    assert not checked


def test_a_listed_model_that_is_not_here_says_how_to_get_it(settings: Settings) -> None:
    with pytest.raises(ModelMissing, match=r"`offline-agent models pull qwen3-8b` fetches it \(5\.0 GB\)"):
        model_of(named(settings, "qwen3-8b"))
    with pytest.raises(UsageError, match="no model named 'nobodys'"):
        model_of(named(settings, "nobodys"))
    with pytest.raises(UsageError, match="makes vectors"):
        model_of(named(settings, "gte-small"))


def test_a_held_model_is_used_by_its_name_and_recognised_by_its_hash(settings: Settings) -> None:
    admit_pocket(settings, "brought")
    card, path, checked = choose_model(named(settings, "brought"))
    assert (card.name, card.answers, card.context) == ("brought", "record", 2048)
    assert path == settings.library_directory / "brought" / "pocket.gguf"
    assert checked
    assert choose_model(named(settings, path=path))[:2] == (card, path)


def test_what_is_held_under_a_listed_name_must_be_what_is_listed(settings: Settings) -> None:
    admit_pocket(settings, "qwen3-8b")
    with pytest.raises(ModelMismatch, match=r"another .* under the name qwen3-8b"):
        model_of(named(settings, "qwen3-8b"))


def test_what_changed_in_the_library_since_it_came_is_told(settings: Settings) -> None:
    path = library_of(settings).path_of(admit_pocket(settings, "mine"))
    os.truncate(path, 5_000_000)
    with pytest.raises(ModelMismatch, match=r"5,000,000 bytes.*Pull or import mine again"):
        model_of(named(settings, "mine"))
    path.unlink()
    with pytest.raises(ModelMissing, match=r"gone from the library.*models verify mine"):
        model_of(named(settings, "mine"))


def test_an_embedder_cannot_answer(settings: Settings) -> None:
    files = {"model.safetensors": safetensors(), "tokenizer.json": b"{}"}
    admit(settings, "near", "embedding", files)
    own(settings, "[models.near]\nlicence = 'MIT'\n")
    with pytest.raises(UsageError, match="for embedding and cannot answer"):
        model_of(named(settings, "near"))


# --- lists that a policy fixes ---------------------------------------------------------------------------------------


def test_only_what_a_list_vouches_for_may_be_used_where_that_is_so(settings: Settings, tmp_path: Path) -> None:
    bound = listed_only(settings)
    other = tmp_path / "other.gguf"
    other.write_bytes(POCKET.read_bytes() + b"\0")
    assert model_of(bound)[0].name == "pocket"
    assert model_of(named(bound, path=POCKET))[0].name == "pocket"
    with pytest.raises(Denied, match=r"\[library\.listed_only\]"):
        model_of(named(bound, path=other))
    assert model_of(named(settings, path=other))[0].name == "other"


def test_where_a_policy_says_so_nobody_lists_models_of_their_own(settings: Settings, tmp_path: Path) -> None:
    own(settings, '[models.mine]\nfile = "mine.gguf"\n')
    assert catalogue_of(settings).find("mine") is not None
    assert catalogue_of(listed_only(settings)).find("mine") is None
    (tmp_path / "list.toml").write_text("")
    library = LibrarySettings(listed_only=True, catalogue=tmp_path / "list.toml")
    bound = listed_only(settings).model_copy(update={"library": library})
    with pytest.raises(Denied, match=r"unset \[library\] catalogue"):
        catalogue_of(bound)
    bound = bound.model_copy(update={"policy": ("library.listed_only", "library.catalogue")})
    assert sorted(catalogue_of(bound).models) == ["pocket"]


def test_directories_of_ones_own_are_not_listed(settings: Settings, tmp_path: Path) -> None:
    bound = listed_only(settings)
    embedder = settings.embedder.model_copy(update={"directory": tmp_path})
    with pytest.raises(Denied, match=r"\[embedder\] directory"):
        Embedders(bound.model_copy(update={"embedder": embedder})).check()
    index = IndexSettings(reranker=tmp_path)
    with pytest.raises(Denied, match=r"\[index\] reranker"):
        Embedders(bound.model_copy(update={"index": index})).load_reranker()


# --- embedders -------------------------------------------------------------------------------------------------------


def with_embedder(settings: Settings, name: str) -> Embedders:
    return Embedders(settings.model_copy(update={"embedder": settings.embedder.model_copy(update={"name": name})}))


def test_a_held_embedder_is_found_and_its_hashes_are_compared(settings: Settings, tmp_path: Path) -> None:
    source = write_embedder(tmp_path / "near")
    holding = admit(settings, "near", "embedding", {path.name: path.read_bytes() for path in source.iterdir()})
    weights = next(file for file in holding.files if file.name == "model.safetensors")
    embedders, directory = with_embedder(settings, "near"), settings.library_directory / "near"
    assert embedders.check() == str(directory)
    assert embedders.fingerprint == f"near-{weights.sha256[:16]}"
    assert embedder_of(settings, "near").max_tokens == 128
    (directory / "model.safetensors").chmod(0o644)
    (directory / "model.safetensors").write_bytes(safetensors(3) + bytes(4))
    with pytest.raises(EmbedderHashMismatch, match="Import it again"):
        embedders.check()


def test_a_listed_embedder_that_is_not_here_says_how_to_get_it(settings: Settings) -> None:
    with pytest.raises(ModelMissing, match="`offline-agent models pull gte-small`"):
        with_embedder(settings, "gte-small").check()
    with pytest.raises(EmbedderError, match="is static"):
        with_embedder(settings, "pocket-static").check()


def test_weights_elsewhere_than_expected_are_said(settings: Settings) -> None:
    files = {"weights.safetensors": safetensors(), "config.json": b"{}"}
    admit(settings, "odd", "reranking", files)
    with pytest.raises(EmbedderError, match=r"odd has no model\.safetensors"):
        embedder_of(settings, "odd")


def test_a_reranker_is_named_too(settings: Settings) -> None:
    files = {"model.safetensors": safetensors(), "config.json": b'{"max_position_embeddings": 64}'}
    admit(settings, "again", "reranking", files)
    assert embedder_of(settings, "again").form == "reranker"
    key, _ = make_default(settings, "again")
    assert key.name == "[index] reranker"
    assert load_settings().index.reranker == Path("again")
    index = IndexSettings(reranker=Path("all-MiniLM-L6-v2"))
    with pytest.raises(EmbedderError, match="is no reranker"):
        Embedders(settings.model_copy(update={"index": index})).load_reranker()


def test_what_comes_with_the_program_is_where_it_is(settings: Settings) -> None:
    assert directory_of(settings, "pocket-static") == settings.models_directory / "pocket-static"
    assert directory_of(settings, "all-MiniLM-L6-v2").is_dir()


# --- the shelf -------------------------------------------------------------------------------------------------------


def test_the_shelf_has_what_is_listed_and_what_is_held(settings: Settings) -> None:
    admit_pocket(settings, "brought")
    entries = {entry.name: entry for entry in entries_of(settings)}
    assert entries["pocket"].use == entry_of(settings, "pocket").use
    assert entries["brought"].place == settings.library_directory / "brought" / "pocket.gguf"
    assert entries["qwen3-8b"].place is None
    assert entries["qwen3-8b"].size > 5_000_000_000
    assert entry_of(settings, "QWEN3-8B").name == "qwen3-8b"
    with pytest.raises(UsageError, match="Did you mean qwen3-8b"):
        entry_of(settings, "qwen3-8")


def test_only_what_can_be_used_becomes_the_default(settings: Settings) -> None:
    with pytest.raises(ModelMissing):
        make_default(settings, "qwen3-8b")
    with pytest.raises(ModelMissing):
        make_default(settings, "gte-small")
    assert not settings.config_directory.exists()
    admit_pocket(settings, "brought")
    make_default(settings, "brought")
    assert load_settings().model.name == "brought"


def test_what_is_part_of_the_program_is_not_removed(settings: Settings) -> None:
    with pytest.raises(UsageError, match="part of the program"):
        removable(settings, "pocket")
    with pytest.raises(UsageError, match="no model qwen3-8b in"):
        removable(settings, "qwen3-8b")


def test_what_is_damaged_or_in_part_is_removed_too(settings: Settings) -> None:
    (settings.library_directory / "broken").mkdir(parents=True)
    assert removable(settings, "broken").size == 0
    remove_model(settings, "broken")
    quarantine = settings.library_directory / ".incoming" / "begun"
    quarantine.mkdir(parents=True)
    (quarantine / "part").write_bytes(bytes(100))
    assert remove_model(settings, removable(settings, "begun").name) == 100
    assert not quarantine.exists()


def test_each_listed_model_that_can_be_had_has_a_card(settings: Settings) -> None:
    for card in catalogue_of(settings).cards():
        if card.source is not None:
            assert card_file(settings, card.name) is not None, card.name
    assert card_file(settings, "nobodys") is None


@pytest.mark.parametrize("text", ["qwen3-8b", "a.b", "x y"])
def test_names(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize("text", ["", "./x", "a/b", "x.gguf", "X.GGUF", "/", "a\0b", "here"])
def test_paths(text: str, tmp_path: Path) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        Path("here").touch()
        assert not is_name(text)
    finally:
        os.chdir(before)
