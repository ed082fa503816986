"""The words that begin with a slash. Everything else is a question."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prompt_toolkit.completion import WordCompleter

if TYPE_CHECKING:
    from offline_agent.repl.loop import Repl


@dataclass(frozen=True)
class SlashCommand:
    """`run` gets the session and the rest of the line; it returns False to leave."""

    name: str
    help: str
    run: Callable[["Repl", str], bool]


def _help(repl: "Repl", _rest: str) -> bool:
    for command in COMMANDS:
        repl.say(f"  {command.name:<16} {command.help}")
    repl.say(
        "  Enter sends, Alt-Enter begins a new line, Ctrl-C stops an answer, Ctrl-R searches earlier questions, Ctrl-D leaves."
    )
    return True


def _new(repl: "Repl", _rest: str) -> bool:
    repl.forget()
    repl.say("A new conversation. The index and the model stay as they are.")
    return True


def _search(repl: "Repl", rest: str) -> bool:
    if rest:
        repl.show_hits(rest)
    else:
        repl.say("Say what to search for: /search retry failed uploads")
    return True


def _map(repl: "Repl", rest: str) -> bool:
    repl.show_map(rest)
    return True


def _status(repl: "Repl", _rest: str) -> bool:
    repl.show_status()
    return True


def _resume(repl: "Repl", rest: str) -> bool:
    if rest:
        repl.resume(rest)
    else:
        repl.show_resumable()
    return True


def _thinking(repl: "Repl", _rest: str) -> bool:
    repl.show_thoughts()
    return True


def _context(repl: "Repl", _rest: str) -> bool:
    repl.show_context()
    return True


def _agent(repl: "Repl", rest: str) -> bool:
    repl.change_agent(rest)
    return True


def _undo(repl: "Repl", rest: str) -> bool:
    repl.revert("undo", rest)
    return True


def _redo(repl: "Repl", rest: str) -> bool:
    repl.revert("redo", rest)
    return True


def _turns(repl: "Repl", _rest: str) -> bool:
    repl.show_turns()
    return True


def _permissions(repl: "Repl", rest: str) -> bool:
    repl.show_permissions(rest)
    return True


def _quit(_repl: "Repl", _rest: str) -> bool:
    return False


COMMANDS = (
    SlashCommand("/help", "this list", _help),
    SlashCommand("/search WORDS", "search results alone, without an answer", _search),
    SlashCommand("/map [WORDS]", "what the repository rests on, or what PATHs or WORDS mean", _map),
    SlashCommand("/agent [NAME]", "go on with another agent: build changes things, plan only reads", _agent),
    SlashCommand("/undo [N]", "take back what the last turn changed, its commands included; or turn N [force]", _undo),
    SlashCommand("/redo [N]", "do again what /undo took back", _redo),
    SlashCommand("/turns", "the turns that changed something", _turns),
    SlashCommand("/permissions [N]", "what you approved for good here; with a number, revoke that", _permissions),
    SlashCommand("/thinking", "what the model thought in the last turn", _thinking),
    SlashCommand("/context", "what takes how many tokens of the model's context", _context),
    SlashCommand("/status", "the model and the index", _status),
    SlashCommand("/resume [ID]", "go on with an earlier session, or list those that can be resumed", _resume),
    SlashCommand("/new", "forget the conversation so far", _new),
    SlashCommand("/quit", "leave (also Ctrl-D)", _quit),
)


def find_command(line: str) -> SlashCommand | None:
    word = line.split(maxsplit=1)[0]
    return next((command for command in COMMANDS if command.name.split()[0] == word), None)


def completer() -> WordCompleter:
    names = [command.name.split()[0] for command in COMMANDS]
    return WordCompleter(
        names, sentence=True, meta_dict={command.name.split()[0]: command.help for command in COMMANDS}
    )
