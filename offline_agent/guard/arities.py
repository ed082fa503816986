"""How wide an approval for good is: `git commit -m x` is approved as `git commit *`, never as `git *`.

Most programs do one thing, and are approved by their first word. The table has those whose first words say what they do, as
OpenCode has it, so that approvals mean the same. Some are never approved for good, because their words do not say what they do.
"""

from collections.abc import Sequence


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ARITIES: dict[int, str] = {
    2: "apt apt-get bazel brew bun bundle cargo cdk cmake composer conda consul deno docker dotnet firebase flyctl gem git "
    "go gradle helm "
    "heroku hugo ip just kubectl make meson mix mvn ng npm npx nvm nx openssl pip pip3 pipenv pnpm podman poetry pulumi pyenv rake "
    "rbenv ruff rustup sst stack swift systemctl task terraform tmux tox turbo uv vault vercel volta yarn zig",
    3: "aws az gcloud gh doctl sfdx",
}
_LONGER: dict[str, int] = dict.fromkeys(
    [
        "bun run",
        "bun x",
        "bundle exec",
        "cargo add",
        "cargo run",
        "consul kv",
        "deno task",
        "docker builder",
        "docker compose",
        "docker container",
        "docker image",
        "docker network",
        "docker volume",
        "git config",
        "git remote",
        "git stash",
        "git submodule",
        "git worktree",
        "go mod",
        "go tool",
        "ip addr",
        "ip link",
        "kubectl rollout",
        "npm exec",
        "npm init",
        "npm run",
        "npm view",
        "openssl req",
        "openssl x509",
        "pnpm dlx",
        "pnpm exec",
        "pnpm run",
        "podman container",
        "pulumi stack",
        "terraform workspace",
        "uv pip",
        "uv run",
        "yarn dlx",
        "yarn run",
        "python -m",
        "python3 -m",
        "poetry run",
        "pipenv run",
    ],
    3,
)
_WORDS = {name: count for count, names in _ARITIES.items() for name in names.split()} | _LONGER

# What they do is in their arguments, their input or their environment; or they change how the rest of the line is read.
_NEVER = frozenset(
    _names(
        "[ . alias ash awk bash bat batch at builtin busybox bun chroot chpasswd command coproc crontab curl "
        "dash dd declare deno doas ed "
        "emacs enable env eval ex exec expect export fish gawk gdb hash irb ionice jshell julia ksh let local"
        " ltrace lua mawk mapfile "
        "mount nano nawk nc ncat netcat nice node nohup nsenter osascript parallel perl php popd pushd python"
        " python2 python3 pypy3 read "
        "readarray readonly Rscript ruby rsync screen script scp sed set setpriv setsid sh shopt socat source"
        " ssh stdbuf strace su sudo "
        "telnet time timeout toybox tclsh trap typeset umount unalias unset unshare valgrind vi vim view watch wget xargs zsh"
    )
)
_NEVER_PHRASES = frozenset(
    {"git config", "git filter-branch", "git bisect", "git submodule", "npm exec", "go generate"}
)
_NEVER_PHRASES |= {
    "go run",
    "deno eval",
    "npm config",
    "docker run",
    "docker exec",
    "openssl enc",
    "make -f",
    "make -C",
}


_RUNNERS = frozenset(
    {
        "npx",
        "bundle exec",
        "bun x",
        "pipenv run",
        "pnpm dlx",
        "pnpm exec",
        "poetry run",
        "uv run",
        "yarn dlx",
        "yarn run",
    }
)
"""The word behind them is a command, which may be one of those that are never approved."""


def always_of(words: Sequence[str]) -> str:
    """The pattern that an approval for good of these words would have; empty where there should be none."""
    name = words[0]
    phrase = " ".join(words[:2])
    if (name in _NEVER and phrase not in _LONGER) or phrase in _NEVER_PHRASES or _is_no_name(name):
        return ""
    count = _WORDS.get(phrase) or _WORDS.get(name, 1)
    if (name in _RUNNERS or phrase in _RUNNERS) and words[count - 1 : count] and words[count - 1] in _NEVER:
        return ""
    if count > 1 and (len(words) < count or any(_is_no_name(word) for word in words[1:count] if word != "-m")):
        # `git`, or `git -c core.pager=x log`: too little is said to approve more than just that.
        return "" if len(words) > count - 1 else " ".join(words)
    return " ".join(words[:count]) + " *"


def _is_no_name(word: str) -> bool:
    """Options are no names, and a wildcard would be one in the pattern too."""
    return not word or word.startswith("-") or not set("*?\\\n").isdisjoint(word)
