"""Trigger scores: the native kernel against its numpy reference, and how fast flow graphs are priced.

Medians with quartile ranges; the load of the system is printed, as it decides what they are worth. ``--isa avx2`` or
``scalar`` compiles for less than this processor has, ``--json`` prints one document.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

import numpy as np

from tradespace.kernels import ISAS, time_kernel, usable_cpus
from tradespace.kernels.contract import disagreement
from tradespace.plugins import registry
from tradespace.settings import Setting, bind
from tradespace_fleet.hep_daq_kernel import TriggerScores

EVENTS = 1_000_000
DESIGNS = 100_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--isa", choices=ISAS, default="native")
    parser.add_argument("--repetitions", type=int, default=9)
    options = parser.parse_args()
    kernel, rng = TriggerScores(options.isa), np.random.default_rng(0)
    inputs = kernel.shaped(EVENTS, 4, 41, 12, rng)
    document: dict[str, Any] = {"load": os.getloadavg(), "isa": options.isa, "events": 2 * EVENTS, "threads": {}}
    for threads in dict.fromkeys((1, len(usable_cpus()) or 1)):
        timing = time_kernel(kernel, inputs, threads=threads, repetitions=options.repetitions)
        document["threads"][threads] = {"events_per_s": 2 * EVENTS / timing.median, "spread": timing.spread}
    begin = time.perf_counter()
    kernel.reference(inputs)
    document["numpy_events_per_s"] = 2 * EVENTS / (time.perf_counter() - begin)
    document["disagreement"] = disagreement(kernel, inputs)
    document["designs_per_s"] = _pricing(rng)
    if options.json:
        print(json.dumps(document))
        return 0
    print(f"load {document['load']}, isa {options.isa}, {2 * EVENTS:,} events of four objects")
    for threads, row in document["threads"].items():
        print(f"{threads} thread(s): {row['events_per_s'] / 1e6:.1f} M events/s, spread {row['spread']:.1%}")
    print(f"numpy: {document['numpy_events_per_s'] / 1e6:.2f} M events/s; disagreement {document['disagreement']:g}")
    print(f"pricing: {document['designs_per_s']:,.0f} designs/s of cms-pileup-200, one Monte-Carlo curve")
    return 0


def _pricing(rng: np.random.Generator) -> float:
    workload = {"extends": "cms-pileup-200", "stages.l1t.ratio": [20, 1000], "stages.hlt.ratio": [10, 1000]}
    evaluator = bind(Setting(workload, "cms-daq"), registry()).evaluator
    designs = evaluator.space.sample(DESIGNS, rng)
    evaluator.price(designs.take(slice(0, 10)))  # compiles, and simulates the trigger
    begin = time.perf_counter()
    evaluator.price(designs)
    return DESIGNS / (time.perf_counter() - begin)


if __name__ == "__main__":
    raise SystemExit(main())
