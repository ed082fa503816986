"""From text to search terms, the same way for what is stored and what is asked."""

import re
from collections import Counter

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"`(?P<quoted>[^`\s]+)`|(?P<plain>[^\W\d]\w*(?:\.\w+)*)(?P<call>\(\))?")
# None of these looks further than a fixed distance: a word may be a megabyte of base64.
_ACRONYM = re.compile(r"(?<=[^\W\d_a-z])(?=[A-Z][a-z])")  # HTTPAdapter -> HTTP Adapter
_HUMP = re.compile(r"([a-z\d])([A-Z])")  # getAuth -> get Auth
_DIGITS = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")  # sha256 -> sha 256
_CAPITALISED = re.compile(r"[A-Z]+[a-z]")
_MIXED = re.compile(r"[a-z]\d*[A-Z]|[A-Z]{2}[a-z]{2}|[A-Z][a-z]+[A-Z]")

# Words that people put around what they look for. Words that are also good search terms (file, class, test) are not all here.
_QUESTION_WORDS = frozenset(
    _WORD.findall(
        "a an the of in on at to for from by with and or is are was be been it its this that these those there here where what "
        "which who whom whose when why how do does did done can could should would will shall may might must i me my we our you "
        "your they their he she any all some no not if then than as so about into onto over under via each every "
        "defined define defines definition declared declare declaration implemented implement implements implementation located "
        "location find found show tell explain describe please know look looked looking up out "
        "handle handles handled handling responsible used use uses using happens happen work works "
        "function functions method methods class classes file files module modules code repository repo project "
        "argument arguments parameter parameters take takes taking return returns mean means purpose"
    )
)

_ENDINGS = (
    ("sses", "ss"),
    ("ies", "y"),
    ("ied", "y"),
    ("ie", "y"),
    ("ings", ""),
    ("ing", ""),
    ("ed", ""),
    ("es", ""),
    ("ss", "ss"),
    ("s", ""),
    ("e", ""),
)
_ABBREVIATIONS = ("e.g", "i.e")


def terms(text: str) -> list[str]:
    """Lower-case terms: every word whole, then the parts of a compound (`getAuth`, `get_auth`, `auth2`), in order."""
    return [term for word in words(text) for term in word_terms(word)]


def words(text: str) -> list[str]:
    """As they are written."""
    return _WORD.findall(text)


def word_terms(word: str) -> tuple[str, ...]:
    """The terms of one word."""
    whole, parts = word.lower(), split_identifier(word)
    return (whole,) if parts == [whole] else (whole, *parts)


def stem(term: str) -> str:
    """Without a plural's or a verb's ending, so that "cookies" finds `cookie`. Crude, and the same for what is stored and asked."""
    if len(term) < 4 or "_" in term:
        return term
    for ending, instead in _ENDINGS:
        if term.endswith(ending) and len(term) - len(ending) >= 3:
            return term[: -len(ending)] + instead
    return term


def split_identifier(word: str) -> list[str]:
    """`HTTPAdapter_v2` -> http, adapter, v, 2."""
    spaced = _HUMP.sub(r"\1 \2", _ACRONYM.sub(" ", word.replace("_", " ")))
    return _DIGITS.sub(" ", spaced).lower().split()


def query_terms(query: str) -> list[tuple[str, int]]:
    """The terms of a question without the words of asking, each with how often it is said, most often first; all of them when
    nothing else is left."""
    every = Counter(terms(query)).most_common()
    return [(term, count) for term, count in every if term not in _QUESTION_WORDS] or every


def identifiers(query: str) -> list[str]:
    """What looks like code in a question: back-quoted, called(), dotted, with an underscore, or in CamelCase."""
    found = []
    for match in _TOKEN.finditer(query):
        token = (match["quoted"] or match["plain"]).removesuffix("()").strip(".")
        if not token or token.lower() in _ABBREVIATIONS:
            continue
        if match["quoted"] or match["call"] or "_" in token or "." in token or _MIXED.search(token):
            found.append(token)
    return list(dict.fromkeys(found))


def plain_words(query: str) -> list[str]:
    """The words that may name a symbol though they do not look like code (`Session`, `close`), as written."""
    strong = {*identifiers(query), *_ABBREVIATIONS}
    words = [match["plain"] for match in _TOKEN.finditer(query) if match["plain"]]
    kept = [word for word in words if word.lower() not in _QUESTION_WORDS and word not in strong]
    return list(dict.fromkeys(kept))


def capitalised(word: str) -> bool:
    """`Session`: more likely the name of a class than an English word, unless it begins the sentence."""
    return _CAPITALISED.match(word) is not None
