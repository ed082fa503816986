"""A bundle, made: what goes into it, and in which order that is found out.

    order -> what is lacking, and where pip would look -> (the person agrees) -> wheels -> bill of materials -> manifest -> file

    install.pyz   sbom.cdx.json   catalogue/models.toml   wheels/*.whl   models/NAME/<files>

The same models, the same wheels and the same key make the same bytes. Of a holding goes in what is true wherever it is: not when it
came to this machine, nor from which directory.
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from offline_agent.bundle.bootstrap.manifest import INSTALLER as INSTALLER_NAME
from offline_agent.bundle.bootstrap.manifest import Manifest, Member
from offline_agent.bundle.collect import PROGRAM, UNLISTED, Shelf, collect, lacking
from offline_agent.bundle.fetch import Pip
from offline_agent.bundle.installer import installer
from offline_agent.bundle.order import CARDS, Made, Order
from offline_agent.bundle.sbom import sbom
from offline_agent.bundle.targets import this_platform
from offline_agent.bundle.wheels import Wheel
from offline_agent.bundle.write import Content, member_of, write_bundle
from offline_agent.errors import StorageError, UsageError
from offline_agent.models import Holding

SBOM = "sbom.cdx.json"
BESIDE = "offline-agent-install.pyz"
"""The installer's name beside the bundle: what is in a split bundle cannot be had without it."""


def lacking_wheels(order: Order) -> tuple[str, ...]:
    """Names of what has to be fetched or built; what those need in turn may have to be too."""
    shelf = Shelf(*filter(None, (order.wheels, order.own)))
    return tuple(sorted({name for target in order.targets for name in lacking(target, _pins(order), shelf)}))


def make(order: Order, pip: Pip, key: bytes, progress: Callable[[int, int], None]) -> Made:
    """Makes the bundle, signed by the private half `key`. `progress` is told how many bytes are written and how many will be.
    Raises BundleError, UsageError where it is there already, StorageError."""
    if not order.targets and not order.models:
        raise UsageError("A bundle of nothing is of no use. Name models with --models, or leave out --no-program.")
    with tempfile.TemporaryDirectory(prefix="offline-agent-wheels-") as temporary:
        wheels = _collected(order, Path(temporary), pip)
        members, contents = _contents(order, wheels)
        manifest = _manifest(order, members)
        total, done = sum(member.size for member in members), 0

        def count(written: int) -> None:
            nonlocal done
            done += written
            progress(done, total)

        files = write_bundle(order.out, manifest, contents, key, order.split, count, order.replace)
    beside = _put_beside(order.out, contents.get(INSTALLER_NAME))
    return Made(files, beside, sum(file.stat().st_size for file in files), len(wheels))


def _pins(order: Order) -> dict[str, str]:
    return {**UNLISTED, **order.pins, PROGRAM: order.version}


def _collected(order: Order, temporary: Path, pip: Pip) -> tuple[Wheel, ...]:
    if not order.targets:
        return ()
    kept = order.wheels or temporary
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{kept} cannot be made: {error.strerror}. Name another directory: --wheels DIR.") from None
    return collect(order.targets, _pins(order), kept, order.own, pip)


def _contents(order: Order, wheels: tuple[Wheel, ...]) -> tuple[list[Member], dict[str, Content]]:
    bill = sbom(order.version, wheels, order.targets, [portable(holding) for holding, _ in order.models])
    contents: dict[str, Content] = {SBOM: bill}
    if order.targets:
        contents[INSTALLER_NAME] = installer()
    if order.cards:
        contents[CARDS] = order.cards
    members = [member_of(name, content) for name, content in contents.items()]
    for wheel in wheels:
        contents[f"wheels/{wheel.filename}"] = wheel.path
        members.append(Member(f"wheels/{wheel.filename}", wheel.size, wheel.sha256))
    for holding, directory in order.models:
        for file in holding.files:
            name = f"models/{holding.name}/{file.name}"
            contents[name] = directory / file.name
            members.append(Member(name, file.size, file.sha256))
    return members, contents


def _manifest(order: Order, members: list[Member]) -> Manifest:
    python = ".".join(map(str, order.targets[0].python)) if order.targets else ""
    return Manifest(
        version=order.version,
        python=python,
        platforms=tuple(target.platform or this_platform() for target in order.targets),
        models=tuple(portable(holding).model_dump(mode="json") for holding, _ in order.models),
        default_model=order.default_model,
        members=tuple(members),
    )


def portable(holding: Holding) -> Holding:
    """The same without what is this machine's own: when it came here, and the directory it was imported from."""
    origin = Path(holding.origin).name if holding.origin.startswith(("/", "~")) else holding.origin
    return holding.model_copy(update={"at": 0.0, "origin": origin})


def _put_beside(out: Path, content: Content | None) -> Path | None:
    """Writes the installer beside the bundle."""
    if not isinstance(content, bytes):
        return None
    path = out.with_name(BESIDE)
    temporary = path.with_name(f".{BESIDE}.partial")
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:  # never through a link that somebody has put there
            file.write(content)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise StorageError(f"The bundle is made, but {path} cannot be written: {error.strerror}. Make room.") from None
    return path
