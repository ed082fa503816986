"""Variables that a shell, or what it starts, takes for more than data."""

import re


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


HARMLESS = frozenset(
    _names(
        "CI CLICOLOR CLICOLOR_FORCE COLORTERM COLUMNS DEBUG FORCE_COLOR LANG LANGUAGE LINES NO_COLOR NODE_ENV"
        " PYTHONDONTWRITEBYTECODE "
        "PYTHONHASHSEED PYTHONIOENCODING PYTHONUNBUFFERED PYTHONUTF8 RUST_BACKTRACE RUST_LOG SOURCE_DATE_EPOCH TERM TZ"
    )
)
"""Names that programs read a word or a number from."""

_HARMLESS = re.compile(r"LC_[A-Z]+")
# Where programs come from, what they load, what they run besides, and how the shell itself reads its line.
_DANGEROUS = re.compile(
    r"(BASH|LD|DYLD|GIT|GCC|PERL5?|PYTHON|RUBY|NODE|NPM|npm|JAVA|JDK|MAVEN|GRADLE|LUA|PHP|CARGO|RUST|GO|CGO|LESS|MAN|TAR|RIPGREP"
    r"|SSH|SUDO|DOCKER|GTK|QT|PIP|UV|MAKE|COMP|FPATH|Z)_?[A-Z0-9a-z_]*"
    r"|[A-Z_]*(PATH|PATHS|OPTS|OPTIONS|FLAGS|PAGER|EDITOR|BROWSER|SHELL|COMMAND|PRELOAD|HOME|STARTUP|CONFIG|PROMPT|WRAPPER|ASKPASS)"
    r"|ENV|VISUAL|IFS|PS[0-4]|GLOBIGNORE|CDPATH|EXECIGNORE|HOSTALIASES|POSIXLY_CORRECT|TMPDIR|CC|CXX|LD|AR|AS|FC|OLDPWD|PWD"
    r"|USER|LOGNAME|TERMINFO|TERMCAP|LOCPATH|NLSPATH|MALLOC_[A-Z_]*|GLIBC_[A-Z_]*|OPENSSL_[A-Z_]*|SSL_[A-Z_]*|[A-Za-z]+_proxy"
)
# A value that is given to these is not the one they have afterwards.
_MAGIC = re.compile(
    r"_|BASH.*|COMP_.*|COPROC|DIRSTACK|EPOCH.*|E?UID|FUNCNAME|GROUPS|HIST.*|HOSTNAME|LINENO|MAPFILE|OPT(ARG|IND|ERR)|PIPESTATUS|PPID"
    r"|RANDOM|READLINE_.*|REPLY|SECONDS|SHELLOPTS|SHLVL|SRANDOM|COLUMNS|LINES"
)
# These change how everything after them is read.
_READING = frozenset(
    {"IFS", "GLOBIGNORE", "CDPATH", "HOME", "PWD", "OLDPWD", "BASHOPTS", "SHELLOPTS", "POSIXLY_CORRECT", "ENV"}
)


def is_harmless(name: str) -> bool:
    return name in HARMLESS or bool(_HARMLESS.fullmatch(name))


def is_dangerous(name: str) -> bool:
    """Whether a value of it may run, load or redirect something."""
    return not is_harmless(name) and bool(_DANGEROUS.fullmatch(name))


def keeps_value(name: str) -> bool:
    """Whether a shell gives back what was assigned."""
    return not _MAGIC.fullmatch(name)


def changes_reading(name: str) -> bool:
    return name in _READING or name == "LANG" or name.startswith(("BASH", "LC_"))
