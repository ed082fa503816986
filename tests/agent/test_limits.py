from offline_agent.agent.limits import Limits
from offline_agent.settings import AskSettings
from offline_agent.types import ToolCall, Usage


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def call(name: str = "read", **arguments: object) -> ToolCall:
    return ToolCall(id="aaaaaaaa1", name=name, arguments=arguments)


def test_steps_are_counted() -> None:
    limits = Limits(AskSettings(steps=2))
    limits.spend(Usage(stopped="end"))
    assert limits.reached() is None
    limits.spend(Usage(stopped="end"))
    reached = limits.reached()
    assert reached is not None
    assert (reached.stop, reached.sentence) == ("steps", "I stopped after 2 steps without an answer [ask.steps].")


def test_only_tokens_that_were_computed_are_counted() -> None:
    limits = Limits(AskSettings(tokens=100))
    limits.spend(Usage(stopped="end", prompt_tokens=5000, reused_tokens=4950, answer_tokens=40))
    assert limits.reached() is None
    limits.spend(Usage(stopped="end", prompt_tokens=5100, reused_tokens=5090))
    reached = limits.reached()
    assert reached is not None
    assert reached.stop == "tokens"


def test_time_runs_while_a_person_thinks() -> None:
    clock = Clock()
    limits = Limits(AskSettings(minutes=2), clock)
    clock.now = 119
    assert limits.reached() is None
    clock.now = 121
    reached = limits.reached()
    assert reached is not None
    assert reached.stop == "time"


def test_the_third_same_call_in_a_row_is_circling() -> None:
    limits = Limits(AskSettings())
    assert [limits.circling([call(path="a")]) for _ in range(3)] == ["", "", "read"]


def test_another_call_in_between_is_no_circle() -> None:
    limits = Limits(AskSettings())
    turns = [[call(path="a"), call(path="b")]] * 5
    assert [limits.circling(calls) for calls in turns] == [""] * 5


def test_a_circle_that_was_allowed_is_asked_about_again_after_as_many() -> None:
    limits = Limits(AskSettings(repeats=2))
    assert [limits.circling([call()]) for _ in range(4)] == ["", "read", "", "read"]


def test_time_is_told_apart_since_calls_take_it_too() -> None:
    clock = Clock()
    limits = Limits(AskSettings(steps=1, minutes=2), clock)
    limits.spend(Usage(stopped="end"))
    assert limits.out_of_time() is None
    clock.now = 121
    reached = limits.out_of_time()
    assert reached is not None
    assert reached.stop == "time"
