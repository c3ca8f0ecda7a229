"""Trigger scores: the native kernel against its numpy reference, and how fast flow graphs are priced.

Medians with quartile ranges; the load of the system is printed, as it decides what they are worth. ``--isa avx2`` or
``scalar`` compiles for less than this processor has, ``--json`` prints one document.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.kernel_runs import Options, by_threads, run, seconds_of

from tradespace.kernels.contract import disagreement
from tradespace.plugins import registry
from tradespace.settings import Setting, bind
from tradespace_fleet.hep_daq_kernel import TriggerScores

EVENTS = 1_000_000
DESIGNS = 100_000


def measure(options: Options) -> dict[str, Any]:
    kernel, rng = TriggerScores(options.isa), np.random.default_rng(0)
    inputs = kernel.shaped(EVENTS, 4, 41, 12, rng)
    return {
        "events": 2 * EVENTS,
        "threads": {
            n: {"events_per_s": 2 * EVENTS / t.median, "spread": t.spread}
            for n, t in by_threads(kernel, inputs, options).items()
        },
        "numpy_events_per_s": 2 * EVENTS / seconds_of(lambda: kernel.reference(inputs)),
        "disagreement": disagreement(kernel, inputs),
        "designs_per_s": _pricing(rng),
    }


def lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{document['events']:,} events of four objects"
    for threads, row in document["threads"].items():
        yield f"{threads} thread(s): {row['events_per_s'] / 1e6:.1f} M events/s, spread {row['spread']:.1%}"
    yield f"numpy: {document['numpy_events_per_s'] / 1e6:.2f} M events/s; disagreement {document['disagreement']:g}"
    yield f"pricing: {document['designs_per_s']:,.0f} designs/s of cms-pileup-200, one Monte-Carlo curve"


def _pricing(rng: np.random.Generator) -> float:
    workload = {"extends": "cms-pileup-200", "stages.l1t.ratio": [20, 1000], "stages.hlt.ratio": [10, 1000]}
    evaluator = bind(Setting(workload, "cms-daq"), registry()).evaluator
    designs = evaluator.space.sample(DESIGNS, rng)
    evaluator.price(designs.take(slice(0, 10)))  # compiles, and simulates the trigger
    return DESIGNS / seconds_of(lambda: evaluator.price(designs))


if __name__ == "__main__":
    raise SystemExit(run(str(__doc__), measure, lines))
