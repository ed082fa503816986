"""The front's end of the launcher (launcher.py): one command at a time, of which nothing is left when `run` returns or raises."""

import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import offline_agent
from offline_agent.errors import SandboxUnavailable
from offline_agent.guard.collected import Collected
from offline_agent.guard.launcher import Order, receive, send

PATIENCE = 10.0
"""Seconds that the end of a command may take once it was asked for."""
_START = "import sys; from offline_agent.guard.launcher import main; main(int(sys.argv[1]))"
_CHUNK = 1 << 16
_LONGEST_WORDS = 400


@dataclass(frozen=True)
class Outcome:
    """`code` as a shell has it; `why` as Ran.ended, empty for a command that ended by itself. `failed` says why there was none."""

    code: int
    why: str = ""
    failed: str = ""


class Starter:
    """Starts the launcher when it is first needed, and again where it has died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._running = False
        self._words = -1  # a memory file that the launcher's standard error goes to

    def run(
        self, order: Order, collected: Collected, most: int, attach: Callable[[int], None] | None = None
    ) -> Outcome:
        """Runs the order. More than `most` bytes of output end it. `attach` gets the listener of `order.watch`.

        Raises SandboxUnavailable where the launcher cannot be started or dies; whatever `attach` or the collection raises; and
        KeyboardInterrupt.
        """
        link = self._started()
        output, theirs = os.pipe()
        self._running = True
        try:
            self._send_order(link, order, theirs)
            outcome = self._follow(link, output, collected, most, attach)
            _drain(output, collected)
        except BaseException:
            if self._running:
                self._abandon(link)
            raise
        finally:
            os.close(output)
        return outcome

    def close(self) -> None:
        """Ends the launcher, and with it whatever it runs."""
        if self._link is not None:
            with suppress(OSError):
                self._link.shutdown(socket.SHUT_RDWR)
            self._link.close()
        if self._process is not None:
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._words >= 0:
            os.close(self._words)
        self._process, self._link, self._words = None, None, -1

    def _started(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._link is None:
            self._link = self._start()
        return self._link

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._words = os.memfd_create("launcher")
        with theirs:
            try:
                self._process = subprocess.Popen(
                    # -P: the working directory may be a stranger's repository. -S -s: nothing that is installed is needed.
                    [sys.executable, "-P", "-S", "-s", "-c", _START, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._words,
                    pass_fds=(theirs.fileno(),),
                    cwd="/",
                    env={"PYTHONPATH": str(Path(offline_agent.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"},
                    start_new_session=True,  # Ctrl-C is for the front, which then says what to stop
                )
            except OSError as error:
                ours.close()
                raise SandboxUnavailable(
                    f"The process that starts commands cannot be started ({error.strerror}): close other programs."
                ) from None
        return ours

    def _send_order(self, link: socket.socket, order: Order, output: int) -> None:
        content = os.memfd_create("order")
        try:
            with open(os.dup(content), "wb") as file:
                file.write(order.pack())
            os.lseek(content, 0, os.SEEK_SET)
            send(link, {"run": True}, [content, output])
        except OSError:
            raise self._died() from None
        finally:
            os.close(content)
            os.close(output)

    def _follow(
        self,
        link: socket.socket,
        output: int,
        collected: Collected,
        most: int,
        attach: Callable[[int], None] | None,
    ) -> Outcome:
        failed, stopped = "", False
        sources = select.poll()
        sources.register(link, select.POLLIN)
        sources.register(output, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in sources.poll()}
            if output in ready and not _read(output, collected):
                sources.unregister(output)  # closed, which a command may do long before it ends
            if collected.size > most and not stopped:
                stopped = True
                self._say(link, {"stop": "output"})
            if link.fileno() not in ready:
                continue
            message, descriptors = self._received(link)
            if "listener" in message:
                _hand_over(descriptors, attach)
            failed = str(message.get("failed", failed))
            if "ended" in message:
                return self._ended(message, failed)

    def _ended(self, message: dict[str, Any], failed: str) -> Outcome:
        self._running = False
        unable = failed or ("" if message["started"] else "it could not be set up")
        return Outcome(int(message["ended"]), str(message["why"]), unable)

    def _abandon(self, link: socket.socket) -> None:
        """Ends the command whose outcome nobody waits for. Should that be interrupted too, the launcher goes, and all with it."""
        try:
            send(link, {"stop": "user"})
            link.settimeout(PATIENCE)
            while True:
                message, descriptors = self._received(link)
                for descriptor in descriptors:
                    os.close(descriptor)
                if "ended" in message:
                    link.settimeout(None)
                    return
        except (OSError, SandboxUnavailable, KeyboardInterrupt):
            pass
        self.close()

    def _say(self, link: socket.socket, message: dict[str, Any]) -> None:
        try:
            send(link, message)
        except OSError:
            raise self._died() from None

    def _received(self, link: socket.socket) -> tuple[dict[str, Any], list[int]]:
        received = receive(link)
        if received is None:
            raise self._died()
        return received

    def _died(self) -> SandboxUnavailable:
        words = os.pread(self._words, _CHUNK, 0).decode("utf-8", "replace").strip().split("\n")[-1][:_LONGEST_WORDS]
        why = f" ({words})" if words else ""
        return SandboxUnavailable(f"The process that starts commands has ended{why}: run the command once more.")


def _hand_over(descriptors: list[int], attach: Callable[[int], None] | None) -> None:
    if attach is None:
        for descriptor in descriptors:
            os.close(descriptor)
    else:
        attach(descriptors[0])


def _read(output: int, collected: Collected) -> bool:
    """Whether there may be more."""
    data = os.read(output, _CHUNK)
    collected.add(data)
    return bool(data)


def _drain(output: int, collected: Collected) -> None:
    """What is still in the pipe; all who could write to it have ended."""
    os.set_blocking(output, False)
    with suppress(BlockingIOError):
        while _read(output, collected):
            pass
    collected.finish()
