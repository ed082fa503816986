"""What a command is about to change is recorded before it is changed: on the real kernel, with real commands.

Every test runs something under a watcher, puts back what was recorded, and has the tree as it was.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offline_agent.errors import SandboxUnavailable, StorageError
from offline_agent.guard.notify import why_not
from offline_agent.guard.touch import FileWatcher
from offline_agent.guard.undo import Undo
from offline_agent.settings import UndoSettings
from offline_agent.vault.memory import MemoryJournals

from .touch_driver import REPOSITORY, Watched, in_bwrap, run, snapshot, started, watched
from .trees import look

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


def _bwrap_works() -> bool:
    if shutil.which("bwrap") is None:
        return False
    return subprocess.run(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], check=False).returncode == 0


needs_bwrap = pytest.mark.skipif(not _bwrap_works(), reason="bubblewrap, or user namespaces, are not there")
WRAPS = [pytest.param(False, id="bare"), pytest.param(True, id="bwrap", marks=needs_bwrap)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small repository, with a directory outside beside it."""
    root = tmp_path.resolve() / "root"
    (root / "dir" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root.parent / "outside").mkdir()
    for name in ("a", "b", "dir/c", "dir/deep/d"):
        (root / name).write_text(f"this is {name}\n")
    (root / "link").symlink_to("a")
    (root / "out").symlink_to(root.parent / "outside")
    (root / "dirlink").symlink_to(root / "dir")
    os.utime(root / "a", ns=(1_000_000_001, 1_000_000_001))
    return root


def undoes(root: Path, command: list[str], wrap: bool = False) -> Watched:
    """Runs it; what was recorded brings the tree back."""
    before = snapshot(root)
    result, recorder = watched(root, in_bwrap(root, *command) if wrap else command)
    assert (result.problem, result.missed) == ("", False), result.output
    assert snapshot(root) != before, f"nothing was changed: {result.output}"
    assert recorder.rebuilt() == before, result.output
    return result


def shell(line: str) -> list[str]:
    return ["bash", "-c", line]


def python(code: str) -> list[str]:
    """Python with the kernel's calls at hand: what its library has no function for, and tells which number failed."""
    head = "import os, sys, ctypes, struct, errno; from offline_agent.linux import call; AT = -100\n"
    return [sys.executable, "-c", head + textwrap.dedent(code)]


# --- tools ---

LINES = {
    "echo new > fresh": ["fresh"],
    "echo more >> a": ["a"],
    "> a": ["a"],
    "echo through > link": ["a"],
    "ln -s fresh dangling && echo made > dangling": ["dangling", "fresh"],
    "cd dir/deep && echo up > ../../b && echo up > ./../c": ["b", "dir/c"],
    "cd dirlink && echo x > deep/new && rm c": ["dir/c", "dir/deep/new"],
    "echo fd 9>>b > /dev/fd/9": ["b"],
    "cat a | tee b dir/c": ["b", "dir/c"],
    "exec 7<>a; echo overwritten >&7; echo again > /proc/self/fd/7": ["a"],
    "truncate -s 3 a": ["a"],
    "rm a && mkdir a && touch a/inside": ["a", "a/inside"],
    "rm -rf dir": ["dir", "dir/c", "dir/deep", "dir/deep/d"],
    "rm link && rmdir empty && unlink b": ["b", "empty", "link"],
    "mkdir -p one/two/three dir/deep": ["one", "one/two", "one/two/three"],
    "mv a moved": ["a", "moved"],
    "mv -f a b": ["a", "b"],
    "mv link renamed && echo x > renamed": ["a", "link", "renamed"],
    "mv -T dir empty": ["dir", "dir/c", "dir/deep", "dir/deep/d", "empty", "empty/c", "empty/deep", "empty/deep/d"],
    "mv dirlink elsewhere": ["dirlink", "elsewhere"],
    "mv dir x && mv x/deep y && echo z > y/d && mv y dir": None,
    "chmod 600 a; chmod 700 dir; chmod 711 .": [".", "a", "dir"],
    "chmod 640 link && touch -h -d @5 link": ["a", "link"],
    "touch -d @7 b dir/c": ["b", "dir/c"],
    "ln a second && echo both > second": ["a", "second"],
    "ln b x && rm b && ln -f dir/c x": None,
    "cp a copy && cp -a dir copies && cp -p b a": None,
    "mkfifo pipe && (echo x > pipe & cat pipe) && rm pipe && touch done": ["done", "pipe"],
    "sed -i s/this/that/ a b link": None,
    "printf '%s\\n' '--- a' '+++ a' '@@ -1 +1 @@' '-this is a' '+patched' | patch -p0": None,
    "tar cf x.tar a dir link && rm -r a dir && tar xf x.tar && rm x.tar && echo > a": None,
    "tar cf - dir | tar xf - -C empty": None,
    "for n in 1 2 3 4 5 6 7 8; do (echo $n > many$n; echo $n >> a; mv many$n dir/many$n) & done; wait": None,
    "echo é > 'ü b' && printf x > $'\\xff\\n'": None,
    "install -D -m 755 a new/place/tool": None,
    "cd .. && echo x > root/a && cd outside && echo y > ../root/b": ["a", "b"],
}


@pytest.mark.parametrize("line", LINES)
def test_tools(root: Path, line: str) -> None:
    seen = undoes(root, shell(line)).seen
    assert LINES[line] in (None, seen)


@needs_bwrap
def test_the_same_in_a_sandbox_with_another_root_and_proc(root: Path) -> None:
    kept = [line for line in LINES if "cd .." not in line]
    (root / "dirlink").unlink()
    (root / "dirlink").symlink_to("dir")
    work = root.parent / "work"
    for number in range(len(kept)):
        shutil.copytree(root, work / str(number), symlinks=True)
    root = work
    undoes(root, shell("\n".join(f"(cd {number}; {line})" for number, line in enumerate(kept))), wrap=True)


@needs_bwrap
def test_links_of_a_private_tmp_lead_into_the_repository(root: Path) -> None:
    line = f"ln -s {root}/dir /tmp/way && ln -s /tmp/way/c /tmp/c && echo x > /tmp/c && mkdir /tmp/way/new && echo > /tmp/own"
    assert undoes(root, shell(line), wrap=True).seen == ["dir/c", "dir/new"]


@pytest.mark.parametrize("wrap", WRAPS)
def test_what_is_outside_or_only_read_is_not_recorded(root: Path, wrap: bool) -> None:
    line = "cat a link dir/c > /dev/null 2>&1; ls -R > /dev/stdout; echo > /dev/stderr; test -w a; mkdir -p dir/deep; stat a"
    line += "; echo x > /tmp/own.$$; rm /tmp/own.$$; mkdir dir; rmdir none; rm -f none; cat < a > out/none/x; : <> /dev/null"
    before = snapshot(root)
    result, recorder = watched(root, in_bwrap(root, *shell(line)) if wrap else shell(line))
    assert (result.seen, recorder.images, result.problem, result.missed) == ([], {}, "", False)
    assert snapshot(root) == before


def test_a_link_out_of_the_repository_changes_nothing_in_it(root: Path) -> None:
    result, _ = watched(root, shell("echo x > out/file && mv out/file out/other && rm out/other"))
    assert (result.code, result.seen) == (0, [])


def test_a_move_from_and_to_outside(root: Path) -> None:
    result = undoes(root, shell("mv dir out/ && mkdir out/dir/more && mv out/dir back"))
    assert {"dir/deep/d", "back/deep/d", "back/more"} <= set(result.seen)


@pytest.mark.parametrize("wrap", WRAPS)
def test_git(root: Path, wrap: bool) -> None:
    git = "git -c user.name=a -c user.email=a@b -c init.defaultBranch=one"
    lines = [
        f"{git} init -q && {git} add . && {git} commit -qm one",
        f"{git} checkout -qb two && echo 2 > a && git rm -q b",
    ]
    lines += [
        f"{git} commit -qam two && git checkout -q one",
        "git stash -q; git merge -q two; git gc -q; git clean -fdq",
    ]
    for line in lines:
        undoes(root, shell(f"export HOME=/nowhere; {line}"), wrap)


def test_a_burst_of_two_thousand_files(root: Path) -> None:
    code = "import os\nfor n in range(2000): os.makedirs(f'm/{n % 50}', exist_ok=True); open(f'm/{n % 50}/{n}', 'w').write('x')"
    assert len(undoes(root, [sys.executable, "-c", code]).seen) == 2051


# --- single calls ---

CALLS = {
    "openat2": "call('openat2', AT, b'a\\0', struct.pack('=QQQ', os.O_WRONLY | os.O_TRUNC, 0, 0), 24)",
    "openat2 held in a directory": """
        there = os.open('dir', os.O_RDONLY); how = struct.pack('=QQQ', os.O_WRONLY | os.O_CREAT, 0o600, 0x10)
        call('openat2', there, b'/../../deep/new\\0', how, 24)
        os.symlink('/deep/d', 'dir/absolute'); os.write(call('openat2', there, b'/absolute\\0', how, 24), b'changed')
        os.symlink('../d', 'dir/deep/relative'); os.write(call('openat2', there, b'deep/relative\\0', how, 24), b'more')
        """,
    "creat": "call('creat', b'a\\0', 0o600)",
    "truncate": "os.truncate('link', 2)",
    "ftruncate": "os.ftruncate(os.open('a', os.O_WRONLY), 2)",
    "a mapping": "import mmap; f = open('a', 'r+b'); mmap.mmap(f.fileno(), 4)[0:2] = b'XX'",
    "renameat2 exchanges files": "call('renameat2', AT, b'a\\0', AT, b'b\\0', 2)",
    "renameat2 exchanges directories": "call('renameat2', AT, b'dir\\0', AT, b'empty\\0', 2); open('dir/x', 'w')",
    "renameat2 exchanges a file and a directory": "call('renameat2', AT, b'dir\\0', AT, b'a\\0', 2); open('a/c', 'w')",
    "renameat2 exchanges a directory and a link": "call('renameat2', AT, b'dir\\0', AT, b'link\\0', 2); open('link/c', 'w')",
    "O_TMPFILE and linkat by descriptor": """
        nameless = os.open('dir', os.O_TMPFILE | os.O_RDWR, 0o644); os.write(nameless, b'x')
        call('linkat', AT, f'/proc/self/fd/{nameless}'.encode(), AT, b'dir/named\\0', 0x400)
        """,
    "linkat with AT_EMPTY_PATH": """
        nameless = os.open('dir', os.O_TMPFILE | os.O_RDWR, 0o644)
        try: call('linkat', nameless, b'\\0', AT, b'named\\0', 0x1000)
        except OSError: os.link('a', 'named')
        """,
    "linkat follows": "os.link('link', 'hard', follow_symlinks=True); open('hard', 'a').write('x')",
    "a directory's descriptor": """
        there = os.open('dir', os.O_PATH); os.unlink('c', dir_fd=there); os.mkdir('new', dir_fd=there)
        os.open('../b', os.O_WRONLY | os.O_TRUNC, dir_fd=there); os.rename('deep/d', 'd', src_dir_fd=there, dst_dir_fd=there)
        os.rmdir('deep', dir_fd=there); os.symlink('x', 'y', dir_fd=there); os.mkfifo('pipe', dir_fd=there)
        """,
    "a descriptor of a directory that was moved": """
        there = os.open('dir', os.O_PATH); os.rename('dir', 'away'); os.unlink('c', dir_fd=there); os.mkdir('dir')
        """,
    "fchmod needs no descriptor to write": "os.fchmod(os.open('a', os.O_RDONLY), 0o600)",
    "fchmodat2": "call('fchmodat2', AT, b'link\\0', 0o611, 0)",
    "fchmodat2 of a descriptor": "call('fchmodat2', os.open('a', os.O_RDONLY), b'\\0', 0o611, 0x1000)",
    "utimensat without a path": "call('utimensat', os.open('a', os.O_RDONLY), None, struct.pack('=4q', 1, 2, 3, 4), 0)",
    "utimensat of a directory": "os.utime('.', (1, 1)); os.utime('b', (1, 1))",
    "futimens": "os.utime(os.open('a', os.O_RDONLY), ns=(5, 6))",
    "utime": "call('utime', b'a\\0', struct.pack('=2q', 1, 2))",
    "utimes": "call('utimes', b'link\\0', struct.pack('=4q', 1, 2, 3, 4))",
    "futimesat": "call('futimesat', AT, b'a\\0', struct.pack('=4q', 1, 2, 3, 4))",
    "the file of an open descriptor": "there = os.open('a', os.O_RDONLY); open(f'/proc/self/fd/{there}', 'w')",
    "by the number of the process": "there = os.open('a', os.O_RDONLY); open(f'/proc/{os.getpid()}/fd/{there}', 'w')",
    "by the thread": "there = os.open('a', os.O_RDONLY); open(f'/proc/thread-self/fd/{there}', 'w')",
    "by the current directory of /proc": "open('/proc/self/cwd/dir/../b', 'w'); os.unlink('/proc/self/cwd/a')",
    "by the root of /proc": "open('/proc/self/root' + os.path.abspath('b'), 'w')",
    "a socket": "import socket; socket.socket(socket.AF_UNIX).bind('dir/socket')",
    "the current directory goes": "os.chdir('empty'); os.rmdir('../empty')",
    "extended attributes": "os.setxattr('a', 'user.x', b'1'); os.removexattr('a', 'user.x'); os.chmod('a', 0o600)",
    "chown": "os.chown('a', -1, -1); os.chmod('a', 0o600); os.fchown(os.open('b', os.O_RDONLY), -1, -1); os.remove('b')",
    "threads": """
        import threading
        def work(n):
            for i in range(20): open(f't{n}', 'a').write(str(i)); os.rename(f't{n}', f'u{n}'); os.rename(f'u{n}', f't{n}')
            open('a', 'a').write(str(n))
        all = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        [one.start() for one in all]; [one.join() for one in all]
        """,
    "a thread with a directory of its own": """
        import threading
        def work(): call('unshare', 0x200); os.chdir('dir'); os.unlink('c')
        one = threading.Thread(target=work); one.start(); one.join()
        """,
    "processes": """
        for n in range(10):
            if not os.fork(): os.chdir('dir'); open(f'f{n}', 'w'); os.truncate('c', n); os._exit(0)
        for n in range(10): os.wait()
        """,
    "shutil": """
        import shutil; shutil.copytree('dir', 'twin'); shutil.move('twin', 'empty'); shutil.rmtree('dir')
        shutil.copy2('a', 'b'); shutil.make_archive('x', 'zip', 'empty')
        """,
}


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("name", CALLS)
def test_calls(root: Path, name: str, wrap: bool) -> None:
    if (
        f"'{name}'" in CALLS[name]
        and name in ("utime", "utimes", "futimesat", "creat")
        and os.uname().machine != "x86_64"
    ):
        pytest.skip("this machine has no such call")
    result = undoes(root, python(CALLS[name]), wrap)
    assert (result.code, result.output) == (0, "")


def test_hard_links_from_before_change_together(root: Path) -> None:
    os.link(root / "a", root / "dir" / "same")
    assert undoes(root, shell("echo x >> dir/same")).seen == ["a", "dir/same"]
    os.link(root / "b", root.parent / "outside" / "twin")
    assert undoes(root, shell("chmod 600 b")).seen == ["b"]


def test_a_file_that_must_be_new_is_not_read_when_it_is_there(root: Path) -> None:
    code = "\ntry: os.open('a', os.O_CREAT | os.O_EXCL | os.O_WRONLY)\nexcept FileExistsError: open('new', 'x')"
    assert undoes(root, python(code)).seen == ["new"]


def test_each_call_that_is_wrong_fails_as_it_would(root: Path) -> None:
    code = """
    def fails(*arguments):
        try: call(*arguments)
        except OSError as error: print(errno.errorcode[error.errno])
        else: print('done')
    fails('unlinkat', AT, 1, 0)
    fails('unlinkat', AT, -1, 0)
    fails('unlinkat', AT, b'\\0', 0)
    fails('unlinkat', 77, b'a\\0', 0)
    fails('unlinkat', AT, b'x' * 5000 + b'\\0', 0)
    fails('unlinkat', AT, b'none/x\\0', 0)
    fails('openat2', AT, b'a\\0', 1, 24)
    fails('fchmod', 77, 0)
    fails('unlinkat', AT, b'a/x\\0', 0)
    os.symlink('loop', 'loop')
    fails('truncate', b'loop\\0', 0)
    fails('truncate', b'/proc/self/fd/77\\0', 0)
    """
    expected = "EFAULT EFAULT ENOENT EBADF ENAMETOOLONG ENOENT EFAULT EBADF ENOTDIR ELOOP ENOENT"
    assert undoes(root, python(code)).output.split() == expected.split()


def test_a_handle_has_no_path_so_something_was_missed(root: Path) -> None:
    code = """
    handle = ctypes.create_string_buffer(struct.pack('=Ii', 120, 0), 128); mount = ctypes.create_string_buffer(4)
    call('name_to_handle_at', AT, b'a\\0', ctypes.addressof(handle), ctypes.addressof(mount), 0)
    try: os.write(call('open_by_handle_at', os.open('.', os.O_RDONLY), ctypes.addressof(handle), os.O_WRONLY), b'x')
    except PermissionError: pass
    """
    result, _ = watched(root, python(code))
    if result.code:
        pytest.skip(f"this file system has no handles: {result.output}")
    assert result.missed


def test_io_uring_is_not_there_since_it_changes_files_unasked(root: Path) -> None:
    code = "\ntry: call('io_uring_setup', 1, bytes(120))\nexcept OSError as error: print(error.errno)"
    assert watched(root, python(code))[0].output == f"{errno.ENOSYS}\n"


UNDONE = [
    "mv dir x && mv x/deep y && echo z > y/d && mv y dir && chmod 600 a && ln b hard && echo x > hard",
    "tar cf x.tar a dir link && rm -r a dir && tar xf x.tar && rm x.tar && sed -i s/this/that/ a link && mv -T dir empty",
    "export HOME=/nowhere; git init -q && git -c user.name=a -c user.email=b add . && printf x > $'\\xff\\n'",
]


@pytest.mark.parametrize("line", UNDONE)
def test_with_undo_the_tree_comes_back_with_the_times_of_directories(root: Path, line: str) -> None:
    before = look(root)
    undo = Undo(root, MemoryJournals(), UndoSettings())
    undo.begin("a command")
    watcher = FileWatcher(root, undo.touch, undo.touch_tree)
    code, output = run(watcher, shell(line), root)
    assert (code, output, watcher.problem) == (0, "", "")
    undo.settle(watcher.seen)
    undo.end()
    after = look(root)
    undo.undo()
    assert look(root) == before
    undo.redo()
    assert look(root) == after


# --- what goes wrong ---


class Full:
    """A record that cannot be kept."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def touch(self, path: str) -> None:
        raise self._error


def _storage_error(cause: Exception | None) -> StorageError:
    error = StorageError("The vault cannot be written. Make room on the disk.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (_storage_error(OSError(errno.ENOSPC, "full")), errno.ENOSPC),
        (_storage_error(None), errno.EIO),
        (FileNotFoundError(errno.ENOENT, "gone", "/vault"), errno.EIO),
        (ValueError("odd"), errno.EIO),
    ],
)
def test_what_cannot_be_recorded_is_not_changed(root: Path, error: Exception, number: int) -> None:
    before = snapshot(root)
    code = "\nfor act in (lambda: os.remove('a'), lambda: open('new', 'w'), lambda: os.rename('dir', 'x')):"
    code += "\n try: act()\n except OSError as error: print(error.errno)"
    watcher = FileWatcher(root, Full(error).touch, Full(error).touch)
    assert run(watcher, python(code), root) == (0, f"{number}\n" * 3)
    assert snapshot(root) == before
    assert watcher.seen == []
    assert watcher.problem.startswith("The command was kept from changing a, since")


def test_a_problem_and_what_was_seen_are_of_the_last_command(root: Path) -> None:
    errors: list[Exception] = [ValueError("odd")]

    def touch(path: str) -> None:
        if errors:
            raise errors.pop()

    watcher = FileWatcher(root, touch, touch)
    run(watcher, shell("echo > a; echo > b"), root)
    assert (watcher.seen, watcher.problem != "") == (["b"], True)
    run(watcher, shell("echo > a"), root)
    assert (watcher.seen, watcher.problem, watcher.missed) == (["a"], "", False)


def test_a_process_that_is_killed_while_it_waits(root: Path) -> None:
    """Its call is nobody's any more; the next one's is answered."""
    pids: list[int] = []

    def touch(path: str) -> None:
        if path == "a":
            pids.append(int((root / "b").read_text()))
            os.kill(pids[0], 9)

    watcher = FileWatcher(root, touch, touch)
    code, _ = run(watcher, shell("(bash -c 'echo $$ > b; exec truncate -s 0 a'); echo still > dir/c"), root)
    assert (code, len(pids), watcher.problem, watcher.seen) == (0, 1, "", ["a", "b", "dir/c"])
    assert (root / "a").read_text() == "this is a\n"


def test_without_a_watcher_a_call_fails_and_does_not_hang(root: Path) -> None:
    line = "until [ -e ../outside/go ]; do sleep 0.01; done; echo > a"
    with started(watcher := _deaf(root), shell(line), root) as process:
        watcher.detach()
        (root.parent / "outside" / "go").touch()
        output, _ = process.communicate(timeout=30)
    assert os.strerror(errno.ENOSYS) in output.decode()
    assert (root / "a").read_text() == "this is a\n"


def _deaf(root: Path) -> FileWatcher:
    return FileWatcher(root, lambda path: None, lambda path: None)


def test_a_descriptor_that_is_no_listener_is_refused(root: Path) -> None:
    watcher = _deaf(root)
    reading, writing = os.pipe()
    with pytest.raises(SandboxUnavailable):
        watcher.attach(reading)
    os.close(writing)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(reading)
    watcher.detach()


def test_a_kernel_that_cannot_ask_is_named() -> None:
    code = """
    import errno
    from pathlib import Path
    from offline_agent.guard.touch import FileWatcher
    from offline_agent.linux import *
    no_new_privileges()
    machine = this_machine()
    install(assemble([*begin(machine), *on(machine.numbers("seccomp"), refuse(errno.ENOSYS)), *end()]))
    watcher = FileWatcher(Path("/"), print, print)
    print(watcher.program, watcher.missed, watcher.problem)
    """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("b'' True This kernel cannot tell which files a command is about to change")


# --- another user, and chance ---


def _python_for_all() -> str | None:
    """An interpreter that a user without rights can start, and that is new enough."""
    for name in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        probe = [
            name,
            "-c",
            "import sys; sys.path[:0] = [sys.argv[1]]; import offline_agent.linux, tomllib",
            str(REPOSITORY),
        ]
        try:
            if not subprocess.run(probe, capture_output=True, check=False, user=65534, group=65534).returncode:
                return name
        except OSError:
            continue
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("wrap", WRAPS)
def test_as_another_user(tmp_path_factory: pytest.TempPathFactory, wrap: bool) -> None:
    interpreter = _python_for_all()
    if interpreter is None:
        pytest.skip("another user can start no Python here")
    place = Path(subprocess.run(["mktemp", "-d"], check=True, capture_output=True, text=True).stdout.strip()).resolve()
    try:
        (place / "a").write_text("a")
        for path in (place, place / "a"):
            os.chown(path, 65534, 65534)
        line = "echo b > a; mkdir d; echo c > d/c; mv d e; echo x 5>>e/y > /dev/fd/5"
        driver = [interpreter, "-P", str(REPOSITORY / "tests/guard/touch_driver.py"), str(place)]
        done = subprocess.run(
            [*driver, *(["--bwrap"] if wrap else []), "--", *shell(line)],
            capture_output=True,
            text=True,
            check=False,
            user=65534,
            group=65534,
            extra_groups=[],
            cwd="/",
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told == {
            "code": 0,
            "output": "",
            "seen": ["a", "d", "d/c", "e", "e/c", "e/y"],
            "problem": "",
            "missed": False,
            "restored": True,
        }
    finally:
        shutil.rmtree(place)


NAMES = ["a", "b", "dir", "dir/c", "dir/deep", "dir/deep/d", "link", "dirlink", "empty", "new", "new/x", "dirlink/deep"]
OPERATIONS = {
    "write": "open(a, 'w').write(b)",
    "append": "open(a, 'a').write(b)",
    "remove": "os.remove(a)",
    "rmdir": "os.rmdir(a)",
    "mkdir": "os.mkdir(a)",
    "rename": "os.rename(a, b)",
    "exchange": "call('renameat2', AT, os.fsencode(a), AT, os.fsencode(b), 2)",
    "link": "os.link(a, b, follow_symlinks=False)",
    "symlink": "os.symlink(a, b)",
    "truncate": "os.truncate(a, 1)",
    "chmod": "os.chmod(a, 0o700)",
    "utime": "os.utime(a, (9, 9))",
    "rmtree": "shutil.rmtree(a)",
    "copy": "shutil.copy(a, b)",
    "tree": "shutil.copytree(a, b, symlinks=True)",
    "chdir": "os.chdir(a)",
    "home": "os.chdir(HOME)",
}
operations = st.lists(
    st.tuples(st.sampled_from(sorted(OPERATIONS)), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    min_size=5,
    max_size=40,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations)
def test_random_operations(
    tmp_path_factory: pytest.TempPathFactory, root: Path, script: list[tuple[str, str, str]]
) -> None:
    copy = tmp_path_factory.mktemp("random").resolve() / "root"
    shutil.copytree(root, copy, symlinks=True)
    (copy / "dirlink").unlink()
    (copy / "dirlink").symlink_to("dir")
    code = "\nimport shutil; HOME = os.getcwd()"
    for name, first, second in script:
        code += f"\ntry: a, b = {first!r}, {second!r}; {OPERATIONS[name]}\nexcept (OSError, shutil.Error): pass"
    before = snapshot(copy)
    result, recorder = watched(copy, python(code))
    assert (result.code, result.output, result.problem, result.missed) == (0, "", "", False)
    assert recorder.rebuilt() == before
