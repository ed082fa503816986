"""The command line: one module for each command, one exit code for each kind of failure (see errors.py)."""

import os
import sys
from collections.abc import Sequence

from offline_agent.cli.options import tell
from offline_agent.cli.parser import build_parser
from offline_agent.cli.terminal import printable
from offline_agent.errors import AgentError, Stopped


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. What goes wrong is one line on standard error, never a traceback."""
    arguments = build_parser().parse_args(argv)
    try:
        code = arguments.run(arguments)
        sys.stdout.flush()
    except AgentError as error:
        tell(printable(str(error)))
        return error.exit_code
    except KeyboardInterrupt:
        print("offline-agent: stopped.", file=sys.stderr)
        return Stopped.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`). Python would complain once more while closing standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return int(code)
