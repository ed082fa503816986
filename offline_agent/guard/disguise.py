"""What a text hides from people and not from models: characters that nobody sees, letters that look like others, and encodings.

Sources: Unicode's Tags block (U+E0000), variation selectors supplement (U+E0100) and bidirectional controls; UTS 39 for
look-alikes, of which only those of Latin small letters that attackers are known to use.
"""

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

_TAGS = re.compile("(?<!\U0001f3f4)(?<![\U000e0020-\U000e007f])[\U000e0020-\U000e007f]{3,}")
_SELECTORS = re.compile("[\U000e0100-\U000e01ef]{4,}")
_OVERRIDE = re.compile("[\u202d\u202e][^\n]{0,80}[\u2066-\u2069]")
_INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060-\u2064\ufeff]{8,}")
_BETWEEN_LETTERS = re.compile("(?:[A-Za-z ][\u200b\u200c\u200d\u2060-\u2064\u00ad\ufeff]{1,3}){5,}")
_UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\u00ad\ufeff]")
_SPACED = re.compile(r"\b(?:[a-z][ .\-_*]){4,}[a-z]\b")
_ALIKE = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456\u0458\u0455\u0501\u03bf\u03b1\u03b5\u03b9\u03c1\u03bd\u0131",
    "aeopcxyijsdoaeipvi",
)
_DIGITS = str.maketrans("013457@$", "oieastas")
_LEET = re.compile(r"\b(?=[a-z@$]*[013457@$])(?=[013457@$]*[a-z])[a-z013457@$]{6,24}\b")
_MIXED_WORD = re.compile("[a-z]{0,20}[\u0400-\u052f\u0370-\u03ff\u0131][a-z\u0400-\u052f\u0370-\u03ff\u0131]{0,20}")

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/]{24,4000}={0,2}(?![A-Za-z0-9+/=_-])")
_HEX = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}){16,2000}(?![0-9A-Fa-f])")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2}){12,1000}")
_ENTITIES = re.compile(r"(?:&#x?[0-9A-Fa-f]{2,6};){4,500}")
_ROT13 = ("vtaber", "Vtaber", "vafgehpgvba", "flfgrz cebzcg", "qvfertneq", "rkrphgr")
_BACKWARDS = ("noitcurtsni", "snoitcurtsni", "tpmorp metsys", "dragersid", "erongi", "erongI")
_BEHIND = 200
"""Characters on the same line that may go on where what is encoded ends."""
_FURTHER = 2000  # characters: one line is looked at once


def plain(text: str) -> str:
    """The text as it would be read aloud, in lower case, with its line breaks."""
    text = _TAGS.sub(lambda match: _untagged(match[0]), text)
    text = _UNSEEN.sub("", text) if not text.isascii() else text
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    text = text.lower()
    if not text.isascii():
        text = _MIXED_WORD.sub(lambda match: _latin(match[0]), text)
    text = _SPACED.sub(lambda match: re.sub(r"[ .\-_*]", "", match[0]), text)
    text = _LEET.sub(lambda match: match[0].translate(_DIGITS), text)
    return _seams(text)


def hidden_characters(text: str) -> Iterator[tuple[int, float, str]]:
    """Where there are characters that nobody sees, how much that weighs, and what they are."""
    if text.isascii():
        return
    for match in _TAGS.finditer(text):
        yield match.start(), 1.0, "it has a message in invisible characters"
    for pattern in (_SELECTORS, _INVISIBLE):
        for match in pattern.finditer(text):
            yield match.start(), 1.0, "it has a row of invisible characters"
    for match in _BETWEEN_LETTERS.finditer(text):
        yield match.start(), 0.6, "it has invisible characters between letters"
    for match in _OVERRIDE.finditer(text):
        yield match.start(), 1.0, "it has characters that turn the order of letters round"


def decoded(text: str) -> Iterator[tuple[int, str]]:
    """What the encoded pieces say, where they are text, with their places."""
    for match in _BASE64.finditer(text):
        yield from _readable(match.start(), _from_base64(match[0]))
    for match in _HEX.finditer(text):
        yield from _readable(match.start(), bytes.fromhex(match[0]))
    for sign, pattern, decode in (("%", _PERCENT, unquote), ("&#", _ENTITIES, html.unescape)):
        for match in pattern.finditer(text) if sign in text else ():
            yield match.start(), decode(match[0] + text[match.end() : match.end() + _BEHIND].partition("\n")[0])
    for words, turn in ((_ROT13, _rot13), (_BACKWARDS, _reversed)):
        for word in words:
            place = text.find(word)
            while place >= 0:
                yield place, turn(_line_of(text, place))
                place = text.find(word, place + _FURTHER)


def _untagged(tags: str) -> str:
    return "".join(chr(ord(tag) - 0xE0000) for tag in tags)


def _latin(word: str) -> str:
    """A word of both scripts is a disguise; one of its own script is a word."""
    return word.translate(_ALIKE) if re.search("[a-z]", word) else word


def _seams(text: str) -> str:
    """`ignore_all_previous` -> `ignore all previous`, where names are made to be read."""
    return re.sub(r"\b[a-z]+(?:_[a-z]+){3,20}\b", lambda match: match[0].replace("_", " "), text)


def _rot13(text: str) -> str:
    return codecs.decode(text, "rot13")


def _reversed(text: str) -> str:
    return text[::-1]


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return b""


def _readable(place: int, data: bytes) -> Iterator[tuple[int, str]]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return
    if " " in text and sum(c.isprintable() or c.isspace() for c in text) >= 0.95 * len(text):
        yield place, text


def _line_of(text: str, place: int) -> str:
    start, end = text.rfind("\n", 0, place) + 1, text.find("\n", place)
    return text[start : end if end >= 0 else len(text)][:2000]
