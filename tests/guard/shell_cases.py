"""Golden cases of shell lines: files that anyone can add to.

    $ cat .env            the line; `>` begins each further line of it
    deny                  the verdict under the default rules
      bash cat .env       what leave is asked for; a question mark before the permission where it was not understood
      read .env

The repository that they are judged in is made by `build`; `/REPOSITORY` is where it is, `/AROUND` the directory that it is in,
`/HOME` the home directory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from offline_agent.actions import Request
from offline_agent.guard.paths import Located, locate
from offline_agent.guard.permissions import decide
from offline_agent.guard.policy import Policy
from offline_agent.guard.shell import requests_of

CASES = Path(__file__).parent / "cases" / "shell"
HOME = Path("/nobody-lives-here")
_FILES = (
    *(".env", ".env.example", "README.md", "Makefile", "app.py", "setup.cfg", "notes.txt", "data.csv", "server.key"),
    *("src/app.py", "src/util.py", "src/.env", "src/deep/x.py", "tests/test_app.py", "build/out.o", "package.json"),
    ".github/workflows/ci.yml",
)


class Case(NamedTuple):
    line: str
    verdict: str
    requests: tuple[str, ...]
    name: str


def build(root: Path) -> Path:
    """A small repository."""
    for name in _FILES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n", encoding="utf-8")
    (root / "link").symlink_to("src")
    (root / "innocent.txt").symlink_to(".env")
    return root.resolve()


def place_in(root: Path, text: str) -> Located:
    return locate(root, text, HOME)


def requests(line: str, root: Path, directory: str = ".") -> tuple[Request, ...]:
    return requests_of(line, root, directory, lambda text: place_in(root, text))


def judged(line: str, root: Path) -> tuple[str, tuple[str, ...]]:
    """The verdict, and the requests as the cases write them."""
    found = requests(line.replace("/REPOSITORY", str(root)), root)
    texts = tuple(
        f"{'' if one.understood else '?'}{one.permission} {one.value}".replace("\n", "\\n")
        .replace(str(root), "/REPOSITORY")
        .replace(str(root.parent), "/AROUND")
        .replace(str(HOME), "/HOME")
        for one in found
    )
    return decide(found, Policy()).decision, texts


def show_case(line: str, verdict: str, found: tuple[str, ...]) -> str:
    first, *more = line.split("\n")
    return "\n".join([f"$ {first}", *(f"> {rest}" for rest in more), verdict, *(f"  {text}" for text in found)])


def cases() -> Iterator[Case]:
    for path in sorted(CASES.glob("*.txt")):
        for number, block in enumerate(path.read_text(encoding="utf-8").split("\n\n")[1:], 1):
            lines = block.rstrip("\n").split("\n")
            typed = [text[2:] for text in lines if text.startswith(("$ ", "> "))]
            said = [text for text in lines if not text.startswith(("$ ", "> "))]
            yield Case("\n".join(typed), said[0], tuple(text[2:] for text in said[1:]), f"{path.stem}-{number}")
