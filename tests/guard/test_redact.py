"""Secrets are masked and nothing else is, on lines that people wrote and on real code with planted ones."""

import base64
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import UsageError
from offline_agent.guard.formats import load_formats
from offline_agent.guard.known import is_worth_knowing, values_in
from offline_agent.guard.redact import MARK, Redactor
from scripts.evaluate.peer import DetectSecrets
from scripts.evaluate.planted import KINDS, planted
from scripts.evaluate.redaction import evaluate

CASES = Path(__file__).parent / "cases" / "secrets"
INDEX = Path(__file__).parents[2] / "index"
FORMATS = load_formats(INDEX)
STAYS = (CASES / "stays.txt").read_text(encoding="utf-8").splitlines()
GOES = [tuple(pair.split("\n")) for pair in (CASES / "goes.txt").read_text(encoding="utf-8").strip().split("\n\n")]
TOKEN = "q8Rt2LmX0vBz7KdN4wYc1aSd"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(FORMATS)


@pytest.mark.parametrize("line", STAYS)
def test_what_is_no_secret_stays(redactor: Redactor, line: str) -> None:
    assert redactor.mask(line) == line


@pytest.mark.parametrize(("line", "masked"), GOES)
def test_a_secret_goes(redactor: Redactor, line: str, masked: str) -> None:
    assert redactor.mask(line) == masked


# --- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held_out", [False, True])
def test_recall_and_precision_on_real_code(redactor: Redactor, held_out: bool) -> None:
    outcome = evaluate(redactor, lines=1500, secrets=150, seed=11, held_out=held_out)
    assert outcome.recall >= 0.95, outcome.missed
    assert outcome.precision >= 0.9, outcome.false


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("aws-secret", "header", "private-key")])
def test_whatever_detect_secrets_finds_is_found(redactor: Redactor, kind: str) -> None:
    rng = random.Random(3)
    plants = [planted(kind, rng, held_out) for held_out in (False, True) for _ in range(5)]
    seen = [plant for plant in plants if plant.values[0] not in DetectSecrets().mask("\n".join(plant.lines))]
    assert [plant for plant in seen if plant.values[0] in redactor.mask("\n".join(plant.lines))] == []


# --- marks -----------------------------------------------------------------------------------------------------------


def test_the_same_secret_has_the_same_number_all_through(redactor: Redactor) -> None:
    first = redactor.mask(f'api_key = "{TOKEN}"')
    other = redactor.mask('api_key = "Zx81Kp0qLm3Nv6Bt9Wr2"')
    again = redactor.mask(f"Authorization: Bearer {TOKEN}")
    assert MARK.findall(first) == MARK.findall(again)
    assert MARK.findall(other) == ["[redacted:key#2]"]


def test_no_secret_that_was_found_is_kept(redactor: Redactor) -> None:
    redactor.mask(f'api_key = "{TOKEN}"')
    assert TOKEN not in repr(vars(redactor))


def test_the_numbers_of_two_redactors_say_nothing_of_the_secret() -> None:
    one, other = Redactor(FORMATS), Redactor(FORMATS)
    one.mask(f'a_token = "Zx81Kp0qLm3Nv6Bt9Wr2"\napi_key = "{TOKEN}"')
    assert one.mask(f'api_key = "{TOKEN}"') != other.mask(f'api_key = "{TOKEN}"')


def secret_lines() -> st.SearchStrategy[str]:
    def lines(seed: int, kind: str, held_out: bool) -> str:
        return "\n".join(planted(kind, random.Random(seed), held_out).lines)

    return st.builds(lines, st.integers(0, 10**6), st.sampled_from(KINDS), st.booleans())


def texts() -> st.SearchStrategy[str]:
    parts = st.sampled_from(
        ['password = "', "key: ", "://a:", "@b", "token,", "'", '"', "\n", "\r\n", "\u2028", "=", "(", "[redacted:a#1]"]
    )
    anything = st.text(st.characters(categories=["L", "N", "P", "S", "Z", "Cc", "Cs"]), max_size=12)
    return st.lists(parts | anything | secret_lines(), max_size=8).map("".join)


@given(texts())
def test_masking_twice_is_masking_once(text: str) -> None:
    redactor = Redactor(FORMATS)
    masked = redactor.mask(text)
    assert redactor.mask(masked) == masked


@given(texts())
def test_lines_stay_where_they_are(text: str) -> None:
    masked = Redactor(FORMATS).mask(text)
    breaks = re.compile("[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
    assert breaks.findall(masked) == breaks.findall(text)


@given(texts())
def test_what_is_left_is_from_the_text_in_its_order(text: str) -> None:
    characters = iter(text)
    assert all(character in characters for character in MARK.sub("", Redactor(FORMATS).mask(text)))


# --- keys over several lines -------------------------------------------------------------------------------------------

BODY = base64.b64encode(random.Random(5).randbytes(300)).decode()
LINES = [BODY[i : i + 64] for i in range(0, len(BODY), 64)]


@pytest.mark.parametrize("name", ["RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA ", ""])
@pytest.mark.parametrize("front", ["", "12: ", "+", "    ", "key.pem:3:", '"'])
def test_a_key_goes_and_its_lines_stay(redactor: Redactor, name: str, front: str) -> None:
    lines = [f"-----BEGIN {name}PRIVATE KEY-----", *LINES, f"-----END {name}PRIVATE KEY-----"]
    masked = redactor.mask("\n".join(f"{front}{line}" for line in [*lines, "x = 1"])).split("\n")
    assert masked[0] == front + lines[0]
    assert masked[1] == f"{front}[redacted:private-key#1]"
    assert set(masked[2:-2]) == {front}
    assert masked[-2:] == [front + lines[-1], f"{front}x = 1"]


def test_a_key_whose_end_was_not_read_goes_too(redactor: Redactor) -> None:
    masked = redactor.mask("\n".join(["-----BEGIN PRIVATE KEY-----", *LINES, "x = call(1)"]))
    assert not any(line in masked for line in LINES)
    assert masked.endswith("\nx = call(1)")


def test_code_that_looks_for_keys_stays(redactor: Redactor) -> None:
    code = (
        'if b"-----BEGIN PRIVATE KEY-----" in data:\n    return load_pem_private_key(data, passwordCallbackFunction)\n'
    )
    assert redactor.mask(code) == code


# --- values of denied files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dress",
    [
        lambda value: value,
        lambda value: value[::-1],
        lambda value: value.encode().hex(),
        lambda value: value.encode().hex().upper(),
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: base64.b64encode(f"NAME={value}\nOTHER=1".encode()).decode(),
        lambda value: base64.b64encode(f"IS={value}".encode()).decode(),
        lambda value: base64.urlsafe_b64encode(f"X={value}.".encode()).decode(),
        lambda value: "".join(f"%{byte:02X}" if chr(byte) in "/&?+" else chr(byte) for byte in value.encode()),
    ],
)
def test_a_known_value_goes_in_every_dress(redactor: Redactor, dress: object) -> None:
    value = "correct/horse&battery?staple+9"
    redactor.know([value])
    assert callable(dress)
    masked = redactor.mask(f"it says {dress(value)} there")
    assert "[redacted:known#1]" in masked
    assert "orse" not in masked


def test_a_known_value_goes_over_lines_of_base64(redactor: Redactor) -> None:
    redactor.know(["correct-horse-battery-staple"])
    text = base64.encodebytes(b"#" * 50 + b"correct-horse-battery-staple" + b"#" * 80).decode()
    masked = redactor.mask(text)
    assert masked.count("\n") == text.count("\n")
    left = base64.b64decode(MARK.sub("", masked).replace("\n", "") + "==", validate=False)
    assert b"horse" not in left


def test_values_of_a_denied_file_are_known(redactor: Redactor) -> None:
    redactor.know(
        values_in(
            f"# local\nexport DEBUG=true\nHOST=localhost\nCODE='blue-Heron-41'\n{BODY[:64]}\nDB=pg://u:heron77x@h/d\n"
        )
    )
    masked = redactor.mask(f"localhost true blue-Heron-41 {BODY[:64]} heron77x")
    assert masked == "localhost true [redacted:known#1] [redacted:known#2] [redacted:known#3]"


@pytest.mark.parametrize(
    "value",
    ["true", "production", "localhost:5432", "8080", "info", "http://localhost:3000/", "password", "", "a" * 40],
)
def test_common_words_are_not_worth_knowing(value: str) -> None:
    assert not is_worth_knowing(value)


@given(
    st.text(min_size=8, max_size=60).filter(
        lambda value: is_worth_knowing(value) and len(value.splitlines()) == 1 and value == value.strip()
    )
)
def test_a_known_value_never_stays(value: str) -> None:
    redactor = Redactor(FORMATS)
    redactor.know([value])
    assert value not in redactor.mask(f"<{value}>\n{value}\n")


# --- hostile input: what is quadratic would not end ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "unit",
    ["a", "=", '"', "'", "eyJ", "://a:", "password=", "-----BEGIN PRIVATE KEY-----\n", "-us", "key:", "curl -u a:"],
)
def test_a_megabyte_of_one_thing_is_read_through(redactor: Redactor, unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    assert len(redactor.mask(text)) >= len(unit)


# --- declarations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["[[format]]\nkind = 'x'\n", "[[format]]\nkind='x'\nbegins=['a']\npattern='('\n", "=", ""]
)
def test_declarations_that_are_not_right_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "secrets.toml").write_text(text, encoding="utf-8")
    if not text:
        (tmp_path / "secrets.toml").unlink()
    with pytest.raises(UsageError, match=r"secrets\.toml"):
        load_formats(tmp_path)
