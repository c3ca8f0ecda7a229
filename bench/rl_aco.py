"""Measurements behind studies/rl-aco-scheduling.

``python bench/rl_aco.py fleet | exact | halves | workflows | optima | proved | train``

Every measured cell is appended to a file of JSON lines (``--out``) and never measured again, so a run that was stopped
goes on; ``--minutes`` ends it earlier. The tables at the end are computed from the file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import tradespace as ts
from tradespace.plugins import registry
from tradespace.settings import Setting, bind
from tradespace_fleet.bounds import makespan_bound

Cell = dict[str, Any]
EVALUATIONS = 1000
WORKFLOW_EVALUATIONS = 1500
BARE = {"suggestions": False, "rebuild": False, "polish": False}
LISTED = ("heft", "cpop", "peft")
SEARCHES = ("rl_aco", "aco", "reinforce", "nsga2")
CAPACITY = {"cloud-fleet": 45.2e9, "edge-cloud-fleet": 322.2e9}  # operations/s of all cores
SCHEDULERS = ("schedule_search", "rl_aco", "pgsam")
MEAN_WORK = 2.75e9  # of the default task, operations
REAL = Path(__file__).parents[2] / "shared" / "data" / "wfinstances"


def stream(tasks: int, fleet: str, load: float, seed: int) -> Any:
    rate = load * CAPACITY[fleet] / MEAN_WORK
    workload = {"type": "iot_task_set", "tasks": tasks, "rate": f"{rate} Hz", "seed": seed}
    return bind(Setting(workload, fleet, "queue"), registry()).evaluator


# -- 1: equal evaluations on the substitute fleets --------------------------------------------------------------------


def fleet_cells(seeds: int) -> Iterator[Cell]:
    for seed in range(seeds):
        for tasks in (100, 500, 1000):
            for fleet in CAPACITY:
                for load in (0.3, 0.75, 0.9) if tasks == 100 else (0.75, 0.9):
                    yield {"what": "fleet", "tasks": tasks, "fleet": fleet, "load": load, "seed": seed}


def fleet(cell: Cell) -> Cell:
    """Least response and largest utilisation that each method finds in EVALUATIONS designs."""
    evaluator = stream(cell["tasks"], cell["fleet"], cell["load"], cell["seed"])
    out: Cell = {}
    for name, plan in evaluator.suggest().items():
        prices = evaluator.price(plan)
        out[name] = [float(prices["response"][0]), float(prices["utilisation"][0])]
    for name in SEARCHES:
        front = ts.search(
            evaluator, ["response", "utilisation"], optimizer=name, evaluations=EVALUATIONS, seed=cell["seed"]
        )
        out[name] = [float(front.values[:, 0].min()), float(front.values[:, 1].max())]
    return out


# -- 2: exactness -----------------------------------------------------------------------------------------------------


def exact_cells(seeds: int) -> Iterator[Cell]:
    return ({"what": "exact", "seed": seed} for seed in range(100))


def exact(cell: Cell) -> Cell:
    """At most 8 tasks on 3 nodes: brute force beside 1,500 evaluations."""
    seed = cell["seed"]
    workload = {"type": "iot_task_set", "tasks": 4 + seed % 5, "rate": "2 Hz", "seed": seed}
    evaluator = bind(Setting(workload, "processors-3", "queue"), registry()).evaluator
    everything = evaluator.space.at(np.arange(evaluator.space.size or 0))
    front = ts.search(evaluator, ["response"], optimizer="rl_aco", evaluations=1500, seed=seed)
    return {"optimum": float(evaluator.price(everything)["response"].min()), "rl_aco": float(front.values[0, 0])}


# -- 3: both halves beside each alone ---------------------------------------------------------------------------------


def halves_cells(seeds: int) -> Iterator[Cell]:
    for seed in range(seeds):
        yield from ({"what": "halves", "problem": p, "seed": seed} for p in ("stream", "workflow", "job shop", "jobs"))


def halves(cell: Cell) -> Cell:
    """Cost of the hybrid, the colony alone and the learner alone: no suggestions, every design built from nothing (as
    ant systems do), or with all that `rl_aco` does otherwise. Nothing is polished: annealed schedules hide what the
    halves are worth, the learner alone has none, and the publication knows no such step."""
    seed = cell["seed"]
    settings: Mapping[str, tuple[Any, str, str]] = {
        "stream": ({"type": "iot_task_set", "tasks": 100, "rate": "12 Hz", "seed": seed}, "cloud-fleet", "response"),
        "workflow": (_random_workflow(40, seed), "processors-4", "makespan"),
        "job shop": ({"type": "job_shop", "jobs": 6, "machines": 6, "seed": seed}, "six-machines", "makespan"),
        "jobs": ({"type": "smtwtp", "jobs": 50, "seed": seed}, "single-machine", "tardiness"),
    }
    workload, target, metric = settings[cell["problem"]]
    evaluator = bind(Setting(workload, target), registry()).evaluator
    out: Cell = {}
    for form, options in (("full", {"polish": False}), ("bare", BARE)):
        for name in SEARCHES[:3]:
            front = ts.search(
                evaluator, [metric], optimizer=name, options=options, evaluations=2000, seed=seed, batch=20
            )
            out[f"{form}.{name}"] = float(front.values[0, 0])
    return out


def _random_workflow(n: int, seed: int) -> Mapping[str, Any]:
    """A layered random graph: works ~ U(1, 20) s on the reference core, every task reads from up to three before."""
    rng = np.random.Generator(np.random.Philox(seed))
    edges = [[int(a), b, float(rng.uniform(1e6, 1e9))] for b in range(4, n)
             for a in np.unique(rng.integers(max(0, b - 12), b, 3))]  # fmt: skip
    return {"type": "task_graph", "work": (rng.uniform(1, 20, n) * 1e9).tolist(), "edges": edges}


# -- 4: workflows -----------------------------------------------------------------------------------------------------


def workflow_cells(seeds: int) -> Iterator[Cell]:
    for seed in range(min(seeds, 5)):
        for file in sorted(REAL.glob("*.json.gz"), key=lambda f: f.stat().st_size):
            for target in ("processors-3", "processors-4", "processors-8"):
                for scale in (1, 10, 100):
                    for affine in (False, True):
                        yield {"what": "workflows", "file": file.name, "target": target, "scale": scale,
                               "affine": affine, "seed": seed}  # fmt: skip


def workflows(cell: Cell) -> Cell:
    """Makespans of list schedulers and searches; data x scale stands for bandwidth / scale."""
    evaluator = _real(cell)
    plans = evaluator.suggest()
    out = {name: float(evaluator.price(plan)["makespan"][0]) for name, plan in plans.items()}
    out["bound"] = makespan_bound(evaluator.binding.tables)
    for name in SCHEDULERS:
        front = ts.search(evaluator, ["makespan"], optimizer=name, evaluations=WORKFLOW_EVALUATIONS, seed=cell["seed"])
        out[name] = float(front.values[0, 0])
    return out


def _real(cell: Cell) -> Any:
    names = "abcdefgh"[: int(cell["target"][-1])]
    workload: Cell = {"extends": str(REAL / cell["file"]), "data_scale": cell["scale"]}
    if cell["affine"]:
        workload["affinity"] = {"machines": list(names), "spread": 0.5, "seed": cell["seed"]}
    return bind(Setting(workload, cell["target"]), registry()).evaluator


# -- 5: proved optima -------------------------------------------------------------------------------------------------


def proved_cells(seeds: int) -> Iterator[Cell]:
    for seed in range(seeds):
        yield from ({"what": "proved", "tasks": n, "machines": m, "seed": seed} for n, m in ((9, 3), (12, 4)))


def proved(cell: Cell) -> Cell:
    """Searches with 1,000 designs beside the optimum that CP-SAT proves within 20 s; random graphs with much data."""
    rng = np.random.default_rng(cell["seed"])
    n = cell["tasks"]
    edges = [[a, b, float(rng.uniform(1e7, 3e9))] for b in range(n) for a in range(b) if rng.random() < 0.4]
    workload = {"type": "task_graph", "work": (rng.integers(1, 20, n) * 1e9).tolist(), "edges": edges}
    evaluator = bind(Setting(workload, f"processors-{cell['machines']}"), registry()).evaluator
    return _beside_cpsat(evaluator, 1000, cell["seed"])


def optima_cells(seeds: int) -> Iterator[Cell]:
    """The workflow of 22 tasks: of those of 84 and more nothing is proved in so short a time."""
    return ({**cell, "what": "optima"} for cell in workflow_cells(seeds) if "10a-004" in cell["file"])


def optima(cell: Cell) -> Cell:
    """Cells of `workflows` beside the optimum that CP-SAT proves within 20 s."""
    return _beside_cpsat(_real(cell), WORKFLOW_EVALUATIONS, cell["seed"])


def _beside_cpsat(evaluator: Any, evaluations: int, seed: int) -> Cell:
    exact = ts.search(evaluator, ["makespan"], optimizer="cpsat", options={"seconds": 20.0}, evaluations=evaluations)
    out: Cell = {"cpsat": float(exact.values[0, 0]), "proved": "at least" not in exact.note}
    for name in SCHEDULERS:
        front = ts.search(evaluator, ["makespan"], optimizer=name, evaluations=evaluations, seed=seed)
        out[name] = float(front.values[0, 0])
    return out


# -- tables -----------------------------------------------------------------------------------------------------------


def report_fleet(rows: list[Cell]) -> None:
    for column, label in ((0, "response"), (1, "utilisation")):
        print(f"\n{label}: improvement by rl_aco in % of the baseline, mean [95 % bootstrap] over seeds")
        for tasks, fleet_, load in sorted({(r["tasks"], r["fleet"], r["load"]) for r in rows}):
            mine = [r for r in rows if (r["tasks"], r["fleet"], r["load"]) == (tasks, fleet_, load)]
            gains = [improvements(row, column) for row in mine]
            texts = [spread(name, np.array([gain[name] for gain in gains])) for name in gains[0]]
            print(f"{tasks:5} {fleet_:17} load {load}: n={len(mine)}  " + "  ".join(texts))


def improvements(row: Cell, column: int) -> dict[str, float]:
    """% by which rl_aco is better than each baseline of one cell, in response (column 0) or utilisation (1)."""
    sign = -1.0 if column else 1.0
    value = {name: sign * found[column] for name, found in row.items() if isinstance(found, list)}
    listed = [name for name in value if name not in SEARCHES]
    base = {"round_robin": value["round_robin"], "best list": min(value[k] for k in listed)}
    base |= {name: value[name] for name in SEARCHES[1:]}
    base["best of all"] = min(base.values())
    return {name: 100 * (v - value["rl_aco"]) / abs(v) for name, v in base.items()}


def spread(name: str, gain: np.ndarray) -> str:
    low, high = bootstrap(gain)
    return f"{name} {gain.mean():.1f} [{low:.1f}, {high:.1f}]"


def bootstrap(values: np.ndarray) -> tuple[float, float]:
    rng = np.random.Generator(np.random.Philox(0))
    means = values[rng.integers(0, len(values), (2000, len(values)))].mean(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def report_exact(rows: list[Cell]) -> None:
    hits = sum(r["rl_aco"] <= r["optimum"] * (1 + 1e-12) for r in rows)
    print(f"\nexact optimum found in {hits} of {len(rows)}")


def report_halves(rows: list[Cell]) -> None:
    print("\nhybrid no worse than the better of its halves (ties count), and strictly better")
    for problem in sorted({r["problem"] for r in rows}):
        for form in ("full", "bare"):
            mine = [r for r in rows if r["problem"] == problem]
            best = np.array([min(r[f"{form}.aco"], r[f"{form}.reinforce"]) for r in mine])
            ours = np.array([r[f"{form}.rl_aco"] for r in mine])
            same, more = np.mean(ours <= best * (1 + 1e-12)), np.mean(ours < best * (1 - 1e-9))
            share = ours.sum() / best.sum()
            print(f"{problem:9} {form:4} n={len(mine)}: no worse {same:.0%}, better {more:.0%}, cost {share:.3f} of it")


def report_workflows(rows: list[Cell]) -> None:
    """Makespan over the best of HEFT, CPOP and PEFT, mean / worst, and the median share that is closed of HEFT's
    distance from the bound where it exceeds 2 %: the table of docs/optimizers.md."""
    print(f"\n| data | affinities | cells | HEFT / bound | {' | '.join(f'`{name}`' for name in SCHEDULERS)} |")
    print("| --- | --- | ---: | ---: |" + " --- |" * len(SCHEDULERS))
    for scale in (1, 10, 100):
        for affine in (False, True):
            mine = [r for r in rows if r["scale"] == scale and r["affine"] == affine]
            _line(f"x {scale} | {'yes' if affine else 'no'}", mine)
    for file in sorted({r["file"] for r in rows}):
        _line(f"{file.split('-chameleon')[0]} | all", [r for r in rows if r["file"] == file])
    _line("all | all", rows)
    seeds = {f: len({r["seed"] for r in rows if r["file"] == f}) for f in sorted({r["file"] for r in rows})}
    worse = {n: sum(r[n] > min(r[k] for k in LISTED) * (1 + 1e-12) for r in rows) for n in SCHEDULERS}
    wide = sum(r["heft"] > r["bound"] * 1.02 for r in rows)
    print(f"{len(rows)} cells ({wide} with HEFT over 2 % above the bound), seeds begun by workflow: {seeds}")
    print(f"worse than the best of {', '.join(LISTED)}: {worse}")


def _line(head: str, rows: list[Cell]) -> None:
    if rows:
        heft = np.median([r["heft"] / r["bound"] for r in rows])
        print(f"| {head} | {len(rows)} | {heft:.3f} | {' | '.join(closed(rows, name) for name in SCHEDULERS)} |")


def closed(rows: list[Cell], name: str) -> str:
    ratio = np.array([r[name] / min(r[k] for k in LISTED) for r in rows])
    shares = [(r["heft"] - r[name]) / (r["heft"] - r["bound"]) for r in rows if r["heft"] > r["bound"] * 1.02]
    return f"{ratio.mean():.3f} / {ratio.max():.3f} / {np.median(shares) if shares else float('nan'):.2f}"


def report_proved(rows: list[Cell]) -> None:
    known = [row for row in rows if row["proved"]]
    print(f"\n{len(known)} of {len(rows)} optima proved; makespan over the optimum, mean and worst")
    for name in SCHEDULERS:
        ratio = np.array([row[name] / row["cpsat"] for row in known])
        print(f"{name:16} {ratio.mean():.4f} {ratio.max():.4f}  within 1 %: {np.mean(ratio <= 1.01):.0%}")


# -- running ----------------------------------------------------------------------------------------------------------

PARTS: Mapping[str, tuple[Callable[[int], Iterator[Cell]], Callable[[Cell], Cell], Callable[[list[Cell]], None]]] = {
    "fleet": (fleet_cells, fleet, report_fleet),
    "exact": (exact_cells, exact, report_exact),
    "halves": (halves_cells, halves, report_halves),
    "workflows": (workflow_cells, workflows, report_workflows),
    "optima": (optima_cells, optima, report_proved),
    "proved": (proved_cells, proved, report_proved),
}


def key(cell: Cell) -> str:
    return json.dumps(cell, sort_keys=True)


def measured(path: Path) -> dict[str, Cell]:
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return {key(row["cell"]): {**row["cell"], **row["found"]} for row in rows}


def train() -> None:
    """The learned heuristic's weights, as smtwtp_policy.TRAINED holds them."""
    from tradespace_fleet import smtwtp_policy

    for n in (50, 100):
        print(n, tuple(round(float(x), 4) for x in smtwtp_policy.train(n)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=[*PARTS, "train"])
    parser.add_argument("--out", type=Path, default=Path("rl_aco.jsonl"))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    for part in args.parts:
        if part == "train":
            train()
            continue
        cells, measure, report = PARTS[part]
        known = measured(args.out)
        for cell in cells(args.seeds):
            if key(cell) not in known and time.monotonic() < end:
                line = json.dumps({"cell": cell, "found": measure(cell)})
                with args.out.open("a") as file:
                    file.write(line + "\n")
        report([row for row in measured(args.out).values() if row["what"] == part])


if __name__ == "__main__":
    main()
