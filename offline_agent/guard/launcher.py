"""A small process that starts the commands, so that the front is never forked: it has many threads, and the vault's key in memory.

    front                             launcher                         a child of it, which becomes the command
      run  + order, output  ------->    fork    -------------------->    session, limits, filters
      listener              <-----------------------------------------   where somebody watches
                                        looks after limits               execve
      stop: why             ------->    kills all that is left
      ended: code, why      <-------    has waited for the last of them

Messages are JSON, one to a packet, with descriptors beside them. The launcher ends, and everything with it, when the link does.
Only the standard library is imported, and what the kernel needs: it has to start in no time.
"""

import errno
import fcntl
import json
import os
import select
import signal
import socket
import sys
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from offline_agent import linux
from offline_agent.guard.keeper import SINCE as KEEPER_SINCE
from offline_agent.guard.keeper import start_keeper
from offline_agent.guard.landlock import restrict as restrict_files
from offline_agent.guard.limits import INTERVAL, Limits, Warden, descendants, take_precedence
from offline_agent.guard.limits import restrict as restrict_resources

LARGEST_MESSAGE = 1 << 16
MOST_DESCRIPTORS = 4
_SEVERAL = 10
"""Descriptors from here on are out of the way of those that a command gets by number."""
_KILLED = 128 + signal.SIGKILL


@dataclass(frozen=True)
class Order:
    """A command to start. `arguments` and `filter` (hexadecimal) are for bubblewrap, which reads them from descriptors 3 and 4 and
    writes its status to 5; without `arguments`, `rules`, where there are any, and `filter` are applied here. `watch` is the
    watcher's filter, hexadecimal too. Paths are absolute."""

    command: list[str]
    environment: dict[str, str]
    directory: str
    limits: Limits
    disk: str
    arguments: list[str] = field(default_factory=list)
    filter: str = ""
    rules: list[tuple[str, int]] = field(default_factory=list)
    watch: str = ""

    def pack(self) -> bytes:
        return json.dumps(
            {**vars(self), "limits": vars(self.limits)}
        ).encode()  # paths that are no UTF-8 have surrogates, which JSON escapes

    @classmethod
    def unpack(cls, data: bytes) -> "Order":
        values = json.loads(data)
        limits, rules = Limits(**values.pop("limits")), [(path, rights) for path, rights in values.pop("rules")]
        return cls(limits=limits, rules=rules, **values)


def send(link: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    socket.send_fds(link, [json.dumps(message).encode()], descriptors)


def receive(link: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and its descriptors, which no program that is started inherits; None when the other end is gone."""
    descriptors = array("i")
    space = socket.CMSG_LEN(MOST_DESCRIPTORS * descriptors.itemsize)
    try:
        data, beside, _, _ = link.recvmsg(
            LARGEST_MESSAGE, space, socket.MSG_CMSG_CLOEXEC
        )  # recv_fds() forgets the flag
    except ConnectionError:
        return None
    for _, _, content in beside:
        descriptors.frombytes(content)
    return (json.loads(data), descriptors.tolist()) if data else None


def main(descriptor: int) -> None:
    """Serves the link of that descriptor until it ends."""
    os.set_inheritable(descriptor, False)
    linux.reap_orphans()
    take_precedence()
    with socket.socket(fileno=descriptor) as link:
        launcher = Launcher(link)
        while (received := receive(link)) is not None:
            message, descriptors = received
            if "run" in message:
                launcher.run(*descriptors)


class Launcher:
    """Runs one command at a time."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._keeper = -1  # the end of a pipe to it, while there is one
        self._wakes, wakes = os.pipe()
        os.set_blocking(self._wakes, False)
        os.set_blocking(wakes, False)
        # Only so that select() returns at once when a child has ended.
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self, order_fd: int, output: int) -> None:
        """Runs the order in the memory file `order_fd`; what it writes goes to `output`. Both are closed here."""
        status = os.memfd_create("status")
        try:
            with open(order_fd, "rb") as file:
                order = Order.unpack(file.read())
            code, why = self._look_after(self._fork(order, output, status), order)
            send(self._link, {"ended": code, "why": why, "started": bool(why) or _has_started(order, status)})
        except OSError as error:
            send(self._link, {"failed": str(error)})
            send(self._link, {"ended": 1, "why": "", "started": False})
        finally:
            os.close(status)

    def _fork(self, order: Order, output: int, status: int) -> int:
        orders, self._keeper = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                _become(order, output, status, orders, self._link)
            except BaseException as error:  # whatever it is must not go on here as a second launcher
                with suppress(OSError):
                    send(self._link, {"failed": f"{type(error).__name__}: {error}"})
            os._exit(1)
        os.close(orders)
        os.close(output)  # or nobody would see that the command has closed it
        return child

    def _look_after(self, child: int, order: Order) -> tuple[int, str]:
        """The exit code, as a shell has it, and what ended the command if not itself."""
        warden = Warden(order.limits, os.getpid(), order.disk)
        why, code = "", None
        try:
            while code is None and not why:
                why = self._asked_to_stop(INTERVAL)
                code = _reaped(child)
                if code is None:
                    why = why or warden.broken()
        finally:
            self._end_everything()
        return (_KILLED if code is None else code), ("" if code is not None else why)

    def _asked_to_stop(self, patience: float) -> str:
        """Waits for a message or the end of a child."""
        ready, _, _ = select.select([self._link.fileno(), self._wakes], [], [], patience)
        if self._wakes in ready:
            with suppress(BlockingIOError):
                os.read(self._wakes, 512)
        if self._link.fileno() not in ready:
            return ""
        received = receive(self._link)
        if received is None:
            self._end_everything()
            sys.exit(0)
        return str(received[0].get("stop", ""))

    def _end_everything(self) -> None:
        """Kills all that descends from this process, and waits until the last of it is gone."""
        if self._keeper >= 0:
            os.close(self._keeper)
            self._keeper = -1
        end_everything()


def end_everything() -> None:
    """What is left behind by its parent is a child of ours, as of a subreaper; the end of a PID namespace's first process is the
    end of all in it."""
    while True:
        for pid in descendants(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            select.select([], [], [], 0.0005)  # they are dying
        except ChildProcessError:
            return


def _reaped(child: int) -> int | None:
    """The exit code of the child, as a shell has it; None while it runs. Others that ended are buried."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                code = os.waitstatus_to_exitcode(ended[1])
                return code if code >= 0 else 128 - code
    return None


def _has_started(order: Order, status: int) -> bool:
    """bubblewrap says how the command ended only where it came so far as to start it."""
    if not order.arguments:
        return True
    return b'"exit-code"' in os.pread(status, LARGEST_MESSAGE, 0)


# --- in the child --------------------------------------------------------------------------------------------------


def _become(order: Order, output: int, status: int, orders: int, link: socket.socket) -> None:
    """Turns this process into the command. `orders` is a pipe for a keeper. Raises OSError where the kernel refuses."""
    launcher = os.getppid()
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):  # Python ignores some of them
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    linux.die_with_parent(signal.SIGKILL)
    given = {0: os.open(os.devnull, os.O_RDONLY), 1: output, 2: output}
    command = order.command
    if order.arguments:
        given |= {
            3: _in_memory("\0".join([*order.arguments, ""])),
            4: _in_memory(bytes.fromhex(order.filter)),
            5: status,
        }
    else:
        os.chdir(order.directory)
    orders = _moved(orders)
    _place(given)
    restrict_resources(order.limits)
    linux.no_new_privileges()
    if order.rules:
        if linux.landlock_version() >= KEEPER_SINCE:
            start_keeper(launcher, orders)
        _empty_bounding_set()
        restrict_files(order.rules, linux.landlock_version())
    if order.watch:
        _listen(bytes.fromhex(order.watch), link)
    if order.rules:
        linux.install(bytes.fromhex(order.filter))
    os.execve(command[0], command, order.environment)  # noqa: S606  what is run was decided in the front


def _place(given: dict[int, int]) -> None:
    """Makes the descriptors what the command has by number. They are first moved out of one another's way."""
    moved = {number: _moved(descriptor) for number, descriptor in given.items()}
    for number, descriptor in moved.items():
        os.dup2(descriptor, number)


def _moved(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _SEVERAL)


def _in_memory(content: bytes | str) -> int:
    descriptor = os.memfd_create("order")
    os.write(descriptor, os.fsencode(content))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _empty_bounding_set() -> None:
    with suppress(PermissionError):  # who may not has no capability that could come back
        linux.drop_bounding_set()


def _listen(program: bytes, link: socket.socket) -> None:
    """Installs the watcher's filter and sends its listener to the front."""
    try:
        listener = linux.install(program, linux.NEW_LISTENER | linux.WAIT_KILLABLE)
    except OSError as error:
        if error.errno != errno.EINVAL:  # Linux before 5.19 does not know the second flag
            raise
        listener = linux.install(program, linux.NEW_LISTENER)
    send(link, {"listener": True}, [listener])
    os.close(listener)
