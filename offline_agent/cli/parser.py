"""The grammar of the command line, and the help that teaches it."""

import argparse

from offline_agent import __version__
from offline_agent.cli import (
    ask,
    audit,
    bundle,
    chat,
    config,
    credentials,
    doctor,
    fit,
    index,
    logs,
    models,
    permissions,
    run,
    sandbox,
    search,
    servers,
    sessions,
    undo,
    vault,
)
from offline_agent.cli import map as outline

_EPILOG = """\
examples:
  offline-agent chat                                  ask about the repository you are in
  offline-agent run "fix the failing test" --allow edit --allow "bash:pytest *"
  offline-agent undo                                  take back what that changed
  offline-agent ask "Where is Session.close defined?"
  git diff | offline-agent ask "What does this touch?"
  offline-agent search "retry failed uploads" --json
  offline-agent map --tokens 2000                     what the repository rests on, file by file
  offline-agent index build                           make the whole index now, with a progress bar
  offline-agent sessions list                         what was asked here, newest first
  offline-agent chat --resume                         go on with the latest of them
  offline-agent models recommend                      which models suit this machine, and why
  offline-agent models pull qwen2.5-coder-7b          fetch one, after saying from where and how much
  offline-agent bundle create --models NAME --out F   program and models for a machine without a network
  offline-agent fit --model FILE.gguf                 whether a model fits the memory that is free
  offline-agent vault passphrase                      let a passphrase open what is stored
  offline-agent vault status                          where it is stored, what opens it, what is in it
  offline-agent logs --follow --level warning         what goes wrong, as it happens
  offline-agent sandbox verify                        what confines commands here, proved
  offline-agent doctor                                what is installed, and is it what it should be

Nothing here opens a network connection, unless a server is named in the settings, but for `models pull` and `bundle create`,
which say before where they connect; `servers` looks at this machine's own ports.
Exit codes: 0 done, 2 usage, 10 repository, 20 index, 21 storage, 30-31 embedder, 40-48 model (41 not here, 46 too big,
47 endpoint, 48 not the file it should be), 50-55 vault (51 locked, 52 wrong passphrase, 53 damaged, 55 in use), 60-64 hands
(61 denied, 62 no sandbox, 64 undo conflict), 65 a limit was reached, 70-72 pull (71 refused, 72 in use by another process),
75-77 bundle (76 not signed by that key, 77 broken), 130 stopped.
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="offline-agent",
        description="A coding agent that runs entirely on this machine.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"offline-agent {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (
        *(chat, run, undo, ask, search, outline, index, sessions, permissions, sandbox, config),
        *(models, bundle, fit, vault, audit, logs, credentials, servers, doctor),
    ):
        command.add_to(commands)
    return parser
