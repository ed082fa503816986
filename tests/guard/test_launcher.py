"""The small process that starts commands: what it passes on, what it ends, and what is left when somebody dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import SandboxUnavailable
from offline_agent.guard.collected import Collected
from offline_agent.guard.launcher import Order
from offline_agent.guard.limits import Limits, children
from offline_agent.guard.starter import Outcome, Starter
from tests.guard.sandboxes import PYTHON

LIMITS = Limits(seconds=60, memory_bytes=4 << 30, processes=200, file_bytes=1 << 26, disk_bytes=1 << 40)
MOST = 1 << 22


@pytest.fixture
def starter() -> Iterator[Starter]:
    starter = Starter()
    yield starter
    starter.close()


def order(line: str, directory: Path = Path("/tmp"), limits: Limits = LIMITS) -> Order:
    return Order(
        ["/bin/bash", "-c", line], {"PATH": os.environ["PATH"], "ONLY": "this"}, str(directory), limits, str(directory)
    )


def run(starter: Starter, line: str, limits: Limits = LIMITS) -> tuple[Outcome, str]:
    collected = Collected()
    outcome = starter.run(order(line, limits=limits), collected, MOST)
    return outcome, collected.data.decode("utf-8", "replace")


def gone(*pids: int) -> bool:
    return not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.01)
    return path.read_text()


@given(st.lists(st.text(max_size=20)), st.dictionaries(st.text(max_size=5), st.text(max_size=5)), st.binary(max_size=9))
def test_an_order_arrives_as_it_was_sent(words: list[str], environment: dict[str, str], program: bytes) -> None:
    raw = [os.fsdecode(b"/\xff\xfe"), *words]
    sent = Order(raw, environment, "/", LIMITS, "/", arguments=raw, filter=program.hex(), rules=[("/usr", 5)])
    assert Order.unpack(sent.pack()) == sent


@pytest.mark.parametrize(
    ("line", "code"), [("true", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("nowhere", 127)]
)
def test_exit_codes_are_as_a_shell_has_them(starter: Starter, line: str, code: int) -> None:
    assert run(starter, line)[0] == Outcome(code)


def test_output_and_errors_come_in_order(starter: Starter) -> None:
    assert run(starter, "echo one; echo two >&2; echo three")[1] == "one\ntwo\nthree\n"


def test_a_command_gets_no_descriptor_and_no_variable_that_it_should_not_have(starter: Starter) -> None:
    assert run(starter, "ls /proc/self/fd | tr '\\n' ' '")[1] == "0 1 2 3 "  # 3 is what ls lists
    assert "ONLY=this" in run(starter, "env")[1].split()
    assert "PYTHONPATH" not in run(starter, "env")[1]


def test_input_is_empty_and_there_is_no_terminal(starter: Starter) -> None:
    assert run(starter, "cat; true </dev/tty; echo $?")[1].endswith("\n1\n")


def test_signals_have_their_usual_meaning(starter: Starter) -> None:
    assert run(starter, "yes | head -1; echo ${PIPESTATUS[0]}")[1] == "y\n141\n"


def test_what_is_left_in_the_background_has_ended(starter: Starter, tmp_path: Path) -> None:
    line = f"(setsid bash -c 'echo $$ > {tmp_path}/a; sleep 100' &); sleep 100 & echo $! > {tmp_path}/b; wait_a() {{ :; }}; "
    line += f"until [ -s {tmp_path}/a ]; do sleep 0.01; done"
    assert run(starter, line)[0] == Outcome(0)
    assert gone(*[int((tmp_path / name).read_text()) for name in ("a", "b")])


@pytest.mark.parametrize(
    ("line", "limits", "why"),
    [
        ("sleep 100", {"seconds": 0.2}, "time"),
        ("for i in {1..60}; do sleep 100 & done; wait", {"processes": 20}, "processes"),
        (
            f"{PYTHON} -c 'import time; x = bytearray(200 << 20); time.sleep(100)'",
            {"memory_bytes": 100 << 20},
            "memory",
        ),
    ],
)
def test_a_broken_limit_ends_the_command(starter: Starter, line: str, limits: dict[str, float], why: str) -> None:
    assert run(starter, line, replace(LIMITS, **limits))[0] == Outcome(137, why)  # type: ignore[arg-type]


def test_shared_memory_is_not_counted_twice(starter: Starter) -> None:
    line = "import os, time; x = bytearray(60 << 20); [os.fork() for _ in range(2)]; time.sleep(0.3)"
    assert run(starter, f"{PYTHON} -c '{line}'", replace(LIMITS, memory_bytes=150 << 20))[0] == Outcome(0)


def test_a_command_that_fills_the_disk_is_ended(starter: Starter, tmp_path: Path) -> None:
    line = f"for i in {{1..40}}; do head -c 10M /dev/urandom > {tmp_path}/$i; done; sleep 100"
    assert run(starter, line, replace(LIMITS, disk_bytes=20 << 20))[0] == Outcome(137, "disk")


def test_a_file_that_is_too_large_ends_its_writer(starter: Starter, tmp_path: Path) -> None:
    outcome, output = run(starter, f"head -c 3M /dev/zero > {tmp_path}/x; echo $?", replace(LIMITS, file_bytes=1 << 20))
    assert (outcome.code, output.split()[-1]) == (0, "153")


def test_a_command_that_writes_without_end_is_ended_and_head_and_tail_are_kept(starter: Starter) -> None:
    collected = Collected(kept=1000)
    outcome = starter.run(order("echo first; yes; echo never"), collected, MOST)
    assert outcome == Outcome(137, "output")
    assert collected.data.startswith(b"first\ny\n")
    assert collected.dropped == collected.size - 2000


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 60))
def test_no_byte_is_lost_but_those_that_are_told(chunks: list[bytes], kept: int) -> None:
    shown: list[str] = []
    collected = Collected(shown.append, kept)
    for chunk in chunks:
        collected.add(chunk)
    collected.finish()
    whole = b"".join(chunks)
    assert "".join(shown) == whole.decode("utf-8", "replace")
    assert collected.dropped == max(0, len(whole) - 2 * kept)
    assert collected.data.startswith(whole[:kept])
    assert collected.data.endswith(whole[kept:][-kept:])


def test_what_the_reader_raises_ends_the_command_first(starter: Starter, tmp_path: Path) -> None:
    def show(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        starter.run(order(f"echo $$ > {tmp_path}/pid; echo now; sleep 100"), Collected(show), MOST)
    assert gone(int((tmp_path / "pid").read_text()))
    assert run(starter, "echo again")[1] == "again\n"


def test_ctrl_c_ends_the_command_and_is_raised(starter: Starter, tmp_path: Path) -> None:
    def press() -> None:
        wait_for(tmp_path / "pid")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        starter.run(order(f"echo $$ > {tmp_path}/pid; trap '' INT; sleep 100"), Collected(), MOST)
    thread.join()
    assert gone(int((tmp_path / "pid").read_text()))
    assert run(starter, "echo again")[1] == "again\n"


def test_a_launcher_that_was_killed_is_told_and_replaced(starter: Starter, tmp_path: Path) -> None:
    def kill() -> None:
        wait_for(tmp_path / "pid")
        [launcher] = [pid for pid in children(os.getpid()) if b"launcher" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(launcher, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(SandboxUnavailable, match="run the command once more"):
        starter.run(order(f"echo $$ > {tmp_path}/pid; exec sleep 100"), Collected(), MOST)
    thread.join()
    assert run(starter, "echo again")[1] == "again\n"


FRONT = """
import sys
from tests.guard.test_launcher import order
from offline_agent.guard.collected import Collected
from offline_agent.guard.starter import Starter
Starter().run(order(sys.argv[1]), Collected(), 1 << 20)
"""


def test_nothing_outlives_the_front(tmp_path: Path) -> None:
    line = f"(setsid bash -c 'echo $$ > {tmp_path}/daemon; sleep 100' &); echo $$ > {tmp_path}/pid; sleep 100"
    front = subprocess.Popen([sys.executable, "-c", FRONT, line], cwd=Path(__file__).parents[2])
    pids = [int(wait_for(tmp_path / name)) for name in ("pid", "daemon")]
    front.kill()
    front.wait()
    deadline = time.monotonic() + 20
    while not gone(*pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_program_that_is_not_there_is_told(starter: Starter) -> None:
    missing = replace(order(""), command=["/not/there"])
    assert "No such file" in starter.run(missing, Collected(), MOST).failed


def test_closing_twice_is_closing(starter: Starter) -> None:
    run(starter, "true")
    starter.close()
    starter.close()
    assert run(starter, "echo again")[1] == "again\n"
