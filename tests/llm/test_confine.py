"""What the kernel refuses the worker. Run in processes of their own: confinement is for good."""

import subprocess
import sys
from pathlib import Path

import pytest

from offline_agent.llm.process import LlamaProcess

from .conftest import POCKET

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="seccomp and Landlock are Linux's")

CONFINED = """
import os, socket, sys, threading, ctypes
from pathlib import Path
from offline_agent.llm.confine import confine
running = threading.Event(); go = threading.Event(); outcome = []
def attempt():
    try:
        {attempt}
    except OSError as error:
        outcome.append(f"refused {{error.errno}}")
    else:
        outcome.append("done")
def early():
    running.set(); go.wait(); attempt()
thread = threading.Thread(target=early); thread.start(); running.wait()
result = confine([Path({allowed!r})], gpu={gpu})
if {from_thread}: go.set(); thread.join()
else: attempt(); go.set()
print(result.sockets_denied, result.files_denied, outcome[0], flush=True)
"""


def outcome(attempt: str, allowed: Path = POCKET, gpu: bool = False, from_thread: bool = False) -> list[str]:
    code = CONFINED.format(attempt=attempt, allowed=str(allowed), gpu=gpu, from_thread=from_thread)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    sockets, files, what = done.stdout.split(maxsplit=2)
    if sockets != "True" or (files != "True" and not gpu):
        pytest.skip("this kernel has no seccomp or no Landlock")
    return [what.strip()]


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
        "socket.socket(socket.AF_UNIX)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "os.execv('/bin/true', ['true'])",
        "if ctypes.CDLL(None, use_errno=True).syscall(425, 4, None) < 0: raise OSError(ctypes.get_errno(), 'io_uring')",
    ],
)
def test_refused_by_seccomp(attempt: str) -> None:
    assert outcome(attempt) == ["refused 1"]


def test_no_core_dump() -> None:
    get_dumpable = 3
    assert outcome(f"if ctypes.CDLL(None).prctl({get_dumpable}) == 0: raise OSError(0, 'not dumpable')") == [
        "refused 0"
    ]


def test_refused_in_a_thread_that_was_there_before() -> None:
    assert outcome("socket.socket(socket.AF_INET)", from_thread=True) == ["refused 1"]


def test_with_a_gpu_only_local_sockets_are_left() -> None:
    assert outcome("socket.socket(socket.AF_INET)", gpu=True) == ["refused 1"]
    assert outcome("socket.socket(socket.AF_UNIX).close()", gpu=True) == ["done"]


def test_no_file_but_the_model_may_be_opened(tmp_path: Path) -> None:
    secret = tmp_path / "id_ed25519"
    secret.write_text("key")
    assert outcome(f"open({str(secret)!r})") == ["refused 13"]
    assert outcome(f"open({str(tmp_path / 'new')!r}, 'w')") == ["refused 13"]
    assert outcome(f"open({str(POCKET)!r}, 'r+b')") == ["refused 13"]
    assert outcome(f"open({str(POCKET)!r}, 'rb').read(4)") == ["done"]


def test_the_worker_is_confined_in_all_its_threads(model: LlamaProcess) -> None:
    model.load()
    assert model.pid is not None
    threads = list(Path(f"/proc/{model.pid}/task").iterdir())
    assert len(threads) >= 2
    if model.confinement.sockets_denied:
        assert all("Seccomp:\t2" in (t / "status").read_text() for t in threads)
        assert all("NoNewPrivs:\t1" in (t / "status").read_text() for t in threads)


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        ("socket.socket(socket.AF_INET)", "refused"),
        ("socket.socket(socket.AF_INET6)", "refused"),
        ("socket.socket(socket.AF_UNIX).close()", "done"),
        ("open('/etc/hostname').close()", "done"),
        ("subprocess.run(['/bin/true'], check=True)", "done"),
        ("subprocess.run([sys.executable, '-c', 'import socket; socket.socket()'], check=True)", "refused"),
    ],
)
def test_without_the_internet_the_rest_goes_on(attempt: str, said: str) -> None:
    code = (
        "import socket, subprocess, sys\nfrom offline_agent.llm.confine import deny_internet\n"
        f"if not deny_internet(): print('no seccomp'); sys.exit()\ntry:\n    {attempt}\n    print('done')\n"
        "except (OSError, subprocess.CalledProcessError):\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    if "no seccomp" in done.stdout:
        pytest.skip("this kernel has no seccomp")
    assert done.stdout.split()[-1] == said
