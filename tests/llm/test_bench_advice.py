from hypothesis import given
from hypothesis import strategies as st

from offline_agent.benchmarks import Benchmark, Score, SpeedPoint
from offline_agent.llm.bench_advice import (
    PATIENCE,
    READABLE,
    advise,
    compare,
    first_token,
    latest_benchmarks,
    quality_of,
    scores_of,
)


def measured(model: str, decode: float = 20.0, at: float = 1.0, **more: object) -> Benchmark:
    values: dict[str, object] = {
        "sha256": model.encode().hex().ljust(64, "0")[:64],
        "version": "0.1.0",
        "machine": "a CPU, 2 cores",
        "size": 9,
        "parameters": 1_000_000,
        "first_token_cold": 4.0,
        "first_token_saved": 0.5,
        "speeds": (SpeedPoint(prompt_tokens=128, threads=1, prefill=10 * decode, decode=decode),) if decode else (),
    }
    return Benchmark.model_validate({"model": model, "at": at, **values, **more})


def right(count: int, of: int = 10) -> Score:
    return Score(right=count, of=of)


def test_the_best_of_those_that_are_fast_enough_is_named() -> None:
    found = [
        measured("small", 60.0, edits=right(3), calls=right(9)),
        measured("middle", 12.0, edits=right(7), calls=right(9)),
        measured("large", 2.0, edits=right(9), calls=right(10)),
    ]
    advice = advise(found)
    assert advice.model == "middle"
    assert advice.why == (
        "Use middle here: 80 % right (calls, edits), the best of the 2 that are fast enough; it writes 12 tokens a second, the "
        "first after 0.50 s. large is better (95 %) but slow here: it writes 2.0 tokens a second, the first after 0.50 s."
    )


def test_who_waits_too_long_for_the_first_token_has_a_slow_model() -> None:
    quick = measured("quick", 6.0, calls=right(1))
    late = measured("late", 30.0, calls=right(9), first_token_saved=PATIENCE + 1)
    assert advise([quick, late]).model == "quick"
    assert "late is better" in advise([quick, late]).why


def test_only_what_was_measured_alike_is_compared() -> None:
    whole = measured("whole", calls=right(5), citations=right(5), edits=right(5))
    demonstration = measured("demonstration", 900.0, citations=right(10))
    advice = advise([demonstration, whole])
    assert advice.model == "whole"
    assert "less was measured of them: demonstration." in advice.why


def test_without_quality_it_is_by_speed_alone_and_says_so() -> None:
    found = [measured("small", 60.0), measured("large", 7.0, parameters=7_000_000_000), measured("slow", 1.0)]
    advice = advise(found)
    assert advice.model == "large"
    assert "by speed alone" in advice.why
    alone = advise([measured("small", 60.0)])
    assert (alone.model, "No quality was measured" in alone.why) == ("small", True)


def test_where_all_are_slow_the_fastest_is_named_with_that() -> None:
    advice = advise([measured("a", 1.0, calls=right(9)), measured("b", READABLE - 0.1)])
    assert advice.model == "b"
    assert "None of 2 is fast enough here." in advice.why
    assert advise([measured("a", 1.0)]).why.startswith("a is slow here")


def test_what_gets_nothing_right_is_not_recommended() -> None:
    assert advise([measured("a", calls=right(0))]).model == ""


def test_without_speed_nothing_is_said() -> None:
    assert advise([]).model == ""
    assert advise([measured("a", 0.0, calls=right(9))]).model == ""


@given(
    st.lists(
        st.builds(
            measured,
            st.sampled_from("abcd"),
            st.floats(0, 100),
            st.integers(0, 5).map(float),
            calls=st.none() | st.builds(right, st.integers(0, 10)),
            edits=st.none() | st.builds(right, st.integers(0, 10)),
        )
    )
)
def test_advice_never_passes_over_a_better_model_that_is_fast_enough(found: list[Benchmark]) -> None:
    newest = latest_benchmarks(found)
    advice = advise(newest)
    assert advice.why
    chosen = next((one for one in newest if one.model == advice.model), None)
    if chosen is None or chosen.decode < READABLE or not scores_of(chosen):
        return
    rivals = [one for one in newest if one.decode >= READABLE and set(scores_of(one)) == set(scores_of(chosen))]
    assert all((quality_of(one) or 0) <= (quality_of(chosen) or 0) for one in rivals)


def test_the_newest_is_completed_from_runs_of_the_same_file_here() -> None:
    old = measured("a", 20.0, at=1.0, edits=right(4), citations=right(1), repository="/one")
    other_file = measured("a", 20.0, at=2.0, sha256="f" * 64, calls=right(10))
    elsewhere = measured("a", 20.0, at=3.0, machine="another", calls=right(10))
    new = measured("a", 0.0, at=4.0, citations=right(2), repository="/two", first_token_cold=0.0)
    [one] = latest_benchmarks([old, other_file, elsewhere, new], "a CPU, 2 cores")
    assert (one.at, one.decode, one.edits, one.calls) == (4.0, 20.0, right(4), None)
    assert (one.citations, one.repository, one.first_token_cold) == (right(2), "/two", 4.0)


def test_scores_of_nothing_are_none() -> None:
    assert scores_of(measured("a", citations=right(0, of=0))) == {}
    assert quality_of(measured("a")) is None
    assert first_token(measured("a", first_token_saved=None)) == 4.0


def test_a_change_is_against_the_run_before_on_the_same_machine() -> None:
    first = measured("a", 10.0, at=1.0, calls=right(5), edits=right(5))
    elsewhere = measured("a", 99.0, at=2.0, machine="another")
    third = measured("a", 12.0, at=3.0, version="0.2.0", sha256="f" * 64, calls=right(6))
    assert compare(first, [third, elsewhere, first]) is None
    change = compare(third, [third, elsewhere, first])
    assert change is not None
    assert (change.decode, change.prefill, change.quality) == (1.2, 1.2, 1.2)
    assert (change.version, change.another_file) == ("0.1.0", True)


def test_points_are_compared_at_the_same_length_and_threads() -> None:
    def points(*figures: tuple[int, int, float]) -> tuple[SpeedPoint, ...]:
        return tuple(SpeedPoint(prompt_tokens=n, threads=t, prefill=100 * d, decode=d) for n, t, d in figures)

    old = measured("a", at=1.0, speeds=points((128, 1, 10.0), (512, 1, 8.0)))
    new = measured("a", at=2.0, speeds=points((128, 1, 20.0), (128, 2, 99.0), (2048, 1, 1.0)))
    change = compare(new, [old])
    assert change is not None
    assert change.decode == 2.0
    apart = compare(measured("a", at=2.0, speeds=points((2048, 1, 1.0))), [old])
    assert apart is not None
    assert (apart.decode, apart.version, apart.another_file) == (None, "", False)
