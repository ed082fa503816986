"""The text of a docstring or of a doc comment -> its first sentence.

Leaders, tags, roles and sections of Javadoc, Doxygen, JSDoc, XML documentation, YARD, reStructuredText and Markdown are known by
their looks: a comment does not say which of them it follows.
"""

import re
from collections.abc import Iterator, Sequence

_LINE_LEADER = re.compile(r"^\s*(?://[/!]*<?|#+)[ \t]?")
_BLOCK_ENDS = re.compile(r"^\s*/\*+!?<?|\s*\*+/\s*$")
_STAR = re.compile(r"^\s*\*(?!\*)[ \t]?")
# What tools and people other than the reader are told.
_DIRECTIVE = re.compile(
    r"!|(?:es|ts|js)lint|prettier-|@ts-|istanbul |biome-|go:|nolint|\+build|export \w+$|lint:|rubocop:|frozen_string_literal:"
    r"|typed:|shellcheck |-\*-|clang-format|NOLINT|SPDX-|pylint:|noqa|phpcs:|@phpstan-|#?(?:end)?region\b|vim:|coding[:=]"
)
_PROSE_TAG = re.compile(r"[@\\](?:brief|short|summary|description|desc|details|abstract)\b[ \t]*")
_TAG = re.compile(
    r"[@\\][a-zA-Z]\w*|:(?:param|type|returns?|rtype|raises?|yields?|arg|keyword|c?var|ivar|meta)\b[^:]*:"
    r"|<(?:param|returns|remarks|exception|typeparam|value|example)\b"
)
_MARKER = re.compile(r"[@\\]\w+\s*")  # a tag alone on its line says nothing about the lines below
_SECTION = re.compile(
    r"(?:#+\s*)?(?:Args|Arguments|Param(?:eter)?s|Returns?|Raises|Yields|Throws|Examples?|Attributes|Globals|Outputs?|Usage|Options"
    r"|Notes?|Panics|Errors|Safety)\s*:?\s*|>>>.*|```.*|\.\. .*",
)
_HEADING = re.compile(r"#+\s")
_WORD = re.compile(r"\w")
_SUMMARY = re.compile(r"<summary>(.*?)(?:</summary>|\Z)", re.DOTALL)
_REFERENCE = re.compile(r"<(?:see|seealso|paramref|typeparamref)\s+\w+=\"(?:\w:)?([^\"<>]*)\"\s*/?>")
_PARAGRAPH = re.compile(r"</?(?:p|para)\s*/?>")
_MARKUP = re.compile(
    r"</?(?:summary|inheritdoc|c|code|b|i|em|strong|tt|pre|see|seealso|br|ul|ol|li|a|kbd)(?:\s[^<>]*)?/?>"
)
_INLINE_TAG = re.compile(r"\{@(?:link|linkplain|code|literal|value|see)\s+([^{}\s]+)(?:[ |]([^{}]*))?\}")
_OTHER_TAG = re.compile(r"\{@\w+[^{}]*\}")
_ROLE = re.compile(r":([a-zA-Z][\w:.+-]{0,40}):`([^`]*)`")
_NUMBERED = ("rfc", "pep")  # roles whose text is a number of theirs
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&nbsp;": " ", "&amp;": "&"}
_END = re.compile(r"([.!?]+)([)\]\"'\u2019\u201d`*_]*)(?=\s|$)|[\u3002\uff01\uff1f]")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'])(?:e\.\s?g|i\.\s?e|cf|vs|viz|resp|approx|incl|esp|w\.r\.t|a\.k\.a|Mr|Dr|Fig|Eq)\.$|^\d+\.$",
    re.IGNORECASE,
)


def of_comments(comments: Sequence[str]) -> str:
    """The first sentence of the comments above a definition; empty where they say nothing."""
    return _first_sentence([line for comment in comments for line in _lines(comment)])


def of_docstring(text: str) -> str:
    """The first sentence of what stands between a docstring's quotes."""
    text = re.sub(r"\\([\"'\n])", lambda escape: escape[1].strip(), text)
    return _first_sentence(text.split("\n"))


def _lines(comment: str) -> Iterator[str]:
    if not comment.lstrip().startswith("/*"):
        yield _LINE_LEADER.sub("", comment)
        return
    for line in _BLOCK_ENDS.sub("", comment).split("\n"):
        yield _STAR.sub("", line)


def _first_sentence(lines: Sequence[str]) -> str:
    return _sentence(_inline(" ".join(_paragraph(_visible("\n".join(lines)).split("\n")).split())))


def _visible(text: str) -> str:
    """XML and HTML documentation without its markup; paragraphs are set apart by blank lines."""
    summary = _SUMMARY.search(text)
    text = _REFERENCE.sub(r"\1", summary[1] if summary else text)
    return _MARKUP.sub("", _PARAGRAPH.sub("\n\n", text))


def _paragraph(lines: Sequence[str]) -> str:
    """The first paragraph of prose: what comes after a tag belongs to it up to the next blank line."""
    prose: list[str] = []
    skipping = False
    for line in map(str.strip, lines):
        if brief := _PROSE_TAG.match(line):
            line, skipping = line[brief.end() :], False
        elif _SECTION.fullmatch(line) or _HEADING.match(line) or _TAG.match(line) or not _WORD.search(line):
            if prose or _SECTION.fullmatch(line):
                break
            skipping = bool(_TAG.match(line)) and not _MARKER.fullmatch(line)
            continue
        if not skipping and line and not _DIRECTIVE.match(line):
            prose.append(line)
    return " ".join(prose)


def _inline(text: str) -> str:
    """`{@link A#b}` -> A.b, ``:class:`~a.B` `` -> `B`, entities to characters."""
    text = _INLINE_TAG.sub(lambda tag: tag[2] or tag[1].replace("#", ".").strip("."), text)
    text = _ROLE.sub(_shown, _OTHER_TAG.sub("", text))
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    return text.strip()


def _shown(role: re.Match[str]) -> str:
    return f"{role[1].upper()} {role[2]}" if role[1].lower() in _NUMBERED else f"`{_target(role[2])}`"


def _target(text: str) -> str:
    """What a role shows: `text <target>` its text, `~a.B` its last step."""
    shown = text.partition(" <")[0].strip().lstrip("!")
    return shown.rpartition(".")[2] if shown.startswith("~") else shown


def _sentence(paragraph: str) -> str:
    for end in _END.finditer(paragraph):
        if not _goes_on(paragraph[: end.end()], end, paragraph[end.end() :].lstrip()[:1]):
            return paragraph[: end.end()]
    return paragraph


def _goes_on(sentence: str, end: re.Match[str], following: str) -> bool:
    """Whether a full stop is none: `e.g. this`, `1. Open it`, `empty? is`, `etc. and`, `... and`."""
    if _ABBREVIATION.search(sentence):
        return bool(following)
    marks = end[1] or ""
    return following.islower() and (marks != "." or bool(end[2]) or sentence.endswith(("etc.", "al.", "No.")))
