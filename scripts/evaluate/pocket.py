"""Asks the built-in model about packages and in phrasings that its training never saw, through llama.cpp and the whole program.

Each package is a repository with an index of its own; what is asked is made from its definitions by scripts/pocket/questions.py
with the phrasings of scripts/pocket/phrasings/held_out. The sessions are those of `offline-agent ask`, with all eleven tools, none
of which does anything. An answer is right when

  where, what, args   its first citation is a definition that the name means, and what was asked is answered
  uses                every line it cites has the name, at least one is no definition of it; or it says rightly that there is none
  which               its first citation is the definition that was described, or one with the same docstring
  none                it says that it does not know the name (it is nowhere in the package)
  a tool              that tool is called, with the arguments that stand in the request
  hello, code, other  it says what it is; asked for code, which command finds a model that can write some
"""

import argparse
import json
import re
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel

from offline_agent.agent.hands import Hands
from offline_agent.agent.record import INTENTS, PLAIN, TOOLS
from offline_agent.app.quality.stage import Stage, scratch, staged
from offline_agent.events import Acting, Answered, Searched, Shown, Token
from offline_agent.llm.catalogue import load_catalogue
from offline_agent.llm.process import LlamaProcess
from offline_agent.protocols import Index, Tool
from offline_agent.settings import load_settings
from offline_agent.types import Hit, ToolCall, ToolResult, ToolSpec
from scripts.evaluate.pocket_cases import REPOSITORIES, Asked, questions_about, repository
from scripts.evaluate.pocket_judge import Given, Outcome, judge, values_of
from scripts.evaluate.progress import Meter


class NoTool:
    """A Tool that stands for a real one and does nothing."""

    def __init__(self, tool: Tool) -> None:
        self.spec: ToolSpec = tool.spec
        self.arguments: type[BaseModel] = tool.arguments

    def run(self, arguments: BaseModel) -> ToolResult:
        return ToolResult(text="Done.", ours=True)


def main() -> None:
    arguments = parse_arguments()
    settings = load_settings()
    card = load_catalogue(settings.models_directory).model("pocket")
    path = arguments.model or settings.models_directory / card.file
    if arguments.model:
        card = card.model_copy(update={"size": 0, "sha256": ""})  # those are of the one that is shipped
    model = LlamaProcess(card, path, settings.model, checked=True)
    model.start()
    outcomes: list[Outcome] = []
    with closing(model), scratch() as place, Meter(arguments.questions) as meter:
        share = -(-arguments.questions // len(REPOSITORIES))
        for number, name in enumerate(REPOSITORIES):
            count = min(share, arguments.questions - len(outcomes))
            meter.begin(name, count)
            root, spans = repository(name, place)
            questions = list(questions_about(name, spans, count, arguments.seed + number))
            with staged(settings, root, model, card) as stage:
                index = stage.index()
                for asked in questions:
                    given = ask(stage, index, asked)
                    outcomes.append(judge(asked, given, root))
                    meter.asked()
        memory = peak_memory(model.pid) if model.pid else 0
    report = reported(outcomes, path, memory)
    print(report)
    if arguments.report:
        arguments.report.write_text(report + "\n", encoding="utf-8")
    if arguments.answers:
        lines = (json.dumps(asdict(outcome), ensure_ascii=False) for outcome in outcomes)
        arguments.answers.write_text("\n".join(lines) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a GGUF file that writes records (default: the one that is shipped)")
    parser.add_argument("--questions", type=int, default=700, help="how many (default 700)")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--report", type=Path, help="write the tables there")
    parser.add_argument("--answers", type=Path, help="write every question and answer there, as JSON lines")
    return parser.parse_args()


# --- asking ---


def ask(stage: Stage, index: Index, asked: Asked) -> Given:
    session = stage.question(index)
    session.become(Hands(tools=[NoTool(tool) for tool in stage.hands().tools]))
    call: ToolCall | None = None
    hits: Sequence[Hit] = ()
    answered, begun, seconds, shown = Answered(text=""), 0.0, 0.0, 0
    for event in session.ask(asked.text):
        if isinstance(event, Searched):
            hits = event.result.hits
        elif isinstance(event, Shown):
            begun, shown = time.perf_counter(), event.excerpts
        elif isinstance(event, Acting):
            call = event.call
        elif isinstance(event, Token) and not seconds:
            seconds = time.perf_counter() - begun
        elif isinstance(event, Answered):
            answered = event
    tool, values = (call.name, values_of(call)) if call else ("", ())
    citations = tuple((each.path, each.start_line, each.end_line, each.symbol) for each in answered.citations)
    among = [(hit.chunk.path, hit.chunk.symbol) in asked.symbols for hit in hits[:shown]]
    return Given(answered.text, citations, answered.verified, tool, values, seconds, any(among), among[:1] == [True])


# --- the report ---


def share(outcomes: Sequence[Outcome], attribute: str = "right") -> str:
    hits = sum(bool(getattr(outcome, attribute)) for outcome in outcomes)
    return f"{hits / len(outcomes):.3f}" if outcomes else "-"


def of_kinds(outcomes: Sequence[Outcome], kinds: Sequence[str]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.asked.kind in kinds]


def reported(outcomes: Sequence[Outcome], path: Path, memory: int) -> str:
    rows = ["| asked | n | right chunk, tool or text | all right |", "|---|---|---|---|"]
    for kind in [*INTENTS, "uses", "which", "none", *TOOLS, *PLAIN]:
        chosen = of_kinds(outcomes, [kind])
        rows.append(f"| {kind} | {len(chosen)} | {share(chosen, 'cited')} | {share(chosen)} |")
    named_ones, which = of_kinds(outcomes, INTENTS), of_kinds(outcomes, ["which"])
    shown = [outcome for outcome in which if outcome.given.shown]
    answerable = of_kinds(outcomes, [*INTENTS, "uses", "which"])
    refused = [outcome for outcome in answerable if not outcome.given.verified]
    tools = of_kinds(outcomes, list(TOOLS))
    seconds = [outcome.given.seconds for outcome in outcomes]
    lines = [
        f"{len(outcomes)} questions about {len(REPOSITORIES)} held-out repositories, held-out phrasings, "
        "words and static vectors:",
        "",
        *rows,
        "",
        f"- where, what, args: right chunk {share(named_ones, 'cited')} of {len(named_ones)}",
        f"- descriptions: right chunk {share(which, 'cited')} of {len(which)}; "
        f"{share(shown, 'cited')} of the {len(shown)} whose chunk the search found; the search's first result is right for "
        f"{sum(outcome.given.first for outcome in which) / max(1, len(which)):.3f}",
        f"- the name is absent: refused {share(of_kinds(outcomes, ['none']))}; "
        f"refused wrongly {len(refused) / max(1, len(answerable)):.3f} of {len(answerable)}",
        f"- right tool {share(tools, 'cited')}, with the right arguments {share(tools)} of {len(tools)}",
        f"- citations of what does not exist: {sum(outcome.false for outcome in outcomes)}",
        f"- from the search to the first word: median {statistics.median(seconds):.3f} s, worst {max(seconds):.3f} s; "
        f"file {path.stat().st_size / 1e6:.1f} MB, memory of the model's process at most {memory / 1e6:.0f} MB, one thread",
    ]
    return "\n".join(lines)


def peak_memory(pid: int) -> int:
    """The most bytes that a process has had in memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(match[1]) * 1024 if match else 0


if __name__ == "__main__":
    main()
