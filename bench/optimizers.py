"""Optimizers at equal evaluations: median hypervolume, spread, significance, ablations of pgsam, overhead per design.

    python bench/optimizers.py            5 seeds, 2,000 evaluations, chains of 24 (about a minute)
    python bench/optimizers.py --full     20 seeds, 2,000 and 10,000 evaluations, chains of 24 and 48 (half an hour)
    python bench/optimizers.py --quick    the default problem only

Problems: the default one (llama-3.2-1b on laptop: energy, latency, loss) and random operator chains (tests/support).
"cold" is pgsam without the relaxed chain: what it does where no structure is known. All ablations are of "cold".
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.chains import KINDS, Chain

from tradespace.search.api import search

COLD = {"warm_start": "none"}
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "pgsam": ("pgsam", {}),
    "pgsam cold": ("pgsam", COLD),
    "  no momentum": ("pgsam", COLD | {"momentum": False}),
    "  no guidance": ("pgsam", COLD | {"guidance": False}),
    "  no block moves": ("pgsam", COLD | {"block_moves": False}),
    "  no far runs": ("pgsam", COLD | {"far_runs": False}),
    "  no annealing": ("pgsam", COLD | {"end_temperature": 1e-9}),
    "  no turning": ("pgsam", COLD | {"turning": 0.0}),
    "  no screening": ("pgsam", COLD | {"screen": 1}),
    "nsga2": ("nsga2", {}),
    "nsga2, plain designs first": ("nsga2", {"homogeneous": True}),
    "random": ("random", {}),
    "chain_exact": ("chain_exact", {}),
}
ONCE = ("chain_exact",)  # without randomness
SMALL = ("pgsam", "pgsam cold", "nsga2", "nsga2, plain designs first", "random")


class Timed:
    """An evaluator that adds up the time it spends pricing."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.space, self.metrics, self.seconds = inner, inner.space, inner.metrics, 0.0

    def price(self, designs: Any) -> Any:
        start = time.perf_counter()
        prices = self.inner.price(designs)
        self.seconds += time.perf_counter() - start
        return prices

    def repair(self, designs: Any) -> Any:
        own = getattr(self.inner, "repair", None)
        return designs if own is None else own(designs)

    def structure(self) -> Any:
        return self.inner.structure()


def problems(full: bool, quick: bool = False) -> Iterator[tuple[str, Any, list[str]]]:
    from tradespace.plugins import registry
    from tradespace.settings import Setting, bind

    yield "default", bind(Setting("llama-3.2-1b", "laptop"), registry()).evaluator, ["energy", "latency", "loss"]
    for n in (24, 48) if full else (24,):
        for kind in () if quick else KINDS:
            yield f"{kind} {n}", Chain(1, n, kind=kind), ["latency", "energy", "loss"]


def measure(
    evaluator: Any, objectives: list[str], names: Sequence[str], evaluations: int, seeds: int
) -> tuple[dict[str, np.ndarray], dict[str, float], str]:
    """Hypervolumes per variant, overhead per design in microseconds, and the certified bound."""
    volumes, overhead, bound = {}, {}, "none"
    for name in names:
        optimizer, options = VARIANTS[name]
        timed, found, spent, priced = Timed(evaluator), [], 0.0, 0
        for seed in range(1 if name in ONCE else seeds):
            front = search(timed, objectives, optimizer=optimizer, options=options, evaluations=evaluations, seed=seed)
            found.append(front.hypervolume)
            spent, priced = spent + front.seconds, priced + front.evaluations
        volumes[name], overhead[name] = np.asarray(found), 1e6 * (spent - timed.seconds) / priced
        if name == "pgsam" and front.gap is not None:
            bound = f"{front.gap.hypervolume_bound:.4f}"
    return volumes, overhead, bound


def holm(values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Holm 1979)."""
    order, adjusted, running = np.argsort(values), np.empty(len(values)), 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(values) - rank) * values[i]))
        adjusted[i] = running
    return adjusted.tolist()


def against(volumes: Mapping[str, np.ndarray], base: str) -> dict[str, float]:
    """Holm-adjusted p of the paired Wilcoxon test of each variant with the base."""
    from scipy.stats import wilcoxon

    others = [name for name in volumes if name != base and name not in ONCE]
    raw = [
        1.0 if np.array_equal(volumes[name], volumes[base]) else float(wilcoxon(volumes[name], volumes[base]).pvalue)
        for name in others
    ]
    return dict(zip(others, holm(raw), strict=True))


def table(title: str, volumes: Mapping[str, np.ndarray], overhead: Mapping[str, float], bound: str) -> None:
    base = "pgsam cold"
    p = against(volumes, base)
    print(f"\n{title}   certified bound {bound}")
    print(f"  {'':28} {'median':>8} {'iqr':>8} {'to cold':>9} {'p (Holm)':>9} {'us/design':>10}")
    for name, values in volumes.items():
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        gain = middle - np.median(volumes[base])
        chance = f"{p[name]:9.2g}" if name in p else " " * 9
        print(f"  {name:28} {middle:8.4f} {high - low:8.4f} {gain:+9.4f} {chance} {overhead[name]:10.1f}")


def overall(results: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Mean difference to cold over all problems and how often a variant's median is lower."""
    print("\nall problems: mean difference of medians to pgsam cold, problems where it is lower")
    for name in results[0]:
        gaps = [np.median(r[name]) - np.median(r["pgsam cold"]) for r in results]
        print(f"  {name:28} {np.mean(gaps):+9.4f}   {sum(g < 0 for g in gaps)} of {len(gaps)}")


def small_budget(seeds: int) -> None:
    """Optuna needs milliseconds a design: 300 evaluations."""
    variants = [*SMALL, "optuna_nsga2"]
    extended = {"optuna_nsga2": ("optuna_nsga2", {"homogeneous": True})}
    name, evaluator, objectives = next(problems(False))
    volumes, overhead = {}, {}
    for variant in variants:
        optimizer, options = extended.get(variant) or VARIANTS[variant]
        timed = Timed(evaluator)
        fronts = [
            search(timed, objectives, optimizer=optimizer, options=options, evaluations=300, seed=s)
            for s in range(seeds)
        ]
        volumes[variant] = np.asarray([f.hypervolume for f in fronts])
        overhead[variant] = 1e6 * (sum(f.seconds for f in fronts) - timed.seconds) / (300 * seeds)
    table(f"{name}, 300 evaluations, {seeds} seeds", volumes, overhead, "-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--evaluations", type=int, nargs="*", default=[])
    given = parser.parse_args()
    seeds = given.seeds or (20 if given.full else 5)
    for evaluations in given.evaluations or ([2000, 10_000] if given.full else [2000]):
        results = []
        for name, evaluator, objectives in problems(given.full, given.quick):
            volumes, overhead, bound = measure(evaluator, objectives, list(VARIANTS), evaluations, seeds)
            table(f"{name}, {evaluations} evaluations, {seeds} seeds", volumes, overhead, bound)
            sys.stdout.flush()
            results.append(volumes)
        overall(results)
    small_budget(5)


if __name__ == "__main__":
    main()
