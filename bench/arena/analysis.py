"""What the results say: medians, ranks, paired tests with Holm's correction, curves over evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from bench.arena.runner import Result
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Scores by (instance, optimizer) at one budget: seed -> share of the best known, 1 is best. ``errors``: why an
    optimizer has none."""

    budget: str
    scores: Mapping[tuple[str, str], Mapping[int, float]]
    errors: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def instances(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self.scores))

    def optimizers(self, instance: str) -> list[str]:
        return [optimizer for name, optimizer in self.scores if name == instance]

    def median(self, instance: str, optimizer: str) -> float:
        return float(np.median(list(self.scores[instance, optimizer].values())))


def share(value: float, best: float, single: bool) -> float:
    """Hypervolume over the best known; for one minimised objective the best known over the value."""
    if single:
        return best / value if value > 0 else float(value <= best)
    return value / best if best > 0 else 0.0


def tables(results: Iterable[Result], best: Mapping[str, float], single: frozenset[str]) -> dict[str, Table]:
    """One table a budget. A steady optimizer's longer run fills the shorter budgets by its checkpoints."""
    scores: dict[str, dict[tuple[str, str], dict[int, float]]] = {}
    errors: dict[str, dict[tuple[str, str], str]] = {}
    from bench.arena.cells import BUDGETS, STEADY

    for result in results:
        cell = result.cell
        place = (cell.instance, cell.optimizer)
        name = f"{cell.evaluations:,} evaluations" if cell.evaluations else f"{cell.seconds:g} s"
        if result.error and not result.evaluations:
            errors.setdefault(name, {})[place] = result.error
            continue
        points: dict[str, float | None] = {name: result.volumes.get(-1)}
        if cell.evaluations and cell.optimizer in STEADY:
            shorter = [b for b in BUDGETS if b < cell.evaluations]
            points |= {f"{b:,} evaluations": result.volumes.get(b) for b in shorter if result.evaluations >= b}
        for budget, value in points.items():
            known = share(value, best[cell.instance], cell.instance in single) if value is not None else 0.0
            scores.setdefault(budget, {}).setdefault(place, {}).setdefault(cell.seed, known)
    return {name: Table(name, scores.get(name, {}), errors.get(name, {})) for name in dict.fromkeys([*scores, *errors])}


# -- statistics -------------------------------------------------------------------------------------------------------


def mean_ranks(table: Table, instances: Sequence[str], optimizers: Sequence[str]) -> dict[str, float]:
    """Mean over instances and seeds of each optimizer's rank among ``optimizers`` (1 is best, ties share). Only
    instances and seeds that all of them ran count."""
    from scipy.stats import rankdata

    ranks: list[Array] = []
    for instance in instances:
        runs = [table.scores.get((instance, o), {}) for o in optimizers]
        common = set.intersection(*(set(r) for r in runs)) if runs else set()
        for seed in sorted(common):
            ranks.append(np.asarray(rankdata([-round(r[seed], 6) for r in runs])))
    if not ranks:
        return {}
    return dict(zip(optimizers, np.mean(ranks, axis=0).tolist(), strict=True))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjusted p-values, in the given order."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted.tolist()


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[float, float, int]:
    """(median difference a - b, two-sided p of Wilcoxon's signed-rank test, pairs) over common seeds; p is 1 where
    all pairs are equal or there are fewer than six."""
    from scipy.stats import wilcoxon

    seeds = sorted(set(a) & set(b))
    difference = np.asarray([a[s] - b[s] for s in seeds])
    if len(seeds) < 6 or not difference.any():
        return float(np.median(difference)) if len(seeds) else float("nan"), 1.0, len(seeds)
    return float(np.median(difference)), float(wilcoxon(difference).pvalue), len(seeds)


@dataclass(frozen=True)
class Verdict:
    """How one optimizer stands against one peer: significant wins, losses and draws over instances; on how many its
    median is ahead; and the p of Wilcoxon's signed-rank test of the medians of all instances (Demsar 2006), adjusted by
    Holm over the peers."""

    peer: str
    wins: int
    losses: int
    draws: int
    worst: float  # the largest median deficit, as a share of the best known; 0 without one
    where: str
    ahead: int = 0
    overall: float = 1.0


def verdicts(
    table: Table, ours: str, peers: Sequence[str], instances: Sequence[str], level: float = 0.05
) -> list[Verdict]:
    """Wilcoxon per instance and peer, all p-values of the table adjusted together; and over instances."""
    pairs = [
        (peer, instance, paired(table.scores[instance, ours], table.scores[instance, peer]))
        for peer in peers
        for instance in instances
        if (instance, ours) in table.scores and (instance, peer) in table.scores
    ]
    adjusted = holm([test[1] for _, _, test in pairs]) if pairs else []
    met = [peer for peer in peers if any(name == peer for name, _, _ in pairs)]
    gaps = {
        peer: [table.median(i, ours) - table.median(i, peer) for name, i, _ in pairs if name == peer] for peer in met
    }
    overall = dict(zip(met, holm([signed_rank(gaps[peer]) for peer in met]), strict=True))
    out = []
    for peer in met:
        rows = [(i, t[0], p) for (name, i, t), p in zip(pairs, adjusted, strict=True) if name == peer]
        wins = sum(p < level and d > 0 for _, d, p in rows)
        losses = sum(p < level and d < 0 for _, d, p in rows)
        where, worst, _ = min(rows, key=lambda row: row[1])
        worst = max(-worst, 0.0)
        draws, ahead = len(rows) - wins - losses, sum(gap > 0 for gap in gaps[peer])
        out.append(Verdict(peer, wins, losses, draws, worst, where if worst else "", ahead, overall[peer]))
    return out


def signed_rank(differences: Sequence[float]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; 1 for fewer than six, or none but zeros."""
    from scipy.stats import wilcoxon

    values = np.round(np.asarray(differences, float), 9)
    return float(wilcoxon(values).pvalue) if len(values) >= 6 and values.any() else 1.0


def deficits(table: Table, ours: str, peers: Sequence[str], instances: Sequence[str]) -> dict[str, tuple[float, str]]:
    """Per instance: (median of ours less the best peer's median, that peer)."""
    out = {}
    for instance in instances:
        ran = [p for p in peers if (instance, p) in table.scores]
        if (instance, ours) in table.scores and ran:
            best = max(ran, key=lambda p: table.median(instance, p))
            out[instance] = (table.median(instance, ours) - table.median(instance, best), best)
    return out


def curve(
    results: Iterable[Result], instance: str, optimizer: str, best: float
) -> list[tuple[int, float, float, float]]:
    """(evaluations, lower quartile, median, upper quartile) over seeds, from the runs of the budget that most seeds
    have (the longest of these). A steady optimizer's longer runs count for the shorter budgets too."""
    from bench.arena.cells import BUDGETS, STEADY

    runs = [r for r in results if r.cell.instance == instance and r.cell.optimizer == optimizer and r.cell.evaluations]
    steady = optimizer in STEADY
    planned = {r.cell.evaluations or 0 for r in runs} | (set(BUDGETS) if steady else set())

    def of(budget: int) -> dict[int, Result]:
        fit = [r for r in runs if r.cell.evaluations == budget or (steady and (r.cell.evaluations or 0) > budget)]
        return {r.cell.seed: r for r in fit}

    longest = max(planned, key=lambda budget: (len(of(budget)), budget), default=0)
    chosen = list(of(longest).values())
    out = []
    for point in sorted({k for r in chosen for k in r.volumes if 0 < k <= longest}):
        values = np.asarray([r.volumes[point] / best for r in chosen if point in r.volumes])
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        out.append((point, float(low), float(middle), float(high)))
    return out
