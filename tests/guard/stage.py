"""What attempts to get out of the sandbox are made on: a home with secrets, a repository in it, another beside it, sockets, and a
process outside. Everything that must not be read holds one marker, which is another one each time.

    base/home         .ssh .aws .netrc, the vault                    @HOME@
    base/beside       another repository                             @BESIDE@
    base/repository   where commands run; git has its .env, too      @ROOT@
    base/run          sockets of services that would do anything     @RUN@
"""

import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from offline_agent.guard.protected import remove_tree
from offline_agent.linux import call

State = tuple[object, ...]
TREES = ("home", "beside", "repository")
SERVICES = ("docker.sock", "agent.sock", "bus")
_SECRETS = {
    "home": (
        *(".ssh/id_ed25519", ".aws/credentials", ".netrc", ".bash_history", ".docker/config.json"),
        *(".local/share/offline-agent/vault.db", ".config/offline-agent/config.toml"),
    ),
    "beside": ("secret.py", ".git/config"),
    "repository": (".env", "conf/prod/.env", "keys/server.key", ".env.swp"),
}
_PLAIN = {
    "README.md": "read me\n",
    "src/app.py": "print('app')\n",
    "lib/util.py": "pass\n",
    "Makefile": "all:\n\techo made\n",
    ".github/workflows/ci.yml": "on: push\n",
    ".vscode/settings.json": "{}\n",
    ".pre-commit-config.yaml": "repos: []\n",
}
# It holds the marker in its memory, put together there so that no command line has it, and in an open file.
_VICTIM = (
    "import os, sys; m = os.environ['MARKER'][:]; f = open(sys.argv[1]); print('up', flush=True); sys.stdin.read()"
)
_KEYRING, _SETPERM, _UNLINK = -4, 5, 9  # the user's own; keyctl(2)
_EVERYBODY_OF_USER = 0x3F3F0000


class Stage:
    """For the user who makes it. A context: nothing of it is left."""

    def __init__(self) -> None:
        self.marker = f"marker{secrets.token_hex(12)}"
        self.token = f"token{secrets.token_hex(6)}"
        """Which processes of an attempt have in their command line, so that they are found."""
        self._closing = ExitStack()
        self._known: dict[str, State] = {}
        self._listeners: dict[str, socket.socket] = {}
        self._key = 0

    def __enter__(self) -> "Stage":
        self.base = Path(os.path.realpath(tempfile.mkdtemp(prefix="stage-")))
        self._closing.callback(remove_tree, self.base)
        self.base.chmod(0o755)
        self.home, self.beside, self.root, self.run = (self.base / name for name in (*TREES, "run"))
        self._furnish()
        self._listen()
        self._add_key()
        self._descriptor = os.open(self.beside / "secret.py", os.O_RDONLY)
        self._closing.callback(os.close, self._descriptor)
        self.victim = self._start_victim()
        return self

    def __exit__(self, *_: object) -> None:
        self._end_victim()
        self._closing.close()

    # --- what a person would have ---

    @property
    def environ(self) -> dict[str, str]:
        """Of the person, and so of the program."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.home),
            "AWS_SECRET_ACCESS_KEY": self.marker,
            "GITHUB_TOKEN": self.marker,
            "SSH_AUTH_SOCK": str(self.run / "agent.sock"),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.run}/bus",
            "DOCKER_HOST": f"unix://{self.run}/docker.sock",
        }

    @property
    def descriptor(self) -> int:
        """Open on a secret."""
        return self._descriptor

    def words(self) -> dict[str, str]:
        """What stands for `@NAME@` in a case."""
        return {
            "HOME": str(self.home),
            "BESIDE": str(self.beside),
            "ROOT": str(self.root),
            "RUN": str(self.run),
            "BASE": str(self.base),
            "VICTIM": str(self.victim.pid),
            "TOKEN": self.token,
            "MARKER": self.marker,
            "ABSTRACT": self.token,
            "FD": str(self._descriptor),
            "TCP": str(self._listeners["tcp"].getsockname()[1]),
            "UDP": str(self._listeners["udp"].getsockname()[1]),
        }

    # --- what can be seen of it ---

    def heard(self) -> set[str]:
        """The services that somebody has reached since this was last asked."""
        reached = set()
        for name, listener in self._listeners.items():
            with suppress(BlockingIOError):
                while True:
                    if listener.type == socket.SOCK_STREAM:
                        listener.accept()[0].close()
                    else:
                        listener.recv(1 << 16)
                    reached.add(name)
        return reached

    def restore(self) -> None:
        """Makes everything as it was at first, where it is not."""
        if self.victim.poll() is not None:
            self._end_victim()
            self.victim = self._start_victim()
        self.heard()
        for name in TREES:
            if _tree(self.base / name) != self._known[name]:
                if (self.base / name).exists():
                    remove_tree(self.base / name)
                self._copy("pristine", name)

    def _copy(self, source: str, name: str) -> None:
        subprocess.run(["cp", "-a", self.base / source / name, self.base / name], check=True)
        self._known[name] = _tree(self.base / name)

    # --- how it is put up ---

    def _furnish(self) -> None:
        pristine = self.base / "pristine"
        for tree, names in _SECRETS.items():
            for name in names:
                path = pristine / tree / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{self.marker}\n")
                path.chmod(0o600)
        for name, text in _PLAIN.items():
            path = pristine / "repository" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._commit(pristine / "repository")
        for name in TREES:
            self._copy("pristine", name)

    def _commit(self, root: Path) -> None:
        """What was committed stays in git: in a commit, in a dropped stash, in a packed one."""
        line = """
            git init -q . && git add -f . && git commit -qm one && git rm -q --cached .env && git commit -qm two
            echo "$MARKER in a stash" > src/local.pem && git add -f src/local.pem && git stash -q && git stash drop -q
            printf '#!/bin/sh\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit
            ln .env src/alias; ln -s ../.env src/link; ln -s ../../beside src/beside; ln -s ../.git/hooks src/hooks
        """
        environ = {
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "a"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "a@b"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(self.base),
            "PATH": "/usr/bin:/bin",
            "MARKER": self.marker,
        }
        subprocess.run(["bash", "-ec", line], cwd=root, env=environ, check=True)

    def _listen(self) -> None:
        self.run.mkdir()
        unix = {name: str(self.run / name) for name in SERVICES} | {"abstract": f"\0{self.token}"}
        for name, address in unix.items():
            self._add(name, socket.AF_UNIX, socket.SOCK_STREAM, address)
        self._add("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        self._add("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))

    def _add(self, name: str, family: int, kind: int, address: str | tuple[str, int]) -> None:
        listener = self._closing.enter_context(socket.socket(family, kind))
        listener.bind(address)
        if kind == socket.SOCK_STREAM:
            listener.listen()
        listener.setblocking(False)
        self._listeners[name] = listener

    def _add_key(self) -> None:
        """A key of the user's, in the kernel."""
        with suppress(OSError):  # a kernel without keys, or a container without leave: the control of that case tells
            text = self.marker.encode()
            self._key = call("add_key", b"user", self.token.encode(), text, len(text), _KEYRING)
            call("keyctl", _SETPERM, self._key, _EVERYBODY_OF_USER)
            self._closing.callback(call, "keyctl", _UNLINK, self._key, _KEYRING)

    def _start_victim(self) -> "subprocess.Popen[bytes]":
        victim = subprocess.Popen(
            [shutil.which("python3", path=self.environ["PATH"]) or sys.executable, "-c", _VICTIM, "secret.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.beside,
            env={**self.environ, "MARKER": self.marker},
        )
        assert victim.stdout is not None
        victim.stdout.readline()
        return victim

    def _end_victim(self) -> None:
        self.victim.kill()
        self.victim.communicate()


def state(path: Path) -> State:
    """Everything about what is at a path that somebody could have changed."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    known = status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns
    if stat.S_ISLNK(status.st_mode):
        return *known, os.readlink(path)
    try:
        if stat.S_ISDIR(status.st_mode):
            return *known, *sorted(os.listdir(path))
        attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
        return *known, attributes, path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
    except PermissionError:
        return *known, "closed"


def _tree(top: Path) -> State:
    """Tells whether anything below has changed: no process can set a change time."""
    found: list[object] = []
    for directory, names, files in os.walk(top):
        for name in ("", *names, *files):
            status = os.lstat(os.path.join(directory, name))
            found.append((directory, name, status.st_ino, status.st_ctime_ns))
    return tuple(found)


def processes_with(text: str) -> list[int]:
    """Which processes have it in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if text.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found
