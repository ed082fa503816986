"""Asks the injection detector about texts with known answers, and about the READMEs and sources of the running environment.

Every third text is held out: nobody looks at what the detector does with it while patterns and weights are tuned. "real"
are excerpts of published READMEs and sources of libraries for language models; the others were written for this, near misses
among them.
"""

import argparse
import random
import re
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from offline_agent.guard.suspect import Suspicion, load_features
from offline_agent.settings import find_declarations
from scripts.evaluate.redaction import code_files

CASES = Path(__file__).parents[2] / "tests" / "guard" / "cases" / "injection"
_ESCAPE = re.compile(r"\\u\{([0-9a-f]+)\}")
_MEGABYTES = 10


@dataclass(frozen=True)
class Case:
    """A text, and whether it gives orders."""

    kind: str
    text: str
    attack: bool
    held_out: bool


@dataclass(frozen=True)
class Figures:
    precision: float
    recall: float
    wrong: tuple[Case, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--show", action="store_true", help="print what it gets wrong of the texts that are not held out"
    )
    arguments = parser.parse_args()
    suspicion = Suspicion(load_features(find_declarations() / "index"))
    for held_out in (False, True):
        cases = [case for case in load_cases() if case.held_out == held_out]
        figures = measure(suspicion, cases)
        attacks = sum(case.attack for case in cases)
        name = "held out" if held_out else "tuned on"
        print(
            f"{name}: recall {figures.recall:.3f}, precision {figures.precision:.3f} "
            f"({attacks} attacks, {len(cases) - attacks} others)"
        )
        for case in figures.wrong if arguments.show and not held_out else ():
            print(f"  {'missed' if case.attack else 'FALSE ALARM'} [{case.kind}] {case.text[:150]!r}")
    for name, files in (("READMEs", readmes()), ("sources", code_files())):
        _report(suspicion, name, files, arguments.show)


def load_cases() -> list[Case]:
    """All of them; `\\u{200b}` in a file is that character, and a line of `%% kind` begins a text."""
    cases = []
    for name, attack in (("attacks", True), ("benign", False), ("real", False)):
        parts = re.split(r"(?m)^%% (.*)\n", (CASES / f"{name}.txt").read_text(encoding="utf-8"))[1:]
        for number, (kind, text) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
            text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
            cases.append(Case(kind, text, attack, held_out=number % 3 == 2))
    return cases


def measure(suspicion: Suspicion, cases: Sequence[Case]) -> Figures:
    warned = [bool(suspicion.of(case.text)) for case in cases]
    right = sum(case.attack and warning for case, warning in zip(cases, warned, strict=True))
    wrong = tuple(case for case, warning in zip(cases, warned, strict=True) if case.attack != warning)
    return Figures(right / max(1, sum(warned)), right / max(1, sum(case.attack for case in cases)), wrong)


def readmes() -> list[Path]:
    """The long descriptions of installed packages."""
    return sorted(Path(sysconfig.get_path("purelib")).glob("*.dist-info/METADATA"))


def _report(suspicion: Suspicion, name: str, files: Sequence[Path], show: bool) -> None:
    room, size, warned = _MEGABYTES * 1_000_000, 0, 0
    started = time.perf_counter()
    for path in random.Random(7).sample(files, len(files)):
        text = path.read_text(encoding="utf-8", errors="replace")
        size += len(text)
        if warning := suspicion.of(text):
            warned += 1
            if show:
                print(f"  {path.parent.name}/{path.name}: {warning}")
        if size > room:
            break
    seconds = time.perf_counter() - started
    print(
        f"{name}: {size / 1e6:.1f} MB, {warned} warned of, {warned / size * 1e6:.2f} in a MB, {size / seconds / 1e6:.1f} MB/s"
    )


if __name__ == "__main__":
    main()
