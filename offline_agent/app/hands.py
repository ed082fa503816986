"""What a model may do in one repository, and what can be undone of it: rules, sandbox, journals, tools."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from offline_agent.actions import Command, Ran, Request, SandboxReport, Verdict
from offline_agent.agent.explore import Explore
from offline_agent.agent.hands import Hands
from offline_agent.agent.instructions import instructions
from offline_agent.agent.loop import Session
from offline_agent.agent.profiles import EXPLORE, Profile
from offline_agent.app.rules import Rules
from offline_agent.app.stored import Stored
from offline_agent.environment import surroundings
from offline_agent.errors import AgentError, GuardError
from offline_agent.guard.denied import DeniedFiles
from offline_agent.guard.edits import read_text
from offline_agent.guard.gate import Gate
from offline_agent.guard.inspector import ReadingInspector, open_inspector
from offline_agent.guard.known import values_in
from offline_agent.guard.paths import locate
from offline_agent.guard.permissions import decide, denies_read, verdicts
from offline_agent.guard.policy import Policy
from offline_agent.guard.sandbox import CommandSandbox
from offline_agent.guard.shell import requests_of
from offline_agent.guard.undo import Undo
from offline_agent.guard.workspace import GuardedWorkspace
from offline_agent.protocols import Approvals, Asker, Index, Inspector, Outputs
from offline_agent.retrieval.ignore import Found, IgnoreRules, shipped_patterns
from offline_agent.settings import Settings
from offline_agent.tools.set import toolset
from offline_agent.tools.todo import TodoList
from offline_agent.vault.approvals import SealedApprovals
from offline_agent.vault.outputs import SealedOutputs

log = logging.getLogger(__name__)

OWN_INSTRUCTIONS = "AGENTS.md"
"""What a person wants every agent to know, in their configuration directory."""
_INSTRUCTIONS_LIMIT = 200_000  # bytes; a model is shown a small part of that at most

_SECRETS_LIMIT = 100_000  # bytes; a larger file is data, and its values would be those of anything

Begin = Callable[[Hands], Session]
"""Opens a session beside this one, with other hands."""


class Workbench:
    """Of the repository at `root`. There is one sandbox for all sessions of a policy: it is tried once."""

    def __init__(self, root: Path, settings: Settings, stored: Stored, rules: Rules) -> None:
        self._root = root
        self._rules = rules
        self._settings = settings
        self._stored = stored
        self._environ = surroundings()
        self._home = Path(self._environ["HOME"])
        self._sandboxes: dict[Policy, CommandSandbox] = {}
        self._denied: dict[Policy, DeniedFiles] = {}
        self._closing = ExitStack()

    # --- what the faces ask for ---

    def sandbox(self, policy: Policy) -> CommandSandbox:
        """What confines the commands of agents with that policy."""
        if policy not in self._sandboxes:
            sandbox = CommandSandbox(
                self._root, self._settings.sandbox, self._environ, self._home, history=denies_read(policy)
            )
            self._sandboxes[policy] = self._closing.enter_context(closing(sandbox))
        return self._sandboxes[policy]

    def report(self, policy: Policy | None = None) -> SandboxReport:
        """What confines commands here, tried; for the agent of the settings unless a policy says for which."""
        return self.sandbox(policy or self.policy(self._settings.ask.agent)).report

    @cached_property
    def approvals(self) -> Approvals:
        return SealedApprovals(self._stored.archive.main, self._stored.key)

    def undo(self, session: str = "") -> Undo:
        """What can be undone here of all sessions. What that session changes is added."""
        return Undo(self._root, self._stored.journals, self._settings.undo, session)

    def policy(self, agent: str, allow: Sequence[str] = (), yes: bool = False) -> Policy:
        """The rules for an agent here. Raises UsageError for a file, or an --allow, that cannot be understood."""
        return self._rules.policy(agent, allow, yes)

    def judge(self, permission: str, value: str, agent: str) -> list[Verdict]:
        """What rules and approvals say to a call, without making it: `bash` and a line, `read` and a path, and so on. Raises an
        AgentError for what no rule can allow."""
        policy = self.policy(agent).with_approvals(self.approvals.all())
        requests = self._requests(permission, value)
        return list(verdicts(requests, policy)) if requests else [decide(requests, policy)]

    def try_out(self, command: Command, output: Callable[[str], None]) -> Ran:
        """Runs a command of the person's own as the agent's are run, but without asking anybody."""
        policy = self.policy(self._settings.ask.agent)
        return self.sandbox(policy).run(command, self._denied_files(policy).now(), output=output)

    def _requests(self, permission: str, value: str) -> Sequence[Request]:
        if permission == "bash":
            return requests_of(value, self._root, ".", lambda text: locate(self._root, text, self._home))
        if permission in ("read", "edit", "list", "grep", "glob"):
            return locate(self._root, value, self._home).requests(permission)
        return [Request(permission=permission, value=value)]

    # --- what a session gets ---

    def hands(
        self,
        index: Index,
        asker: Asker,
        profile: Profile,
        policy: Policy,
        session: str,
        begin: Begin | None = None,
    ) -> Hands:
        """For a session of that id whose agent has that policy. With `begin`, it may have others explore."""
        self.undo().recover()
        equipped = partial(self._equipped, index, asker, session=session, inspector=self._inspector(policy))
        hands = equipped(profile, policy)
        if begin is None or hands.workspace is None:
            return hands
        inner = equipped(EXPLORE, policy.sub_agent(EXPLORE.name))
        explore = Explore(lambda: begin(inner), hands.workspace)
        return replace(hands, tools=profile.choose([*hands.tools, explore]))

    def _equipped(
        self,
        index: Index,
        asker: Asker,
        profile: Profile,
        policy: Policy,
        session: str,
        inspector: ReadingInspector,
    ) -> Hands:
        """Whoever has the same `inspector` sees the same mark for a secret. Turns are each agent's own: one inside another must not
        end it."""
        gate = Gate(policy, self.approvals, asker, self._stored.archive.audit, session)
        sandbox, denied = self.sandbox(policy), self._denied_files(policy)
        workspace = GuardedWorkspace(self._root, self._home, gate, sandbox, self.undo(session), self._walk, denied)
        outputs = _Masked(SealedOutputs(self._stored.archive.blobs, session), inspector)
        tools = toolset(workspace, index, asker, outputs, TodoList(), self._settings.sandbox, inspector.mask)
        told = instructions(self._own_instructions(), self._read_for(policy, inspector.mask), self._where())
        return Hands(profile.choose(tools), workspace, inspector, profile.guidance, told)

    def _denied_files(self, policy: Policy) -> DeniedFiles:
        """One for each policy: the first look at a large tree takes a second, and later ones little."""
        return self._denied.setdefault(policy, DeniedFiles(self._root, policy))

    def _inspector(self, policy: Policy) -> ReadingInspector:
        """What the denied files hold is masked wherever it turns up: git keeps old copies of them, and logs have their values."""
        inspector = open_inspector(self._settings.index_declarations)
        for path in self._denied_files(policy).now():
            with suppress(GuardError):  # what is no text, or too large, holds no values that could be told
                inspector.know(values_in(read_text(self._root / path, _SECRETS_LIMIT).text))
        return inspector

    def _walk(self, under: str) -> Iterator[str]:
        rules = IgnoreRules(self._root, shipped_patterns(self._settings.index_declarations))
        return (found.path for found in rules.walk(under) if isinstance(found, Found))

    def _where(self) -> str:
        """Where in the repository the person is: what is said nearer to it comes later."""
        here = Path.cwd().resolve()
        return here.relative_to(self._root).as_posix() if here.is_relative_to(self._root) else "."

    def _own_instructions(self) -> str:
        path = self._settings.config_directory / OWN_INSTRUCTIONS
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _read_for(self, policy: Policy, mask: Callable[[str], str]) -> Callable[[str], str | None]:
        """Reads a file of the repository that the policy lets be read, without secrets."""
        hidden = self._rules.hidden(policy)

        def read(path: str) -> str | None:
            try:
                located = locate(self._root, path)
                if not located.inside or any(map(hidden, (located.value, *located.aliases))):
                    return None
                return mask(read_text(located.real, _INSTRUCTIONS_LIMIT).text)
            except AgentError:
                return None

        return read

    def close(self) -> None:
        self._closing.close()


class _Masked:
    """Outputs that hold no secrets."""

    def __init__(self, outputs: Outputs, inspector: Inspector) -> None:
        self._outputs = outputs
        self._inspector = inspector

    def keep(self, text: str) -> str:
        return self._outputs.keep(self._inspector.mask(text))

    def find(self, name: str) -> str | None:
        return self._outputs.find(name)
