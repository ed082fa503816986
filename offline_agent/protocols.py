"""The seams of the program. Parts implement them, `app/` joins them, and each has a double that ships.

numpy is named in annotations only: nothing here is imported at run time but the standard library and pydantic.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel

from offline_agent.actions import Answer, Approval, Change, Command, Entry, FileText, Proposal, Ran, SandboxReport
from offline_agent.events import Event, Piece
from offline_agent.models import ModelInfo
from offline_agent.types import (
    Citation,
    IndexStatus,
    Message,
    RepositoryMap,
    Sampling,
    SearchResult,
    SessionContext,
    ToolResult,
    ToolSpec,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TokenCounter(Protocol):
    """Counts tokens the way the embedder will."""

    max_tokens: int
    """The most tokens one text may have before the embedder cuts it, special tokens included."""

    def count(self, lines: Sequence[str]) -> list[int]:
        """Tokens of each line, special tokens left out."""


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    fingerprint: str
    """Names the weights: vectors of different fingerprints must never be compared."""
    dimensions: int

    def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Vectors of shape (len(texts), dimensions), float32, each of length 1."""


class VectorIndex(Protocol):
    """Nearest neighbours by cosine. Holds keys and vectors only; it can always be rebuilt from the database."""

    def keys(self) -> set[str]: ...

    def add(self, keys: Sequence[str], vectors: "NDArray[np.float32]") -> None:
        """Adds or replaces; `vectors` has shape (len(keys), dimensions)."""

    def remove(self, keys: Sequence[str]) -> None: ...

    def search(self, vector: "NDArray[np.float32]", limit: int) -> list[tuple[str, float]]:
        """The nearest keys with their cosine similarity, best first."""

    def close(self) -> None: ...


class Reranker(Protocol):
    """Reads a question and a text together: slower than comparing vectors, and better at it."""

    def scores(self, query: str, texts: Sequence[str]) -> "NDArray[np.float32]":
        """One score for each text, higher is better; only their order and distances mean anything. Raises an EmbedderError."""


class Retriever(Protocol):
    """Finds chunks for a question."""

    def search(self, query: str, limit: int) -> SearchResult: ...

    def status(self) -> IndexStatus: ...


class Mapper(Protocol):
    """Outlines the repository."""

    def repository_map(self, tokens: int, focus: Sequence[str] = (), query: str = "") -> RepositoryMap:
        """What the rest rests on most, in `tokens` at most by the embedder's tokenizer. With files or directories in `focus`, or
        words in `query`, what these mean and what is near it."""


class Index(Retriever, Mapper, Protocol):
    """What answers for a repository."""


class ChatModel(Protocol):
    """A language model that streams."""

    def load(self) -> ModelInfo:
        """Waits until the model is ready. Raises a ModelError."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by the model's own tokenizer."""

    def measure(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        """Tokens of the whole prompt, everything that the model's template adds included."""

    def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        tools: Sequence[ToolSpec] = (),
        choice: Literal["auto", "required"] = "auto",
    ) -> Iterator[Piece]:
        """The answer, piece by piece; Finished is the last. With "required" it is a tool call and nothing else. Closing the
        iterator stops the model. Raises a ModelError."""

    def close(self) -> None: ...


class Database(Protocol):
    """One SQLite database. Whether its pages are encrypted is the vault's business. For the thread that opened it."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Iterable[tuple[Any, ...]]:
        """Rows of one statement. Raises a StorageError."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None: ...

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside is committed together, or not at all. Nested use joins the outer one."""

    def migrate(self, steps: Sequence[Sequence[str]]) -> None:
        """Brings the tables to version `len(steps)`: step n, a list of statements, takes them from version n to n + 1, all
        missing steps in one transaction. Never edit a step that was released; append. Raises VaultTooNew."""

    def close(self) -> None: ...


class Vault(Protocol):
    """Where everything that rests on disk lives. Names are relative paths of plain words (`repos/1f0c/index`): they are
    visible."""

    def database(self, name: str, durable: bool = False) -> Database:
        """Opens the database of that name, made on first use. One per thread. A durable one survives a power cut with
        every commit; the others may then lose the last moments, and nothing in a crash of the program alone."""

    def directory(self, name: str) -> Path:
        """A private directory (mode 0700) of that name, for locks and sockets. No content goes there."""

    def destroy(self, name: str) -> None:
        """Removes the directory of that name and every database in it."""


class StateStore(Protocol):
    """Where computed prompts rest, as opaque bytes: a cache, whose entries may be gone at any time. For any thread. What has a
    key that begins with `session ID ` goes with that session."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, state: bytes) -> None:
        """Adds or replaces. What cannot be stored is logged and left out."""


class Tool(Protocol):
    """Something that a model may have done. `arguments` is the pydantic model of what it takes; `spec` is made from it."""

    @property
    def spec(self) -> ToolSpec: ...

    @property
    def arguments(self) -> type[BaseModel]: ...

    def run(self, arguments: Any) -> "ToolResult | Generator[Event, None, ToolResult]":
        """Does it; `arguments` is an instance of the class of that name. What takes long may say what goes on meanwhile. Raises
        an AgentError, which the model is told."""


class Transcript(Protocol):
    """Where the messages of one session rest. `id` names the session."""

    id: str

    def add(self, message: Message, citations: Sequence[Citation] = ()) -> None: ...

    def remember(self, context: SessionContext) -> None:
        """Keeps the conversation as the model was shown it, in place of the one before, so that the session can be resumed."""


class Audit(Protocol):
    """The record of what was done: append-only."""

    def add(self, kind: str, **body: Any) -> None: ...


# --- the hands ---------------------------------------------------------------------------------------------------


class Workspace(Protocol):
    """The one door between a tool and the machine. Whatever is done through it is decided by the rules, asked about where they
    say so, recorded for undo, and audited. A path is what the model wrote: relative to the repository root, or absolute.

    Every method raises Denied for what a rule or the person forbids, and a GuardError with a sentence for the model otherwise.
    """

    @property
    def root(self) -> Path:
        """The repository, as an absolute path without symbolic links."""

    def entries(self, path: str) -> tuple[Entry, ...]:
        """What a directory has, by name."""

    def files(self, under: str = ".") -> Iterator[str]:
        """The regular files below a directory, or that file itself, which are not ignored and may be read; in the order of their
        paths."""

    def read(self, path: str, seen: bool = True) -> FileText:
        """A text file, which from here on counts as seen by the model, unless it is not shown to it."""

    def peek(self, path: str) -> FileText | None:
        """A file of those that `files` gave, which the model does not see whole; None where it is no text, too large, or gone."""

    def write(self, path: str, text: str, based_on: str = "") -> Change:
        """Makes or replaces a text file, keeping encoding, line ends and mode. `based_on` is the SHA-256 of the file that `text`
        was made from; without it a file that exists must have been read before. Raises EditError where it changed since."""

    def run(self, command: Command, output: "Callable[[str], None] | None" = None) -> Ran:
        """Runs a command in the sandbox; `output` gets what it writes as it comes. A directory is as a path is."""

    def turn(self, title: str) -> AbstractContextManager[None]:
        """Everything that is changed inside can be undone together."""

    def permit(self, permission: str, value: str, title: str) -> None:
        """Returns where the rules, or the person, allow what is neither a file nor a command."""


class Asker(Protocol):
    """The person, where there is one to ask."""

    def permit(self, proposal: Proposal) -> Answer:
        """What the person says to something that the rules want asked."""

    def ask(self, question: str, choices: Sequence[str]) -> str | None:
        """The person's own words, or one of `choices`; None where there is nobody, or they would not say."""


class Watcher(Protocol):
    """Sees what a command is about to change, before it is changed. One command at a time."""

    @property
    def program(self) -> bytes:
        """The seccomp filter, struct sock_filter after struct sock_filter, that asks the watcher first; empty where this kernel
        cannot."""

    def attach(self, listener: int) -> None:
        """Answers what comes from the seccomp listener of that descriptor, from now on; the descriptor is the watcher's."""

    def detach(self) -> None:
        """The command and all that it started have ended."""


class Sandbox(Protocol):
    """Runs commands that the kernel confines."""

    @property
    def report(self) -> SandboxReport:
        """What confines them; the canaries are tried when this is first asked for."""

    def run(
        self,
        command: Command,
        denied: Sequence[str] = (),
        watcher: Watcher | None = None,
        output: "Callable[[str], None] | None" = None,
    ) -> Ran:
        """Runs a command in the repository. It sees system directories and the repository without the files `denied` (paths
        relative to the root). All that it started has ended when this returns, also where that is by an exception. Raises
        SandboxUnavailable where nothing confines it and the person's own settings do not say that nothing should."""

    def close(self) -> None: ...


class Approvals(Protocol):
    """What a person approved for good in one repository."""

    def all(self) -> list[Approval]: ...

    def add(self, permission: str, pattern: str) -> Approval: ...

    def revoke(self, number: int) -> bool:
        """Whether there was one of that number."""


class Journal(Protocol):
    """What one turn touched, sealed: entries that are only ever appended, each a small record and content of any size. What was
    appended survives the end of the program at any moment."""

    number: int

    def add(self, record: Mapping[str, Any], content: Iterable[bytes] = ()) -> None:
        """For any thread. Raises a StorageError."""

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every record in order, with what `content` takes to find its content. Raises VaultDamaged."""

    def content(self, place: int) -> Iterator[bytes]:
        """Raises VaultDamaged."""

    @property
    def size(self) -> int:
        """In bytes."""


class Journals(Protocol):
    """The journals of one repository."""

    def begin(self) -> Journal:
        """An empty one, with the next number."""

    def open(self, number: int) -> Journal: ...

    def numbers(self) -> list[int]:
        """Oldest first."""

    def remove(self, number: int) -> None: ...


class Inspector(Protocol):
    """Looks at what was read, before a model or the vault gets it."""

    def mask(self, text: str) -> str:
        """The text with `[redacted:KIND#N]` in place of secrets; the same secret has the same number all through a session."""

    def suspicion(self, text: str) -> str:
        """A sentence where the text seems to give the model orders; else empty."""


class Outputs(Protocol):
    """Where long outputs of tools rest, sealed, to be read by range."""

    def keep(self, text: str) -> str:
        """Its name, such as `output:3`."""

    def find(self, name: str) -> str | None:
        """None for a name that is not known, or whose output made room for others."""
