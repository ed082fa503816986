"""A conversation -> tokens, append-only: what a model has computed once, no later turn makes it compute again.

A template that is given the whole conversation each time writes earlier turns anew, and often differently: thinking is dropped,
calls get another order of keys, white space is trimmed. So only its beginning is rendered whole:

    head      system, tools and everything up to the first answer      by the template
    answer    the tokens that the model wrote                          as they are
    between   what ends that answer, the messages since, and what opens the next one
              by the template, from a conversation of one question, an answer that is a mark, and those messages: what it writes
              behind the mark

A template that knows nothing of tools is told of them in its system text, and of their results in the user's messages. One that
leaves answers out, or changes them beyond recognition, is given the whole conversation each time after all.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, Protocol

from offline_agent.errors import ModelTemplateMissing
from offline_agent.llm.dialect import Dialect
from offline_agent.llm.template import TRIAL, ChatTemplate
from offline_agent.llm.tokens import Special, Specials, looks_like_marker
from offline_agent.types import Message, ToolCall, ToolSpec

_MARK = "⟦here⟧"
_PROBE = ToolSpec(
    name="probe_tool",
    description="Looks.",
    parameters={"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
)
_ASKED = Message(role="user", content=TRIAL)
Way = Literal["calls", "content", "user"]
"""How a template carries what tools said: behind calls as it writes them itself, behind an answer that holds their text (Phi's), or
not at all, so that it goes into a user's message."""
WAYS: tuple[Way, ...] = ("calls", "content", "user")
_REMEMBERED = 512  # stretches between answers; a session has fewer


class Tokenizer(Protocol):
    """What of a vocabulary rendering needs."""

    @property
    def bos(self) -> int: ...

    @property
    def wants_bos(self) -> bool: ...

    def tokenize(self, text: str) -> list[int]: ...

    def fragment(self, text: str) -> list[int]: ...

    def ends(self, token: int) -> bool: ...


class Renderer:
    """For one model. `dialect` is how it writes calls; where the template tells nothing of tools, `plain` is taken instead.
    `words` are the texts of the user-defined tokens, of which those that look like markers are kept out of contents."""

    def __init__(
        self,
        template: ChatTemplate,
        vocabulary: Tokenizer,
        specials: Sequence[Special],
        dialect: Dialect,
        plain: Dialect,
        words: Iterable[str] = (),
    ) -> None:
        self._template = template
        self._vocabulary = vocabulary
        self._all = Specials(specials, {*_voice(dialect), *_voice(plain), *filter(looks_like_marker, words)})
        self._ending = [special for special in specials if vocabulary.ends(special.id) and special.text]
        self.dialect = dialect
        self._native = self._renders_tools()
        """Whether the template tells the model of tools by itself."""
        if not self._native:
            self.dialect = plain
        self._again = False
        """Whether the stretches between answers must be rendered with the tools: some templates would list them anew each time."""
        self._way: Way = next(way for way in WAYS if way == "user" or (self._native and self._renders_results(way)))
        self._appends = self._shows_answers()
        self._markers = Specials([special for special in specials if special.text in self.dialect.markers])
        self.shown = {special.id: special.text for special in specials if special.text in self.dialect.markers}
        """Control tokens that are part of how calls and thoughts are written."""
        self._between: dict[str, list[int]] = {}

    def tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[int]:
        """The prompt. No special token is in it but the template's own and those of the model's own answers."""
        head, *rounds = _rounds(messages)
        if rounds and not self._appends:
            return self._head(self._plainly(head, rounds, tools), tools)
        tokens = self._head(head, tools)
        for answer, *since in rounds:
            tokens += answer.tokens or self.written(self._text(answer, tools))
            tokens += self._since(answer, since, tools)
        return tokens

    def prefix(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[int]:
        """What begins the prompt whatever the first question is."""
        head = next(_rounds(messages))
        if not head:
            return []
        others = [[*head[:-1], head[-1].model_copy(update={"content": text})] for text in ("A?", "Where (")]
        one, other = (self._head(messages, tools) for messages in others)
        same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
        return one[:same]

    def opens_thinking(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> bool:
        """Whether the template itself opens the block in which the model thinks."""
        opening = self._render([*_next(messages)], tools)
        return any(opening.rstrip().endswith(start) for start, _ in self.dialect.thinking)

    def written(self, text: str) -> list[int]:
        """Tokens of what a model, or the program in its place, writes: the dialect's markers are single tokens."""
        return self._markers.tokenize(text, _as_is, self._vocabulary.fragment, self._vocabulary.fragment)

    # --- pieces of a conversation ---

    def _head(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> list[int]:
        tokens = self._tokenized(messages, tools, lambda text: text)
        if self._vocabulary.wants_bos and tokens[:1] != [self._vocabulary.bos]:
            tokens.insert(0, self._vocabulary.bos)
        return tokens

    def _since(self, answer: Message, since: Sequence[Message], tools: Sequence[ToolSpec]) -> list[int]:
        key = "\n".join(message.model_dump_json(exclude={"tokens"}) for message in (_outline(answer), *since))
        if key not in self._between:
            if len(self._between) >= _REMEMBERED:
                self._between.clear()
            messages, behind = self._around(answer, since)
            self._between[key] = self._tokenized(messages, tools if self._again else (), behind, inside=True)
        return self._between[key]

    def _around(self, answer: Message, since: Sequence[Message]) -> tuple[list[Message], Callable[[str], str]]:
        """A small conversation whose answer is a mark, and the function from its text to what stands behind that answer."""
        if not answer.calls or self._way != "calls":
            marked = Message(role="assistant", content=_MARK)
            told = [self._as_user(since)] if self._way == "user" and since else since
            return [_ASKED, marked, *told], lambda text: text.partition(_MARK)[2]
        *calls, last = (call.model_copy(update={"arguments": {}}) for call in answer.calls)
        calls.append(
            last.model_copy(update={"arguments": {"place": _MARK}})
        )  # so the mark stands nowhere before its place
        return [_ASKED, Message(role="assistant", content="", calls=tuple(calls)), *since], self._behind_call

    def _behind_call(self, text: str) -> str:
        """What a template writes behind a call: after the call's closing marker, or from the token that ends the answer."""
        rest = text.partition(_MARK)[2]
        close = self.dialect.close.strip()
        if close and close in rest:
            return rest[rest.index(close) + len(close) :]
        places = [rest.index(special.text) for special in self._ending if special.text in rest]
        if not places:
            raise ModelTemplateMissing("The chat template does not end a tool call.")
        return rest[min(places) :]

    def _plainly(
        self, head: Sequence[Message], rounds: Sequence[Sequence[Message]], tools: Sequence[ToolSpec]
    ) -> list[Message]:
        """The conversation in messages of text alone, which any template takes that takes answers at all."""
        plain = list(head)
        for answer, *since in rounds:
            plain.append(Message(role="assistant", content=self._text(answer, tools)))
            plain += [self._as_user(since)] if since else []
        return plain

    def _as_user(self, messages: Sequence[Message]) -> Message:
        """One user message of all that came since an answer: results of tools for a template that knows none."""
        texts = [f"Result of the call:\n{m.content}" if m.role == "tool" else m.content for m in messages]
        return Message(role="user", content="\n\n".join(texts))

    def _text(self, answer: Message, tools: Sequence[ToolSpec]) -> str:
        """What another model answered, as this one would have written it."""
        by_name = {tool.name: tool for tool in tools}
        calls = [self.dialect.write(call, by_name.get(call.name)) for call in answer.calls]
        return "\n".join(part for part in (answer.content, *calls) if part)

    # --- rendering ---

    def _tokenized(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        part: Callable[[str], str],
        inside: bool = False,
    ) -> list[int]:
        """Tokens of `part` of what is rendered; `inside` says that it goes on from an answer, which ends anywhere."""
        safe, specs, restore = self._all.protect(messages, tools)
        text = part(self._render(safe, specs))
        return self._all.tokenize(text, restore, self._vocabulary.tokenize, self._vocabulary.fragment, inside)

    def _render(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        if not tools:
            return self._template.render(messages)
        told = _with_instructions(messages, self.dialect.instructions(tools))
        return self._template.render(told, self.dialect.described(tools) if self._native else ())

    # --- what the template can do, tried once ---

    def _renders_tools(self) -> bool:
        messages = [Message(role="system", content=TRIAL), _ASKED]
        try:
            return _PROBE.name in self._template.render(messages, self.dialect.described([_PROBE]))
        except ModelTemplateMissing:
            return False

    def _shows_answers(self) -> bool:
        marked = Message(role="assistant", content=_MARK)
        try:
            return _MARK in self._render([_ASKED, marked, _ASKED], ())
        except ModelTemplateMissing:  # which is said when a second question is asked
            return True

    def _renders_results(self, way: Way) -> bool:
        self._way = way
        return self._tries_results(()) or self._tries_results([_PROBE])

    def _tries_results(self, tools: Sequence[ToolSpec]) -> bool:
        call = ToolCall(id="aaaaaaaa1", name=_PROBE.name, arguments={"place": "x"})
        self._again = bool(tools)
        try:
            answer = Message(role="assistant", content="", calls=(call,))
            result = Message(role="tool", content=f"{TRIAL} Here.", call_id=call.id)
            messages, behind = self._around(answer, [result])
            return result.content in behind(self._render(messages, tools))
        except ModelTemplateMissing:
            return False


def _rounds(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """The messages before the first answer, then each answer with those that follow it."""
    current: list[Message] = []
    for message in messages:
        if message.role == "assistant":
            yield current
            current = []
        current.append(message)
    yield current


def _next(messages: Sequence[Message]) -> Sequence[Message]:
    """The head alone: the opening of an answer is the same everywhere."""
    return next(_rounds(messages))


def _outline(answer: Message) -> Message:
    """What of an answer decides how the text behind it looks."""
    calls = tuple(call.model_copy(update={"arguments": {}}) for call in answer.calls)
    return Message(role="assistant", content="", calls=calls)


def _with_instructions(messages: Sequence[Message], text: str) -> list[Message]:
    """With `text` at the end of the system message; a conversation without one gets one."""
    if not text:
        return list(messages)
    if messages and messages[0].role == "system":
        system = messages[0].model_copy(update={"content": f"{messages[0].content.rstrip()}\n\n{text}"})
        return [system, *messages[1:]]
    return [Message(role="system", content=text), *messages]


def _voice(dialect: Dialect) -> set[str]:
    """The markers of a dialect: those of its texts that are no plain JSON or words. Of a call that opens in JSON (Llama's
    `{"name"`) there is nothing to forge in a result, and every package.json begins so."""
    pairs = [*dialect.thinking, *dialect.headers]
    texts = [*dialect.markers, *dialect.hidden, *(text for pair in pairs for text in pair)]
    texts += [text for form in dialect.forms for text in (form.open, form.close)]
    return {text.strip() for text in texts if text.strip()[:1] in {"<", "[", "`"}} - {"```"}


def _as_is(text: str) -> list[str]:
    return [text]
