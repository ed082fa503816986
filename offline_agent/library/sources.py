"""Where a model is to be had, and what its server says of it."""

from collections.abc import Callable

from offline_agent.errors import ModelMismatch, UsageError
from offline_agent.library.hub import Hub, Listed, Repository
from offline_agent.library.kinds import is_data
from offline_agent.library.network import Network
from offline_agent.library.plan import Plan, Wanted
from offline_agent.library.reference import read_reference
from offline_agent.library.store import holding_name
from offline_agent.library.trouble import Interrupted, Patience, printable
from offline_agent.models import Card, EmbedderCard, Kind, ModelCard, Source, SourceFile

_SHOWN = 10  # files of a repository that a message names
_BY_HUBS = "A hub sends on to other hosts for the content of files; which, it says for each anew."


class Sources:
    """What the hub at `endpoint`, and any other server, has; asked over `network`."""

    def __init__(self, endpoint: str, network: Network, patience: Callable[[], Patience]) -> None:
        self._endpoint = endpoint
        self._network = network
        self._patience = patience
        self._hub = Hub(endpoint, network, patience)

    def address_of(self, wanted: Card | str, name: str) -> str:
        """Whom `find` is going to ask. Raises UsageError as `find` does."""
        source, _, _ = _asked_for(wanted, name)
        return self._endpoint if source.repository else source.url.partition("?")[0]

    def find(self, wanted: Card | str, name: str) -> Plan:
        """What is there of a card or a reference, without what is known of this machine. Raises as Puller.plan does."""
        source, kind, chosen = _asked_for(wanted, name)
        find = self._of_hub if source.repository else self._of_url
        return find(wanted, source, kind, chosen)

    def _of_hub(self, wanted: Card | str, source: Source, kind: Kind, name: str) -> Plan:
        self._network.permit(self._endpoint)
        found = self._hub.look(source.repository, source.revision)
        chosen = source.files or _only_gguf(source.repository, found)
        files = tuple(self._wanted(source.repository, found, file) for file in chosen)
        hosts = dict.fromkeys((self._network.endpoint.host, self._hub.content_host(files[0].url)))
        pinned = all(file.sha256 for file in source.files) and not isinstance(wanted, str)
        vouched = all(file.sha256 or file.blob for file in files)
        return Plan(
            name=name or holding_name(files[0].name),
            kind=kind,
            origin=f"{self._network.endpoint}/{source.repository}",
            hosts=tuple(hosts),
            files=files,
            trust="catalogue" if pinned else "hub" if vouched else "first use",
            repository=source.repository,
            revision=found.commit,
            licence=wanted.licence if isinstance(wanted, Card) and wanted.licence else found.licence,
            notes=(_BY_HUBS,) if len(hosts) > 1 else (),
        )

    def _wanted(self, repository: str, found: Repository, file: SourceFile) -> Wanted:
        """The file as the card pins it, else as the hub announces it. Raises ModelMismatch where the two differ."""
        listed = found.files.get(file.name)
        if listed is None:
            raise UsageError(
                f"{printable(repository)} has no file {printable(file.name)}. There is {_names(found)}. Name one of them."
            )
        _compare(file, listed)
        return Wanted(
            name=file.name,
            size=file.size or listed.size,
            sha256=file.sha256 or listed.sha256,
            blob=listed.blob,
            url=self._hub.url_of(repository, found.commit, file.name),
        )

    def _of_url(self, wanted: Card | str, source: Source, kind: Kind, name: str) -> Plan:
        if len(source.files) != 1:
            raise UsageError(f"{name} names an address and not one file. Correct its source in the catalogue.")
        file = source.files[0]
        host = self._network.permit(source.url).host
        size, version, hosts = self._head(source.url, file.name)
        if file.size and size not in (0, file.size):
            raise ModelMismatch(_differs(file.name, f"{file.size} bytes", f"{size}"))
        return Plan(
            name=name or holding_name(file.name),
            kind=kind,
            origin=source.url.partition("?")[0],
            hosts=tuple(dict.fromkeys((host, *hosts))),
            files=(Wanted(**file.model_dump() | {"size": file.size or size}, url=source.url, version=version),),
            trust="catalogue" if file.sha256 and isinstance(wanted, Card) else "first use",
            licence=wanted.licence if isinstance(wanted, Card) else "",
        )

    def _head(self, url: str, name: str) -> tuple[int, str, tuple[str, ...]]:
        """What the server of a single file says of it: bytes, version and host of its content."""
        patience = self._patience()
        while True:
            try:
                with self._network.follow(url, "HEAD") as answer:
                    if answer.status in (405, 501):  # it knows no HEAD
                        return 0, "", (answer.origin.host,)
                    self._network.raise_for(answer, name)
                    etag = answer.headers.get("etag", "")
                    version = answer.headers.get("last-modified", "") if etag.startswith("W/") or not etag else etag
                    return answer.number("content-length") or 0, version, (answer.origin.host,)
            except Interrupted as trouble:
                patience.wait(trouble)


def _asked_for(wanted: Card | str, name: str) -> tuple[Source, Kind, str]:
    """Where it is, what it is, and its name, which is empty where it is not known yet. Raises UsageError."""
    if isinstance(wanted, str):
        return read_reference(wanted), "chat", _given(name) if name else ""
    if wanted.source is None:
        raise UsageError(f"{wanted.name} comes with the program: there is nothing to fetch.")
    source = pinned_source(wanted)
    if not source.files:
        raise UsageError(f"The catalogue names no files of {wanted.name}. Add them to its `source`.")
    for file in source.files:
        if not is_data(file.name):
            raise UsageError(
                f"{wanted.name} names {file.name}, which could run as a program when it is loaded. Name files that are data alone."
            )
    return source, wanted.kind, holding_name(wanted.name)


def _given(name: str) -> str:
    """What a person wants a model to be called. Raises UsageError where it would be called something else."""
    if (made := holding_name(name)) != name.lower():
        raise UsageError(f"{name!a} is no name that a model can have. Try --name {made}.")
    return made


def pinned_source(card: Card) -> Source:
    """The source of a card that has one, with the hashes that stand elsewhere in the card."""
    assert card.source is not None, "asked only of cards with a source"
    files = card.source.files
    if isinstance(card, ModelCard) and len(files) == 1:
        files = (_with(files[0], card.sha256, card.size),)
    if isinstance(card, EmbedderCard):
        files = files or tuple(SourceFile(name=name) for name in sorted(card.sha256))
        files = tuple(_with(file, card.sha256.get(file.name, ""), 0) for file in files)
    return card.source.model_copy(update={"files": files})


def _with(file: SourceFile, sha256: str, size: int) -> SourceFile:
    return SourceFile(name=file.name, size=file.size or size, sha256=file.sha256 or sha256)


def _only_gguf(repository: str, found: Repository) -> tuple[SourceFile, ...]:
    names = [name for name in found.files if name.lower().endswith(".gguf")]
    if len(names) != 1:
        raise UsageError(
            f"hub:{printable(repository)} is a repository of {len(names)} .gguf files. Name one of them: {_names(found)}."
        )
    return (found.files[names[0]],)


def _names(found: Repository) -> str:
    names = [printable(name) for name in sorted(found.files) if name.lower().endswith(".gguf")]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}" if names else "no .gguf file in it"


def _compare(pinned: SourceFile, listed: Listed) -> None:
    if pinned.sha256 and listed.sha256 not in ("", pinned.sha256):
        raise ModelMismatch(_differs(pinned.name, f"the SHA-256 {pinned.sha256}", listed.sha256))
    if pinned.size and listed.size not in (0, pinned.size):
        raise ModelMismatch(_differs(pinned.name, f"{pinned.size} bytes", str(listed.size)))


def _differs(name: str, pinned: str, found: str) -> str:
    return (
        f"{name} should have {pinned}, and where it comes from has {found}. Nothing was fetched: it is another file than the one "
        "that was pinned."
    )
