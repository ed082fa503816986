"""What a file is called by those that import it, and which file an import means. Pure functions over paths.

src/flask/json/__init__.py   src/flask/json       a package is its directory
web/cart/index.ts            web/cart
internal/store/read.go       internal/store       Go imports directories
src/net/tls.h, tls.c         src/net/tls          one module in two files
"""

from collections.abc import Container, Iterable, Sequence
from functools import lru_cache

_LANGUAGES = {
    "python": "py pyi",
    "javascript": "js jsx mjs cjs ts tsx mts cts vue svelte",
    "c": "c h cc cpp cxx hpp hh hxx inl m mm cu cuh",
    "go": "go",
    "rust": "rs",
    "java": "java kt scala",
    "csharp": "cs",
    "ruby": "rb",
    "php": "php",
    "shell": "sh bash",
}
_FAMILIES = {ending: language for language, endings in _LANGUAGES.items() for ending in endings.split()}
_DIRECTORY_FILES = {"python": ("__init__",), "javascript": ("index",), "rust": ("mod", "lib", "main")}
_REMEMBERED = 50_000  # paths: a graph asks for the same ones over and over
_HOST_COMPONENTS = 3  # github.com/owner/name


@lru_cache(maxsize=_REMEMBERED)
def family(path: str) -> str:
    """The language of a file, one word for languages that import each other's files; empty for what is not code."""
    return _FAMILIES.get(path.rpartition("/")[2].rpartition(".")[2].lower(), "")


@lru_cache(maxsize=_REMEMBERED)
def module(path: str) -> str:
    """The path by which others import a file, from the repository's root."""
    directory, _, name = path.rpartition("/")
    stem, language = name.partition(".")[0], family(path)
    if language == "go" or stem in _DIRECTORY_FILES.get(language, ()):
        return directory
    return f"{directory}/{stem}" if directory else stem


def keys(path: str) -> list[str]:
    """What a module is looked up by: its last component, and the last two; a name such as `models` is a hundred files'."""
    if not family(path):
        return []
    parts = module(path).split("/")
    return list(dict.fromkeys(["/".join(parts[-1:]), "/".join(parts[-2:])]))


def key(target: str) -> str:
    return "/".join(target.split("/")[-2:])


def own(target: str) -> str:
    """`github.com/owner/name/internal/store` -> internal/store: the host is not a directory here."""
    parts = target.strip("/").split("/")
    return "/".join(parts[_HOST_COMPONENTS:]) if "." in parts[0] else "/".join(parts)


def root_of(target: str, path: str) -> str | None:
    """The directory from which `target` leads to the file (empty for the repository's own root); None where none does."""
    found = module(path)
    if found == target:
        return ""
    return found.removesuffix(f"/{target}") if target and found.endswith(f"/{target}") else None


def resolve(target: str, importer: str, candidates: Iterable[str], packages: Container[str]) -> list[str]:
    """The files of the module that `importer` means by `target`; empty where it is none of the candidates.

    `packages` are directories of Python packages: modules inside are not imported by their bare name, so `import typing` does
    not mean src/flask/typing.py. Of several modules the one that shares most directories with the importer is meant.
    """
    language = family(importer)
    fitting = []
    for path in candidates:
        root = root_of(target, path) if family(path) == language and path != importer else None
        if root is not None and not (language == "python" and root in packages):
            fitting.append(path)
    if not fitting:
        return []
    asking = importer.split("/")[:-1]
    best = min(fitting, key=lambda path: (-_common(asking, path.split("/")), path.count("/"), path))
    return sorted(path for path in fitting if module(path) == module(best))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return same
