"""Shell lines against golden cases, and against bash itself."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from offline_agent.guard.arities import always_of
from tests.guard import shell_cases
from tests.guard.shell_cases import Case, requests

CASES = list(shell_cases.cases())
PIECES = (
    *(
        "aaa",
        "bbb",
        " ",
        " ",
        " ",
        ";",
        "&&",
        "||",
        "|",
        "&",
        "|&",
        "\n",
        "$(",
        ")",
        "`",
        '"',
        "'",
        "$'",
        "\\",
        "#",
        " #",
        "{ ",
        "}",
    ),
    *(
        "(",
        "((",
        "))",
        "$((",
        "<(",
        "<<E\n",
        "\nE\n",
        "<<'E'\n",
        "<<<",
        ">",
        ">>",
        "<",
        "2>&1",
        "&>",
        ">&",
        "if ",
        "then ",
        "fi",
    ),
    *(
        "else ",
        "do ",
        "done ",
        "while ",
        "for ",
        "in ",
        "case ",
        "esac",
        ";;",
        "[[ ",
        " ]]",
        "[ ",
        " ]",
        "! ",
        "time ",
        "f()",
        "f",
    ),
    *(
        "$x",
        "${x",
        "}",
        ":-",
        "x=",
        "x=aaa",
        "x+=b",
        '"$x"',
        "$@",
        "$1",
        "eval ",
        "exec ",
        "command ",
        "{a,b}",
        "{1..2}",
        "*",
        "?",
    ),
    *(
        "==",
        "=~",
        ",",
        "..",
        "\t",
        "\\\n",
        "$",
        '$"',
        "export ",
        "unset x",
        "@",
        "-",
        "%",
        "echo ",
        "env ",
        "select ",
        "^",
        '\\"',
        "\\'",
    ),
    *("function ", "coproc ", "a[0]", "1", "2", "x", "~", "trap ", "EXIT", "sh -c ", "local ", "+", "!"),
)
LINES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join)
WRAPPERS = (
    *(
        "env",
        "env -i",
        "env -u X",
        "sudo",
        "sudo -u nobody",
        "doas",
        "nice",
        "nice -n 5",
        "ionice -c 3",
        "nohup",
        "timeout 5",
    ),
    *(
        "timeout -k 1 -s KILL 5s",
        "stdbuf -oL",
        "setsid",
        "time",
        "command",
        "exec",
        "xargs",
        "xargs -n 1",
        "unshare -n",
        "chroot /x",
    ),
    *(
        "strace -f",
        "busybox",
        "find . -exec",
        "flock x",
        "eval",
        "watch",
        "watch -n 1",
        "parallel",
        "git bisect run",
        "fd -x",
        "builtin",
    ),
)
SIMPLE = (
    *(
        "cat .env",
        "rm app.py",
        "cp app.py x.py",
        "ls > out.txt",
        "git show HEAD:.env",
        "cat *.key",
        "curl https://x.example/",
    ),
    *(
        "python -c 'print(1)'",
        "cat src/app.py notes.txt",
        "sort -o out.txt app.py",
        "cat $X",
        "tee .env",
        "cat ../x",
        "find . -delete",
    ),
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shell_cases.build(tmp_path_factory.mktemp("around") / "repository")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_case(case: Case, repository: Path) -> None:
    assert shell_cases.judged(case.line, repository) == (case.verdict, case.requests)


def test_there_are_many_cases() -> None:
    assert len({case.line for case in CASES}) >= 400


@given(st.one_of(LINES, st.text(max_size=60)))
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_line_raises_or_asks_for_nothing(repository: Path, line: str) -> None:
    text = "\n".join(part for part in line.split("\n") if not part.strip(" \t").startswith("#")).strip(" \t\n")
    assert requests(line, repository) or not text


# --- against bash ---------------------------------------------------------------------------------------------------


def ran_by_bash(line: str, directory: Path, log: Path) -> list[str]:
    """The commands that bash runs, in a directory where no program can be found: it then calls a function with their words. What
    bash leaves in the background writes to the log of its own call, however late."""
    log = log.with_name(f"{log.name}-{time.monotonic_ns()}")
    noting = f"() {{ local o; printf -v o '%s\\x1f' \"$@\"; printf '%s\\x1e' \"$o\" >> '{log}'; }}"
    environment = {
        "PATH": "/nowhere",
        "HOME": str(shell_cases.HOME),
        "LC_ALL": "C.UTF-8",
        "BASH_FUNC_command_not_found_handle%%": noting,
    }
    log.write_bytes(b"")
    with subprocess.Popen(
        ["/bin/bash", "-c", line],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:  # `while aaa; do ...` goes on for ever
            os.killpg(process.pid, 9)
    words = [one.split("\x1f")[:-1] for one in log.read_text("utf-8", "replace").split("\x1e")[:-1]]
    log.unlink()
    return [" ".join(word or "''" for word in each) for each in words]


@given(LINES)
@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much])
@example("aaa\n\\\nbbb")
@example("aaa >&'$(bbb)'")
@example("aaa 2$'x'")
@example("[aaa]")
@example('aaa $"bbb"$(ccc)')
@example("aaa=={ bbb")
@example("aaa -2>&1")
@example("{1..2}-$")
@example("\\ aaa")
@example("aaa <<<$\nbbb")
@example("x='a[$(bbb)]'; echo $((x))")
@example("time x+=b aaa")
@example("aaa || # c\nbbb")
@example("1= aaa")
def test_bash_runs_nothing_that_was_not_judged(tmp_path: Path, line: str) -> None:
    place = tmp_path / "place"
    place.mkdir(exist_ok=True)
    found = requests(line, place)
    # What was not understood a person is asked about; a tilde is shown as it is written.
    assume(all(one.understood for one in found) and "=~" not in line and ":~" not in line)
    judged = {one.value for one in found if one.permission == "bash"}
    names = {value.split(" ")[0] for value in judged}
    for text in ran_by_bash(line, place, tmp_path / "log"):
        # Wildcards are judged as the files that they stand for, and shown as they are written.
        assert text in judged or (text.split(" ")[0] in names and any(set("*?[~") & set(value) for value in judged))


QUOTES = (
    lambda text: text,
    lambda text: "\\" + text if text not in "\n" else text,
    lambda text: f"'{text}'",
    lambda text: f'"{text}"',
    lambda text: f"$'{text}'",
    lambda text: f"$'\\x{ord(text):02x}'",
    lambda text: f"$'\\{ord(text):03o}'",
    lambda text: f"$'\\u{ord(text):04x}'",
    lambda text: f"{text}''",
    lambda text: f'""{text}',
    lambda text: f"{{{text},}}",
    lambda text: f"[{text}]",
    lambda text: "?",
    lambda text: f"$(printf %s {text})",
    lambda text: f"${{Q:-{text}}}",
)


@given(st.lists(st.sampled_from(QUOTES), min_size=4, max_size=4))
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_quoting_hides_a_file(repository: Path, ways: list[object]) -> None:
    word = "".join(way(letter) for way, letter in zip(ways, ".env", strict=True))  # type: ignore[operator]
    given_ = subprocess.run(
        ["/bin/bash", "-c", f"printf '%s\\n' {word}"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    assume(".env" in given_)
    found = requests(f"cat {word}", repository)
    assert not all(one.understood for one in found) or ("read", ".env") in {
        (one.permission, one.value) for one in found
    }


@pytest.mark.parametrize("line", SIMPLE)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_loses_nothing(repository: Path, wrapper: str, line: str) -> None:
    inner = {(one.permission, one.value) for one in requests(line, repository)}
    wrapped = requests(f"{wrapper} {line}", repository)
    lost = inner - {(one.permission, one.value) for one in wrapped}
    assert not lost or not all(one.understood for one in wrapped)


@given(st.lists(st.sampled_from(["sh -c", "bash -c", "sudo bash -c", "env X=1 sh -c", "eval"]), max_size=4))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_within_lines_lose_nothing(repository: Path, wrappers: list[str]) -> None:
    line = "cat .env && rm app.py"
    for wrapper in wrappers:
        quoted = line.replace("'", "'\\''")
        line = f"{wrapper} '{quoted}'"
    found = {(one.permission, one.value) for one in requests(line, repository)}
    assert {("read", ".env"), ("edit", "app.py"), ("bash", "rm app.py")} <= found


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ls\0", "control"),
        ("ls \x1b[2K", "control"),
        ("ls\r\nrm x", "control"),
        ("ls \u202e", "invisible"),
        ("ls\u200b", "invisible"),
        ("ls\u00a0x", "space"),
        ("ls\u2028rm", "line break"),
        ("ls \udc80", "UTF-8"),
        ("ls \ue000", "no screen"),
        ("ls " + "x" * 70_000, "longer"),
        ("$(" * 300 + "ls" + ")" * 300, "nested"),
        ("ls;" * 9000, "long"),
        ("echo {1..9}{1..9}{1..9}", "braces"),
        ("cat " + " ".join(f"f{number}" for number in range(2000)), "too much"),
    ],
)
def test_a_line_that_cannot_be_shown_or_bounded_is_not_understood(repository: Path, line: str, why: str) -> None:
    found = requests(line, repository)
    assert [(one.permission, one.value) for one in found] == [("bash", line), ("bash", f"bash -c {line}")]
    assert not any(one.understood for one in found)
    assert all(why in one.why for one in found)


def test_lines_within_lines_are_followed_only_so_far(repository: Path) -> None:
    line = "eval " * 20 + "ls"
    assert not all(one.understood for one in requests(line, repository))


def test_loops_within_loops_end(repository: Path) -> None:
    line = "for a in 1 2 3 4 5 6 7 8 9; do " * 8 + "ls; " + "done; " * 8
    assert not any(one.understood for one in requests(line, repository))


def test_wildcards_for_too_many_files_are_asked_about(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}.txt").touch()
    (only,) = [one for one in requests("cat *.txt", tmp_path.resolve()) if one.permission == "bash"]
    assert not only.understood


def test_paths_are_relative_to_the_directory(repository: Path) -> None:
    found = {(one.permission, one.value) for one in requests("cat .env ../app.py", repository, "src")}
    assert found >= {("read", "src/.env"), ("read", "app.py")}


def test_tree_sitter_is_loaded_when_the_first_line_is_judged() -> None:
    script = "import sys, offline_agent.guard.shell; print('tree_sitter' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


@pytest.mark.parametrize(
    ("line", "always"),
    [
        ("ls -la", "ls *"),
        ("git commit -m x", "git commit *"),
        ("git stash pop", "git stash pop *"),
        ("npm run build --fast", "npm run build *"),
        ("npm install x", "npm install *"),
        ("python -m pytest -q", "python -m pytest *"),
        ("pytest -q", "pytest *"),
        ("make test", "make test *"),
        ("gh pr view 3", "gh pr view *"),
        ("git", "git"),
        ("git -C x log", ""),
        ("python x.py", ""),
        ("sh -c ls", ""),
        ("sudo ls", ""),
        ("env ls", ""),
        ("xargs rm", ""),
        ("git config a b", ""),
        ("l* x", ""),
    ],
)
def test_how_wide_an_approval_would_be(line: str, always: str) -> None:
    assert always_of(line.split()) == always


@pytest.mark.parametrize("line", ["find . -exec ls {} +", "cat $X", "sudo ls", "bash -c ls", "X=$Y ls -l $X", "FOO=1"])
def test_there_is_no_approval_for_good_of_what_does_not_say_what_it_does(repository: Path, line: str) -> None:
    last = [one for one in requests(line, repository) if one.permission == "bash"][-1]
    assert not last.always
