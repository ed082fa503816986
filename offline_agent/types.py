"""The values that travel round the circle, in its order. What goes on while an answer is made is in events.py.

    file change -> chunk -> hit -> message -> piece -> answer

Every type is frozen and checks itself; all of them can cross a process boundary as JSON.
"""

import hashlib
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Value(BaseModel):
    """A frozen record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- file change -------------------------------------------------------------------------------------------------


class ChangeKind(StrEnum):
    WRITTEN = "written"
    DELETED = "deleted"


class FileChange(Value):
    """One file that is not what the index last saw. `path` is relative to the repository root, with forward slashes."""

    path: str
    kind: ChangeKind


class FileState(Value):
    """What the index remembers of a file, cheapest comparison first: size in bytes, mtime in nanoseconds, SHA-256."""

    path: str
    size: int
    mtime_ns: int
    sha256: str


class Skipped(Value):
    """A file that is not indexed, and why, in words a person can act on."""

    path: str
    reason: str


# --- chunk -------------------------------------------------------------------------------------------------------


class Chunk(Value):
    """A span of a file. Lines count from 1 and both ends are included; `text` is the lines as they stand in the file.

    `symbol` is the dotted name of the definition (`Session.close`), or empty; `kind` says what the span is. `signature` is the
    definition's own first line where the span begins further down in it, so that no part of a long function is nameless.
    """

    path: str
    start_line: int
    end_line: int
    symbol: str = ""
    signature: str = ""
    kind: Literal["function", "class", "module", "text"] = "text"
    text: str

    @property
    def location(self) -> str:
        return f"{self.path}:{self.start_line}-{self.end_line}"

    @property
    def embedded_text(self) -> str:
        """What the embedder reads: where the chunk is from, then its lines."""
        header = f"{self.path} {self.symbol}" if self.symbol else self.path
        return "\n".join([header, self.signature, self.text] if self.signature else [header, self.text])

    @property
    def key(self) -> str:
        """The identity of the chunk's vector (128 bits of SHA-256, hex): equal content is embedded once.

        The path is not in it: a file that was renamed keeps its vectors, though they were made with its old path.
        """
        content = f"{self.symbol}\n{self.signature}\n{self.text}"
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Definition(Value):
    """A name that a file defines. `symbol` is dotted; lines count from 1, both ends included; `signature` is what stands before
    the body, on one line. A constant is a name that is assigned at the top of a file or class."""

    path: str
    symbol: str
    kind: Literal["function", "class", "constant"]
    start_line: int
    end_line: int
    signature: str = ""

    @property
    def name(self) -> str:
        return self.symbol.rpartition(".")[2]


# --- hit ---------------------------------------------------------------------------------------------------------


class Reason(Value):
    """What a ranking or a rule did for a hit: the amounts of all reasons add up to its score. `detail` says why, in words."""

    rule: str
    amount: float
    detail: str = ""


class Hit(Value):
    """A chunk that was found, its score (higher is better), which rankings found it, and every reason for its score."""

    chunk: Chunk
    score: float
    found_by: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


class SearchResult(Value):
    """Hits, best first, and which rankings took part: words always, the static embedder where there is one, and the transformer
    (`dense`) once it is loaded, for those chunks that have a vector."""

    hits: tuple[Hit, ...] = ()
    lexical: bool = True
    static: bool = False
    dense: bool = False
    reranked: bool = False


class MapEntry(Value):
    """A file of the repository map with those of its definitions that the rest of the repository rests on most."""

    path: str
    rank: float
    definitions: tuple[Definition, ...] = ()


class RepositoryMap(Value):
    """The repository's outline within a budget of tokens: the most important files, in the order of their paths."""

    entries: tuple[MapEntry, ...] = ()
    files: int = 0
    tokens: int = 0


class IndexPhase(StrEnum):
    SCANNING = "scanning"
    LOADING = "loading embedder"
    EMBEDDING = "embedding"
    CURRENT = "current"
    LEXICAL_ONLY = "lexical only"


class IndexStatus(Value):
    """How far the index is. `files` of `files_total` are searchable lexically, `vectors` of `chunks` by meaning.

    `problem` is one sentence when something keeps the index from being complete or current, else empty.
    """

    phase: IndexPhase = IndexPhase.SCANNING
    files: int = 0
    files_total: int = 0
    chunks: int = 0
    vectors: int = 0
    skipped: tuple[Skipped, ...] = ()
    embedder: str = ""
    problem: str = ""


# --- message -----------------------------------------------------------------------------------------------------


class ToolSpec(Value):
    """A tool as a model is told of it. `parameters` is the JSON schema of its arguments, an object with named properties.

    `body` names the argument, a string, that does not travel in JSON but raw, in a fence behind the call: code inside JSON costs
    small models 4 to 12 points of edit success. Empty where the tool has none. A name has no letters that any family writes with.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str
    parameters: dict[str, Any]
    body: str = ""


class ToolCall(Value):
    """What a model wants done, in words that were parsed but that nobody has checked against the tool yet. `id` is nine letters
    and digits, because one family takes no other."""

    id: str
    name: str
    arguments: dict[str, Any]


class ToolResult(Value):
    """What a tool call came to, as the model is told it. `hits` are shown to the model as numbered excerpts behind the text.

    `summary` is what a person is told in a line, the text's first line where it is empty; `shown` what they may want to see
    besides, such as a diff. `ours` says that the text is the program's own words alone, and nothing that was read."""

    text: str = ""
    hits: tuple[Hit, ...] = ()
    failed: bool = False
    summary: str = ""
    shown: str = ""
    ours: bool = False


class Message(Value):
    """One message of a conversation.

    An assistant's message has the tool `calls` it made, and in `tokens` exactly what the model wrote, in its own vocabulary:
    shown to the same model again they cost nothing. Another model is shown `content` and `calls`. A tool's message answers the
    call `call_id`.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    tokens: tuple[int, ...] = ()


class Sampling(Value):
    """How the next token is drawn. Temperature 0 is greedy; a repeat penalty other than 1 hurts code.

    `grammar` is GBNF (llama.cpp's grammars/README.md) with a rule `root`: nothing else can be written. Empty leaves the model
    free. `greedy_calls` draws the names and arguments of tool calls greedily, whatever the temperature of the prose.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    seed: int = 0
    grammar: str = ""
    greedy_calls: bool = True


class Usage(Value):
    """What an answer cost. Of the prompt's tokens, `reused_tokens` were computed before, `restored_tokens` of them in an earlier
    process. Of the answer's, `drafted_tokens` were guessed ahead, and `accepted_tokens` of these were right."""

    stopped: Literal["end", "length", "user"]
    prompt_tokens: int = 0
    reused_tokens: int = 0
    restored_tokens: int = 0
    answer_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    prompt_seconds: float = 0.0
    answer_seconds: float = 0.0


# --- what a session leaves -----------------------------------------------------------------------------------------


class Citation(Value):
    """A place in the repository that an answer rests on. It comes from a hit, never from the model's own words."""

    path: str
    start_line: int
    end_line: int
    symbol: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.start_line}-{self.end_line}"


class SessionContext(Value):
    """A conversation as the model was shown it. `citations[0]` is what `[1]` in it stands for. `model` is the hash or path
    of the one whose tokens the answers hold: to another they mean nothing."""

    messages: tuple[Message, ...] = ()
    citations: tuple[Citation, ...] = ()
    model: str = ""
