"""`offline-agent run`: a task, done without anybody at the keyboard."""

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial

from offline_agent import app
from offline_agent.cli.ask import Streams, read_question
from offline_agent.cli.options import add_model, add_repository, program_for, tell, whole_number
from offline_agent.cli.terminal import progress_line
from offline_agent.errors import LimitReached, SandboxUnavailable, Stopped, UsageError
from offline_agent.events import Answered, Event, Searched, Token
from offline_agent.repl.turn import TurnView
from offline_agent.settings import Settings

_EPILOG = """\
examples:
  offline-agent run "fix the failing test in tests/test_pricing.py" --allow edit --allow "bash:pytest *"
  offline-agent run "what would it take to support Python 3.14?" --agent plan
  git diff | offline-agent run "review this" --agent plan --json

A RULE is PERMISSION or PERMISSION:PATTERN, such as edit, edit:src/*, bash:npm test or bash:git *. What a rule of yours, of the
repository or of this machine denies stays denied. What a command line does cannot always be told from its text (xargs, python -c);
such a line runs with --yes only. `offline-agent undo` takes back what was changed.

Exit codes: 0 the model ended with an answer, 65 a limit was reached (steps, tokens, time, the same call again and again),
62 no command can be confined here, 40-47 the model, 130 stopped. --json says more: one event a line, the last has type "answered".
"""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "run",
        help="do a task without asking",
        description="Gives the agent a task and lets it work until it is done. Nobody is asked: what would ask is denied,\nunless "
        "--allow or --yes say otherwise. The task comes from the arguments, from standard input, or from both.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("task", nargs="*", help="what to do; without it, standard input is read")
    parser.add_argument(
        "--agent", choices=["build", "plan"], help="build changes files and runs commands (default), plan only reads"
    )
    parser.add_argument("--json", action="store_true", help="every event as a line of JSON")
    parser.add_argument(
        "--max-steps", type=whole_number(1), metavar="N", help="the most requests to the model (default: 40)"
    )
    parser.add_argument("--allow", action="append", default=[], metavar="RULE", help="allow this; may be given often")
    parser.add_argument("--yes", action="store_true", help="allow whatever would be asked; what is denied stays denied")
    add_repository(parser)
    add_model(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    task = read_question(arguments.task)
    with program_for(arguments, partial(limited, arguments)) as program:
        check_hands(program, arguments.allow, arguments.yes)
        program.start_model()
        for warning in filter(None, (program.card.notice, *program.warnings())):
            tell(warning)
        with progress_line("reading files:") as progress:
            retriever = program.one_shot_retriever(progress, changing=True)
        session = program.task(retriever, arguments.allow, arguments.yes)
        with closing(session.ask(task)) as events:
            answered = last(in_json(events) if arguments.json else on_screen(events))
    return {"end": 0, "user": Stopped.exit_code}.get(answered.stopped, LimitReached.exit_code)


def limited(arguments: argparse.Namespace, settings: Settings) -> Settings:
    """The settings with what the command line says of `[ask]`. Raises UsageError for what the policy fixes."""
    given = {"agent": arguments.agent, "steps": arguments.max_steps}
    limits = {name: value for name, value in given.items() if value is not None}
    for name in limits:
        if f"ask.{name}" in settings.policy:
            raise UsageError(f"The policy of this machine fixes ask.{name}. Leave that option out.")
    return settings.model_copy(update={"ask": settings.ask.model_copy(update=limits)})


def check_hands(program: app.Program, allow: Sequence[str], yes: bool) -> None:
    """Before a model is loaded. Raises UsageError for rules that cannot be understood and for a model that uses no tools, and
    SandboxUnavailable where an agent that runs commands could run none."""
    settings, workbench = program.settings, program.workbench
    policy = workbench.policy(settings.ask.agent, allow, yes)
    if not program.card.acts:
        raise UsageError(f"{program.card.name} answers questions and uses no tools. Do tasks with --model FILE.gguf.")
    if settings.ask.agent == "plan":
        return
    report = workbench.report(policy)
    if report.mechanism == "none" and settings.sandbox.mechanism != "none":
        raise SandboxUnavailable(f"{report.problem} With --agent plan none is needed.")
    if report.mechanism == "none":
        tell(report.problem)


def last(events: Iterable[Event]) -> Answered:
    answered = Answered(text="")
    for event in events:
        if isinstance(event, Answered):
            answered = event
    return answered


def on_screen(events: Iterable[Event]) -> Iterator[Event]:
    """Shows what goes on, on standard error where that is a terminal, and the answer on standard output."""
    screen = Streams()
    view = TurnView(screen)
    try:
        for event in events:
            if not isinstance(event, Answered):
                view.show(event)
            yield event
    finally:
        view.end_line()
        screen.write("")


def in_json(events: Iterable[Event]) -> Iterator[Event]:
    """One object a line. Of a search only places are told, and of the answer no single words: it comes whole at the end."""
    for event in events:
        if not isinstance(event, Token):
            line = event.model_dump(mode="json")
            if isinstance(event, Searched):
                line["result"]["hits"] = [hit.chunk.location for hit in event.result.hits]
            print(json.dumps(line, ensure_ascii=False), flush=True)
        yield event
