"""What a person writes to name a model that is in no catalogue.

hub:OWNER/NAME/PATH/FILE.gguf[@REVISION]
https://HOST/PATH/FILE.gguf
"""

import re
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from offline_agent.errors import UsageError
from offline_agent.library.hosts import origin_of
from offline_agent.models import Source, SourceFile

_HUB = "hub:"
_SUFFIX = ".gguf"
_PART = re.compile(r"(?P<before>.*-)(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_MOST_PARTS = 500


def is_reference(text: str) -> bool:
    """Whether that names a place, rather than a model of the catalogue."""
    return text.startswith(_HUB) or "://" in text


def read_reference(text: str) -> Source:
    """The place that is named. A hub's has no files where only the repository is named. Raises UsageError."""
    return _of_hub(text) if text.startswith(_HUB) else _of_url(text)


def parts_of(name: str) -> tuple[str, ...]:
    """All files of a split GGUF, of which `name` is one; else `name` alone. Raises UsageError for numbers that cannot be."""
    found = _PART.fullmatch(name)
    if found is None:
        return (name,)
    count = int(found["count"])
    if not 1 <= int(found["number"]) <= count <= _MOST_PARTS:
        raise UsageError(f"{name!a} is no part of a model: its numbers cannot be. Correct the name.")
    return tuple(f"{found['before']}{number:05}-of-{count:05}.gguf" for number in range(1, count + 1))


def _of_hub(text: str) -> Source:
    place, at, revision = text.removeprefix(_HUB).rpartition("@")
    place = place if at else revision
    revision = revision if at else ""
    owner, _, rest = place.partition("/")
    name, _, path = rest.partition("/")
    if not owner or not name or (at and not revision):
        raise UsageError(
            f"{text!a} is not understood. Write hub:OWNER/NAME/FILE.gguf, with @REVISION for an older one."
        )
    if path and not path.lower().endswith(_SUFFIX):
        raise UsageError(f"{text!a} names no .gguf file, and others are not loaded. Name one.")
    files = parts_of(path) if path else ()
    return _source(text, repository=f"{owner}/{name}", revision=revision, files=_named(text, files))


def _of_url(text: str) -> Source:
    try:
        origin = origin_of(text)
    except ValueError as error:
        raise UsageError(
            f"The address of the model is not understood: {error}. Write https://HOST/FILE.gguf."
        ) from None
    if origin.scheme == "http" and not origin.plain_here:
        raise UsageError(
            "The address of the model begins with http, which anybody on the way can change: write https. http is for this "
            "machine's own addresses only."
        )
    name = unquote(urlsplit(text).path).rpartition("/")[2]
    if not name.lower().endswith(_SUFFIX):
        raise UsageError("The address of the model does not end in .gguf, and other files are not loaded. Name one.")
    if len(parts_of(name)) > 1:
        raise UsageError(f"{name!a} is one of several files of a model. Name it on its hub: hub:OWNER/NAME/{name}.")
    return _source(text, url=text, files=_named(text, (name,)))


def _named(text: str, names: tuple[str, ...]) -> tuple[SourceFile, ...]:
    try:
        return tuple(SourceFile(name=name) for name in names)
    except ValidationError:
        raise UsageError(f"{text!a} names no file below a repository. Correct the path.") from None


def _source(text: str, **fields: object) -> Source:
    try:
        return Source.model_validate(fields)
    except ValidationError:
        raise UsageError(f"{text!a} is not understood. Write hub:OWNER/NAME/FILE.gguf[@REVISION].") from None
