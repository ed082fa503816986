"""Every phrasing can be filled, asks one thing only, and the held-out ones are held out."""

import random
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest

from scripts.pocket import phrases
from scripts.pocket.extract import Span
from scripts.pocket.fillings import SLOTS
from scripts.pocket.phrases import QUESTIONS
from scripts.pocket.questions import QuestionWriter
from scripts.pocket.words import Words

KINDS = ("training", "held_out")
NAMED, DESCRIBED, FILLED = {"n", "m", "w"}, {"d", "g", "s", "t"}, {*SLOTS.values(), "file", "glob"}
KNOWN = dict.fromkeys(QUESTIONS, NAMED) | {"which": DESCRIBED, "code": NAMED | DESCRIBED, "hello": set()}


def every(kind: str) -> Iterator[tuple[str, str]]:
    """Each core with its intent, every [a|b] settled in every way."""
    for intent, cores in phrases.cores(kind).items():
        for core in cores:
            yield from ((intent, text) for text in settled(core))


def settled(core: str) -> list[str]:
    match = re.search(r"\[([^\[\]]*)\]", core)
    if match is None:
        return [" ".join(core.split())]
    before, after = core[: match.start()], core[match.end() :]
    return [text for choice in match[1].split("|") for text in settled(f"{before}{choice}{after}")]


def heard(text: str) -> str:
    """What a person reads of a phrasing: neither case nor marks nor quotes, which come and go by chance."""
    return " ".join(re.sub(r"[^\w{}$]+", " ", text.partition(" => ")[0].lower()).split())


@pytest.mark.parametrize("kind", KINDS)
def test_every_slot_is_known(kind: str) -> None:
    for intent, text in every(kind):
        slots = set(re.findall(r"\{(.*?)\}", text))
        assert slots <= KNOWN.get(intent, FILLED), (intent, text)
        assert not re.search(r"[{}\[\]]", re.sub(r"\{\w+\}", "", text)), (intent, text)
        assert bool(slots) or intent in QUESTIONS or intent == "list" or " => " in text, (intent, text)


@pytest.mark.parametrize("kind", KINDS)
def test_the_arguments_of_every_request_can_be_read_back(kind: str, spans: list[Span]) -> None:
    words = Words(spans, random.Random(0))
    for intent, text in every(kind):
        if intent not in QUESTIONS:
            words.rng = random.Random(text)
            writer = QuestionWriter(words, words.rng, {intent: [text]}, varied=False)
            asked = next(filter(None, (writer.request(intent) for _ in range(40))), None)
            assert asked is not None, (intent, text)
            assert "{" not in asked.text, asked


def test_no_text_asks_for_two_things() -> None:
    intents: dict[str, set[str]] = defaultdict(set)
    for intent, text in every("training"):
        intents[text.lower()].add(intent)
    assert [text for text, meant in intents.items() if len(meant) > 1] == []


def test_what_is_held_out_is_nowhere_in_training() -> None:
    seen = {heard(text) for _, text in every("training")}
    assert [(intent, text) for intent, text in every("held_out") if heard(text) in seen] == []


def test_both_have_every_intent() -> None:
    assert set(phrases.cores("training")) == set(phrases.cores("held_out")) >= set(QUESTIONS)


def test_a_phrasing_is_settled_and_its_slots_stay_open(rng: random.Random) -> None:
    texts = {phrases.choose("[Where|In which [file|module]] is {n}?", rng) for _ in range(50)}
    assert texts == {"Where is {n}?", "In which file is {n}?", "In which module is {n}?"}
    for _ in range(200):
        text, core = phrases.compose("where", rng, phrases.cores("training"))
        assert core in phrases.cores("training")["where"]
        assert "{n}" in text
        assert not re.search(r"[\[\]|]", text)


def test_a_slip_changes_one_ordinary_word(rng: random.Random) -> None:
    for _ in range(50):
        before, after = ["where", "is", "{n}", "defined"], phrases.with_typo("where is {n} defined", rng).split()
        changed = [old for old, new in zip(before, after, strict=True) if old != new]
        assert changed in ([], ["where"], ["defined"])  # to swap two equal letters is no slip
