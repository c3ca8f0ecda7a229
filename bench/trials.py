"""Records runs of optimizers that take minutes, or need packages beyond the locked ones, for the arena's page.

    python -m bench.trials nevergrad smac optuna_gp [--seeds 5] [--evaluations 500] [--seconds 60] [--on INSTANCE ...]

Each run is one line of studies/optimizers/trials.jsonl with its front; what is there is not run again. A run ends
after the batch in which it has used ``--seconds`` of processor time: its line says how many designs were priced.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.arena.cells import TRIAL_EVALUATIONS, TRIAL_SEEDS, TRIALS, Cell
from bench.arena.instances import Instance, all_instances
from bench.arena.record import Record, Spent
from bench.arena.runner import run_ours

ROOT = Path(__file__).parents[1]
SECONDS = 60.0


@dataclass
class Limited(Record):
    """Ends the search once ``limit`` s of processor time are used: the clock on the wall would count what others do."""

    limit: float = SECONDS
    began: float = field(default_factory=time.process_time)

    @property
    def used(self) -> float:
        return time.process_time() - self.began

    def batch(self, batch: object) -> None:
        super().batch(batch)
        if self.used >= self.limit:
            raise Spent


def run(cell: Cell, instance: Instance, seconds: float) -> dict[str, Any]:
    """One line of trials.jsonl. ``seconds``: limit of processor time."""
    assert cell.evaluations is not None
    record = Limited(instance.problem, cell.evaluations, None, limit=seconds)
    with contextlib.suppress(Spent):
        run_ours(cell, instance, record)
    row = {"instance": cell.instance, "optimizer": cell.optimizer, "evaluations": cell.evaluations, "seed": cell.seed}
    row |= {"seconds": round(time.perf_counter() - record.started, 2), "cpu": round(record.used, 2)}
    return row | {"limit": seconds, "priced": record.total, "front": record.archives([])[-1].tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--seeds", type=int, default=TRIAL_SEEDS)
    parser.add_argument("--evaluations", type=int, default=TRIAL_EVALUATIONS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--on", nargs="+", choices=TRIALS, default=TRIALS)
    parser.add_argument("--out", type=Path, default=ROOT / "studies" / "optimizers" / "trials.jsonl")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    lines = arguments.out.read_text(encoding="utf-8").splitlines() if arguments.out.exists() else []
    known = {(r["instance"], r["optimizer"], r["evaluations"], r["seed"]) for r in map(json.loads, lines)}
    instances = all_instances(lambda name: name in arguments.on).instances
    for seed in range(arguments.seeds):
        for name in arguments.names:
            for instance in instances.values():
                cell = Cell(instance.name, name, arguments.evaluations, None, seed)
                if (instance.name, name, arguments.evaluations, seed) in known:
                    continue
                row = run(cell, instance, arguments.seconds)
                with arguments.out.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(row) + "\n")
                print(f"{name} on {instance.name}, seed {seed}: {row['priced']} designs, {row['cpu']} s", flush=True)


if __name__ == "__main__":
    main()
