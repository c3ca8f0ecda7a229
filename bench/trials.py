"""Records runs of optimizers that take minutes, or need packages beyond the locked ones, for the arena's page.

    python -m bench.trials nevergrad smac optuna_gp [--seeds 5] [--evaluations 500]

Each run is one line of studies/optimizers/trials.jsonl with its front; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))


def main() -> None:
    from bench.arena.cells import TRIAL_EVALUATIONS, TRIAL_SEEDS, TRIALS, Cell
    from bench.arena.instances import all_instances
    from bench.arena.record import Record
    from bench.arena.runner import run_ours

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--seeds", type=int, default=TRIAL_SEEDS)
    parser.add_argument("--evaluations", type=int, default=TRIAL_EVALUATIONS)
    parser.add_argument("--out", type=Path, default=ROOT / "studies" / "optimizers" / "trials.jsonl")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    lines = arguments.out.read_text(encoding="utf-8").splitlines() if arguments.out.exists() else []
    known = {(r["instance"], r["optimizer"], r["evaluations"], r["seed"]) for r in map(json.loads, lines)}
    instances = all_instances(lambda name: name in TRIALS).instances
    for seed in range(arguments.seeds):
        for name in arguments.names:
            for instance in instances.values():
                cell = Cell(instance.name, name, arguments.evaluations, None, seed)
                if (instance.name, name, arguments.evaluations, seed) in known:
                    continue
                record = Record(instance.problem, arguments.evaluations, None)
                run_ours(cell, instance, record)
                row = {"instance": instance.name, "optimizer": name, "evaluations": arguments.evaluations, "seed": seed}
                row |= {"seconds": round(time.perf_counter() - record.started, 2), "priced": record.total}
                row |= {"front": record.archives([])[-1].tolist()}
                with arguments.out.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(row) + "\n")
                print(f"{name} on {instance.name}, seed {seed}: {row['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
