"""Imports become paths; nothing that stands in a file can make that fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.retrieval.imports import targets

STYLES = ("python", "javascript", "path", "dotted", "rust", "php", "ruby", "shell")


@pytest.mark.parametrize(
    ("style", "path", "statement", "expected"),
    [
        ("python", "x.py", "from a.b import c as d, e", ["a/b", "a/b/c", "a/b/e"]),
        ("python", "x.py", "import x.y as z, w", ["x/y", "w"]),
        ("python", "pkg/sub/mod.py", "from . import q", ["pkg/sub", "pkg/sub/q"]),
        ("python", "pkg/sub/mod.py", "from ..k import (\n  l,  # one\n  m as n,\n)", ["pkg/k", "pkg/k/l", "pkg/k/m"]),
        ("python", "pkg/__init__.py", "from .a import *", ["pkg/a"]),
        ("python", "x.py", "from a import b, \\\n  c", ["a", "a/b", "a/c"]),
        ("javascript", "src/app/x.ts", "./y.js", ["src/app/y"]),
        ("javascript", "src/app/x.ts", "../z", ["src/z"]),
        ("javascript", "src/app/x.ts", "./user.service", ["src/app/user.service"]),
        ("javascript", "src/app/x.ts", "./(group)/page", ["src/app/(group)/page"]),
        ("javascript", "src/app/x.ts", "../../../outside", []),
        ("javascript", "x.ts", "@/parts/a.vue", ["parts/a"]),
        ("javascript", "x.ts", "@scope/package/part", ["@scope/package/part"]),
        ("javascript", "src/x.js", "require('./y')", ["src/y"]),
        ("javascript", "src/x.js", "describe('./y')", []),
        ("path", "src/x.c", '"core/list.h"', ["core/list"]),
        ("path", "src/x.c", '"../a.h"', ["a"]),
        ("path", "src/x.cc", "<vector>", ["vector"]),
        ("path", "x.go", "example.com/app/store", ["example.com/app/store"]),
        ("dotted", "X.java", "import static a.b.C.d;", ["a/b/C/d"]),
        ("dotted", "X.java", "import a.b.*;", ["a/b"]),
        ("dotted", "X.cs", "using Log = App.Logging.Logger;", ["App/Logging/Logger"]),
        ("rust", "src/a/b.rs", "crate::a::b", ["a/b"]),
        ("rust", "src/a/b.rs", "super::x::Y", ["src/a/x/Y"]),
        ("rust", "src/a/b.rs", "std::{io::{self, Read as R}, fmt}", ["std/io", "std/io/Read", "std/fmt"]),
        ("rust", "src/lib.rs", "pub mod net;", ["src/net"]),
        ("rust", "src/net.rs", "mod conn;", ["src/net/conn"]),
        ("php", "src/A.php", "use A\\{B, C as D};", ["A/B", "A/C"]),
        ("php", "src/A.php", "use function A\\f;", ["A/f"]),
        ("php", "src/A.php", "require_once __DIR__ . '/x/y.php'", ["src/x/y"]),
        ("ruby", "lib/a.rb", "require_relative '../x'", ["x"]),
        ("ruby", "lib/a.rb", 'require("json/add")', ["json/add"]),
        ("ruby", "lib/a.rb", "puts 'json'", []),
        ("shell", "bin/a.sh", 'source "$(dirname "$0")/lib/x.sh"', ["lib/x"]),
        ("shell", "bin/a.sh", ". ./y.sh", ["bin/y"]),
        ("shell", "bin/a.sh", "echo x", []),
    ],
)
def test_an_import_becomes_paths(style: str, path: str, statement: str, expected: list[str]) -> None:
    assert targets(style, path, [statement]) == expected


@given(
    st.sampled_from(STYLES),
    st.lists(st.text(alphabet="abc.:/\\{}()\"'* ,;#\n=$@-", max_size=60) | st.text(max_size=40)),
)
def test_whatever_stands_there_gives_each_path_once(style: str, statements: list[str]) -> None:
    words = {"python": "from ", "rust": "use ", "php": "use ", "ruby": "require ", "shell": "source "}
    for prefix in ("", words.get(style, "")):
        found = targets(style, "dir/file.x", [prefix + statement for statement in statements])
        assert len(found) == len(set(found))
        assert not any(target.startswith("../") for target in found)
