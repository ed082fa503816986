"""Which version is older is what PEP 440 says."""

from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from offline_agent.bundle.bootstrap.versions import is_older

NUMBERS = st.integers(min_value=0, max_value=11).map(str)
VERSIONS = st.builds(
    lambda release, phase, post, dev: ".".join(release) + phase + post + dev,
    st.lists(NUMBERS, min_size=1, max_size=3),
    st.sampled_from(["", "a0", "a1", "b2", "rc1", "rc10"]),
    st.sampled_from(["", ".post0", ".post3"]),
    st.sampled_from(["", ".dev0", ".dev4"]),
)


@given(VERSIONS, VERSIONS)
def test_the_order_is_that_of_packaging(one: str, other: str) -> None:
    assert is_older(one, other) == (Version(one) < Version(other))


def test_what_cannot_be_compared_is_not_older() -> None:
    for one, other in (("", "1.0"), ("1.0", ""), ("1.0", "unknown"), ("1.0+a", "1.0+b"), ("\u0661", "2")):
        assert not is_older(one, other)
