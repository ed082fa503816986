from offline_agent.protocols import Outputs
from offline_agent.tools.outputs import MemoryOutputs


def test_outputs_are_named_in_order() -> None:
    outputs: Outputs = MemoryOutputs()
    assert (outputs.keep("a"), outputs.keep("a")) == ("output:1", "output:2")
    assert (outputs.find("output:2"), outputs.find("output:3")) == ("a", None)


def test_the_oldest_make_room_but_never_the_last() -> None:
    outputs = MemoryOutputs(most=10)
    for text in ("12345678", "abc", "x" * 50):
        outputs.keep(text)
    assert [outputs.find(f"output:{number}") for number in (1, 2, 3)] == [None, None, "x" * 50]
