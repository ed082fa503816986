"""`offline-agent doctor`: what is installed, and is it what it should be."""

import argparse
import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from offline_agent import __version__, app
from offline_agent.cli.options import add_model, add_repository, program_for
from offline_agent.cli.terminal import counted, file_size, printable, readable
from offline_agent.cli.vault import opened_by
from offline_agent.errors import AgentError
from offline_agent.settings import POLICY, Settings

_PACKAGES = (
    "llama-cpp-python",
    "torch",
    "sentence-transformers",
    "chromadb",
    "prompt-toolkit",
    "watchdog",
    "tree-sitter",
)
_GPU_DEVICES = ("/dev/nvidia0", "/dev/kfd")
_WATCH_LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")
_FEW_WATCHES = 20_000


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `advice` says what to do where it is not right."""

    name: str
    state: Literal["ok", "note", "wrong"]
    found: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{self.state:<6}{self.name}: {self.found}"
        return f"{line}\n      {self.advice}" if self.advice else line


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "doctor",
        help="check the installation, the model, the embedder and the vault",
        description="Looks at what the program needs and says what is wrong with it. Exit code 1 when something is.",
    )
    parser.add_argument("--json", action="store_true", help="a JSON list of objects with name, state, found, advice")
    add_repository(parser)
    add_model(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    checks = []
    with program_for(arguments) as program:
        for check in examine(program):
            checks.append(check)
            if not arguments.json:
                print(printable(str(check)), flush=True)
    if arguments.json:
        print(json.dumps([asdict(check) for check in checks], ensure_ascii=False, indent=2))
    return int(any(check.state == "wrong" for check in checks))


def examine(program: app.Program) -> Iterator[Check]:
    yield Check(
        "offline-agent",
        "ok",
        f"{__version__} on Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    )
    yield from map(_package, _PACKAGES)
    yield _checked("model", lambda: _model(program))
    yield _library(program.settings)
    yield _confinement(program)
    yield _sandbox(program)
    yield _checked(
        "embedder", lambda: f"{program.settings.embedder.name}, every hash right, in {program.check_embedder()}"
    )
    yield _checked(
        "static", lambda: program.check_static_embedder() or "none is set: words alone until vectors are there"
    )
    yield _gpu()
    storage = _storage(program)
    yield storage
    yield from _swap()
    yield _index(program, storage)
    yield _watches()
    yield _policy(program)
    yield from _network(program)


def _checked(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", look())
    except AgentError as error:
        return Check(name, "wrong", str(error))


def _package(name: str) -> Check:
    try:
        return Check(name, "ok", version(name))
    except PackageNotFoundError:
        return Check(name, "wrong", "not installed", "Run scripts/setup.")


def _model(program: app.Program) -> str:
    info = program.start_model().load()  # its process compares the file with the pinned hash before it opens it
    if program.settings.endpoint.url:
        return f"{info.name}, {info.context} tokens of context, on the server {program.settings.endpoint.url}"
    held = program.model_path.is_relative_to(program.settings.library_directory)
    compared = "hash right when it came (`models verify` reads it again)" if held else "hash right"
    pinned = compared if program.card.sha256 else "no known hash"
    where = "GPU" if info.gpu else "CPU"
    size = f"{info.parameters / 1e6:.1f} M parameters, {info.context} tokens of context"
    return f"{info.name}, {size}, on {where}, {pinned}, {info.path}"


def _library(settings: Settings) -> Check:
    """The models that are kept here. Their files are not read: `models verify` does that."""
    place = readable(str(settings.library_directory))
    try:
        library = app.library_of(settings)
        held, faults, left = library.all(), library.faults(), library.unfinished()
    except AgentError as error:
        return Check("library", "wrong", str(error))
    size = file_size(sum(holding.size for holding in held))
    found = (
        f"{counted(len(held), 'model')}, {size}, in {place}"
        if held
        else f"no model was fetched or imported yet; {place}"
    )
    unfinished = (
        [f"Of {', '.join(left)} a part was fetched: `models pull` goes on, `models remove` clears it."] if left else []
    )
    return Check("library", "wrong" if faults else "note" if left else "ok", found, " ".join([*faults, *unfinished]))


def _confinement(program: app.Program) -> Check:
    try:
        model = program.start_model()
        model.load()
    except AgentError:
        return Check("model process", "note", "not started, since the model cannot be loaded")
    kept = program.confinement
    if kept is None:
        return Check("model process", "note", "there is none: a server answers")
    denials = (("sockets", kept.sockets_denied), ("files but the model", kept.files_denied))
    denied = " and ".join(what for what, is_denied in denials if is_denied)
    if all(is_denied for _, is_denied in denials):
        return Check("model process", "ok", f"the kernel keeps it from {denied}")
    missing = "The kernel lacks seccomp or Landlock, or llama.cpp uses a GPU: a broken model file could do more harm."
    return Check("model process", "note", f"the kernel keeps it from {denied or 'nothing'}", missing)


def _sandbox(program: app.Program) -> Check:
    try:
        report = program.workbench.report()
    except AgentError as error:
        return Check("commands", "wrong", str(error))
    advice = " ".join([*([report.problem] if report.problem else []), *report.notes])
    if not report.holds:
        failed = ", ".join(canary.name for canary in report.canaries if not canary.held)
        found = f"{report.mechanism} fails at: {failed}" if failed else "nothing confines them here"
        return Check("commands", "wrong", found, advice or "Install bubblewrap. On Debian: apt-get install bubblewrap")
    held = f"confined by {report.mechanism}, {len(report.canaries)} ways out tried and closed"
    return Check("commands", "note" if report.problem else "ok", held, advice)


def _storage(program: app.Program) -> Check:
    """Opens the vault, where there is one; what comes after has it open too."""
    directory = readable(str(program.settings.data_directory))
    if not app.keeper_of(program.settings).remains:
        return Check("storage", "note", f"{directory}, where there is no vault yet; the first session makes it")
    try:
        status = app.existing_keeper(program.settings).status()
        program.archive.audit.head()
    except AgentError as error:
        return Check("storage", "wrong", str(error))
    return Check("storage", "ok", f"{directory}, sealed ({status.pages}), opened by {opened_by(status)}")


def _swap() -> Iterator[Check]:
    swaps = app.swaps_in_clear()
    if swaps:
        found = f"on ({', '.join(swaps)}): memory may be written to it in clear"
        yield Check("swap", "note", found, "Encrypt swap or turn it off.")


def _index(program: app.Program, storage: Check) -> Check:
    if storage.state != "ok":
        why = "there is none yet" if storage.state == "note" else "the vault cannot be opened"
        return Check("index", "note", f"not looked at: {why}")
    return _checked("index", lambda: _index_size(program))


def _index_size(program: app.Program) -> str:
    status = program.index_status()
    size = f"{status.files} files, {status.chunks} chunks, {status.vectors} vectors"
    return f"{size} for {program.repository.root}; vectors are searched in memory, rebuilt from the vault at each start"


def _policy(program: app.Program) -> Check:
    fixed = program.settings.policy
    return Check("policy", "ok", f"fixes {', '.join(fixed)}" if fixed else f"{POLICY} fixes nothing")


def _network(program: app.Program) -> Iterator[Check]:
    url, endpoint = program.settings.index.chroma_url, program.settings.endpoint.url
    if endpoint:
        yield Check(
            "network",
            "note",
            f"this process connects to {endpoint} [endpoint.url] and to no other address; it sends questions, excerpts of the "
            "repository and what tools find",
            "Whoever runs that server can read them.",
        )
    if not url and not endpoint:
        only = (
            "but for `models pull` and `bundle create`"
            if program.settings.hub.pull
            else "[hub] pull forbids fetching models"
        )
        found = f"no provider and no server is configured; nothing here opens a connection, {only}"
        yield Check("network", "ok", found)
    if not url:
        return
    yield Check(
        "network",
        "note",
        f"the index worker connects to the Chroma server {url} [index.chroma_url], through a relay that knows no other "
        "address; it sends ids and vectors of chunks, and of each question its vector; no text",
        "A vector can be turned back into text: whoever runs that server can read the repository and the questions.",
    )


def _gpu() -> Check:
    seen = [device for device in _GPU_DEVICES if Path(device).exists()]
    return Check("GPU", "ok" if seen else "note", ", ".join(seen) or "none seen; everything runs on the CPU")


def _watches() -> Check:
    try:
        limit = int(_WATCH_LIMIT.read_text())
    except (OSError, ValueError):
        return Check("file watches", "note", "the limit cannot be read here; rescans find what the watcher misses")
    if limit >= _FEW_WATCHES:
        return Check("file watches", "ok", f"{limit} allowed")
    return Check(
        "file watches", "note", f"{limit} allowed", "Large trees need more: sysctl fs.inotify.max_user_watches=524288"
    )
