"""What keeping a study costs: logging a search of 10,000 evaluations, publishing 200 plans, importing the database.

Run ``python bench/studies.py``. The time inside the log is measured within logged searches and set beside the rest of
the same search; the least of several runs counts, because a busy machine only adds. Aims: logging about 5 % of the
default search, publishing below 0.5 s, all of it with the import below 1 s.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradespace.plugins import registry
from tradespace.problem import Problem
from tradespace.search.api import make_optimizer, view_of
from tradespace.search.contract import Batch, Budget
from tradespace.search.loop import run
from tradespace.settings import Setting, bind
from tradespace.studies import Store, StudySpec
from tradespace.studies.provenance import Provenance
from tradespace.studies.publish import publish
from tradespace.studies.session import default_objectives
from tradespace.studies.writer import StudyLog


@dataclass
class Timed:
    """An observer with a clock around it."""

    log: StudyLog
    seconds: float = 0.0

    def batch(self, batch: Batch) -> None:
        started = time.perf_counter()
        self.log.batch(batch)
        self.seconds += time.perf_counter() - started


def timed(action: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = action(*arguments, **options)
    return time.perf_counter() - started, result


def searches(optimizer: str, repeats: int, store: Store) -> dict[str, float]:
    """Least seconds of the search without its log, in the log, making and closing the study, publishing it."""
    setting = Setting("llama-3.2-1b", "laptop")
    evaluator = bind(setting, registry()).evaluator
    spec = StudySpec(setting, default_objectives(evaluator), optimizer=optimizer)
    problem = Problem.of(evaluator, spec.objectives)
    view = view_of(problem, Budget())
    runs: list[dict[str, float]] = []
    for number in range(repeats):
        name = f"{optimizer}-{number}"
        stamped, provenance = timed(Provenance.of, setting, registry())
        opened, log = timed(store.create, name, spec, provenance, problem)
        clock = Timed(log)
        built = make_optimizer(optimizer, {}, view, registry())
        total, front = timed(run, problem, built, Budget(), 0, name=optimizer, observers=[clock])
        closed, _ = timed(log.finish, front, "complete")
        published, _ = timed(publish, store, name)
        runs.append(
            {
                "search": total - clock.seconds,
                "log": clock.seconds,
                "open, close": stamped + opened + closed,
                "publish 200": published,
            }
        )
    return {key: min(r[key] for r in runs) for key in runs[0]}


def import_cost(module: str, repeats: int) -> float:
    """Least processor seconds that a module adds to a process that searches anyway."""
    base = "import tradespace.problem, tradespace.search.contract, tradespace.plugins"
    before = min(processor(base) for _ in range(repeats))
    return min(processor(f"{base}, {module}") for _ in range(repeats)) - before


def processor(code: str) -> float:
    """Processor seconds of a child process."""
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--optimizers", nargs="+", default=["pgsam", "nsga2"])
    options = parser.parse_args()
    cost = import_cost("tradespace.studies.log, tradespace.studies.publish", options.repeats)
    print(f"import (SQLAlchemy)  {cost * 1e3:7.0f} ms")
    for optimizer in options.optimizers:
        with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "studies.db") as store:
            found = searches(optimizer, options.repeats, store)
        print(f"{optimizer}: log {found['log'] / found['search']:.1%} of a search of 10,000 evaluations")
        for key, seconds in found.items():
            print(f"  {key:18} {seconds * 1e3:7.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
