"""The turn: a question goes in, events come out."""

import logging
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext

from offline_agent.agent.act import Toolbox, called
from offline_agent.agent.budget import Budget
from offline_agent.agent.cite import citation_of
from offline_agent.agent.conversation import Conversation
from offline_agent.agent.grammar import grammar
from offline_agent.agent.hands import BARE, Hands
from offline_agent.agent.hear import Heard, hear, said
from offline_agent.agent.limits import Limits, Reached, going_in_circles
from offline_agent.agent.order import by_description
from offline_agent.agent.outline import Outline, draft, fitting
from offline_agent.agent.pocket import Carrier
from offline_agent.agent.profiles import suited
from offline_agent.agent.prompt import Prompt, build_prompt, excerpts_of, fitted, opening, outlined, within
from offline_agent.agent.smalltalk import is_small_talk
from offline_agent.errors import Denied
from offline_agent.events import Acted, Acting, Answered, Event, Retried, Searched, Shown, Token, Warned
from offline_agent.models import ModelCard, ModelInfo
from offline_agent.protocols import Audit, ChatModel, Retriever, Tool, Transcript
from offline_agent.settings import AskSettings
from offline_agent.types import Citation, Hit, Message, Sampling, SessionContext, ToolCall, ToolResult

log = logging.getLogger(__name__)

_MOST_CALLS = 32  # of one answer that are run: a model that writes more repeats itself
_RETRIES = 2  # a model that has not written a valid call by then will not


class Session:
    """The turns of one conversation. What was asked is in the transcript before it is answered. A turn that was stopped or failed
    leaves no trace in what the model is shown later.

    A model that remembers turns is shown a conversation that only grows, `earlier` where one is resumed, and may use `hands`,
    which are asked for with the first question; to any other each question is the first.
    """

    def __init__(
        self,
        retriever: Retriever,
        model: ChatModel,
        card: ModelCard,
        settings: AskSettings,
        transcript: Transcript,
        audit: Audit,
        outline: Outline | None = None,
        hands: Hands | Callable[[], Hands] = BARE,
        earlier: SessionContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._retriever = retriever
        self._model = model
        self._given = self._card = card
        self._settings = settings
        self._transcript = transcript
        self._audit = audit
        self._outline = outline
        self._records = Carrier() if card.answers == "record" else None
        self._remembers = card.remembers_turns and self._records is None
        self._given_hands: Hands | Callable[[], Hands] | None = hands
        self._hands, self._toolbox = BARE, Toolbox()
        self._talk = Conversation(earlier or SessionContext())
        self._written_by = earlier.model if earlier else ""
        self._map: str | None = None
        self._mapped = bool(self._talk.messages)  # a session that is resumed has its map, or never had one
        self._noted = self._changed = False
        self._budget: Budget | None = None

    def become(self, hands: Hands | Callable[[], Hands], retriever: Retriever | None = None) -> None:
        """Goes on as another agent: with other tools and another part of the system text, from the next turn on. `retriever` finds
        what that one may read; without it, what could be found before."""
        self._given_hands, self._changed = hands, True
        self._retriever = retriever or self._retriever

    @property
    def context(self) -> SessionContext:
        """The conversation as the model is shown it."""
        return SessionContext(
            messages=self._talk.messages, citations=tuple(self._talk.citations), model=self._written_by
        )

    def context_shares(self) -> tuple[tuple[str, int], ...]:
        """What takes how many tokens of the context, what is free last; nothing before the first turn. Raises a ModelError."""
        return self._budget.shares(self._talk) if self._budget and self._talk.earlier else ()

    def ask(self, question: str) -> Generator[Event, None, None]:
        """Search, prompt, answer. Raises a ModelError, IndexUnavailable or VaultError; the last event is always Answered.

        Closing it stops the model, and leaves the conversation as it was."""
        started = time.monotonic()
        self._transcript.add(Message(role="user", content=question))
        hits: Sequence[Hit] = ()
        courtesy = (self._remembers or self._records is not None) and is_small_talk(question)
        if not courtesy:
            result = self._retriever.search(question, self._settings.hits)
            hits = result.hits
            yield Searched(result=result)
        budget = self._open(with_map=not courtesy)
        turn = self._turn if self._remembers else self._single
        answered = yield from turn(question, hits, budget)
        log.info("answered in %.2f s, %d characters", time.monotonic() - started, len(answered.text))
        yield answered

    # --- a turn of a conversation ---

    def _turn(self, question: str, hits: Sequence[Hit], budget: Budget) -> Generator[Event, None, Answered]:
        wanted = hits[: self._card.excerpts]
        excerpts = self._excerpts(wanted)
        cited = [citation_of(hit) for hit in wanted[: len(excerpts)]]
        yield from self._warn("what the search found", "\n\n".join(excerpts))
        with self._talk.asked(question, excerpts, cited, self._begin()), self._changing(question):
            answered = yield from self._steps(budget, len(hits))
            self._record(answered)
            self._transcript.remember(self.context)
        return answered

    def _begin(self) -> list[str]:
        """Makes the system text where there is none yet, with the map at its end. Returns what stands before the question: the
        map, where there was no system text to end, or that was made for a greeting, which needs no map."""
        begins, outline = not self._talk.messages, self._map or ""
        if begins or self._changed:
            self._changed = False
            self._talk.system = opening(self._card, outline, self._told())
        if self._mapped or not outline:
            return []
        self._mapped = True
        return [] if begins and self._talk.system else outlined(outline)

    def _told(self) -> list[str]:
        """What the system text has besides: what this agent is for, then what person and project want it to know."""
        hands, most = self._hands, min(self._settings.instruction_tokens, self._card.context // 8)
        guidance = hands.guidance if self._toolbox.specs else ""
        return [text for text in (guidance, within(hands.instructions, most, self._model.count_tokens)) if text]

    def _changing(self, question: str) -> AbstractContextManager[None]:
        """Everything that is changed inside is one turn, to be undone together."""
        workspace = self._hands.workspace
        return workspace.turn(question) if workspace is not None else nullcontext()

    def _steps(self, budget: Budget, found: int) -> Generator[Event, None, Answered]:
        """Make room, query, act; again until there is an answer, or a limit is reached."""
        talk, limits, failed = self._talk, Limits(self._settings, self._clock), 0
        while True:
            tokens = yield from budget.make_room(talk)
            if talk.begins:
                yield Shown(excerpts=talk.excerpts, found=found)
            heard = yield from self._query(talk.messages, talk.citations, tokens, budget)
            talk.add(heard.message)
            limits.spend(heard.usage)
            if heard.answers:
                return heard.answered
            if reached := limits.reached() or self._circling(limits, heard.message.calls):
                self._leave(heard.message.calls)
                return (yield from self._end(reached))
            faults = yield from self._act(heard, limits)
            if reached := limits.out_of_time():
                return (yield from self._end(reached))
            failed = failed + 1 if faults else 0
            if failed > _RETRIES:
                return (
                    yield from self._end(Reached("calls", f"The model could not write a valid tool call. {faults}"))
                )
            if faults:
                yield Retried(reason=faults)

    def _query(
        self, messages: Sequence[Message], citations: Sequence[Citation], tokens: int, budget: Budget
    ) -> Generator[Event, None, Heard]:
        """One request, with a prompt of so many tokens."""
        log.debug("prompt of %d tokens: %r", tokens, messages)
        sampling = self._sampling(budget.room_for_answer(tokens))
        heard = yield from hear(self._model.stream(messages, sampling, self._toolbox.specs), citations)
        yield budget.filled((heard.usage.prompt_tokens or tokens) + heard.usage.answer_tokens)
        return heard

    def _circling(self, limits: Limits, calls: Sequence[ToolCall]) -> Reached | None:
        """A model that makes the same call again and again is stopped, unless it is allowed to go on."""
        tool, workspace, times = limits.circling(calls), self._hands.workspace, self._settings.repeats
        if not tool:
            return None
        try:
            if workspace is not None:
                workspace.permit("doom_loop", tool, f"{tool} was called {times} times in a row in the same way: go on?")
                return None
        except Denied:
            pass
        return going_in_circles(tool, times)

    def _act(self, heard: Heard, limits: Limits) -> Generator[Event, None, str]:
        """Runs the calls in their order, and tells the model what came of them; returns what could not be run, and why."""
        faults: list[str] = []
        for number, call in enumerate(heard.message.calls):
            if number >= _MOST_CALLS or (number and limits.out_of_time()):
                self._leave(heard.message.calls[number:], f"at most {_MOST_CALLS} calls at once, within the time")
                break
            yield Acting(call=call, summary=called(call))
            outcome = yield from self._toolbox.act(call)
            yield from self._tell(call, outcome.result)
            if outcome.understood:
                shown, summary = map(self._hands.inspector.mask, (outcome.result.shown, outcome.summary))
                yield Acted(call=call, summary=summary, failed=outcome.result.failed, shown=shown)
            else:
                faults.append(outcome.result.text)
        if heard.faults:
            self._talk.add_reason(" ".join(heard.faults))
        return " ".join([*faults, *heard.faults])

    def _tell(self, call: ToolCall, result: ToolResult) -> Generator[Event, None, None]:
        excerpts = self._excerpts(result.hits)
        self._talk.citations += [citation_of(hit) for hit in result.hits[: len(excerpts)]]
        fewer = f"{len(excerpts)} of {len(result.hits)} results fit:" if len(excerpts) < len(result.hits) else ""
        content = "\n\n".join(part for part in (self._hands.inspector.mask(result.text), fewer, *excerpts) if part)
        warning = "" if result.ours else (yield from self._warn(f"what {call.name} returned", content))
        content = f"[{warning}]\n{content}" if warning else content
        self._talk.add(Message(role="tool", content=content or "Done.", call_id=call.id))

    def _warn(self, what: str, text: str) -> Generator[Event, None, str]:
        """Tells the person where something that was read seems to give orders; returns the warning."""
        found = self._hands.inspector.suspicion(text)
        if found:
            log.warning("%s: %s", what, found)
            yield Warned(text=f"in {what}: {found}")
        return found

    def _leave(self, calls: Sequence[ToolCall], why: str = "this turn was ended here") -> None:
        """Every call has an answer, or templates and servers refuse the conversation."""
        for call in calls:
            self._talk.add(Message(role="tool", content=f"[not run: {why}]", call_id=call.id))

    def _end(self, reached: Reached) -> Generator[Event, None, Answered]:
        """The end of a turn that came to no answer, in the program's words."""
        self._talk.close(reached.sentence)
        yield Token(text=reached.sentence)
        return Answered(text=reached.sentence, verified=False, stopped=reached.stop)

    def _excerpts(self, hits: Sequence[Hit]) -> list[str]:
        shown = excerpts_of(hits, self._card, self._model.count_tokens, first=len(self._talk.citations) + 1)
        return [self._hands.inspector.mask(excerpt) for excerpt in shown]

    # --- a turn by itself ---

    def _single(self, question: str, hits: Sequence[Hit], budget: Budget) -> Generator[Event, None, Answered]:
        mask = self._hands.inspector.mask
        hits = hits if self._records is None else by_description(question, hits)
        prompt = build_prompt(question, hits, self._card, self._model.count_tokens, self._map or "", mask)
        self._talk = Conversation(SessionContext(messages=prompt.messages))
        yield Shown(excerpts=len(prompt.hits), found=len(hits))
        tokens = budget.measure(prompt.messages)
        yield budget.filled(tokens)
        if self._records is not None:
            answered = yield from self._carry_out(self._records, question, prompt, tokens)
        else:
            cited = [citation_of(hit) for hit in prompt.hits]
            heard = yield from self._query(prompt.messages, cited, tokens, budget)
            answered = heard.answered
        self._record(answered)
        return answered

    def _carry_out(
        self, records: Carrier, question: str, prompt: Prompt, tokens: int
    ) -> Generator[Event, None, Answered]:
        """Has the model write one record, and does what that says."""
        log.debug("prompt of %d tokens: %r", tokens, prompt.messages)
        rules = grammar(question, [hit.chunk for hit in prompt.hits])
        record = said(self._model.stream(prompt.messages, self._sampling(self._card.sampling.max_tokens, rules)))
        log.debug("record: %r", record)
        with self._changing(question):
            answered = yield from records.carry_out(
                record, prompt.hits, self._retriever, self._toolbox, self._hands.inspector
            )
        yield Token(text=answered.text)
        return answered

    # --- the model ---

    def _open(self, with_map: bool) -> Budget:
        """Waits for the model. The map is made here, once, in part while the model is being loaded."""
        first = with_map and self._map is None and not self._mapped
        drafted = draft(self._outline, self._card.map_tokens) if first else ""
        self._take_hands()
        info = self._model.load()
        self._note(info)
        self._card = fitted(self._given, info.context)
        if first:
            outline = fitting(drafted, self._outline, self._card.map_tokens, self._model.count_tokens)
            self._map = self._hands.inspector.mask(outline)  # signatures have default values
        if self._written_by != (known := identity(info, self._card)):
            self._talk.forget_tokens()
            self._written_by = known
        self._toolbox = Toolbox(self._tools_for(info))
        told = self._toolbox.specs if self._remembers else ()  # a model that writes records knows its tools
        self._budget = Budget(self._model, info, self._sampling(self._settings.max_tokens), told)
        return self._budget

    def _tools_for(self, info: ModelInfo) -> Sequence[Tool]:
        if not self._settings.tools:
            return ()
        if self._records is not None:
            return self._hands.tools
        return suited(self._hands.tools, info) if self._remembers else ()

    def _take_hands(self) -> None:
        """Late: what they need takes a moment to import, which is better spent while the model is being loaded."""
        given = self._given_hands
        if given is not None:
            self._hands = given if isinstance(given, Hands) else given()
            self._given_hands = (
                None  # not before: whoever fails to get them must not go on with the ones before, or none
            )

    def _sampling(self, max_tokens: int, grammar: str = "") -> Sampling:
        most = min(max_tokens, self._settings.max_tokens)
        return self._card.sampling.model_copy(update={"max_tokens": most, "grammar": grammar})

    def _note(self, model: ModelInfo) -> None:
        """Which model this session uses, once."""
        if not self._noted:
            sha256 = self._card.sha256 or "unknown"
            self._audit.add("model", session=self._transcript.id, name=model.name, path=model.path, sha256=sha256)
            self._noted = True

    def _record(self, answered: Answered) -> None:
        self._transcript.add(Message(role="assistant", content=answered.text), answered.citations)


def identity(info: ModelInfo, card: ModelCard) -> str:
    """Names the model whose tokens a conversation holds: by its hash, else by where it is and what it says it is."""
    return card.sha256 or f"{info.path} {info.description}"
