"""Commands that run other commands: `sudo rm x`, `xargs grep y`, `sh -c 'ls'`, `find . -exec rm {} +`.

What is inside is judged as if it stood alone, and the wrapper is judged too. Options are those of GNU coreutils, findutils,
util-linux and of bash; one that is not known, where a command could hide behind it, makes the wrapper not understood.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from offline_agent.guard.shell_words import Word, literal

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash"})
_ASSIGNMENT = "the command has an assignment that is not known"
_FROM_INPUT = "its arguments come from its input"
_LATER = "it runs later, when what it stands for may have changed"
_UNKNOWN = "an option before the command inside is not known"


class Inner(NamedTuple):
    """A command inside another: its words, or a line that a shell reads. `fault` says why it cannot be judged whole; `here` says
    that it runs in this shell, and changes it; `directory` is where it runs, if that is somewhere else."""

    words: tuple[Word, ...] = ()
    line: str | None = None
    fault: str = ""
    here: bool = False
    later: bool = False
    directory: Word | None = None
    assignments: tuple[Word, ...] = ()


class Unwrapped(NamedTuple):
    """What is inside a command; `fault` says what of the wrapper itself is not understood. Files are looked for among its `own`
    words; None are all."""

    inners: tuple[Inner, ...] = ()
    fault: str = ""
    own: tuple[Word, ...] | None = None


class _Shape(NamedTuple):
    """`values`: options that take a value, `flags`: short options that take none, `skips`: words between the options and the
    command, `assigns`: `A=1` may stand before it, `directory`: the option that names a directory."""

    values: str = ""
    flags: str = ""
    skips: int = 0
    assigns: bool = False
    directory: str = ""
    fault: str = ""
    here: bool = False
    stops: str = ""
    """Options with which nothing is run."""


_SHAPES: dict[str, _Shape] = {
    "env": _Shape("-u --unset -C --chdir", "i0v", 0, assigns=True, directory="-C --chdir"),
    "sudo": _Shape(
        "-u --user -g --group -h --host -p --prompt -C --close-from -r --role -t --type -T --command-timeout -U --other-user "
        "-D --chdir -R --chroot",
        "AbBEHiKknNPSsv",
        assigns=True,
        directory="-D --chdir",
    ),
    "doas": _Shape("-u -C -a", "nLs"),
    "nice": _Shape("-n --adjustment", "0123456789"),
    "ionice": _Shape("-c --class -n --classdata -P --pgid -u --uid", "t"),
    "chrt": _Shape("-T --sched-runtime -P --sched-period -D --sched-deadline", "abdfiormRv", 1),
    "taskset": _Shape("", "ac", 1),
    "nohup": _Shape(),
    "timeout": _Shape("-k --kill-after -s --signal", "v", 1),
    "stdbuf": _Shape("-i --input -o --output -e --error"),
    "setsid": _Shape("", "cfw"),
    "time": _Shape("-f --format -o --output", "apqvV", assigns=True, here=True),
    "chroot": _Shape("--userspec --groups", "", 1, fault="it runs in another file system"),
    "unshare": _Shape("-R --root -w --wd -S --setuid -G --setgid --map-user --map-group --propagation", "imnpuUCTfrc"),
    "nsenter": _Shape("-t --target -S --setuid -G --setgid", "amuinpCUTrwFZe", fault="it runs in another namespace"),
    "setpriv": _Shape("--reuid --regid --groups --inh-caps --ambient-caps --bounding-set --securebits --pdeathsig"),
    "xargs": _Shape(
        "-a --arg-file -d --delimiter -E -I -L -n --max-args -P --max-procs -s --max-chars --max-lines --process-slot-var",
        "0oprtxielS",
        fault=_FROM_INPUT,
    ),
    "command": _Shape("", "p", here=True, stops="vV"),
    "builtin": _Shape(here=True),
    "exec": _Shape("-a", "cl", here=True),
    "strace": _Shape("-e -o -p -s -u -E -I -O -S -P -a -b", "cCdfFhiknqrtTvVxyzZDwY"),
    "ltrace": _Shape("-e -o -p -s -u -n -l -a -A -F -x", "cCfhirtTSLVb"),
    "valgrind": _Shape(),
    "busybox": _Shape(),
    "toybox": _Shape(),
    "fakeroot": _Shape("-l --lib --faked -s -i -b", "uv"),
    "dbus-run-session": _Shape("--config-file --dbus-daemon"),
    "caffeinate": _Shape("-t -w", "disum"),
    "proxychains": _Shape("-f", "q"),
    "catchsegv": _Shape(),
    "flock": _Shape("-w --wait --timeout -E --conflict-exit-code", "sexunFo", 1),
    "xvfb-run": _Shape(
        "-n --server-num -s --server-args -e --error-file -f --auth-file -p --xauth-protocol -w --wait", "al"
    ),
}


def unwrap(words: Sequence[Word]) -> Unwrapped | None:
    """What a command runs besides itself; None where it is no wrapper. The first word is known."""
    name = words[0].value or ""
    special = _SPECIAL.get(name) or (_shell if name in SHELLS else None)
    if special:
        return special(words)
    return _shaped(words, _SHAPES[name]) if name in _SHAPES else None


def _shaped(words: Sequence[Word], shape: _Shape) -> Unwrapped:
    at, directory, stopped = _options(words, shape)
    if at is None:
        return Unwrapped(fault=_UNKNOWN)
    if stopped:
        return Unwrapped(own=tuple(words[:1]))
    options, assignments = at, []
    while shape.assigns and at < len(words) and _is_assignment(words[at], words[0].value == "time"):
        assignments.append(words[at])
        at += 1
    at += shape.skips
    if any(word.value is None or word.pattern for word in words[:at]):
        return Unwrapped(fault=_UNKNOWN)
    if at >= len(words):
        return Unwrapped(own=tuple(words[:1]))
    inner = Inner(tuple(words[at:]), None, shape.fault, shape.here, False, directory, tuple(assignments))
    return Unwrapped((inner,), own=(*words[:options], *words[at - shape.skips : at]))


def _is_assignment(word: Word, of_shell: bool) -> bool:
    """To env and sudo, every word with `=` in it is one."""
    text = word.value if word.value is not None else word.shown
    return bool(re.match(r"[A-Za-z_]\w*(\[.*\])?\+?=", text)) if of_shell else "=" in text


def _options(words: Sequence[Word], shape: _Shape) -> tuple[int | None, Word | None, bool]:
    """Where the options end, None where that is not known; the directory that they name; whether nothing is run."""
    values = shape.values.split()
    directory = None
    at = 1
    while at < len(words):
        text = words[at].value
        if text is None or words[at].pattern:
            return None, None, False
        if text in ("--", "-") or not text.startswith("-"):
            at += text == "--" or (text == "-" and words[0].value == "env")
            break
        known, takes, value = _option(text, values, shape)
        if not known:
            return None, None, False
        if shape.stops and not set(shape.stops).isdisjoint(text):
            return at, None, True
        if takes and at + 1 < len(words):
            value, at = words[at + 1], at + 1
        if value and _named(text, shape.directory.split()):
            directory = value
        at += 1
    return at, directory, False


def _option(text: str, values: Sequence[str], shape: _Shape) -> tuple[bool, bool, Word | None]:
    """Whether an option is known; whether it takes the next word; the value that it holds itself."""
    if text.startswith("--"):
        name, equals, value = text.partition("=")
        # An option may be cut short, and one that is not known may take a value in its own word only.
        takes = any(long.startswith(name) for long in values if long.startswith("--"))
        return True, takes and not equals, literal(value) if equals else None
    for place, letter in enumerate(text[1:], 1):
        if f"-{letter}" in values:
            rest = text[place + 1 :]
            return True, not rest, literal(rest) if rest else None
        if letter not in shape.flags and letter not in shape.stops:
            return False, False, None
    return True, False, None


def _named(text: str, names: Sequence[str]) -> bool:
    name = text.partition("=")[0]
    return any(long.startswith(name) if name.startswith("--") else text.startswith(long) for long in names)


# --- lines that a shell reads --------------------------------------------------------------------------------------


def _shell(words: Sequence[Word]) -> Unwrapped:
    """`sh -c LINE`, `bash FILE`, or a shell that reads its input."""
    at, command = 1, False
    while at < len(words):
        text = words[at].value
        if text is None or words[at].pattern:
            return Unwrapped(fault=_UNKNOWN)
        if text in ("--", "-"):
            at += 1
            break
        if not text.startswith(("-", "+")):
            break
        if text.startswith("--"):
            if text in ("--rcfile", "--init-file"):
                return Unwrapped(fault="it reads a file of commands first")
        else:
            command = command or ("c" in text and text.startswith("-"))
            if "O" in text or "s" in text:
                return Unwrapped(fault="an option changes what it reads, or how")
            at += text.endswith("o")
        at += 1
    if at >= len(words):
        if any(word.value in ("--version", "--help") for word in words[1:]):
            return Unwrapped(own=tuple(words[:1]))
        return Unwrapped(fault="what it runs comes from its input")
    return _line(words, at) if command else Unwrapped()


def _line(words: Sequence[Word], at: int, *, later: bool = False) -> Unwrapped:
    """The word at a place is a line."""
    word = words[at]
    if word.value is None or word.home:
        return Unwrapped(fault="the line that it runs is not known")
    return Unwrapped((Inner(line=word.value, later=later),), own=(*words[:at], *words[at + 1 :]))


def _su(words: Sequence[Word]) -> Unwrapped:
    for at, word in enumerate(words[1:], 1):
        text = word.value
        if text is None:
            return Unwrapped(fault=_UNKNOWN)
        if text in ("-c", "--command", "--session-command") and at + 1 < len(words):
            return _line(words, at + 1)
        if text.startswith(("-c", "--c", "--s")) or (text[:1] == "-" and "c" in text and not text.startswith("--")):
            return Unwrapped(fault=_UNKNOWN)
    return Unwrapped(fault="what it runs comes from its input")


def _eval(words: Sequence[Word]) -> Unwrapped:
    rest = words[2:] if len(words) > 1 and words[1].value == "--" else words[1:]
    if any(word.value is None or word.home or word.pattern for word in rest):
        return Unwrapped(fault="the line that it runs is not known")
    return Unwrapped((Inner(line=" ".join(word.value or "" for word in rest), here=True),), own=tuple(words[:1]))


def _trap(words: Sequence[Word]) -> Unwrapped:
    rest = words[2:] if len(words) > 1 and words[1].value == "--" else words[1:]
    if not rest or rest[0].value in ("-", "", "-l", "-p") or (len(rest) == 1 and rest[0].value is not None):
        return Unwrapped(own=tuple(words[:1]))
    return _line((words[0], rest[0]), 1, later=True)


def _watch(words: Sequence[Word]) -> Unwrapped:
    """Its words are joined, and a shell reads them."""
    shape = _Shape("-n --interval", "bcdegtpwxC")
    at, _, _ = _options(words, shape)
    if at is None or any(word.value is None or word.pattern or word.home for word in words[at:]):
        return Unwrapped(fault=_UNKNOWN)
    if at >= len(words):
        return Unwrapped(own=tuple(words))
    line = " ".join(word.value or "" for word in words[at:])
    return Unwrapped((Inner(line=line), Inner(tuple(words[at:]))), own=tuple(words[:at]))


def _parallel(words: Sequence[Word]) -> Unwrapped:
    """What it runs is made of its input; the words before `:::` tell which command, where no option comes first."""
    rest = list(words[1:])
    end = next((at for at, word in enumerate(rest) if (word.value or "").startswith((":::", "::::"))), len(rest))
    if not rest[:end] or rest[0].value is None or rest[0].value.startswith("-"):
        return Unwrapped(fault=_FROM_INPUT)
    return Unwrapped((Inner(tuple(rest[:end]), fault=_FROM_INPUT),), fault=_FROM_INPUT, own=(words[0], *rest[end:]))


def _env(words: Sequence[Word]) -> Unwrapped:
    for word in words[1:]:
        text = word.value or ""
        if text.startswith(("-S", "--sp", "--s")) or (text[:1] == "-" and text[:2] != "--" and "S" in text):
            return Unwrapped(fault="it splits a text into words in its own way")
        if not text.startswith("-"):
            break
    return _shaped(words, _SHAPES["env"])


def _find(words: Sequence[Word]) -> Unwrapped:
    inners, fault = [], ""
    at = 1
    while at < len(words):
        text = words[at].value
        if text is None:
            fault = fault or "an expression is not known"
        if text in ("-exec", "-execdir", "-ok", "-okdir"):
            end = next((i for i in range(at + 1, len(words)) if _ends(words, i)), len(words))
            if end > at + 1:
                # What `{}` stands for are files below the start, one by one; denied ones are masked, but not judged here.
                inners.append(Inner(tuple(words[at + 1 : end]), fault="what it is run with is found only then"))
            at = end
        at += 1
    return Unwrapped(tuple(inners), fault)


def _ends(words: Sequence[Word], at: int) -> bool:
    return words[at].value == ";" or (words[at].value == "+" and words[at - 1].value == "{}")


def _fd(words: Sequence[Word]) -> Unwrapped | None:
    """fd, which runs what follows -x or -X."""
    for at, word in enumerate(words[1:], 1):
        if word.value in ("-x", "-X", "--exec", "--exec-batch") and at + 1 < len(words):
            return Unwrapped(
                (Inner(tuple(words[at + 1 :]), fault="what it is run with is found only then"),), own=tuple(words[:at])
            )
        text = word.value or ""
        if text.startswith("--exec") or (text[:1] == "-" and text[:2] != "--" and not set("xX").isdisjoint(text)):
            return Unwrapped(fault=_UNKNOWN)
    return None


def _git(words: Sequence[Word]) -> Unwrapped | None:
    """git, where a line of its arguments is run."""
    texts = [word.value for word in words]
    if texts[1:3] == ["submodule", "foreach"]:
        rest = [word for word in words[3:] if word.value not in ("--recursive", "--quiet", "-q")]
        if len(rest) == 1 and rest[0].value is not None:
            return Unwrapped((Inner(line=rest[0].value, fault=_LATER),), own=tuple(words[:3]))
        return Unwrapped((Inner(tuple(rest), fault=_LATER),) if rest else (), own=tuple(words[:3]))
    if texts[1:3] == ["bisect", "run"] and len(words) > 3:
        return Unwrapped((Inner(tuple(words[3:]), fault=_LATER),), own=tuple(words[:3]))
    return None


_SPECIAL: dict[str, Callable[[Sequence[Word]], Unwrapped | None]] = {
    "env": _env,
    "su": _su,
    "runuser": _su,
    "eval": _eval,
    "trap": _trap,
    "watch": _watch,
    "parallel": _parallel,
    "find": _find,
    "fd": _fd,
    "fdfind": _fd,
    "git": _git,
}
