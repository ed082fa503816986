"""The session on the terminal: read a line, run a turn, show it; Ctrl-C stops the turn and nothing else."""

import logging
import re
import shutil
import sys
import textwrap
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Literal

from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.input import Input
from prompt_toolkit.output import Output
from prompt_toolkit.patch_stdout import patch_stdout

from offline_agent.app import Program, Session, render_map
from offline_agent.cli.map import TOKENS, meant
from offline_agent.cli.sessions import going_on, table
from offline_agent.cli.terminal import printable, readable
from offline_agent.cli.undo import turn_line, undone_text
from offline_agent.errors import AgentError, UsageError
from offline_agent.events import Acted, Event, Filled
from offline_agent.records import SessionInfo
from offline_agent.repl.ask import TerminalAsker
from offline_agent.repl.commands import completer, find_command
from offline_agent.repl.history import VaultHistory
from offline_agent.repl.keys import key_bindings
from offline_agent.repl.render import hit_line, index_line, searched_line, shares_lines, toolbar
from offline_agent.repl.turn import DIM, TurnView
from offline_agent.types import IndexPhase, IndexStatus

log = logging.getLogger(__name__)

AGENTS = {"build": "changes files and runs commands, as the permissions have it", "plan": "reads only"}

_POLL_SECONDS = 0.5
_LISTED = 10  # sessions that /resume offers


class Repl:
    """One session about one repository, which goes on with the one in `resume`, if any. `keyboard` and `screen` are the terminal
    unless a test gives a pipe."""

    def __init__(
        self,
        program: Program,
        keyboard: Input | None = None,
        screen: Output | None = None,
        resume: SessionInfo | None = None,
    ) -> None:
        self._program = program
        self._screen = screen
        self._status: IndexStatus | None = None
        self._closing = threading.Event()
        self._waiting = self._wiped = ""
        self._filled: Filled | None = None
        self._view: TurnView | None = None
        self._retriever = program.following_retriever()
        self._resumed = resume
        self._agent: str = program.settings.ask.agent
        self._asker = TerminalAsker(self._begin_line, keyboard, screen, self._wait_on)
        self._session = self._begin(resume.id if resume else "")
        self._prompt: PromptSession[str] = PromptSession(
            "> ",
            multiline=True,
            key_bindings=key_bindings(),
            history=VaultHistory(program.archive.main, program.key),
            completer=completer(),
            complete_while_typing=False,
            bottom_toolbar=self._toolbar,
            refresh_interval=_POLL_SECONDS,
            input=keyboard,
            output=screen,
        )

    def run(self) -> int:
        """Until the person leaves. Returns the exit code."""
        self._program.start_model()
        threading.Thread(target=self._poll, name="index-status", daemon=True).start()
        self._greet()
        try:
            while (line := self._read()) is not None:
                if line.strip() and not self._handle(readable(line.strip())):
                    break
        finally:
            self._closing.set()
        return 0

    def say(self, text: str, style: str = "") -> None:
        self.write("")
        print_formatted_text(FormattedText([(style, printable(text))]), output=self._screen)

    def _begin(self, resume: str = "") -> Session:
        return self._program.session(self._retriever, self._asker, self._agent, resume)

    def forget(self) -> None:
        self._session = self._begin()
        self._filled = self._view = None

    def resume(self, prefix: str) -> None:
        """Goes on with the session whose id begins so. Raises UsageError, and this one goes on, where that cannot be."""
        info = self._program.find_resumable(prefix)
        self._session = self._begin(info.id)
        self._filled = self._view = None
        self._say_resumed(info)

    def change_agent(self, agent: str) -> None:
        """Goes on with another agent; without a name, says which one it is."""
        if agent:
            if agent not in AGENTS:
                raise UsageError(f"There is no agent {agent!r}. There are {' and '.join(AGENTS)}.")
            self._program.change_agent(self._session, self._retriever, self._asker, agent)
            self._agent = agent
        self.say(f"{self._agent}: {AGENTS[self._agent]}.")

    def revert(self, action: Literal["undo", "redo"], rest: str) -> None:
        """Takes back, or does again, what a turn changed: the next in order, or the one of that number. Raises UsageError."""
        undo = self._program.workbench.undo()
        words = rest.split()
        force = words[-1:] == ["force"]
        usage = f"/{action} N, and `force` behind it where it must be"
        number = _number(" ".join(words[:-1] if force else words), usage)
        undone = undo.undo(number, force) if action == "undo" else undo.redo(number, force)
        self.say(undone_text(undone, action))

    def show_turns(self) -> None:
        turns = self._program.workbench.undo().turns()[:_LISTED]
        self.say("\n".join(map(turn_line, turns)) or "No turn about this repository has changed anything.")

    def show_permissions(self, rest: str) -> None:
        """What was approved for good here; with a number, takes that back. Raises UsageError."""
        approvals = self._program.workbench.approvals
        number = _number(rest, "/permissions N")
        if number is not None:
            revoked = approvals.revoke(number)
            self.say(f"Approval {rest} is revoked." if revoked else f"No approval here has the number {rest}.")
            return
        lines = [f"{one.id:>4}  {one.permission} {one.pattern}" for one in approvals.all()]
        self.say(
            "\n".join(lines) or "Nothing is approved for good here. `offline-agent permissions list` shows the rules."
        )

    def show_resumable(self) -> None:
        found = self._program.resumable(_LISTED)
        self.say(table(found, with_repository=False) or "No session about this repository can be resumed yet.")

    def show_hits(self, query: str) -> None:
        self._wait_for_words()
        result = self._retriever.search(query, 10)
        for number, hit in enumerate(result.hits, 1):
            self.say(hit_line(number, hit))
        self.say(searched_line(result), DIM)

    def show_map(self, text: str) -> None:
        self._wait_for_words()
        focus, query = meant(self._program.repository.root, Path.cwd(), text.split())
        self.say(render_map(self._retriever.repository_map(TOKENS, focus, query)) or "There is nothing to map.")

    def show_thoughts(self) -> None:
        thoughts = self._view.thoughts.strip() if self._view else ""
        self.say(thoughts or "The model did not think aloud in the last turn.", DIM if thoughts else "")

    def show_context(self) -> None:
        shares = self._session.context_shares()
        for line in shares_lines(shares) or ["That is known once the model was asked something."]:
            self.say(line)

    def show_status(self) -> None:
        self.say(f"repository  {self._program.repository.root}")
        self.say(f"model       {self._program.card.name} ({self._program.model_path})")
        self.say(index_line(self._status).replace("index: ", "index       "))
        for skipped in (self._status.skipped if self._status else ())[:20]:
            self.say(f"  skipped {skipped.path}: {skipped.reason}")

    def _greet(self) -> None:
        self.say(
            self._folded(f"offline-agent in {self._program.repository.root}. /help lists the commands, Ctrl-D leaves.")
        )
        if self._program.card.notice:
            self.say(self._folded(self._program.card.notice), "fg:ansiyellow")
        for warning in self._program.warnings():
            self.say(self._folded(warning), "fg:ansired")
        if self._resumed is not None:
            self._say_resumed(self._resumed)

    def _folded(self, sentence: str) -> str:
        """No word of it is cut at the edge of the screen: it may be a command to type."""
        size = self._screen.get_size() if self._screen else shutil.get_terminal_size()
        return textwrap.fill(sentence, size.columns - 1, break_long_words=False, break_on_hyphens=False)

    def _say_resumed(self, info: SessionInfo) -> None:
        messages = self._program.archive.sessions.messages(info.id)
        self.say(going_on(info, messages, self._program.card.name), DIM)

    def _read(self) -> str | None:
        """The next line, or None at the end. Ctrl-C clears what was typed."""
        while True:
            try:
                with patch_stdout():
                    return self._prompt.prompt()
            except KeyboardInterrupt:
                self.say("(Ctrl-D leaves)", DIM)
            except EOFError:
                return None

    def _handle(self, line: str) -> bool:
        """Runs a command or a turn; whether to go on. An error is one line, and the session stays."""
        try:
            if line.startswith("/"):
                command = find_command(line)
                if command is None:
                    self.say(f"There is no command {line.split()[0]}. /help lists them.")
                    return True
                return command.run(self, line.partition(" ")[2].strip())
            self._turn(line)
        except KeyboardInterrupt:
            self.say("\n(stopped)", DIM)
        except AgentError as error:
            log.warning("%s", error)
            self.say(f"\n{error}", "fg:ansired")
        return True

    def _turn(self, question: str) -> None:
        self._wait_for_words()
        before, self._view = self._filled, TurnView(self)
        try:
            with closing(self._session.ask(question)) as events:  # at once: Ctrl-C is meant for the model too
                for event in events:
                    self._view.show(self._once(event))
                    self._filled = self._view.filled or before
        except BaseException:  # what was stopped or failed is not in the context any more
            self._filled = before
            raise

    def _once(self, event: Event) -> Event:
        """A diff that the person was just asked about is not shown again."""
        if isinstance(event, Acted) and self._asker.shown:
            self._asker.shown = False
            return event if event.failed else event.model_copy(update={"shown": ""})
        return event

    def _wait_for_words(self) -> None:
        """Until every file is searchable by its words, with progress: an answer from half an index misleads."""
        while self._status is None or self._status.phase == IndexPhase.SCANNING:
            self.wait(index_line(self._status))
            time.sleep(0.1)

    def wait(self, text: str) -> None:
        """Says what is being waited for, on a line that the next output replaces."""
        self._put("\r" + text.ljust(len(self._waiting)))
        self._waiting = text

    def write(self, text: str) -> None:
        if self._waiting:
            self._put("\r" + " " * len(self._waiting) + "\r")
            self._waiting = ""
        self._put(printable(text))

    def _begin_line(self) -> None:
        """What is waited for is wiped, and an answer that had begun is ended, before the person is asked."""
        if self._view is not None:
            self._view.end_line()
        self._wiped = self._waiting
        self.write("")

    def _wait_on(self) -> None:
        """What was waited for before the person was asked is said again: what they allowed may take minutes."""
        if self._wiped:
            self.wait(self._wiped)

    def _put(self, text: str) -> None:
        if self._screen is None:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            self._screen.write(text)
            self._screen.flush()

    def _toolbar(self) -> str:
        return toolbar(self._program.repository.name, self._program.card.name, self._status, self._filled)

    def _poll(self) -> None:
        """Asks the index how it is, so that the toolbar never waits."""
        while not self._closing.is_set():
            try:
                self._status = self._retriever.status()
            except AgentError as error:
                self._status = IndexStatus(phase=IndexPhase.LEXICAL_ONLY, problem=str(error))
            self._closing.wait(_POLL_SECONDS)


def _number(text: str, usage: str) -> int | None:
    """What follows a command where that takes a number; None for nothing. Raises UsageError."""
    if not text:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise UsageError(f"{text!r} is no number. Say {usage}.")
    return int(text)
