"""Kills (`kill -9`) processes that work on a vault, at random moments, and looks each time whether the next start has everything.

What is killed: an index worker, somebody chatting, a blob being sealed, a change of the data key, a change of what keeps the key,
a vault being made, a database being migrated, and now and then `offline-agent index build` with the real embedder. A blow counts
as inside when it fell between the beginning and the end of one such piece of work.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from scripts.bench.crash.hunt import Hunt, Tally
from scripts.bench.crash.kinds import KINDS
from scripts.bench.crash.real import RealHunt

_REAL_SHARE = 20  # one kill in so many: it takes fifty times as long


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tallies = kill(Path(scratch), arguments.kills, arguments.seed)
    print(f"{'':<20} {'kills':>6} {'inside':>7} {'losses':>7}")
    for name, tally in (*tallies.items(), ("all", total(tallies))):
        print(f"{name:<20} {tally.kills:6} {tally.inside:7} {len(tally.losses):7}")
    for name, tally in tallies.items():
        for loss in tally.losses:
            print(f"{name}: {loss}")
    return 1 if total(tallies).losses else 0


def kill(scratch: Path, kills: int, seed: int) -> dict[str, Tally]:
    """So many blows in turn to every kind of work; the tally of each."""
    hunts: dict[str, Hunt | RealHunt] = {kind.name: Hunt(kind, scratch / kind.name, seed) for kind in KINDS}
    turns = list(hunts.values())
    real = hunts["index build"] = RealHunt(scratch / "real", seed)
    for number in range(kills):
        hunt = real if number % _REAL_SHARE == _REAL_SHARE - 1 else turns[number % len(turns)]
        hunt.kill_one()
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {kills} killed", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return {name: hunt.tally for name, hunt in hunts.items()}


def total(tallies: dict[str, Tally]) -> Tally:
    whole = Tally()
    for tally in tallies.values():
        whole.kills += tally.kills
        whole.inside += tally.inside
        whole.losses += tally.losses
    return whole


if __name__ == "__main__":
    sys.exit(main())
