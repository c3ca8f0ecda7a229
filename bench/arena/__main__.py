"""Command line of the arena."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"  # one core a run, so that the clock compares like with like

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.arena", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--phase", choices=["evaluations", "seconds", "both"], default="both")
    parser.add_argument("--minutes", type=float, default=70.0, help="no run of equal evaluations starts later")
    parser.add_argument("--clock-minutes", type=float, default=14.0, help="the same for runs of equal time")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="instances whose name contains one of these words, comma between")
    parser.add_argument("--optimizers", default="", help='only these, comma between; "peers" for all that are not ours')
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "arena")
    parser.add_argument("--page", type=Path, default=ROOT / "studies" / "optimizers")
    parser.add_argument("--report", action="store_true", help="write the page from what has finished")
    parser.add_argument("--note", default="", help="a sentence for the top of the page")
    arguments = parser.parse_args()

    from bench.arena.cells import cells, timed
    from bench.arena.instances import all_instances
    from bench.arena.page import write
    from bench.arena.peers import PEERS
    from bench.arena.runner import run

    wanted = [name for name in arguments.optimizers.split(",") if name]
    wanted = [*wanted, *PEERS] if "peers" in wanted else wanted
    words = [word for word in arguments.only.split(",") if word]
    line = all_instances(lambda name: not words or any(word in name for word in words))
    for name, reason in line.skipped.items():
        print(f"skipped {name}: {reason}")
    phases = {
        "evaluations": (cells(line.instances, arguments.seeds), arguments.minutes),
        "seconds": (timed(line.instances, arguments.seeds), arguments.clock_minutes),
    }
    for phase, (plan, minutes) in phases.items():
        if not arguments.report and arguments.phase in (phase, "both"):
            some = [cell for cell in plan if not wanted or cell.optimizer in wanted]
            pinned = phase == "seconds"
            done, left = run(some, arguments.out, jobs=arguments.jobs, minutes=minutes, pinned=pinned)
            print(f"{phase}: {done} runs finished now, {left} left; run again to go on", flush=True)
    print(f"written: {write(arguments.out, arguments.page, line, arguments.note)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
