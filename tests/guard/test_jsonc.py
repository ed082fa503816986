import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.guard.jsonc import parse_jsonc

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=8,
)


@given(values)
def test_plain_json_is_itself(value: Any) -> None:
    assert parse_jsonc(json.dumps(value)) == value
    assert parse_jsonc(json.dumps(value, ensure_ascii=False, indent=1)) == value


def test_comments_and_trailing_commas() -> None:
    text = """\ufeff{
      // a comment, with "quotes
      "a": ["//no comment", "/* nor this */", 1,], /* one, } */
      "b\\"// ": {"c": 2, /* x */ // y
      },
    } // the end"""
    assert parse_jsonc(text) == {"a": ["//no comment", "/* nor this */", 1], 'b"// ': {"c": 2}}


def test_of_a_key_that_stands_twice_the_later_value_holds_in_the_first_place() -> None:
    assert list(parse_jsonc('{"a": 1, "b": 2, "a": 3}').items()) == [("a", 3), ("b", 2)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "line 1, column 1"),
        ('{\n  "a": 1\n  "b": 2\n}', "line 3, column 3"),
        ("{/* one\ntwo */ x}", "line 2, column 8"),
        ('{"a": 1,,}', "column 10"),
        ('{"a": "x', "line 1"),
        ("/* not closed", "line 1"),
        ("{,}", "line 1"),
        ("NaN", "NaN is no JSON"),
        ("[" * 200 + "]" * 200, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_fault_is_told_with_its_place(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse_jsonc(text)


@given(st.text('{}[]",:/*\\n 1a', max_size=30))
def test_whatever_is_json_is_read_as_json_does(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        return
    assert parse_jsonc(text) == expected


@given(values, st.sampled_from(("// x, } ]\n", '/* " , ] */', " ", "/**/")))
def test_comments_and_commas_change_nothing(value: Any, comment: str) -> None:
    plain = json.dumps(value, indent=0)
    spaced = "".join(
        f"{line}{',' if line[-1] not in ',[{' and following and following[0] in ']}' else ''}{comment}\n"
        for line, following in zip(plain.split("\n"), [*plain.split("\n")[1:], ""], strict=True)
        if line
    )
    assert parse_jsonc(spaced) == value
