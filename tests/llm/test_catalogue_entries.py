"""The entries of the catalogue that can be had from a hub: what is said of each is whole, agrees with its card, and adds up."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from offline_agent.llm.catalogue import load_catalogue
from offline_agent.llm.dialects import load_dialects
from offline_agent.llm.fit import SMALLEST_CHOSEN, CacheType, fit
from offline_agent.llm.hardware import Memory
from offline_agent.llm.header import Header
from offline_agent.llm.messages import Wishes
from offline_agent.llm.recommend import KINDS
from offline_agent.models import Card, EmbedderCard, ModelCard, Source

MODELS = Path(__file__).parents[2] / "models"
CARDS = MODELS / "cards"
CATALOGUE = load_catalogue(MODELS)
ENTRIES = [card for card in CATALOGUE.cards() if card.source]
CHAT = [card for card in ENTRIES if isinstance(card, ModelCard)]
VECTORS = [card for card in ENTRIES if isinstance(card, EmbedderCard)]
NEEDED = {
    "transformer": {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "modules.json"}
    | {"1_Pooling/config.json", "sentence_bert_config.json"},
    "reranker": {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"},
}
"""What sentence-transformers reads of a directory."""
COMFORTABLE = 16384
"""Tokens that fit into what an entry calls comfortable."""


def _name(card: Card) -> str:
    return card.name


def _source(card: Card) -> Source:
    assert card.source is not None
    return card.source


def test_there_is_a_choice_for_every_task() -> None:
    assert len(CHAT) >= 25
    assert len(VECTORS) >= 8
    for task, kind in KINDS.items():
        assert len([card for card in ENTRIES if card.kind == kind and task in card.good_for]) >= 3, task


def test_no_name_and_no_file_is_listed_twice() -> None:
    """TOML refuses a key twice, but not one that differs in case only."""
    names = Counter(card.name.lower() for card in CATALOGUE.cards())
    assert not [name for name, times in names.items() if times > 1]
    hashes = Counter(_source(card).files[0].sha256 for card in ENTRIES if _source(card).files[0].sha256)
    assert not [sha256 for sha256, times in hashes.items() if times > 1]


@pytest.mark.parametrize("card", ENTRIES, ids=_name)
def test_an_entry_says_what_a_person_needs_to_choose(card: Card) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", card.name)
    assert card.licence
    assert card.parameters > 0
    assert card.summary.endswith(".")
    assert all(trap.endswith(".") for trap in card.traps)
    assert {KINDS[task] for task in card.good_for} <= {card.kind}
    assert card.good_for or any("recommended for no task" in trap for trap in card.traps)


@pytest.mark.parametrize("card", ENTRIES, ids=_name)
def test_an_entry_says_where_its_files_are(card: Card) -> None:
    source = _source(card)
    assert source.repository.count("/") == 1
    assert not source.revision or re.fullmatch("[0-9a-f]{40}", source.revision)
    names = [file.name for file in source.files]
    assert names
    assert len(names) == len(set(names))


@pytest.mark.parametrize("card", ENTRIES, ids=_name)
def test_memory_holds_the_files(card: Card) -> None:
    assert sum(file.size for file in _source(card).files[:1]) <= card.memory
    assert 0 < card.memory < card.comfortable


@pytest.mark.parametrize("card", CHAT, ids=_name)
def test_a_language_model_can_be_loaded(card: ModelCard) -> None:
    assert all(file.name.endswith(".gguf") for file in _source(card).files)
    assert _source(card).pinned, "nobody vouches for this file"
    assert _source(card).revision
    assert SMALLEST_CHOSEN <= card.context <= card.trained_context
    assert card.active_parameters < card.parameters
    assert not card.dialect or card.dialect in {dialect.name for dialect in load_dialects(MODELS)}
    assert card.sampling.repeat_penalty == 1.0, "a penalty hurts code"


@pytest.mark.parametrize("card", VECTORS, ids=_name)
def test_a_model_for_vectors_is_a_whole_directory(card: EmbedderCard) -> None:
    names = [file.name for file in _source(card).files]
    assert names[0] == "model.safetensors"
    assert NEEDED[card.form] <= set(names)
    assert _source(card).revision, "files of several revisions do not fit together"
    assert card.max_tokens > 0
    assert card.form != "reranker" or card.dimensions == 1


@pytest.mark.parametrize("card", ENTRIES, ids=_name)
def test_an_entry_has_a_card_with_sources(card: Card) -> None:
    text = _card_of(card.name).read_text(encoding="utf-8")
    _, _, sources = text.partition("\n## Sources\n")
    assert f"\n- {card.name}:" in sources
    assert _source(card).repository in sources
    assert _source(card).revision in sources
    assert "**Licence**: " in text
    assert "## Traps" in text


@pytest.mark.parametrize("card", CHAT, ids=_name)
def test_memory_is_the_programs_own_sum_of_the_shape_on_the_card(card: ModelCard) -> None:
    header = _shape(card)
    assert card.memory == _rounded(_sum(header, SMALLEST_CHOSEN, "q8_0"), 10_000_000)
    assert card.comfortable == _rounded(_sum(header, COMFORTABLE, "f16") * 5 // 4, 100_000_000)
    assert _source(card).files[0].size == header.tensor_bytes


def test_every_card_is_of_something() -> None:
    """A card that no entry has is of a model that was taken out, or has its name spelt otherwise."""
    used = {_card_of(card.name) for card in ENTRIES}
    ours = {CARDS / f"{card.name}.md" for card in CATALOGUE.cards() if not card.source}
    assert set(CARDS.glob("*.md")) - used - ours == {CARDS / "about.md"}


def test_the_catalogue_is_in_the_order_of_size() -> None:
    """Within a group; the groups are told apart by a comment line."""
    text = (MODELS / "catalogue.toml").read_text(encoding="utf-8")
    groups = re.split(r"^# .*billion.*$", text.partition("\n# --- to be had")[2], flags=re.MULTILINE)[1:]
    assert len(groups) == 5
    for group in groups:
        names = tomllib.loads(group.partition("\n# embedders")[0])["models"]
        sizes = [CATALOGUE.models[name].memory for name in names]
        assert sizes == sorted(sizes), list(names)


def _card_of(name: str) -> Path:
    """Its own, or that of its family, which has it in the first column of a table."""
    own = CARDS / f"{name}.md"
    if own.exists():
        return own
    [family] = [path for path in CARDS.glob("*.md") if f"\n| {name} |" in path.read_text(encoding="utf-8")]
    return family


def _shape(card: ModelCard) -> Header:
    """What the row under "Shape" says, as if it had been read from the file."""
    table = _card_of(card.name).read_text(encoding="utf-8").partition("\n## Shape\n")[2].partition("\n## ")[0]
    [line] = [line for line in table.splitlines() if line.startswith(f"| {card.name} |")]
    weights, layers, kept, state, inner, width, wide, heads, head, vocabulary, window = line.strip("| ").split(" | ")[
        1:
    ]
    count = int(layers)
    cached = (_each(kept) + [0] * count)[:count]
    states = ([0] * count + _each(state))[-count:]
    return Header(
        path=card.name,
        architecture="",
        context_length=card.trained_context,
        embedding_length=int(width),
        layers=count,
        heads=int(heads),
        key_length=int(head),
        value_length=int(head),
        cached_keys=tuple(numbers - numbers // 2 for numbers in cached),
        cached_values=tuple(numbers // 2 for numbers in cached),
        state_bytes=tuple(states),
        feed_forward_length=int(wide),
        inner_length=int(inner),
        sliding_window=int(window),
        vocabulary=int(vocabulary),
        parameters=card.parameters,
        tensor_bytes=int(weights),
        block_bytes=(0,) * count,
    )


def _each(terms: str) -> list[int]:
    """Of `2 x 512 + 1 x 64` one number a layer: 512, 512, 64. Of a dash none."""
    pairs = [term.split(" x ") for term in terms.split(" + ") if term != "-"]
    return [int(value) for times, value in pairs for _ in range(int(times))]


def _sum(header: Header, context: int, cache_type: CacheType) -> int:
    made = fit(header, Wishes(context=context, cache_type=cache_type), Memory(free=0))
    return made.weights + made.cache + made.buffers


def _rounded(value: int, step: int) -> int:
    return -(-value // step) * step
