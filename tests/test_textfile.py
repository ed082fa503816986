import codecs
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.actions import FileText
from offline_agent.errors import EditError
from offline_agent.textfile import counts, described, diff, encode, file_text

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "latin-1")
MARKS = {
    "utf-8-sig": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
ends = st.sampled_from(["\n", "\r\n", "\r"])
letters = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0\ufeff"), max_size=8)


def stored(text: str, encoding: str) -> bytes:
    return MARKS.get(encoding, b"") + text.encode(encoding.removesuffix("-sig"))


def understood(data: bytes) -> FileText:
    text = file_text(data)
    assert text is not None
    return text


@st.composite
def documents(draw: st.DrawFn) -> tuple[list[str], list[str], str]:
    """Lines, the end of each, and an encoding that has them all and is told by the bytes."""
    encoding = draw(st.sampled_from(ENCODINGS))
    lines = draw(st.lists(letters, min_size=1, max_size=12))
    if encoding == "latin-1":
        lines = ["\xe9\xe8 ", *("".join(c for c in line if c.isascii() and c.isprintable()) for line in lines)]
    chosen = draw(st.lists(ends, min_size=len(lines), max_size=len(lines)))
    if draw(st.booleans()):
        chosen[-1] = ""
    return lines, chosen, encoding


def joined(lines: list[str], chosen: list[str]) -> str:
    return "".join(line + end for line, end in zip(lines, chosen, strict=True))


@given(documents(), st.data())
def test_a_changed_line_leaves_all_other_bytes_alone(
    document: tuple[list[str], list[str], str], data: st.DataObject
) -> None:
    lines, chosen, encoding = document
    place = data.draw(st.integers(0, len(lines) - 1))
    for line, end in zip(lines[1:], chosen, strict=False):
        if (line, end) == ("", "\r"):
            return  # an end of two characters, were the next one a line feed
    changed = [*lines[:place], "changed " + "x" * place, *lines[place + 1 :]]
    original = stored(joined(lines, chosen), encoding)
    text = understood(original)
    if encoding == "latin-1" and place == 0:
        return  # what is left is UTF-8
    wanted = "\n".join(changed) + ("\n" if chosen[-1] else "")
    assert encode(wanted, text, original) == stored(joined(changed, chosen), encoding)


@given(documents(), documents())
def test_what_is_written_is_read_again(
    before: tuple[list[str], list[str], str], after: tuple[list[str], list[str], str]
) -> None:
    original = stored(joined(*before[:2]), before[2])
    wanted = "\n".join(after[0])
    text = understood(original)
    if before[2] == "latin-1":
        wanted = "\xe9\xe8 " + "".join(c for c in wanted if c.isascii() and (c.isprintable() or c == "\n"))
    again = understood(encode(wanted, text, original))
    assert again.text == wanted


@given(st.binary(max_size=60))
def test_an_unchanged_text_has_the_same_bytes_whatever_they_are(data: bytes) -> None:
    text = file_text(data)
    assert text is None or encode(text.text, text, data) == data


@pytest.mark.parametrize(
    ("data", "encoding", "newline", "text"),
    [
        (b"", "utf-8", "\n", ""),
        (b"a\r\nb\n\r\n", "utf-8", "\r\n", "a\nb\n\n"),
        (b"a\rb\r", "utf-8", "\r", "a\nb\n"),
        (codecs.BOM_UTF8 + b"a\n", "utf-8-sig", "\n", "a\n"),
        (codecs.BOM_UTF16_LE + "a\r\n".encode("utf-16-le"), "utf-16-le", "\r\n", "a\n"),
        (codecs.BOM_UTF32_LE + "a".encode("utf-32-le"), "utf-32-le", "\n", "a"),
        (b"na\xefve", "latin-1", "\n", "na\xefve"),
    ],
)
def test_how_a_file_is_written_is_told(data: bytes, encoding: str, newline: str, text: str) -> None:
    found = understood(data)
    assert (found.encoding, found.newline, found.text) == (encoding, newline, text)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "a PNG image"),
        (b"RIFF\x00\x00\x00\x00WEBP", "a WebP image"),
        (b"RIFF\x00\x00\x00\x00AVI ", "audio or video"),
        (b"\x00\x00\x00\x20ftypisom", "MP4 video"),
        (b"\x7fELF\x02\x01\x01\x00", "a program or library (ELF)"),
        (b"\x00\x01\x02", "binary data"),
        (codecs.BOM_UTF16_LE + b"a", "binary data"),
        (bytes(range(1, 9)) * 20 + b"\xff", "binary data"),
    ],
)
def test_what_is_no_text_is_said_to_be_something(data: bytes, kind: str) -> None:
    assert file_text(data) is None
    assert described(data) == kind


def test_a_new_file_is_utf8_with_line_feeds_and_no_mark() -> None:
    assert encode("\ufeffa\r\nb\r→") == "a\nb\n→".encode()


def test_a_character_that_the_encoding_lacks_is_named() -> None:
    original = b"caf\xe9\n"
    with pytest.raises(EditError, match=r"menu\.txt is in latin-1, which has no U\+2192"):
        encode("café →\n", file_text(original, "menu.txt"), original)


def test_a_carriage_return_and_a_line_feed_are_not_joined_to_one_end() -> None:
    original = b"a\rb\nc\r\n"
    text = understood(original)
    again = encode("a\n\nc\n", text, original)
    assert understood(again).text == "a\n\nc\n"


def test_a_large_file_with_mixed_ends_and_the_same_line_everywhere_is_merged() -> None:
    draw = random.Random(3)
    lines = [draw.choice(["x", "y", ""]) for _ in range(4000)]
    original = "".join(line + draw.choice(["\n", "\r\n"]) for line in lines).encode()
    wanted = "\n".join(line for place, line in enumerate(lines) if place % 7) + "\nz\n"
    assert understood(encode(wanted, understood(original), original)).text == wanted


def test_a_diff_says_where_no_line_feed_ends_the_text() -> None:
    text = diff("a\nb", "a\nc\n", "x.py")
    assert text == "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n"
    assert counts(text) == (1, 1)


def test_a_diff_of_a_new_file_and_of_nothing() -> None:
    assert diff("", "a\n", "x").startswith("--- /dev/null\n+++ b/x\n")
    assert diff("a", "a", "x") == ""
    assert counts("") == (0, 0)


def test_only_line_feeds_end_a_line_of_a_diff() -> None:
    assert counts(diff("a\x0cb\u2028c\n", "a\x0cb\u2028d\n", "x")) == (1, 1)


@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abc"), max_size=30))
def test_a_diff_is_that_of_the_whole_texts(old: list[str], new: list[str]) -> None:
    """Its line numbers too, though the ends that are the same are not compared: it turns the one text into the other."""
    before, after = ("".join(f"{line}\n" for line in lines) for lines in (old, new))
    rows = diff(before, after, "x").split("\n")[2:-1]
    result, place = [], 0
    for row in rows:
        if found := re.match(r"@@ -(\d+)(?:,(\d+))? ", row):
            start = int(found[1]) - (found[2] != "0")
            result += old[place:start]
            place = start
        elif row[0] == "+":
            result.append(row[1:])
        else:
            assert old[place] == row[1:]
            result += [row[1:]] if row[0] == " " else []
            place += 1
    assert result + old[place:] == new
