"""Tries, as a command would, what no command may do, and prints what succeeded as a JSON list.

Its source runs in the sandbox by itself (canaries.py): standard library only, and nothing of this package.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable


def read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def write(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b"x")


def open_for_writing(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY))


def internet(_: str) -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            socket.socket(socket.AF_INET, kind).close()
        except OSError:
            continue
        return
    raise OSError("no internet socket")


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path.replace("@", "\0", 1) if path.startswith("@") else path)


def pair(_: str) -> None:
    for end in socket.socketpair():
        end.close()


def end(pid: str) -> None:
    os.kill(int(pid), signal.SIGKILL)


def see(pid: str) -> None:
    with open(f"/proc/{pid}/environ", "rb") as file:
        file.read(1)


def variable(name: str) -> None:
    os.environ[name]


WAYS: dict[str, Callable[[str], None]] = {
    "read": read,
    "write": write,
    "open": open_for_writing,
    "internet": internet,
    "connect": connect,
    "pair": pair,
    "end": end,
    "see": see,
    "variable": variable,
}


def main(attempts: dict[str, tuple[str, str]]) -> list[str]:
    """`attempts` has a way and what it is tried on by name; returns the names that succeeded."""
    succeeded = []
    for name, (way, target) in attempts.items():
        try:
            WAYS[way](target)
        except (OSError, KeyError):
            continue
        succeeded.append(name)
    return succeeded


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
