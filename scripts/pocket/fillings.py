"""What people put into a request: files, folders, patterns, commands, steps. For the slots of the phrasings of tools."""

import random
from collections.abc import Callable

from offline_agent.agent.record import TOOLS

from .words import Words, base_form, gerund

SLOTS = {
    "path": "dir", "start": "a", "end": "b", "pattern": "pattern", "query": "query", "command": "command", "old": "old",
    "new": "new", "content": "content", "item": "item", "question": "question",
}  # fmt: skip
"""The slot that fills an argument; a path is a {dir} where the phrasing has one and else a {file}, a pattern of glob a {glob}."""

KNOWN_FILES = [
    "README.md", "pyproject.toml", "setup.py", "Makefile", "Dockerfile", ".gitignore", "package.json", "LICENSE", "setup.cfg",
    "requirements.txt", "CHANGELOG.md", "conftest.py", "Cargo.toml", "go.mod", "main.go", "index.js", "app.py", "main.py",
    "cli.py", ".env.example", "tox.ini", "docs/index.rst", "src/main.rs", "src/index.ts", "tests/conftest.py",
    "CONTRIBUTING.md", "utils.py",
]  # fmt: skip
EXTENSIONS = [".py"] * 6 + [
    ".md", ".toml", ".js", ".ts", ".tsx", ".go", ".rs", ".c", ".h", ".java", ".yml", ".yaml", ".json", ".txt", ".cfg", ".sh",
    ".html", ".css", ".rst", ".cpp", ".rb", ".sql", ".ini", ".csv",
]  # fmt: skip
KNOWN_FOLDERS = [
    "src", "tests", "docs", "lib", ".", "src/", "tests/", "./src", "scripts", "examples", "app", "build", ".github",
]  # fmt: skip
MARKS = [
    "TODO", "FIXME", "XXX", "HACK", "NOTE", "DEBUG", "noqa", "print(", "breakpoint()", "assert", "lambda", "async def", "yield",
]  # fmt: skip
COMMANDS = [
    "pytest -q", "pytest", "pytest -x {f}", "pytest {d}", "pytest -k {w}", "python {f}", "python3 {f} --{w}", "python -m {w}",
    "python -m {w} {w}", "make", "make {w}", "make {w} {w}", "git status", "git log --oneline", "git diff", "git diff {f}",
    "git show", "git branch", "git log -5", "git blame {f}", "ls -la", "ls -l {d}", "npm test", "npm run {w}", "npm install",
    "yarn {w}", "cargo build", "cargo test", "cargo run", "cargo clippy", "go test ./...", "go build ./...", "go vet",
    "ruff check .", "ruff check {d}", "ruff format {f}", "mypy {d}", "mypy {f}", "black {f}", "flake8 {d}", "pip list",
    "pip freeze", "tox", "tox -e py311", "nox -s {w}", "./scripts/{w}.sh", "bash {w}.sh", "sh {w}.sh", "./{w}", "./gradlew {w}",
    "mvn test", "cmake --build {d}", "docker ps", "docker build .", "cat {f} | wc -l", "wc -l {f}", "du -sh {d}", "df -h",
    "uname -a", "whoami", "date", "env", "pwd", "echo {w}", "which python", "tree {d}", "tail -n 20 {f}", "head -5 {f}",
    "sort {f}", "diff {f} {f}", "chmod +x {f}", "mkdir {d}", "touch {f}", "cp {f} {f}", "mv {f} {f}", "rm {f}",
    "coverage run -m pytest", "pre-commit run --all-files", "python --version", "node {f}", "ctest", "bundle exec rspec",
    "rake {w}", "just {w}",
]  # fmt: skip
STEPS = [
    "fix the {w} test", "update the {w}", "write the {w} docs", "rename {n}", "check the {w} {w}", "release the {w}",
    "add tests for {n}", "clean up {f}", "ask about the {w}", "remove the old {w}", "review {n}", "bump the version",
    "refactor {f}", "look at the {w} again",
]  # fmt: skip
ASKED = [
    "which {w} to use", "what the {w} should be", "whether to keep the {w}", "how many {w}s there are",
    "if the {w} may be removed", "which {w} they prefer", "what name the {w} gets", "where to put the {w}",
    "how the {w} should look", "whether {n} may change", "which version of {w} is meant", "what to do with the {w}",
    "who the {w} is for", "what port the {w} listens on",
]  # fmt: skip
EXPLORED = [
    "how the {w} works", "how {w}s are stored", "how {w} and {w} fit together", "where the {w} comes from",
    "why there are two {w}s", "how {g} works", "how {w} {w} is done", "what happens between {w} and {w}", "the {w} layer",
    "how errors in the {w} are handled", "how a {w} becomes a {w}", "what {n} depends on", "the way {w}s are {w}ed",
    "how the {w} {w} is structured", "the {w} code",
]  # fmt: skip
CONTENTS = [
    "hello world", "hello", "x = 1", 'print("hello")', "{w} {w}", "{w} {w} {w}", "# {w}", "import {w}", "{w}={k}",
    "version {k}", "the {w} is {w}", "{k}", "{w}: {k}", "just a test", "Hello, {w}!", "{n} = {k}", "*.{w}", "TODO",
    "this is the {w} of {w}", "print({n})", "from {w} import {n}",
]  # fmt: skip
QUERIES = [
    "{w} {w}", "{w} {w} {w}", "{g}", "{g} {w}", "{w} of the {w}", "{w} and {w}", "how to {w} the {w}", "{w}",
]  # fmt: skip
SNIPPETS = [
    "{n}", "{n}", "{w}", "{k}", "{n}()", "{w} {w}", "{n} = {k}", "True", "False", "{n}.{n}", '"{w}"', "import {w}", "{w}.{w}",
    "{k}.{k}",
]  # fmt: skip


class Fillings:
    """Makes up an argument for any slot."""

    def __init__(self, words: Words, rng: random.Random) -> None:
        self.words, self.rng = words, rng
        self._makers: dict[str, Callable[[], str]] = {
            "dir": self.folder, "file": self.file, "pattern": self.pattern, "glob": self.glob, "command": self.command,
            "query": self.query, "old": self.snippet, "new": self.snippet, "content": lambda: self.fill(rng.choice(CONTENTS)),
            "item": self.step, "question": lambda: self.fill(rng.choice(ASKED)),
        }  # fmt: skip

    def of(self, slot: str, tool: str) -> str:
        """A value for a slot in a request for `tool`."""
        if tool == "explore" and slot == "question":
            return self.fill(self.rng.choice(EXPLORED))
        return self._makers[slot]()

    def lines(self) -> tuple[str, str]:
        """The first and the last of a stretch of lines."""
        first = self.rng.randint(1, self.rng.choice([20, 200, 2000]))
        return str(first), str(first + self.rng.randint(1, 60))

    def fill(self, template: str) -> str:
        """Settle a template: {w} a word, {n} a name, {f} a file, {d} a folder, {k} a number, {g} "parsing header"."""
        makers: dict[str, Callable[[], str]] = {
            "{w}": self.word, "{n}": self.words.identifier, "{f}": self.file, "{d}": self.folder,
            "{k}": lambda: str(self.rng.randint(0, 999)), "{g}": lambda: f"{gerund(base_form(self.word()))} {self.word()}",
        }  # fmt: skip
        for slot, make in makers.items():
            while slot in template:
                template = template.replace(slot, make(), 1)
        return template

    def word(self) -> str:
        """A word of names or of docstrings."""
        return self.rng.choice(self.words.names if self.rng.random() < 0.5 else self.words.prose)

    def folder(self) -> str:
        """A folder, with or without a slash behind it."""
        if self.rng.random() < 0.3:
            return self.rng.choice(KNOWN_FOLDERS)
        path = self.words.path().rpartition("/")[0] or self.rng.choice(self.words.paths)
        return path + ("/" if self.rng.random() < 0.2 else "")

    def file(self) -> str:
        """A file, often without its folder."""
        if self.rng.random() < 0.25:
            return self.rng.choice(KNOWN_FILES)
        stem = self.words.path().removesuffix(".py")
        if self.rng.random() < 0.4:
            stem = stem.rpartition("/")[2]
        return stem + self.rng.choice(EXTENSIONS)

    def pattern(self) -> str:
        """What people grep for: a name, a mark such as TODO, or a piece of code or text."""
        rng, name = self.rng, self.words.identifier
        draw = rng.random()
        if draw < 0.3:
            return name()
        if draw < 0.5:
            return rng.choice(MARKS)
        templates = [
            "import {w}", "from {w} import", "raise {n}", "def {n}", "class {n}", "self.{n}", "{n}(", "{w} {w}", "{w}.*{w}",
            "^import", "{n} =", "except {n}", "return None", "{w}: {w}", "@{n}", "{w}-{w}", "{w}", "{w} is {w}", "os.environ",
            "localhost", "{k}", "http://", "% {w}",
        ]  # fmt: skip
        return self.fill(rng.choice(templates))

    def glob(self) -> str:
        """A pattern of paths."""
        rng = self.rng
        ending = rng.choice(EXTENSIONS)
        word = rng.choice(self.words.paths)
        folder = self.words.path().rpartition("/")[0] or "src"
        forms = [
            f"*{ending}", f"*{ending}", f"**/*{ending}", f"test_*{ending}", f"*_test{ending}", f"{folder}/**/*{ending}",
            f"{folder}/*{ending}", f"{word}*{ending}", f"*{word}*", f"{word}.*", f"*_{word}{ending}", f"**/{word}*{ending}",
            f"{word}_*.py", f"**/{word}/*",
        ]  # fmt: skip
        return rng.choice(forms)

    def command(self) -> str:
        """A command line."""
        return self.fill(self.rng.choice(COMMANDS))

    def query(self) -> str:
        """What people type into a search of code."""
        return self.fill(self.rng.choice(QUERIES))

    def snippet(self) -> str:
        """A small piece of text to replace, or to replace it with."""
        return self.fill(self.rng.choice(SNIPPETS))

    def step(self) -> str:
        """A task to remember."""
        return self.fill(self.rng.choice(STEPS))


def slots_of(tool: str, text: str) -> list[str]:
    """The slots that hold the arguments of a tool, in the order of a record; those that the phrasing leaves out are missing."""
    slots = []
    for name in TOOLS[tool]:
        slot = SLOTS[name]
        if name == "path" and "{dir}" not in text:
            slot = "file"
        if tool == "glob":
            slot = "glob"
        if "{" + slot + "}" in text:
            slots.append(slot)
    return slots
