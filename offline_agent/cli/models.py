"""`offline-agent models`: which models there are, which suit this machine, and how one gets here. Each action is in a module of
its own kind."""

import argparse

from offline_agent.cli import models_advice, models_bench, models_fetch, models_keep, models_list

_DESCRIPTION = """\
The models of the catalogue, and those on this machine. A model is fetched once, checked, and kept in the model library, from
where everything works without a network. Models of your own to list go into models.toml beside config.toml."""
_EPILOG = """\
examples:
  offline-agent models recommend --task edit          the three that suit this machine best, and why
  offline-agent models pull qwen2.5-coder-7b          fetch one; first it says from where, and how much
  offline-agent models pull hub:OWNER/NAME/FILE.gguf  any other, from the hub
  offline-agent models import /media/stick            from a stick; without a path: what other programs have here
  offline-agent models default qwen2.5-coder-7b       answer with it from now on
  offline-agent ask --model qwen2.5-coder-1.5b "..."  or for one question
  offline-agent models bench --quick                  how fast and how good those here are, and which to use
  offline-agent models verify --all                   is every byte what it was

`models pull` is the only one of them that connects to anything, and a policy can forbid it ([hub] pull).
"""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "models",
        help="models: list, recommend, fetch, import, verify, measure, remove, choose",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for action in (models_list, models_advice, models_fetch, models_keep, models_bench):
        action.add_to(actions)
