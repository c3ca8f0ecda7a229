"""Sessions of agents: the native event loop beside its plain Python reference, SimPy and the timeline engine.

Medians with quartile ranges; the load of the system is printed, as it decides what they are worth. SimPy and the engine
run the same graphs without a planner, and must give the same times. ``--json`` prints one document.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import simpy

from tradespace.costs.timeline import Resource, TaskTable, events
from tradespace.kernels import ISAS, time_kernel, usable_cpus
from tradespace.kernels.contract import Arrays, disagreement
from tradespace_fleet.ufo3_kernel import AgentSessions, pack

GRAPHS = 20_000
FEW = 400
STARS = 24


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--isa", choices=ISAS, default="native")
    parser.add_argument("--repetitions", type=int, default=9)
    options = parser.parse_args()
    kernel, rng = AgentSessions(options.isa), np.random.default_rng(0)
    inputs = kernel.shaped(GRAPHS, 12, rng)
    stars = inputs["out"].shape[1]
    document: dict[str, Any] = {
        "load": os.getloadavg(),
        "isa": options.isa,
        "graphs": GRAPHS,
        "stars": stars,
        "threads": {},
    }
    for threads in dict.fromkeys((1, len(usable_cpus()) or 1)):
        timing = time_kernel(kernel, inputs, threads=threads, repetitions=options.repetitions)
        document["threads"][threads] = {
            "sessions_per_s": GRAPHS / timing.median, "stars_per_s": stars / timing.median, "spread": timing.spread,
        }  # fmt: skip
    few = kernel.shaped(FEW, 12, np.random.default_rng(1))
    seconds, _ = timed(lambda: kernel.reference(few))
    document["python_stars_per_s"] = few["out"].shape[1] / seconds
    document["disagreement"] = disagreement(kernel, few)
    document["without_planner"] = peers(kernel, rng)
    if options.json:
        print(json.dumps(document))
        return 0
    print(f"load {document['load']}, isa {options.isa}, {GRAPHS:,} sessions of 6 to 12 stars, {stars:,} stars in all")
    for threads, row in document["threads"].items():
        rates = f"{row['sessions_per_s'] / 1e6:.2f} M sessions/s, {row['stars_per_s'] / 1e6:.1f} M stars/s"
        print(f"{threads} thread(s): {rates}, spread {row['spread']:.1%}")
    print(f"plain Python: {document['python_stars_per_s']:,.0f} stars/s; disagreement {document['disagreement']:g}")
    print(f"without a planner, one graph of {STARS} stars on 5 hosts, stars/s:")
    for name, rate in document["without_planner"].items():
        print(f"  {name:8} {rate:,.0f}")
    return 0


def peers(kernel: AgentSessions, rng: np.random.Generator) -> dict[str, float]:
    """Stars per second of kernel, engine and SimPy on the same sessions."""
    lines = np.argwhere(np.triu(rng.random((STARS, STARS)) < 1.5 / STARS, 1))
    host, runs = rng.integers(0, 5, STARS), 2000
    work = rng.uniform(1.0, 2.0, (runs, STARS))
    rules = {"crew": STARS, "edits": False, "lock": False}
    inputs = pack([(STARS, lines.tolist())] * runs, work.ravel(), 0.0, np.tile(host, runs), [1] * 5, **rules)  # type: ignore[arg-type]
    table = TaskTable(STARS, lines, tuple(Resource(f"h{j}") for j in range(5)))
    kernel.run(inputs)
    events(table, work, host)
    ours, native = timed(lambda: kernel.run(inputs))
    engine, found = timed(lambda: events(table, work, host))
    peer, told = timed(lambda: [simpy_run(inputs, run) for run in range(50)])
    finish = np.asarray(native)[1].reshape(runs, STARS)
    assert np.array_equal(finish, found.finish), "engine and kernel differ"
    assert np.allclose(finish[:50], told), "SimPy and kernel differ"
    return {"kernel": runs * STARS / ours, "engine": runs * STARS / engine, "SimPy": 50 * STARS / peer}


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Least seconds of three calls, and what the last one gave."""
    seconds, found = [], None
    for _ in range(3):
        began = time.perf_counter()
        found = call()
        seconds.append(time.perf_counter() - began)
    return min(seconds), found


def simpy_run(inputs: Arrays, graph: int) -> list[float]:
    """Finish times of one graph: hosts are resources, first come first served."""
    low, high = int(inputs["first"][graph]), int(inputs["first"][graph + 1])
    world = simpy.Environment()
    hosts = [simpy.Resource(world, int(k)) for k in inputs["slots"]]
    ended = [world.event() for _ in range(high - low)]
    before: list[list[Any]] = [[] for _ in ended]
    for star in range(high - low):
        for line in range(int(inputs["next"][low + star]), int(inputs["next"][low + star + 1])):
            before[int(inputs["successor"][line])].append(ended[star])
    finish = [0.0] * (high - low)

    def life(star: int) -> Any:
        yield world.all_of(before[star])
        with hosts[int(inputs["host"][low + star])].request() as slot:
            yield slot
            yield world.timeout(float(inputs["work"][low + star]))
        finish[star] = world.now
        ended[star].succeed()

    for star in range(high - low):
        world.process(life(star))
    world.run()
    return finish


if __name__ == "__main__":
    raise SystemExit(main())
