"""The GGUF under llama.cpp, one thread, greedy, through its own chat template: packages and phrasings it never saw."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from llama_cpp import Llama as LlamaCpp
from tokenizers import Tokenizer

from . import export
from .data import Case
from .model import Llama

RECORD = re.compile(
    r"^(?:(?P<name>\S+)\[(?P<marker>\d)\] (?P<intent>where|what|args|which)|(?P<absent>\S+) none|(?P<other>other))$"
)
INTENTS = ["where", "what", "args", "which", "none", "other"]
ODD_TEXTS = [
    "tabs\tand  double  spaces\r\n\r\n  x it's don't I'LL 12345 \u00e9 \u00fcn\u00ef \u65e5\u672c \U0001f642 \n\n\n\n   end   ",
    "   ", "\n\n", "a\n \n b", "x[2] = y[10] ", "[3]  [4]\n[5] ",
]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    case: Case
    given: str

    @property
    def exact(self) -> bool:
        return self.given == self.case.expected

    @property
    def intent(self) -> str:
        """The intent that was answered; empty where the answer is no record."""
        match = RECORD.match(self.given)
        if match is None:
            return ""
        return match["intent"] or ("none" if match["absent"] else "other")

    @property
    def marker(self) -> str:
        return marker_of(self.given)

    @property
    def unnoticed(self) -> bool:
        """Wrong, and yet the program's check (the chunk cited has the name given) would let it pass."""
        match = RECORD.match(self.given)
        if self.exact or match is None or match["absent"]:
            return False
        if match["other"]:
            return True
        number = int(match["marker"])
        symbol = self.case.symbols[number - 1] if 1 <= number <= len(self.case.symbols) else ""
        return f".{symbol}".endswith("." + match["name"])


def marker_of(record: str) -> str:
    match = RECORD.match(record)
    return match["marker"] or "" if match else ""


def ask(model: LlamaCpp, cases: Sequence[Case]) -> list[Outcome]:
    outcomes = []
    for count, case in enumerate(cases, 1):
        reply = model.create_chat_completion(
            messages=[{"role": "user", "content": case.content}], temperature=0.0, repeat_penalty=1.0, max_tokens=64
        )
        outcomes.append(Outcome(case, reply["choices"][0]["message"]["content"]))
        if count % 20 == 0 or count == len(cases):
            print(f"\r  {count}/{len(cases)} questions", end="", flush=True)
    print()
    return outcomes


def share(outcomes: Sequence[Outcome], test: Callable[[Outcome], bool]) -> str:
    return f"{sum(map(test, outcomes)) / len(outcomes):.2f}" if outcomes else "-"


def quality_table(outcomes: Sequence[Outcome]) -> str:
    """A row an intent and phrasing. Chunk is right for none and other when no chunk is cited."""
    rows = [
        "| question | phrasing | n | chunk | intent | exact record | wrong, unnoticed |",
        "|---|---|---|---|---|---|---|",
    ]
    for intent in [*INTENTS, "all"]:
        for phrasing in ("seen", "new"):
            chosen = [
                each
                for each in outcomes
                if intent in ("all", each.case.intent) and each.case.new == (phrasing == "new")
            ]
            figures = [
                share(chosen, lambda each: each.marker == marker_of(each.case.expected)),
                share(chosen, lambda each: each.intent == each.case.intent),
                share(chosen, lambda each: each.exact),
                share(chosen, lambda each: each.unnoticed),
            ]
            rows.append(f"| {' | '.join([intent, phrasing, str(len(chosen)), *figures])} |")
    return "\n".join(rows)


def summary(outcomes: Sequence[Outcome]) -> str:
    named = [each for each in outcomes if each.case.intent in ("where", "what", "args")]
    grounded = [each for each in outcomes if each.case.intent not in ("none", "other")]
    absent = [each for each in outcomes if each.case.intent == "none"]
    which = [each for each in outcomes if each.case.intent == "which"]
    first = [each for each in which if marker_of(each.case.expected) == "1"]
    later = [each for each in which if marker_of(each.case.expected) != "1"]
    return "\n".join(
        [
            f"- says that a name is absent when it is: {share(absent, lambda e: e.intent == 'none')} of {len(absent)}; "
            f"when it is there: {share(named, lambda e: e.intent == 'none')} of {len(named)}",
            f"- takes an answerable question for something else: {share(grounded, lambda e: e.intent == 'other')}",
            f"- `which`, right chunk: {share(first, lambda e: e.marker == '1')} of {len(first)} that the search ranked "
            f"first, {share(later, lambda e: e.marker == marker_of(e.case.expected))} of {len(later)} ranked lower",
            f"- no record at all: {share(outcomes, lambda e: not e.intent)}",
        ]
    )


def failing_cores(outcomes: Sequence[Outcome]) -> str:
    """Phrasings that are understood less than four times in five, worst first."""
    by_core: dict[tuple[str, str], list[Outcome]] = {}
    for each in outcomes:
        asked = each.case.intent if each.case.intent != "none" else "named, absent"
        by_core.setdefault((asked, each.case.core), []).append(each)
    lines = []
    for (intent, core), group in by_core.items():
        right = sum(each.intent == each.case.intent for each in group) / len(group)
        if len(group) >= 3 and right < 0.8:
            lines.append(
                (right, f"- {intent}: `{core}` {right:.2f} of {len(group)}{' (new)' if group[0].case.new else ''}")
            )
    return "\n".join(line for _, line in sorted(lines)) or "- none"


# --- is it the same model that was trained? ---


def tokenizer_differences(model: LlamaCpp, tokenizer: Tokenizer, texts: Iterable[str]) -> int:
    return sum(
        tokenizer.encode(text).ids != model.tokenize(text.encode(), add_bos=False, special=True) for text in texts
    )


def agreement(file: Path, ours: Llama, tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[int, int]:
    """At how many of all places llama.cpp and torch would choose the same next token."""
    model = LlamaCpp(str(file), n_ctx=2048, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False)
    same = total = 0
    for text in texts:
        ids = tokenizer.encode(text).ids
        model.reset()
        model.eval(ids)
        with torch.no_grad():
            expected = ours(torch.tensor([ids]))[0].argmax(-1).numpy()
        same += int((np.array(model.scores[: len(ids)]).argmax(-1) == expected).sum())
        total += len(ids)
    return same, total


def speed(model: LlamaCpp, ids: list[int]) -> tuple[float, float]:
    """Tokens a second, reading and writing: the best of three."""
    best_read = best_write = 0.0
    for _ in range(3):
        model.reset()
        begun = time.perf_counter()
        model.eval(ids)
        best_read = max(best_read, len(ids) / (time.perf_counter() - begun))
        begun = time.perf_counter()
        for token in ids[:64]:
            model.eval([token])
        best_write = max(best_write, 64 / (time.perf_counter() - begun))
    return best_read, best_write


def prompt(case: Case, answer: str = "") -> str:
    return f"<|user|>\n{case.content}<|end|>\n<|assistant|>\n{answer}"


def evaluate(file: Path, cases: Sequence[Case]) -> tuple[str, list[Outcome]]:
    """The report in Markdown, and what was answered."""
    torch.set_num_threads(1)
    ours, tokenizer = export.read(file)
    begun = time.perf_counter()
    model = LlamaCpp(str(file), n_ctx=2048, n_threads=1, n_threads_batch=1, verbose=False)
    loading = time.perf_counter() - begun
    outcomes = ask(model, cases)
    longest = max((prompt(case) for case in cases), key=len)
    reading, writing = speed(model, tokenizer.encode(longest).ids)
    texts = [prompt(case, case.expected) for case in cases]
    checked = [*texts[:200], *ODD_TEXTS, *(path.read_text() for path in Path(__file__).parent.glob("*.py"))]
    different = tokenizer_differences(model, tokenizer, checked)
    same, total = agreement(file, ours, tokenizer, texts[:24])
    lines = [
        quality_table(outcomes),
        "",
        summary(outcomes),
        "",
        f"llama.cpp, one thread: loads in {loading:.2f} s, reads {reading:.0f} and writes {writing:.0f} tokens a second. "
        f"Its tokenizer differs from ours in {different} of {len(checked)} texts; its next token is the one of torch in "
        f"float32 at {same} of {total} places.",
    ]
    return "\n".join(lines), outcomes
