"""Programs that the installer starts: the new Python, its pip, and the program itself."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from offline_agent.errors import BundleError

_FOREIGN = ("PIP_", "PYTHON", "VIRTUAL_ENV", "__PYVENV")


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without what would bring other code into a Python that is started, and with a pip that asks nobody."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_FOREIGN)}
    # pip reads no configuration at all then: the machine's may name an index.
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}


def run(command: Sequence[str], environ: Mapping[str, str]) -> tuple[int, str]:
    """How it ended, and all that it wrote. Raises BundleError where it cannot be started."""
    try:
        ran = subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise _unstartable(command, error) from None
    return ran.returncode, ran.stdout


def run_shown(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """How it ended; what it writes is seen, and it may ask. Raises BundleError where it cannot be started."""
    try:
        return subprocess.run(command, env=environ).returncode
    except OSError as error:
        raise _unstartable(command, error) from None


def _unstartable(command: Sequence[str], error: OSError) -> BundleError:
    return BundleError(f"{command[0]} cannot be started: {error.strerror}. Install the bundle again.")
