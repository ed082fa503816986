import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.tools.screen import screened


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("10%\r50%\r100%\n", "100%\n"),
        ("downloading\rdone\n", "doneloading\n"),
        ("downloading\r\x1b[Kdone\n", "done\n"),
        ("downloading\x1b[2K\rdone", "done"),
        ("abc\b\bX", "aXc"),
        ("ends so\r", "ends so"),
        ("\x1b[1;32mok\x1b[0m \x1b[38;5;9mred\x1b[m", "ok red"),
        ("\x1b]0;a title\x07text\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "textlink"),
        ("\x1b(B\x1b7\x1b=x\x1b[?25l", "x"),
        ("a\x07b\x00c\x0bd\x7fe\x9b31mf\x85", "abcdef"),
        ("\x1b[1Kkept", "kept"),
        ("cut off\x1b[", "cut off"),
        ("\x1b]0;never ended\nkept", "\nkept"),
    ],
)
def test_what_a_person_would_see(written: str, seen: str) -> None:
    assert screened(written) == seen


@given(st.text("ab\n\r\b\t\x00\x01\x07\x1b\x9b[]0;Km\\é", max_size=80))
def test_no_control_character_is_left_and_nothing_changes_twice(text: str) -> None:
    seen = screened(text)
    assert not [c for c in seen if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) <= 0x9F]
    assert screened(seen) == seen


def test_a_line_of_nothing_but_steps_takes_no_longer_than_it_is_long() -> None:
    steps = "".join(f"{number}%\r" for number in range(200_000))
    assert screened(steps + "\n").startswith("199999%")
