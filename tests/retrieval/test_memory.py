"""Giving memory back harms nobody, wherever it is tried."""

from offline_agent.retrieval.memory import trim


def test_what_is_in_use_stays() -> None:
    kept = [bytes([number % 256]) * 1000 for number in range(1000)]
    del kept[::2]
    trim()
    assert kept[3] == bytes([7]) * 1000
