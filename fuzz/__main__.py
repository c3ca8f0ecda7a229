"""Command line: `python -m fuzz [--count N] [--seed S] [reader ...]`."""

from __future__ import annotations

import argparse
import sys

from fuzz.judge import fuzz
from fuzz.targets import targets


def _say(line: str) -> None:
    print(f"\r{line}   ", end="", file=sys.stderr)


def _quiet(line: str) -> None:
    """Nobody looks."""


def main() -> int:
    """Fuzz the named targets (default: all); 1 if anything was found."""
    known = targets()
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Mutated files for every reader.")
    parser.add_argument("names", nargs="*", metavar="reader", help=", ".join(known))
    parser.add_argument("--count", type=int, help="files a reader (default: 100,000; 20,000 through other packages)")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in known]
    if unknown or (asked.count is not None and asked.count < 1):
        parser.error(f"unknown reader '{unknown[0]}'" if unknown else "--count is at least 1")
    live = sys.stderr.isatty()
    start = "\r" if live else ""
    found = 0
    print(f"{'reader':18} {'files':>8} {'workloads':>10} {'refusals':>9} {'contained':>9} {'findings':>8} {'s':>7}")
    for name in asked.names or known:
        target = known[name]
        tally = fuzz(target, asked.count or target.count, asked.seed, _say if live else _quiet)
        counts = f"{tally.files:8,} {tally.workloads:10,} {tally.refusals:9,} {tally.contained:9,}"
        print(f"{start}{name:18} {counts} {len(tally.findings):8,} {tally.seconds:7.1f}")
        for line in tally.findings:
            print(f"    {line}")
        sys.stdout.flush()
        found += len(tally.findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
