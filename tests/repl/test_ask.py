"""Questions to the person over a piped terminal, and sessions whose scripted model changes things, with everything else real."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output.plain_text import PlainTextOutput

from offline_agent.actions import Answer, Proposal, Request, Verdict
from offline_agent.app import open_program
from offline_agent.events import Called, Piece
from offline_agent.llm.scripted import ScriptedModel
from offline_agent.repl.ask import TerminalAsker
from offline_agent.repl.loop import Repl
from offline_agent.settings import load_settings
from offline_agent.types import ToolCall

LASTING = Verdict(
    decision="ask",
    request=Request(permission="bash", value="make all", always="make *"),
    reason="Commands are asked about.",
)
PASSING = Verdict(
    decision="ask", request=Request(permission="bash", value="curl x"), reason="Nobody knows what it does."
)
COMMAND = Proposal(title="run a command", line="make all", verdicts=(LASTING, PASSING))


@pytest.fixture
def terminal() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe:
        yield pipe


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def asker(terminal: PipeInput, screen: io.StringIO) -> TerminalAsker:
    return TerminalAsker(lambda: None, terminal, PlainTextOutput(screen))


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("y\r", Answer(decision="once")),
        ("  Yes \r", Answer(decision="once")),
        ("a\r", Answer(decision="always")),
        ("ALWAYS\r", Answer(decision="always")),
        ("n\r", Answer(decision="reject")),
        ("\x04", Answer(decision="reject")),
        ("use tox instead\r", Answer(decision="reject", message="The user declined and said: use tox instead")),
        ("perhaps\r\ry\r", Answer(decision="once")),
        ("yes, do it\rn\r", Answer(decision="reject")),
        ("y" * 3 + "\r\x04", Answer(decision="reject")),
    ],
)
def test_answers(typed: str, answer: Answer, terminal: PipeInput, asker: TerminalAsker, screen: io.StringIO) -> None:
    terminal.send_text(typed)
    assert asker.permit(COMMAND) == answer
    said = screen.getvalue()
    for shown in ("$ make all", "Commands are asked about.", "always would allow here: bash make *"):
        assert shown in said
    assert ("Type y or n alone" in said) == (typed.count("\r") > 1 or "yyy" in typed)


def test_where_there_is_no_always_it_is_not_offered_or_taken(
    terminal: PipeInput, asker: TerminalAsker, screen: io.StringIO
) -> None:
    terminal.send_text("a\ry\r")
    assert asker.permit(Proposal(title="run", line="curl x", verdicts=(PASSING,))) == Answer(decision="once")
    assert "always" not in screen.getvalue()


def test_ctrl_c_is_no_answer(terminal: PipeInput, asker: TerminalAsker) -> None:
    terminal.send_text("\x03")
    with pytest.raises(KeyboardInterrupt):
        asker.permit(COMMAND)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("ls\x1b[2K\x1b[1A", "$ ls<U+001B>[2K<U+001B>[1A"),
        ("ls \rrm -rf .", "$ ls <U+000D>rm -rf ."),
        ("echo \u202egnp.exe", "$ echo <U+202E>gnp.exe"),
        ("rm\u200b -rf", "$ rm<U+200B> -rf"),
        ("ls\u2028rm", "$ ls<U+2028>rm"),
        ("a\x85b\x0cc\u3164", "$ a<U+0085>b<U+000C>c<U+3164>"),
        ("one\ntwo", "$ one\n  $ two"),
    ],
)
def test_what_cannot_be_seen_in_a_command_is_written_out(
    line: str, shown: str, terminal: PipeInput, asker: TerminalAsker, screen: io.StringIO
) -> None:
    terminal.send_text("n\r")
    asker.permit(Proposal(title="run a command", line=line))
    assert shown in screen.getvalue().replace("\r\n", "\n")


def test_a_name_or_a_diff_forges_nothing(terminal: PipeInput, asker: TerminalAsker, screen: io.StringIO) -> None:
    terminal.send_text("n\r")
    asker.permit(Proposal(title="change a\n  $ ls", diff="--- a\n+++ b\n@@ -0,0 +1 @@\n+\x1b[8mhidden\u2066\n"))
    said = screen.getvalue()
    assert "change a<U+000A>  $ ls" in said
    assert "+<U+001B>[8mhidden<U+2066>" in said


@pytest.mark.parametrize(
    ("typed", "answer"), [("2\r", "tox"), ("3\r", "3"), ("neither\r", "neither"), ("\r", None), ("\x04", None)]
)
def test_a_question_with_choices(
    typed: str, answer: str | None, terminal: PipeInput, asker: TerminalAsker, screen: io.StringIO
) -> None:
    terminal.send_text(typed)
    assert asker.ask("Which\x1b[1m runner?", ["pytest", "tox"]) == answer
    assert "Which<U+001B>[1m runner?" in screen.getvalue()
    assert "  2. tox" in screen.getvalue()


# --- sessions ---


def call(number: int, tool: str, **arguments: object) -> Called:
    return Called(call=ToolCall(id=f"call{number:05}", name=tool, arguments=arguments))


MAKE = [call(1, "write", path="new.txt", content="one\n")]
RUN = [call(2, "run", command="cp new.txt copy.txt")]
ASKED = "Please make a new file\r"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "shop"
    root.mkdir()
    (root / "pricing.py").write_text("def price():\n    return 1\n")
    return root


@pytest.fixture
def play(root: Path, monkeypatch: pytest.MonkeyPatch) -> "Play":
    monkeypatch.setenv("OFFLINE_AGENT_VAULT_KEY", "file")
    return Play(root)


class Play:
    """A session in which a model answers so and a person types that."""

    def __init__(self, root: Path) -> None:
        self.root, self.model = root, ScriptedModel()

    def __call__(self, answers: list[list[Called] | str], *keys: str) -> str:
        """What the screen showed."""
        pieces: list[str | list[str | Piece]] = [answer if isinstance(answer, str) else [*answer] for answer in answers]
        self.model, screen = ScriptedModel(pieces, context=32_768), io.StringIO()
        with create_pipe_input() as terminal, open_program(load_settings(), self.root, model=self.model) as program:
            terminal.send_text("".join(keys) + 9 * "\x04")  # a question too many must not wait for ever
            assert Repl(program, keyboard=terminal, screen=PlainTextOutput(screen)).run() == 0
        return screen.getvalue()

    @property
    def told(self) -> list[str]:
        """What came of the calls, as the model was told it last."""
        return [message.content for message in self.model.prompts[-1] if message.role == "tool"]


def test_what_is_allowed_is_done_and_taken_back_and_done_again(play: Play) -> None:
    new = play.root / "new.txt"
    screen = play([MAKE, "It is there."], ASKED, "y\r", "/turns\r", "/undo\r")
    assert "It is there." in screen
    assert "+one" in screen
    assert "Please make a new file  [new.txt]" in screen
    assert "Turn 1 (Please make a new file) is taken back: 1 path." in screen
    assert not new.exists()
    screen = play([], "/redo\r", "/undo sideways\r", "/undo 1 x\r", "/redo 9\r")
    assert new.read_text() == "one\n"
    assert "'sideways' is no number" in screen
    assert "'1 x' is no number" in screen
    assert "There is no turn 9" in screen
    new.write_text("mine\n")
    assert "+mine" in play([], "/undo\r")
    assert new.read_text() == "mine\n"
    play([], "/undo force\r")
    assert not new.exists()


def test_a_no_with_a_reason_is_told_to_the_model_which_goes_on(play: Play) -> None:
    screen = play([MAKE, "As you like."], ASKED, "not in this directory\r")
    assert "As you like." in screen
    assert "not in this directory" in play.told[0]
    assert not (play.root / "new.txt").exists()


def test_ctrl_c_at_a_question_stops_the_turn_and_the_session_stays(play: Play) -> None:
    screen = play([MAKE, "Never said."], ASKED, "\x03", "/new\r")
    assert "(stopped)" in screen
    assert "A new conversation" in screen
    assert "Never said." not in screen
    assert not (play.root / "new.txt").exists()


def test_always_is_kept_listed_and_revoked(play: Play) -> None:
    commands = [[call(number, "run", command=f"sleep 0.0{number}")] for number in (1, 2, 3)]
    screen = play([commands[0], "Once.", commands[1], "Twice."], "wait\r", "a\r", "wait again\r", "/permissions\r")
    assert screen.count("$ sleep") == 1
    assert "   1  bash sleep *" in screen
    assert "Exit code 0" in play.told[-1]
    screen = play([commands[2], "No."], "/permissions 1\r", "/permissions 1\r", "/permissions x\r", "wait\r", "n\r")
    assert "Approval 1 is revoked." in screen
    assert "No approval here has the number 1." in screen
    assert "'x' is no number" in screen
    assert "declined" in play.told[-1]


def test_plan_changes_nothing_and_build_does(play: Play) -> None:
    keys = ("/agent\r", "/agent plan\r", ASKED, "/agent boss\r", "/agent build\r", "make it now\r", "y\r")
    screen = play([MAKE, "I may not.", MAKE, "Done now."], *keys)
    for said in ("build: changes files", "plan: reads only", "There is no agent 'boss'", "I may not.", "Done now."):
        assert said in screen
    offered = [{tool.name for tool in tools} for tools in play.model.tools]
    assert ["write" in tools for tools in offered] == [False, False, True, True]
    assert (play.root / "new.txt").exists()


def test_a_command_and_what_it_wrote_are_shown(play: Play) -> None:
    screen = play([MAKE, RUN, "Both are there."], ASKED, "y\r", "y\r", "y\r")
    _, asked, told = screen.partition("$ cp new.txt copy.txt")
    assert asked
    assert 'run "cp new.txt copy.txt" ...' in told  # while it runs
    assert (play.root / "copy.txt").read_text() == "one\n"


def test_a_repository_with_broken_rules_has_everything_asked(play: Play) -> None:
    (play.root / "opencode.json").write_text(json.dumps({"permission": "maybe"}))
    screen = play([[call(1, "read", path="pricing.py")], "Read."], "read it\r", "y\r")
    assert "read pricing.py" in screen
    assert "opencode.json, which cannot be read" in screen
