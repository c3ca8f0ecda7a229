"""Sessions of agents: the native event loop beside its plain Python reference, SimPy and the timeline engine.

Medians with quartile ranges; the load of the system is printed, as it decides what they are worth. SimPy and the engine
run the same graphs without a planner, and must give the same times. ``--json`` prints one document.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import simpy

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.kernel_runs import Options, by_threads, run, timed

from tradespace.costs.timeline import Resource, TaskTable, events
from tradespace.kernels.contract import Arrays, disagreement
from tradespace_fleet.ufo3_kernel import AgentSessions, pack

GRAPHS = 20_000
FEW = 400
STARS = 24


def measure(options: Options) -> dict[str, Any]:
    kernel, rng = AgentSessions(options.isa), np.random.default_rng(0)
    inputs = kernel.shaped(GRAPHS, 12, rng)
    stars = inputs["out"].shape[1]
    few = kernel.shaped(FEW, 12, np.random.default_rng(1))
    return {
        "graphs": GRAPHS,
        "stars": stars,
        "threads": {
            n: {"sessions_per_s": GRAPHS / t.median, "stars_per_s": stars / t.median, "spread": t.spread}
            for n, t in by_threads(kernel, inputs, options).items()
        },
        "python_stars_per_s": few["out"].shape[1] / timed(lambda: kernel.reference(few), 3)[0].min(),
        "disagreement": disagreement(kernel, few),
        "without_planner": peers(kernel, rng),
    }


def lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{GRAPHS:,} sessions of 6 to 12 stars, {document['stars']:,} stars in all"
    for threads, row in document["threads"].items():
        rates = f"{row['sessions_per_s'] / 1e6:.2f} M sessions/s, {row['stars_per_s'] / 1e6:.1f} M stars/s"
        yield f"{threads} thread(s): {rates}, spread {row['spread']:.1%}"
    yield f"plain Python: {document['python_stars_per_s']:,.0f} stars/s; disagreement {document['disagreement']:g}"
    yield f"without a planner, one graph of {STARS} stars on 5 hosts, stars/s:"
    for name, rate in document["without_planner"].items():
        yield f"  {name:8} {rate:,.0f}"


def peers(kernel: AgentSessions, rng: np.random.Generator) -> dict[str, float]:
    """Stars per second of kernel, engine and SimPy on the same sessions."""
    edges = np.argwhere(np.triu(rng.random((STARS, STARS)) < 1.5 / STARS, 1))
    host, runs = rng.integers(0, 5, STARS), 2000
    work = rng.uniform(1.0, 2.0, (runs, STARS))
    rules = {"crew": STARS, "edits": False, "lock": False}
    inputs = pack([(STARS, edges.tolist())] * runs, work.ravel(), 0.0, np.tile(host, runs), [1] * 5, **rules)  # type: ignore[arg-type]
    table = TaskTable(STARS, edges, tuple(Resource(f"h{j}") for j in range(5)))
    kernel.run(inputs)
    events(table, work, host)
    ours, native = timed(lambda: kernel.run(inputs), 3)
    engine, found = timed(lambda: events(table, work, host), 3)
    peer, told = timed(lambda: [simpy_run(inputs, graph) for graph in range(50)], 3)
    finish = np.asarray(native)[1].reshape(runs, STARS)
    assert np.array_equal(finish, found.finish), "engine and kernel differ"
    assert np.allclose(finish[:50], told), "SimPy and kernel differ"
    stars = runs * STARS
    return {"kernel": stars / ours.min(), "engine": stars / engine.min(), "SimPy": 50 * STARS / peer.min()}


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
    raise SystemExit(run(str(__doc__), measure, lines))
