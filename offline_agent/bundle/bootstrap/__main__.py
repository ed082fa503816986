"""Where install.pyz begins. Every Python 3 must be able to read this file, to say that it is too old for the rest."""

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


def start() -> int:
    too_old = refusal(sys.version_info[:3])
    if too_old:
        sys.stderr.write(too_old + "\n")
        return EXIT_CODE
    from offline_agent.bundle.bootstrap.install import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(start())
