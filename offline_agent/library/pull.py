"""Fetches a model: first it says where from and how much, then it does, and nothing is a model before every hash is right.

card or reference -> plan -> quarantine -> hashes -> check -> the library
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping

from offline_agent.errors import Denied, EmbedderError, ModelBroken, ModelMismatch, StorageError, UsageError
from offline_agent.library.network import Network
from offline_agent.library.plan import Plan, Wanted
from offline_agent.library.progress import Meter, Pulled
from offline_agent.library.sources import Sources, pinned_source
from offline_agent.library.store import Library
from offline_agent.library.transfer import Transfer, fetched
from offline_agent.library.trouble import Patience, printable
from offline_agent.library.verify import verify
from offline_agent.models import Card, HeldFile, Holding
from offline_agent.settings import HubSettings

__all__ = ["Plan", "Pulled", "Puller"]


class Puller:
    """Into `library`. `token` gives the value of an Authorization header for the hub, or None; the proxies are in `environment`.
    With `listed_only`, only cards that pin every hash are fetched. `first_wait` is the first pause after a failure, in seconds."""

    def __init__(
        self,
        library: Library,
        settings: HubSettings,
        token: Callable[[], str | None],
        environment: Mapping[str, str] | None = None,
        listed_only: bool = False,
        first_wait: float = 1.0,
    ) -> None:
        self._library = library
        self._settings = settings
        self._listed_only = listed_only
        self._first_wait = first_wait
        self._network = Network(settings, token, environment)
        self._sources = Sources(settings.endpoint, self._network, lambda: self._patience(lambda note, seconds: None))

    def plan(
        self,
        wanted: Card | str,
        name: str = "",
        asking: Callable[[str], None] = lambda address: None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Plan:
        """What fetching a card, or a reference such as `hub:OWNER/NAME/FILE.gguf`, would do; it asks the server, whose address
        `asking` gets before, and fetches nothing. The model gets the name of the card, else `name`, else one made of the file's.
        One that is here is read to its end, for a damaged one is fetched again: `progress` gets the bytes that are done, and of
        how many.

        Raises Denied where policy forbids it, ModelMismatch where a card pins something else than the hub has, UsageError,
        HubRefused, PullError; and StorageError, also where the disk has too little room.
        """
        self._permit(wanted)
        address = self._sources.address_of(wanted, name)
        self._network.permit(address)
        asking(address)
        plan = self._completed(self._sources.find(wanted, name), progress)
        if plan.here is None:
            _require_room(plan, plan.free)
        return plan

    def pull(self, plan: Plan, progress: Callable[[Pulled], None] = lambda pulled: None) -> Holding:
        """Does it. `progress` is called ten times a second at most. After an interruption, also a kill, the same plan goes on from
        what is there.

        Raises what `plan` does; StorageError, also where the disk has too little room; InUse where another process fetches the
        same; ModelMismatch for wrong bytes; and what the check of the library raises. No model is there then, or the older one.
        """
        if plan.here is not None:
            return plan.here
        _require_room(plan, self._library.free())
        with self._library.incoming(plan.name) as directory:
            meter = Meter(plan.size, progress)
            transfer = Transfer(directory, self._network, meter, lambda: self._patience(meter.wait), self._library.free)
            held = tuple(transfer.fetch(wanted) for wanted in plan.files)
            meter.enter("checking")
            holding = _holding(plan, held)
            try:
                self._library.admit(holding)
            except (ModelBroken, EmbedderError):
                self._library.discard(plan.name)  # what was announced came, and it is no model
                raise
        return holding

    def _patience(self, tell: Callable[[str, float], None]) -> Patience:
        return Patience(self._settings.attempts, tell, self._first_wait)

    def _permit(self, wanted: Card | str) -> None:
        if not self._settings.pull:
            raise Denied(
                "No model may be fetched on this machine: [hub] pull is false. `offline-agent models import` takes one from a disk."
            )
        if self._listed_only and (isinstance(wanted, str) or wanted.source is None or not pinned_source(wanted).pinned):
            raise Denied(
                "Only models of the catalogue whose hashes it has may be fetched on this machine: [library] listed_only is true. "
                "`offline-agent models list` says which there are."
            )

    def _completed(self, plan: Plan, progress: Callable[[int, int], None]) -> Plan:
        """With what is known of this machine. Raises UsageError where another model has the name, and ModelMismatch where it is not
        what was pinned when it was first seen."""
        older = self._library.find(plan.name)
        files = _as_first_seen(plan, older) if older else plan.files
        same = older is not None and _has(older, files, plan.revision)
        here = older if older and same and self._is_whole(older, progress) else None
        if older and not same and plan.trust != "catalogue" and older.origin != plan.origin:
            raise UsageError(
                f"There is a model {plan.name} already, from {printable(older.origin)}. Give this one another name with --name, or "
                f"remove that one: offline-agent models remove {plan.name}"
            )
        return plan.model_copy(
            update={
                "files": files,
                "here": here,
                "notes": (*plan.notes, *self._notes(plan, older is not None, damaged=same)) if not here else (),
                "size": sum(file.size for file in files) if all(file.size for file in files) else 0,
                "on_disk": 0 if here else self._there(plan.name, files),
                "free": self._library.free(),
            }
        )

    def _is_whole(self, holding: Holding, progress: Callable[[int, int], None]) -> bool:
        """Whether its files are what they were; what else lies beside them does not matter."""
        own = {file.name for file in holding.files}
        return not any(drift.file in own for drift in verify(self._library, holding, progress))

    def _notes(self, plan: Plan, replaces: bool, damaged: bool) -> Iterator[str]:
        if damaged:
            yield f"The {plan.name} that is here is not what it was: it is fetched again."
        elif replaces:
            yield f"It takes the place of the {plan.name} that is here, once it is whole."
        if plan.trust == "first use":
            yield "Nobody vouches for its hash: what comes now is what it is held to from then on."
        ways = {self._network.proxy_of(self._network.permit(file.url)) for file in plan.files}
        yield from (f"It connects by way of the proxy {proxy}." for proxy in sorted(ways - {""}))

    def _there(self, name: str, files: tuple[Wanted, ...]) -> int:
        """Bytes in quarantine that are of use."""
        if name not in self._library.unfinished():
            return 0
        with self._library.incoming(name) as directory:
            return sum(fetched(directory, wanted) for wanted in files)


def _as_first_seen(plan: Plan, older: Holding) -> tuple[Wanted, ...]:
    """The files, held to the hashes that were pinned when nobody vouched for them."""
    if plan.trust != "first use" or older.origin != plan.origin:
        return plan.files
    held = {file.name: file for file in older.files}
    return tuple(_pinned(wanted, held[wanted.name]) if wanted.name in held else wanted for wanted in plan.files)


def _pinned(wanted: Wanted, held: HeldFile) -> Wanted:
    if wanted.size not in (0, held.size):
        raise ModelMismatch(
            f"{wanted.name} has {wanted.size} bytes, and had {held.size} when it was first fetched. Nothing was fetched. If you "
            "trust what is there now, remove the model and pull it again."
        )
    return wanted.model_copy(update={"size": held.size, "sha256": held.sha256})


def _has(holding: Holding, files: tuple[Wanted, ...], revision: str) -> bool:
    """Whether these very files are there: by their hashes, or as the same commit had them."""
    held = {file.name: file for file in holding.files}
    if len(held) != len(files):
        return False
    return all(
        file.name in held
        and (held[file.name].sha256 == file.sha256 if file.sha256 else bool(revision) and revision == holding.revision)
        for file in files
    )


def _require_room(plan: Plan, free: int) -> None:
    if free < plan.room:
        kept = plan.room - plan.missing
        raise StorageError(
            f"The disk has too little room for {plan.name}: {_shown(plan.missing)} are to be fetched, {_shown(free)} are free, and "
            f"{_shown(kept)} are to stay so. Free {_shown(plan.room - free)} more, or name another disk in [library] directory."
        )


def _shown(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{math.ceil(size / 1e6)} MB"


def _holding(plan: Plan, files: tuple[HeldFile, ...]) -> Holding:
    return Holding(
        name=plan.name,
        kind=plan.kind,
        files=files,
        trust=plan.trust,
        origin=plan.origin,
        repository=plan.repository,
        revision=plan.revision,
        licence=plan.licence,
        at=time.time(),
    )
