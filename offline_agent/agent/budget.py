"""The room in a model's context, in tokens counted by the model itself, and how more is made. Nothing is cut in silence.

    |------------- prompt -------------|-- reserve --|       of the context; the reserve is for the answer
                               ^ 80 % or less: full          ^ never beyond
                    ^ 60 %: what is aimed at

Where a prompt is full, first old excerpts and results of tools are taken out, all at once: every change in the middle has the model
compute anew what is behind it, so one large change is cheaper than many small ones. Where that is not enough, the model sums up the
earlier turns, or the oldest go. Where it is this turn alone that is too long, it comes with fewer excerpts, best first.
"""

import logging
from bisect import bisect_left
from collections.abc import Callable, Generator, Sequence

from offline_agent.agent.conversation import Conversation, summed_up
from offline_agent.errors import ModelError, PromptTooLong
from offline_agent.events import Compacted, Dropped, Event, Filled, Finished, Reading, Said, Trimmed
from offline_agent.models import ModelInfo
from offline_agent.protocols import ChatModel
from offline_agent.types import Message, Sampling, ToolSpec

log = logging.getLogger(__name__)

_FULL = 0.8
_AIM = 0.6
_WORTH = 4  # earlier turns that take less than a quarter of the context are not worth a summary, which takes a tenth
_SUMMARY = 10
_LONGEST_SUMMARY = 512

SUMMARISE = (
    "Summarise our conversation so far, for yourself, in at most {words} words: what I asked, what you found, with the numbers in "
    "brackets, what was decided and what is still open. Add nothing new and call no tool."
)


class Budget:
    """For a model that is loaded, and the tools it is told of."""

    def __init__(self, model: ChatModel, info: ModelInfo, sampling: Sampling, tools: Sequence[ToolSpec] = ()) -> None:
        self._model = model
        self._sampling = sampling
        self._tools = tuple(tools)
        self._estimated = not info.counts_tokens
        self.context = info.context
        self.reserve = min(sampling.max_tokens, info.context // 4)
        self._most = info.context - self.reserve
        self._full = min(int(_FULL * info.context), self._most)
        self._aim = min(int(_AIM * info.context), self._most)

    def measure(self, messages: Sequence[Message]) -> int:
        return self._model.measure(messages, self._tools)

    def filled(self, tokens: int) -> Filled:
        return Filled(tokens=tokens, context=self.context, estimated=self._estimated)

    def room_for_answer(self, prompt: int) -> int:
        """The longest answer to a prompt of so many tokens."""
        return max(1, min(self._sampling.max_tokens, self.context - prompt))

    def make_room(self, talk: Conversation) -> Generator[Event, None, int]:
        """Changes `talk` until it fits, gentlest first; returns its tokens. Raises PromptTooLong where it cannot."""
        tokens = self.measure(talk.messages)
        if tokens > self._full:
            log.info("%d of %d tokens are taken", tokens, self.context)
            tokens = yield from self._trim(talk, tokens)
            if self._is_worth_a_summary(talk, tokens):
                tokens = yield from self._sum_up(talk, tokens)
            if tokens > self._most:
                tokens = yield from self._drop(talk, tokens)
            if tokens > self._most:
                tokens = yield from self._narrow(talk, tokens)
        yield self.filled(tokens)
        return tokens

    def shares(self, talk: Conversation) -> tuple[tuple[str, int], ...]:
        """What takes how many tokens; the last is what is free. The last turn counts as this one."""
        whole, without_tools = self.measure(talk.messages), self._model.measure(talk.messages)
        last = talk.turn or talk.turns[-1]
        this, with_beginning = self._model.measure(last), self._model.measure([*talk.system, *last])
        return (
            ("system text and map", with_beginning - this),
            ("tools", whole - without_tools),
            ("earlier turns", without_tools - with_beginning),
            ("last turn", this),
            ("free", self.context - whole),
        )

    # --- old excerpts and results ---

    def _trim(self, talk: Conversation, before: int) -> Generator[Event, None, int]:
        changed, tokens = talk.trim_earlier(), before
        if changed:
            tokens = self.measure(talk.messages)
        if tokens > self._full and (steps := talk.trim_steps()):
            changed, tokens = changed + steps, self.measure(talk.messages)
        if changed:
            yield Trimmed(messages=changed, before=before, after=tokens)
        return tokens

    # --- earlier turns ---

    def _is_worth_a_summary(self, talk: Conversation, tokens: int) -> bool:
        if tokens <= self._aim or len(talk.turns) - talk.summarised < 1:
            return False
        return tokens > self._full or tokens - self._without_earlier(talk) > self.context // _WORTH

    def _without_earlier(self, talk: Conversation) -> int:
        return self.measure([*talk.system, *talk.turn])

    def _sum_up(self, talk: Conversation, before: int) -> Generator[Event, None, int]:
        summary = yield from self._summary(talk)
        after = self.measure([*talk.system, *summed_up(summary), *talk.turn])
        if not summary or after >= before:
            return (yield from self._drop(talk, before)) if before > self._full else before
        talk.sum_up(summary)
        yield Compacted(summary=summary, before=before, after=after)
        return after

    def _summary(self, talk: Conversation) -> Generator[Event, None, str]:
        """What the model makes of the earlier turns, by one more question behind them, which is cheap: they are computed already.

        Empty where there is no room to ask, or the model fails or writes nothing."""
        most = min(_LONGEST_SUMMARY, max(32, self.context // _SUMMARY))
        question = Message(role="user", content=SUMMARISE.format(words=most // 2))
        messages = (*talk.system, *talk.earlier, question)
        prompt = self.measure(messages)
        if prompt + most > self.context:
            return ""
        longest = max(most, self.room_for_answer(prompt))  # a model may think before it writes
        sampling = self._sampling.model_copy(update={"max_tokens": longest})
        try:
            return (yield from self._written(messages, sampling))
        except ModelError as error:
            log.warning("there is no summary of earlier turns: %s", error)
            return ""

    def _written(self, messages: Sequence[Message], sampling: Sampling) -> Generator[Event, None, str]:
        text, cut = "", False
        for piece in self._model.stream(messages, sampling, self._tools):
            if isinstance(piece, Said):
                text += piece.text
            elif isinstance(piece, Reading):
                yield piece
            elif isinstance(piece, Finished):
                cut = piece.usage.stopped == "length"
        return f"{text.strip()} [cut here]" if cut and text.strip() else text.strip()

    def _drop(self, talk: Conversation, before: int) -> Generator[Event, None, int]:
        turns = talk.turns
        if not turns:
            return before
        most = self._aim if self._without_earlier(talk) <= self._aim else self._most

        def rest(count: int) -> int:
            kept = [message for turn in turns[count:] for message in turn]
            return self.measure([*talk.system, *kept, *talk.turn])

        count = _fewest(len(turns), lambda dropped: rest(dropped) <= most)
        if not count:
            return before
        tokens = rest(count)
        talk.drop(count)
        yield Dropped(turns=count, before=before, after=tokens)
        return tokens

    # --- this turn ---

    def _narrow(self, talk: Conversation, before: int) -> Generator[Event, None, int]:
        if talk.begins:
            return self._with_fewer_excerpts(talk, before)
        changed = talk.trim_question()
        tokens = self.measure(talk.messages)
        if tokens > self._most:
            changed += len(talk.unread)
            tokens = self._with_shorter_results(talk, tokens)
        yield Trimmed(messages=changed, before=before, after=tokens)
        return tokens

    def _with_fewer_excerpts(self, talk: Conversation, tokens: int) -> int:
        while tokens > self._most:
            if not talk.has_more:
                raise self._too_long("The question", tokens)
            talk.show_fewer(max(0, talk.excerpts - 1))
            tokens = self.measure(talk.messages)
        return tokens

    def _with_shorter_results(self, talk: Conversation, tokens: int) -> int:
        longest = max((len(message.content) for message in talk.unread), default=0)

        def size(cut: int) -> int:
            return self.measure([*talk.system, *talk.earlier, *talk.with_unread(longest - cut)])

        cut = _fewest(longest, lambda cut: size(cut) <= self._most)
        if (tokens := size(cut)) > self._most:
            raise self._too_long("What this turn has come to", tokens)
        talk.turn = talk.with_unread(longest - cut)
        return tokens

    def _too_long(self, what: str, tokens: int) -> PromptTooLong:
        return PromptTooLong(
            f"{what} takes {tokens:,} tokens, with the system text and the tools. The model's context is {self.context:,} tokens, "
            f"and {self.reserve:,} of them are kept for the answer. Ask for less at once, or set a larger [model] context."
        )


def _fewest(most: int, enough: Callable[[int], bool]) -> int:
    """The smallest number up to `most` that is enough, where a larger one always is if a smaller is; `most` where none is."""
    return min(most, bisect_left(range(most + 1), True, key=enough))
