"""A definition as another language writes it: its comment, its head, some lines.

There is no source of other languages on every Python machine, so a Python definition is dressed up: name, parameters and the
docstring's first sentence stay, the rest is invented.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

HEAD = re.compile(r"(?:async )?def (\w+)\(([^()]*)\)")


@dataclass(frozen=True)
class Head:
    """What every language says of a function, each in its own way."""

    name: str
    owner: str  # the class, or empty
    parameters: tuple[str, ...]
    sentence: str

    @property
    def camel(self) -> str:
        """The name as JavaScript, Java and others write it."""
        first, *rest = self.name.strip("_").split("_")
        return first + "".join(part.capitalize() for part in rest)


Lines = list[str]
Style = Callable[[Head, random.Random], Lines]


def head_of(lines: Sequence[str], symbol: str, sentence: str) -> Head | None:
    """None where the definition is no function whose parameters can be read."""
    match = HEAD.search("\n".join(lines))
    if match is None:
        return None
    names = [part.split(":")[0].split("=")[0].strip(" *\n") for part in match[2].split(",")]
    plain = tuple(name for name in names if name.isidentifier() and name not in {"self", "cls"})
    return Head(match[1], symbol.rpartition(".")[0].rpartition(".")[2], plain, sentence)


def typed(head: Head, rng: random.Random, form: str, types: Sequence[str]) -> str:
    """The parameters with types made up, each in a `form` such as "{name}: {type}"."""
    return ", ".join(form.format(name=name, type=rng.choice(types)) for name in head.parameters)


def slashes(head: Head, mark: str = "//") -> Lines:
    """The docstring's sentence as a line comment; nothing where there is none."""
    return [f"{mark} {head.sentence}"] if head.sentence else []


def block(head: Head) -> Lines:
    """The docstring's sentence as a block comment; nothing where there is none."""
    return ["/**", f" * {head.sentence}", " */"] if head.sentence else []


def javascript(head: Head, rng: random.Random) -> Lines:
    plain = ", ".join(head.parameters)
    if head.owner:
        return [*block(head), f"{rng.choice(['', 'async ', 'static '])}{head.name}({plain}) {{"]
    forms = [
        f"function {head.name}({plain}) {{", f"export function {head.name}({plain}) {{", f"const {head.name} = ({plain}) => {{",
        f"export default async function {head.name}({plain}) {{", f"module.exports.{head.name} = function ({plain}) {{",
    ]  # fmt: skip
    return [*rng.choice([block, slashes])(head), rng.choice(forms)]


def typescript(head: Head, rng: random.Random) -> Lines:
    types = ["string", "number", "boolean", "string[]", "Options", "unknown", "Map<string, number>"]
    inside, result = (
        typed(head, rng, "{name}: {type}", types),
        rng.choice(["void", "string", "Promise<void>", "boolean"]),
    )
    if head.owner:
        return [*block(head), f"{rng.choice(['', 'private ', 'public async '])}{head.name}({inside}): {result} {{"]
    return [*block(head), f"{rng.choice(['', 'export '])}function {head.name}({inside}): {result} {{"]


def go(head: Head, rng: random.Random) -> Lines:
    types = ["string", "int", "[]byte", "error", "context.Context", "*http.Request", "map[string]int"]
    receiver = f"({head.owner[:1].lower()} *{head.owner}) " if head.owner else ""
    result = rng.choice([" error", " (int, error)", "", " string"])
    return [*slashes(head), f"func {receiver}{head.name}({typed(head, rng, '{name} {type}', types)}){result} {{"]


def rust(head: Head, rng: random.Random) -> Lines:
    types = ["&str", "u32", "usize", "Vec<u8>", "Option<String>", "&mut Self", "bool"]
    inside = ", ".join(filter(None, ["&self" if head.owner else "", typed(head, rng, "{name}: {type}", types)]))
    result = rng.choice(["", " -> Result<()>", " -> Option<String>", " -> bool"])
    return [*slashes(head, "///"), f"{rng.choice(['pub ', '', 'pub(crate) '])}fn {head.name}({inside}){result} {{"]


def java(head: Head, rng: random.Random) -> Lines:
    types = ["String", "int", "List<String>", "Object", "boolean", "Map<String, Integer>"]
    front = rng.choice(
        ["public void", "private String", "public static int", "protected boolean", "@Override public List<String>"]
    )
    return [*block(head), f"{front} {head.name}({typed(head, rng, '{type} {name}', types)}) {{"]


def c(head: Head, rng: random.Random) -> Lines:
    types = ["const char *", "int ", "size_t ", "void *", "struct node *", "double "]
    front = rng.choice(["int ", "static void ", "char *", "struct node *", "bool "])
    return [
        *rng.choice([block, slashes])(head),
        f"{front}{head.name}({typed(head, rng, '{type}{name}', types) or 'void'})",
        "{",
    ]


def cpp(head: Head, rng: random.Random) -> Lines:
    types = ["const std::string& ", "int ", "std::vector<int> ", "T&& ", "bool "]
    owner = f"{head.owner}::" if head.owner else ""
    return [
        *slashes(head, "///"),
        f"{rng.choice(['void', 'auto', 'std::string'])} {owner}{head.name}({typed(head, rng, '{type}{name}', types)}) {{",
    ]


def ruby(head: Head, rng: random.Random) -> Lines:
    return [
        *slashes(head, "#"),
        f"def {head.name}({', '.join(head.parameters)})" if head.parameters else f"def {head.name}",
    ]


LANGUAGES: dict[str, tuple[tuple[str, ...], Style]] = {
    "javascript": ((".js", ".jsx", ".mjs"), javascript), "typescript": ((".ts", ".tsx"), typescript), "go": ((".go",), go),
    "rust": ((".rs",), rust), "java": ((".java",), java), "c": ((".c", ".h"), c), "cpp": ((".cpp", ".hpp", ".cc"), cpp),
    "ruby": ((".rb",), ruby),
}  # fmt: skip


def translated(head: Head, language: str, words: Sequence[str], rng: random.Random) -> tuple[str, Lines]:
    """A file ending, and the definition's first lines."""
    endings, style = LANGUAGES[language]
    lines, end = style(head, rng), ";" if language not in ("go", "rust", "ruby") else ""
    called = ", ".join(head.parameters[:2])
    for _ in range(rng.randint(0, 4)):
        first, second = rng.choice(words), rng.choice(words)
        lines.append(
            "    "
            + rng.choice(
                [
                    f"return {first}({called}){end}",
                    f"{first}.{second}({called}){end}",
                    f"if ({first} == {second}) {{",
                    f"// {first} {second}",
                ]
            )
        )
    return rng.choice(endings), lines
