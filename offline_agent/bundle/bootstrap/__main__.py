"""Where install.pyz begins. Every Python 3 must be able to read this file, to say that it is too old for the rest."""

import os
import sys

OLDEST = (3, 11)
EXIT_CODE = 75  # errors.BundleError, which cannot be imported yet


def refusal(version: "tuple[int, ...]") -> str:
    """Why a Python of that version cannot go on, in a sentence; empty where it can."""
    if tuple(version[:2]) >= OLDEST:
        return ""
    wanted, found = (".".join(str(number) for number in numbers[:2]) for numbers in (OLDEST, version))
    return (
        "offline-agent: Python " + wanted + " or later is needed, and this is " + found + ". Run it with a newer one."
    )


def isolate() -> None:
    """Starts install.pyz anew where its Python was not told to be isolated (-I). What PYTHONPATH names, which may be the directory
    that a person is in, comes before the standard library, and could hold another module of the same name as one of that."""
    archive = getattr(globals().get("__loader__"), "archive", None)
    if archive and sys.executable and not sys.flags.isolated:
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-I", archive] + sys.argv[1:])  # noqa: S606, RUF005 - for Python 3.4


def start() -> int:
    too_old = refusal(sys.version_info[:3])
    if too_old:
        sys.stderr.write(too_old + "\n")
        return EXIT_CODE
    isolate()
    from offline_agent.bundle.bootstrap.install import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(start())
