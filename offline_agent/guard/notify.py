"""Asked by the kernel before a call is made: seccomp's user notifications, from the side of who answers.

    the command: rename(a, b)  ->  filter: NOTIFY  ->  Listener.next()  ->  allow() or refuse()  ->  rename is made, or fails

A call that waits is not lost: when the listener is closed, each that still waits fails with ENOSYS, and so does each that would
ask from then on. Sources: seccomp(2), seccomp_unotify(2), the kernel's include/uapi/linux/seccomp.h.

This is for seeing, never for confining: what is at an address or a path can change after it was looked at and before the call is
made. The filter that refuses and the mounts are what confines.
"""

import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
from typing import NamedTuple

from offline_agent.linux import NOTIFY, call, this_machine

_GET_ACTION_AVAILABLE, _GET_NOTIFICATION_SIZES = 2, 3
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
"""struct seccomp_notif: id, thread, flags, and struct seccomp_data: number, architecture, instruction, six arguments."""
_ANSWER = struct.Struct("=QqiI")
"""struct seccomp_notif_resp: id, value, -errno, flags."""
_CONTINUE = 1
_CONTINUE_SINCE = (5, 5)
"""The kernel that can let a call go on; only its version tells."""
_READ_WRITE, _WRITE = 3, 1


def _ioctl(direction: int, number: int, size: int) -> int:
    """_IOC of the kernel's include/uapi/asm-generic/ioctl.h."""
    return direction << 30 | size << 16 | ord("!") << 8 | number


_RECEIVE = _ioctl(_READ_WRITE, 0, _NOTIFICATION.size)
_SEND = _ioctl(_READ_WRITE, 1, _ANSWER.size)
_SET_FLAGS = _ioctl(_WRITE, 4, 8)
_SYNCHRONOUS_WAKE_UP = 1

_GONE = (errno.ENOENT, errno.ESRCH)
"""The thread that asked was killed, or a signal took it out of its call."""


class Notification(NamedTuple):
    """A call that waits. `thread` is its number as this process sees it, `call` the number of the system call."""

    id: int
    thread: int
    call: int
    arguments: tuple[int, ...]


def why_not() -> str:
    """A sentence where this kernel cannot ask; empty where it can."""
    if this_machine() is None:
        return "This system has no seccomp filters that the program knows how to write."
    try:
        call("seccomp", _GET_ACTION_AVAILABLE, 0, struct.pack("=I", NOTIFY))
        sizes = _sizes()
    except OSError as error:
        return f"This kernel cannot tell which files a command is about to change (seccomp: {os.strerror(error.errno or 0)})."
    if _version(os.uname().release) < _CONTINUE_SINCE or sizes[0] < _NOTIFICATION.size or sizes[1] < _ANSWER.size:
        return "This kernel is too old to tell which files a command is about to change. Linux 5.5 and later can."
    return ""


def _sizes() -> tuple[int, int]:
    """What the kernel writes for a notification, and reads for an answer, in bytes."""
    sizes = (ctypes.c_uint16 * 3)()
    call("seccomp", _GET_NOTIFICATION_SIZES, 0, ctypes.addressof(sizes))
    return sizes[0], sizes[1]


def _version(release: str) -> tuple[int, int]:
    """(5, 5) of `5.5.0-generic`; (0, 0) of what is no release."""
    numbers = [part for part in release.split("-")[0].split(".")[:2] if part.isdecimal()]
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else (0, 0)


class Listener:
    """The descriptor that `install` returned with NEW_LISTENER; it is the listener's own, and `close` closes it.

    One thread calls `next`, `allow`, `refuse` and `close`, any other `stop`. Raises OSError where the descriptor is no listener.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)  # in another process it would keep calls waiting for good
        self._descriptor = descriptor
        self._stopped, self._stop = socket.socketpair()
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._poll.register(self._stopped, select.POLLIN)
        try:
            self._notification, self._answer = _sizes()
            # Who asks and who answers take turns on one processor: a call takes 75 microseconds rather than 170.
            fcntl.ioctl(descriptor, _SET_FLAGS, _SYNCHRONOUS_WAKE_UP)
        except OSError as error:
            if error.errno != errno.EINVAL:  # Linux 6.6 brought it
                self.stop()
                self.close()
                raise

    def next(self) -> Notification | None:
        """Waits for a call. None after `stop`, and when no process is left that could make one."""
        while True:
            events = dict(self._poll.poll())
            if self._stopped.fileno() in events or not events[self._descriptor] & select.POLLIN:
                return None
            received = bytearray(self._notification)  # the kernel takes zeros only
            try:
                fcntl.ioctl(self._descriptor, _RECEIVE, received)
            except OSError as error:
                if error.errno not in (*_GONE, errno.EINTR):
                    raise
                continue
            values = _NOTIFICATION.unpack_from(received)
            return Notification(values[0], values[1], values[3], values[6:])

    def allow(self, asked: Notification) -> None:
        """The call goes on as if nobody had asked."""
        self._send(_ANSWER.pack(asked.id, 0, 0, _CONTINUE))

    def refuse(self, asked: Notification, number: int) -> None:
        """The call fails with that error number."""
        self._send(_ANSWER.pack(asked.id, 0, -number, 0))

    def stop(self) -> None:
        """`next` returns None from here on, also where it waits, and after `close`."""
        self._stop.close()

    def close(self) -> None:
        os.close(self._descriptor)
        self._stopped.close()

    def _send(self, answer: bytes) -> None:
        while True:
            try:
                fcntl.ioctl(self._descriptor, _SEND, answer.ljust(self._answer, b"\0"))
            except InterruptedError:
                continue
            except OSError as error:
                if error.errno not in _GONE:
                    raise
            return
