"""Plants secrets in real code, masks it, and counts what was found, what was missed, and what was masked that is none.

The code is that of the running environment: the standard library and the packages beside it, tests left out. Recall is the share
of the planted secrets of which nothing is left; precision the share of marks that stand for a planted secret. Forms that nobody
tuned the detector on are counted by themselves.
"""

import argparse
import random
import re
import sysconfig
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from offline_agent.guard.formats import load_formats
from offline_agent.guard.redact import MARK, Redactor
from offline_agent.settings import find_declarations
from scripts.evaluate.planted import KINDS, Planted, planted

_PIECE = 7  # characters of a secret that tell something
_SKIPPED = re.compile(r"/tests?/|/idlelib/|/test_|_test\.py|/conftest\.py|detect_secrets|/offline_agent/")
_STRETCH = 50  # lines of one file


class Masker(Protocol):
    def mask(self, text: str) -> str: ...


@dataclass
class Outcome:
    """Of each kind, how many were planted and found; marks that stand for nothing planted, with their lines."""

    planted: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    found: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    missed: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return sum(self.found.values()) / max(1, sum(self.planted.values()))

    @property
    def precision(self) -> float:
        right = sum(self.found.values())
        return right / max(1, right + len(self.false))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=5000, help="lines of real code")
    parser.add_argument("--secrets", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--show", action="store_true", help="print what was missed, and false alarms")
    parser.add_argument(
        "--megabytes", type=int, default=20, help="code without planted secrets, for speed and false alarms"
    )
    parser.add_argument("--peer", action="store_true", help="the same with detect-secrets, to compare")
    arguments = parser.parse_args()
    make = _peer if arguments.peer else _own
    for held_out in (False, True):
        name = "held-out forms" if held_out else "forms it was tuned on"
        outcome = evaluate(make(), arguments.lines, arguments.secrets, arguments.seed, held_out)
        _report(name, outcome, arguments.show)
    _report_code(make(), arguments.megabytes, arguments.seed)


def _own() -> Masker:
    return Redactor(load_formats(find_declarations() / "index"))


def _peer() -> Masker:
    from scripts.evaluate.peer import DetectSecrets  # a library of the development environment

    return DetectSecrets()


def evaluate(redactor: Masker, lines: int, secrets: int, seed: int, held_out: bool) -> Outcome:
    """Plants and counts. The same seed plants the same."""
    rng = random.Random(seed)
    code = list(code_lines(lines, rng))
    plants = [planted(KINDS[number % len(KINDS)], rng, held_out) for number in range(secrets)]
    text, owners = _with(code, plants, rng)
    before, after = text.split("\n"), redactor.mask(text).split("\n")
    return _counted(before, after, owners, plants)


def code_lines(count: int, rng: random.Random) -> Iterator[str]:
    """Lines of real code, stretches of files drawn at random."""
    files = code_files()
    while count > 0:
        lines = rng.choice(files).read_text(encoding="utf-8", errors="replace").split("\n")
        start = rng.randrange(max(1, len(lines) - _STRETCH))
        stretch = lines[start : start + min(_STRETCH, count)]
        yield from stretch
        count -= len(stretch)


def code_files() -> list[Path]:
    """Python files of the standard library and of installed packages, tests left out."""
    found = {path for name in ("stdlib", "purelib") for path in Path(sysconfig.get_path(name)).rglob("*.py")}
    return sorted(path for path in found if not _SKIPPED.search(path.as_posix()))


def _with(code: Sequence[str], plants: Sequence[Planted], rng: random.Random) -> tuple[str, dict[int, int]]:
    """The code with the plants in it, and which plant each of their lines belongs to."""
    places = sorted((rng.randrange(len(code)), number) for number in range(len(plants)))
    lines: list[str] = []
    owners: dict[int, int] = {}
    position = 0
    for place, number in places:
        lines += code[position:place]
        position = place
        indent = re.match(r" {0,8}", code[place])[0]  # type: ignore[index]  # it matches nothing too
        for line in plants[number].lines:
            owners[len(lines)] = number
            lines.append(indent + line)
    return "\n".join([*lines, *code[position:]]), owners


def _counted(before: Sequence[str], after: Sequence[str], owners: dict[int, int], plants: Sequence[Planted]) -> Outcome:
    assert len(before) == len(after), "masking keeps the lines"
    outcome = Outcome()
    left: dict[int, str] = defaultdict(str)
    for number, line in enumerate(after):
        if number in owners:
            left[owners[number]] += f"{MARK.sub('', line)}\n"
        elif line != before[number]:
            outcome.false += [before[number].strip()] * len(MARK.findall(line))
    for number, plant in enumerate(plants):
        outcome.planted[plant.kind] += 1
        if any(
            value[i : i + _PIECE] in left[number]
            for value in plant.values
            for i in range(max(1, len(value) - _PIECE + 1))
        ):
            outcome.missed.append(f"{plant.kind}: {plant.lines[0].strip()}")
        else:
            outcome.found[plant.kind] += 1
    return outcome


def _report(name: str, outcome: Outcome, show: bool) -> None:
    print(f"{name}: recall {outcome.recall:.3f}, precision {outcome.precision:.3f}, false alarms {len(outcome.false)}")
    for kind, count in outcome.planted.items():
        print(f"  {kind:<14} {outcome.found[kind]:>3} of {count}")
    for line in [*outcome.missed, *(f"false alarm: {line}" for line in outcome.false)] if show else ():
        print(f"    {line[:160]}")


def _report_code(redactor: Masker, megabytes: int, seed: int) -> None:
    """Speed, and marks in code that nothing was planted in, some of which stand for what looks like a secret to a person too."""
    rng = random.Random(seed)
    texts = []
    room = megabytes * 1_000_000
    for path in rng.sample(files := code_files(), len(files)):
        texts.append(path.read_text(encoding="utf-8", errors="replace"))
        room -= len(texts[-1])
        if room < 0:
            break
    started = time.perf_counter()
    marks = sum(len(MARK.findall(redactor.mask(text))) for text in texts)
    seconds = time.perf_counter() - started
    size = sum(map(len, texts)) / 1e6
    print(f"code as it is: {size:.1f} MB, {size / seconds:.1f} MB/s, {marks / size:.1f} marks in a MB")


if __name__ == "__main__":
    main()
