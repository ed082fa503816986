"""The ways to ask, from the files in phrasings/: a core a line, and around it an opening, a closing, haste and slips.

    core       Where is {n} [defined|declared|implemented]?      [a|b] is a choice, {n} a slot
    opening    can you tell me, ...
    closing    ... in this repo

phrasings/training holds the cores that training uses, phrasings/held_out those that it never sees, written by somebody who had not
seen the others: the evaluation asks with these.
"""

import random
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

FOLDER = Path(__file__).parent / "phrasings"
QUESTIONS = ("where", "what", "args", "uses", "which", "hello", "code", "other")
Cores = Mapping[str, Sequence[str]]
"""By intent: one of QUESTIONS, or the name of a tool."""


@cache
def cores(kind: str) -> Cores:
    """Those of "training" or "held_out"."""
    files = [*(FOLDER / kind).glob("*.txt"), *(FOLDER / kind / "tools").glob("*.txt")]
    return MappingProxyType({file.stem: _lines(file) for file in sorted(files)})


def _lines(file: Path) -> list[str]:
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


OPENINGS = [
    "please", "can you tell me", "could you tell me", "hey,", "I want to know", "I'd like to know", "quick question:", "hi!",
    "ok,", "so", "do you know", "help me:", "I need to know", "now", "and", "one more thing:", "hello,", "tell me,", "well,",
    "sorry,", "ok so", "I wonder:", "another question:", "thanks!", "next:", "just curious:", "question:", "I was wondering,",
    "hmm,", "um", "yo", "alright,", "pls", "would you mind telling me", "sorry to bother you, but", "any idea", "remind me,",
    "not sure if you know, but", "I'm new here,", "back to the code:", "hi there,", "actually,", "wait,", "cool, and", "but",
]  # fmt: skip
CLOSINGS = [
    "please", "thanks", "in this repo", "in this project", "here", "(just curious)", "in the code base", "exactly", "again",
    "in our code", "in this code", "now", "if you know", "thank you", "for me", "then", "pls", "thx", "in this codebase", "btw",
    "in the source", "I forgot", "if that's ok", "when you have a moment", "in this repository", "anyway", "cheers",
]  # fmt: skip
COMMAND_OPENINGS = [
    "please", "hey,", "ok,", "so", "now", "and", "next:", "hi!", "then", "could you", "can you", "would you", "pls", "thanks!",
    "I'd like you to", "go ahead and", "just", "quickly", "first,", "ok now", "for me,", "kindly", "let's", "you should",
]  # fmt: skip
COMMAND_CLOSINGS = [
    "please", "thanks", "for me", "now", "pls", "thx", "if you can", "thank you", "quickly", "would you",
]  # fmt: skip


def choose(core: str, rng: random.Random) -> str:
    """Settle every [a|b]."""
    while match := re.search(r"\[([^\[\]]*)\]", core):
        core = core[: match.start()] + rng.choice(match.group(1).split("|")) + core[match.end() :]
    return " ".join(core.split())


def lower_first(text: str) -> str:
    """For behind an opening; acronyms and slots keep their case."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def misspell(word: str, rng: random.Random) -> str:
    """One slip of the fingers: a letter doubled, dropped, or swapped with the next."""
    at = rng.randrange(1, len(word) - 1)
    return rng.choice(
        [
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        ]
    )


def with_typo(text: str, rng: random.Random) -> str:
    """A slip in an ordinary word. The "s" that tells usages from usage is not one."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha() and not word.startswith("usage")]
    if places:
        at = rng.choice(places)
        words[at] = misspell(words[at], rng)
    return " ".join(words)


def compose(intent: str, rng: random.Random, cores: Cores) -> tuple[str, str]:
    """One phrasing with its {slots} still open, openings, closings, case, marks and slips included; and its core."""
    core = rng.choice(cores[intent])
    text = choose(core.partition(" => ")[0], rng)
    commands = intent not in QUESTIONS or intent == "code"
    ends_open = text.rstrip("?. ").endswith("}") and (commands or not text.rstrip("?. ").endswith(("{n}", "{m}")))
    if rng.random() < 0.3 and intent != "hello" and not (commands and text.startswith("{")):
        text = f"{rng.choice(COMMAND_OPENINGS if commands else OPENINGS)} {lower_first(text)}"
    if rng.random() < 0.15 and intent != "hello" and not ends_open:
        mark = text[-1] if text[-1] in "?.!" else ""
        text = f"{text[: len(text) - len(mark)]} {rng.choice(COMMAND_CLOSINGS if commands else CLOSINGS)}{mark}"
    if rng.random() < 0.2:
        text = text.rstrip("?.!") or text
    if rng.random() < 0.25:
        text = text.lower()  # slots are in lower case anyway
    if rng.random() < 0.1:
        text = with_typo(text, rng)
    return text, core


def interrupted(text: str, words: Sequence[str], rng: random.Random) -> str:
    """A word or two that mean nothing here, anywhere: what is asked must be found in spite of words never heard."""
    parts = text.split(" ")
    for _ in range(rng.choice([1, 1, 2])):
        parts.insert(rng.randint(0, len(parts)), rng.choice(words))
    return " ".join(parts)


def all_words() -> list[str]:
    """Everything the training phrasings can say, for the tokenizer to learn from."""
    texts = [re.sub(r"[\[\]|]|\{\w+\}", " ", core) for each in cores("training").values() for core in each]
    return [*texts, *OPENINGS, *CLOSINGS, *COMMAND_OPENINGS, *COMMAND_CLOSINGS]
