"""Writing the person's own config.toml: one value changes, every other line and comment stays as it is."""

import os
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import NamedTuple

from offline_agent.errors import UsageError
from offline_agent.models import Card, EmbedderCard
from offline_agent.settings import Settings

CONFIG = "config.toml"
_CRLF = re.compile(r"([^\r\n]*\r\n)+[^\r\n]*")
"""A text whose lines all end as on Windows."""


class Key(NamedTuple):
    """A setting; and the one that wins over it, which must be gone for this one to count: "" where there is none."""

    part: str
    field: str
    rival: str = ""

    @property
    def name(self) -> str:
        return f"[{self.part}] {self.field}"


MODEL = Key("model", "name", rival="path")
EMBEDDER = Key("embedder", "name", rival="directory")
STATIC = Key("embedder", "static")
RERANKER = Key("index", "reranker")


def key_of(card: Card) -> Key:
    """The setting that makes a model the one that is used."""
    if isinstance(card, EmbedderCard) and card.form == "static":
        return STATIC
    return {"chat": MODEL, "embedding": EMBEDDER, "reranking": RERANKER}[card.kind]


def write_setting(settings: Settings, key: Key, value: str) -> Path:
    """Gives `key` that value in config.toml, without its rival, and returns where that is. Raises UsageError where the policy has
    either, or the file cannot be understood or written."""
    for field in filter(None, (key.field, key.rival)):
        if f"{key.part}.{field}" in settings.policy:
            raise UsageError(
                f"The policy of this machine fixes [{key.part}] {field}, so no configuration changes it. Nothing was written."
            )
    place = settings.config_directory / CONFIG
    try:
        text = _changed(_read(place), key, value)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{place} cannot be read ({error}): correct it first. Nothing was written.") from None
    _write(place, text)
    return place


def _read(place: Path) -> str:
    """With the ends of lines as they are; empty where there is none."""
    try:
        with open(place, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _changed(text: str, key: Key, value: str) -> str:
    """The text of a configuration with that value. Raises ValueError for what is none."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        section = document.setdefault(key.part, tomlkit.table())
        if not isinstance(section, MutableMapping):
            raise ValueError(f"{key.part} is no table")
        section[key.field] = value
        section.pop(key.rival, None)
        changed = tomlkit.dumps(document)
    except TOMLKitError as error:
        raise ValueError(str(error)) from None
    # What was added ends with a bare newline, whatever the other lines do.
    return re.sub(r"\r?\n", "\r\n", changed) if _CRLF.fullmatch(text) else changed


def _write(place: Path, text: str) -> None:
    """For the person alone, and whole at every moment. Where config.toml is a link, what it points to is replaced."""
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = place.resolve()
        unfinished = target.with_name(f".{target.name}.new")
        unfinished.unlink(missing_ok=True)  # of a kill
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    except OSError as error:
        raise UsageError(f"{place} cannot be written: {error.strerror}. Check that you own its directory.") from None
