"""`offline-agent ask`: one question, one answer on standard output."""

import argparse
import json
import sys
from collections.abc import Iterable

from offline_agent.cli.options import add_explain_fit, add_model, add_repository, explain_fit, program_for
from offline_agent.cli.terminal import printable, progress_line, readable
from offline_agent.errors import UsageError
from offline_agent.events import Acted, Answered, Event, Filled, Searched, Shown
from offline_agent.repl.turn import TurnView
from offline_agent.types import SearchResult


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "ask",
        help="answer one question",
        description="Answers one question about the repository, on standard output. The question comes from the arguments, from "
        'standard input, or from both: `git diff | offline-agent ask "What does this touch?"`.',
    )
    parser.add_argument("question", nargs="*", help="the question; without it, standard input is read")
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object: answer, citations, tool calls, and what took part in the search",
    )
    add_repository(parser)
    add_model(parser)
    add_explain_fit(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    question = read_question(arguments.question)
    with program_for(arguments) as program:
        if arguments.explain_fit:
            explain_fit(program)
        program.start_model()
        if program.card.notice and sys.stderr.isatty():
            print(program.card.notice, file=sys.stderr)
        with progress_line("reading files:") as progress:
            retriever = program.one_shot_retriever(progress)
        events = program.question(retriever).ask(question)
        if arguments.json:
            print(json.dumps(as_json(events, model=program.card.name), ensure_ascii=False, indent=2))
        else:
            show(events)
    return 0


def read_question(words: list[str]) -> str:
    """The question from the command line and, where it is not a terminal, standard input. Raises UsageError when both are empty."""
    piped = "" if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty() else sys.stdin.read()
    question = readable("\n\n".join(part for part in (" ".join(words).strip(), piped.strip()) if part))
    if not question:
        raise UsageError('There is no question. Try: offline-agent ask "Where is main defined?"')
    return question


class Streams:
    """A Screen: the answer on standard output, everything else on standard error, and only where that is a terminal."""

    def __init__(self) -> None:
        self._waiting = ""
        self._tells = sys.stderr.isatty()

    def write(self, text: str) -> None:
        self._tell("\r" + " " * len(self._waiting) + "\r" if self._waiting else "")
        self._waiting = ""
        print(printable(text), end="", flush=True)

    def say(self, text: str, style: str = "") -> None:
        self.write("")
        self._tell(f"{printable(text)}\n")

    def wait(self, text: str) -> None:
        self._tell("\r" + text.ljust(len(self._waiting)))
        self._waiting = text

    def _tell(self, text: str) -> None:
        if self._tells:
            print(text, end="", file=sys.stderr, flush=True)


def show(events: Iterable[Event]) -> None:
    """The answer as it comes. On an error the line that was waited on is wiped before it is told."""
    screen = Streams()
    view = TurnView(screen)
    try:
        for event in events:
            if not isinstance(event, Answered):  # the line under it is for sessions
                view.show(event)
    finally:
        view.end_line()
        screen.write("")


def as_json(events: Iterable[Event], model: str) -> dict[str, object]:
    """What scripts get: citations as objects with path, start_line, end_line and symbol; the context in tokens."""
    result, answered, shown, filled = (
        SearchResult(),
        Answered(text=""),
        Shown(excerpts=0, found=0),
        Filled(tokens=0, context=0),
    )
    tools = []
    for event in events:
        if isinstance(event, Searched):
            result = event.result
        elif isinstance(event, Shown):
            shown = event
        elif isinstance(event, Filled):
            filled = event
        elif isinstance(event, Acted):
            tools.append(event)
        elif isinstance(event, Answered):
            answered = event
    return {
        "answer": answered.text,
        "citations": [citation.model_dump() for citation in answered.citations],
        "verified": answered.verified,
        "stopped": answered.stopped,
        "model": model,
        "search": {"lexical": result.lexical, "dense": result.dense, "hits": len(result.hits), "shown": shown.excerpts},
        "context": {"tokens": filled.tokens, "size": filled.context},
        "tools": [
            {
                "name": acted.call.name,
                "arguments": acted.call.arguments,
                "summary": acted.summary,
                "failed": acted.failed,
            }
            for acted in tools
        ],
    }
