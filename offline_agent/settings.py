"""Everything a person can set: one frozen record per part, with its meaning under each field.

Values come, weakest first, from the defaults here, from the person's own `~/.config/offline-agent/config.toml`
(`[index] max_file_bytes = ...`) and from the environment (`OFFLINE_AGENT_INDEX_MAX_FILE_BYTES=...`). No other module takes
settings from the environment; environment.py takes secrets and surroundings from it, and llm/child.py filters it for a child. A
repository has no settings of its own: what a stranger wrote cannot loosen anything.

Strongest is the policy of the machine, `/etc/offline-agent/policy.toml`, with the sections and fields of the configuration: what
it sets, configuration, environment and command line cannot set otherwise. `[index] chroma_url = ""` forbids the server of a team.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from offline_agent.addresses import fault_of
from offline_agent.errors import UsageError
from offline_agent.types import Value

PREFIX = "OFFLINE_AGENT_"
POLICY = Path("/etc/offline-agent/policy.toml")
"""The policy of the machine, where there is one."""


class IndexSettings(Value):
    """What is indexed and how soon."""

    max_file_bytes: int = 1_000_000
    """Files above this size are skipped: generated code and data, as a rule."""
    quiet_seconds: float = 0.1
    """After a save, wait until nothing was written for this long, so that a burst is one batch."""
    patience_seconds: float = 0.5
    """But never longer than this after the first write of a burst."""
    rescan_seconds: float = 60.0
    """Look at every file's size and time this often, for what the watcher could not see."""
    chroma_url: str = ""
    """A Chroma server that a team shares vectors on (`https://host/prefix`); none by default. It gets ids and vectors, never text,
    but a vector can be turned back into text. http is for this machine's own addresses only."""
    reranker: Path | None = None
    """What looks at the best results again: a reranker of the model library by its name, or a directory with a
    sentence-transformers CrossEncoder, whose files are yours to trust. None by default."""

    @field_validator("chroma_url")
    @classmethod
    def _is_a_safe_address(cls, url: str) -> str:
        if fault := fault_of(url, "chroma"):
            raise ValueError(fault)
        return url


class EmbedderSettings(Value):
    name: str = "all-MiniLM-L6-v2"
    """An embedder of the catalogue that is on this machine."""
    static: str = "pocket-static"
    """A static embedder of models/catalogue.toml, which searches by meaning at once; empty for none."""
    directory: Path | None = None
    """A local sentence-transformers directory to use instead. Its files are yours to trust: no hash is checked."""
    batch: int = 32
    """Texts per forward pass."""


class ModelSettings(Value):
    name: str = "pocket"
    """A model of models/catalogue.toml."""
    path: Path | None = None
    """Any other GGUF file; `--model PATH` sets it for one command."""
    context: int | None = None
    """Tokens of context; by default what the catalogue says, or 8192, and never more than the model was trained for."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of llama.cpp; by default one for tiny models, else one less than there are physical cores."""
    gpu_layers: int = -1
    """Layers on the GPU, where llama.cpp was built for one: -1 is as many as fit, 0 none."""
    batch: int | None = Field(default=None, ge=1)
    """Tokens of a prompt computed at once; by default 512."""
    cache_type: Literal["auto", "f16", "q8_0"] = "auto"
    """How keys and values are kept: q8_0 takes half the memory of f16. auto takes it only where f16 would not fit."""
    dialect: str = ""
    """How the model writes tool calls, an entry of models/dialects.toml; by default its chat template tells."""
    thinking: bool | None = None
    """Whether a model that can think before it answers does; by default as its chat template has it."""
    draft: Literal["bodies", "always", "never"] = "bodies"
    """Guess ahead from what the prompt holds: in file bodies, where it pays, always, or never. The answer is the same."""
    keep_states: bool = True
    """Keep computed prompts in the vault, so that the next start need not compute them again."""
    load_timeout_seconds: float = 600.0
    """Give up on a model that is not ready by then."""
    silence_timeout_seconds: float = 300.0
    """Take a model for hung that neither reads nor writes a token for so long."""
    idle_minutes: float = 30.0
    """Free the memory of a model that nobody has asked for so long; the next question loads it again. 0 keeps it."""


class EndpointSettings(Value):
    """A server with an OpenAI-compatible interface that answers in place of a local model. Off: without `url` there is none.

    Questions, and the code that goes with them, are sent there.
    """

    url: str = ""
    """Where its interface begins, as a rule `http://127.0.0.1:8080/v1`. http is for this machine's own addresses only."""
    model: str = ""
    """The model to ask for; by default the first that the server lists."""
    context: int | None = None
    """Tokens of its context, where the server does not tell; 8192 by default."""
    timeout_seconds: float = 300.0
    """Give up on a server that sends nothing for so long."""

    @field_validator("url")
    @classmethod
    def _is_a_safe_address(cls, url: str) -> str:
        if fault := fault_of(url, "endpoint"):
            raise ValueError(fault)
        return url


class LibrarySettings(Value):
    """The models that are kept on this machine. They are files that anybody can have, so they are not encrypted."""

    directory: Path | None = None
    """Where they are kept; by default `models` in the program's data directory. Another disk, or a directory of all users."""
    catalogue: Path | None = None
    """A catalogue in place of the program's own list of models and of the person's `models.toml`."""
    listed_only: bool = False
    """Fetch, import and use nothing but models of the catalogue whose hashes it has."""


class HubSettings(Value):
    """Where `models pull` fetches models from. Nothing else connects to it."""

    pull: bool = True
    """Whether models may be fetched over the network at all."""
    endpoint: str = "https://huggingface.co"
    """A hub with the interface of Hugging Face: theirs, or a mirror. http is for this machine's own addresses only."""
    hosts: tuple[str, ...] = ()
    """If any are named, the only hosts that may be connected to, redirects included; `*.example.org` for all below."""
    ca_file: Path | None = None
    """Certificates (PEM) of the authorities that vouch for a mirror or proxy, besides the system's."""
    timeout_seconds: float = Field(default=30.0, gt=0)
    """Take a connection for dead that brings nothing for so long; it is made anew."""
    attempts: int = Field(default=5, ge=1)
    """How often in a row a connection is made anew that brings nothing, before giving up."""

    @field_validator("endpoint")
    @classmethod
    def _is_a_safe_address(cls, url: str) -> str:
        if fault := fault_of(url, "hub"):
            raise ValueError(fault)
        return url.rstrip("/")


class AskSettings(Value):
    hits: int = 8
    """Search results that are looked at for one question."""
    max_tokens: int = 4096
    """The longest answer, in tokens; a quarter of the model's context at most. A file that is written whole is one."""
    agent: Literal["build", "plan"] = "build"
    """What the model may do: `build` changes files and runs commands, as the permissions have it; `plan` only reads."""
    steps: int = Field(default=40, ge=1)
    """The most requests to the model for one question: each tool call it makes takes one more."""
    tokens: int = Field(default=1_000_000, ge=1)
    """The most tokens that the model computes for one question, read or written."""
    minutes: float = Field(default=60.0, gt=0)
    """The longest that one question may take; what the person needs to answer counts too."""
    repeats: int = Field(default=3, ge=2)
    """So many times the same tool call in a row is going in circles."""
    tools: bool = True
    """Offer the model tools. Models that write records get none."""
    instruction_tokens: int = 1500
    """The most tokens of AGENTS.md files that the model is shown; an eighth of its context at most."""


class SandboxSettings(Value):
    """What confines the commands that the model runs."""

    mechanism: Literal["auto", "bubblewrap", "landlock", "none"] = "auto"
    """auto takes bubblewrap where it works, else Landlock, and otherwise runs nothing. "none" confines nothing."""
    seconds: float = Field(default=120.0, gt=0)
    """How long a command may take that names no time itself."""
    longest_seconds: float = Field(default=1800.0, gt=0)
    """The most that it may name."""
    memory_megabytes: int = Field(default=4096, ge=16)
    """All processes of a command together."""
    processes: int = Field(default=512, ge=2)
    file_megabytes: int = Field(default=1024, ge=1)
    """The largest file that a command may write, and all that it may write to its private /tmp."""
    disk_megabytes: int = Field(default=4096, ge=1)
    """How much of the disk a command may fill."""
    output_megabytes: int = Field(default=16, ge=1)
    """A command that writes more to its output is ended."""
    readable: tuple[Path, ...] = ()
    """Directories outside the repository that commands may read, such as a tool chain in the home directory."""
    writable: tuple[Path, ...] = ()
    """Directories outside the repository that commands may change, such as a build cache."""
    environment: tuple[str, ...] = ()
    """Names of environment variables that commands are given, besides those that every command needs."""
    history: Literal["auto", "show", "hide"] = "auto"
    """Whether commands see the repository's git objects. auto hides them where a denied file was ever committed."""
    protect: bool = True
    """Keep git's hooks and configuration, CI and editor task files from being changed by commands."""


class UndoSettings(Value):
    """Which files are kept so that a turn can be undone."""

    turns: int = Field(default=100, ge=1)
    """The most turns of a repository that can be undone; the oldest are forgotten."""
    megabytes: int = Field(default=1024, ge=1)
    """The most that the files kept for one repository may take."""
    file_megabytes: int = Field(default=256, ge=1)
    """A larger file is not kept, and the program says so."""


class VaultSettings(Value):
    """What opens the vault, and how long what is in it stays."""

    key: Literal["auto", "keyring", "passphrase", "file"] = "auto"
    """What opens a new vault: a passphrase where one is given, else the OS keyring where there is one, else a key file."""
    session_days: int | None = None
    """Sessions whose last message is older are removed; by default they stay."""
    sessions: int | None = None
    """The most sessions that are kept, newest first; by default all."""
    blob_megabytes: int = 2048
    """The most space for blobs; what was not used for longest makes room."""


class LogSettings(Value):
    """The log, which is in the vault too."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is kept. At debug, questions, prompts and every path are in it."""
    days: int = 14
    """Older entries are removed."""
    entries: int = 100_000
    """The most entries that are kept."""


class Settings(Value):
    """All of it; no secret among it. `data_directory` holds the vault, `config_directory` the person's own files; both are made
    with mode 0700."""

    data_directory: Path
    config_directory: Path
    declarations: Path
    """Where `models/` and `index/` are: inside the installed package, or at the top of a source checkout."""
    index: IndexSettings = IndexSettings()
    embedder: EmbedderSettings = EmbedderSettings()
    model: ModelSettings = ModelSettings()
    endpoint: EndpointSettings = EndpointSettings()
    library: LibrarySettings = LibrarySettings()
    hub: HubSettings = HubSettings()
    ask: AskSettings = AskSettings()
    sandbox: SandboxSettings = SandboxSettings()
    undo: UndoSettings = UndoSettings()
    vault: VaultSettings = VaultSettings()
    log: LogSettings = LogSettings()
    policy: tuple[str, ...] = ()
    """What the machine's policy has fixed, as `part.field`."""

    @property
    def models_directory(self) -> Path:
        return self.declarations / "models"

    @property
    def library_directory(self) -> Path:
        return self.library.directory or self.data_directory / "models"

    @property
    def index_declarations(self) -> Path:
        return self.declarations / "index"


_ROOT = 0  # the user id
_PARTS: dict[str, type[Value]] = {
    "index": IndexSettings,
    "embedder": EmbedderSettings,
    "model": ModelSettings,
    "endpoint": EndpointSettings,
    "library": LibrarySettings,
    "hub": HubSettings,
    "ask": AskSettings,
    "sandbox": SandboxSettings,
    "undo": UndoSettings,
    "vault": VaultSettings,
    "log": LogSettings,
}


def load_settings(
    environ: Mapping[str, str] | None = None, policy: Path = POLICY, policy_owner: int = _ROOT
) -> Settings:
    """Settings from defaults, configuration file, environment (`os.environ` unless given) and policy.

    Raises UsageError when a file or a variable is not understood, naming both the place and the field, and for a policy that
    somebody other than `policy_owner` could have written.
    """
    environ = os.environ if environ is None else environ
    home = Path(environ.get("HOME") or Path.home())
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "offline-agent"
    config = own / "config.toml"
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "offline-agent"
    values: dict[str, Any] = _read_config(config)
    fixed = _read_policy(policy, policy_owner)
    for part, kind in _PARTS.items():
        for field in kind.model_fields:
            variable = f"{PREFIX}{part}_{field}".upper()
            if variable in environ:
                values.setdefault(part, {})[field] = environ[variable]
        if part in fixed:
            values[part] = {**values.get(part, {}), **fixed[part]}
    named = tuple(f"{part}.{field}" for part in fixed for field in fixed[part])
    try:
        return Settings(
            data_directory=data, config_directory=own, declarations=find_declarations(), policy=named, **values
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        where = str(policy) if place in named else f"{config} and at {PREFIX}* variables"
        raise UsageError(
            f"Setting {place} is not right: {first['msg'].removeprefix('Value error, ')}. Look in {where}."
        ) from None


def find_declarations() -> Path:
    """The directory that holds `models/` and `index/`: package data when installed, the checkout's top otherwise."""
    here = Path(__file__).resolve().parent
    packaged = here / "declarations"
    return packaged if packaged.is_dir() else here.parent


def _read_config(path: Path) -> dict[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The configuration {path} cannot be read: {error}.") from None
    return _parsed(text, f"The configuration {path}")


def _read_policy(path: Path, owner: int) -> dict[str, dict[str, Any]]:
    """What the policy sets, by part. A policy that cannot be believed or read stops the program: to go on without it would be a way
    round it."""
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())  # of the file that is read, whatever takes its place meanwhile
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The policy {path} cannot be read: {error}. Who administers this machine can mend it."
        ) from None
    if status.st_uid != owner or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(
            f"The policy {path} can be written by others than root, so it is not believed. "
            f"As root: chown root:root {path}; chmod 644 {path}"
        )
    return _parsed(text, f"The policy {path}")


def _parsed(text: str, what: str) -> dict[str, dict[str, Any]]:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{what} cannot be read: {error}.") from None
    unknown = set(values) - set(_PARTS)
    if unknown:
        raise UsageError(f"{what} has an unknown section [{min(unknown)}]; known are {', '.join(_PARTS)}.")
    for part, fields in values.items():
        if not isinstance(fields, dict):
            raise UsageError(f"{what} has a value {part} where a section [{part}] belongs.")
    return values
