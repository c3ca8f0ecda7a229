"""Evaluators and helpers for the tests of the search room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tradespace.designs import Choice, Designs, Space
from tradespace.problem import ChainTerm, Metric, Prices, Problem, Scores, Structure


class Plain:
    """Eight layers on a or b: fast or frugal. Prices are a plain dict; ``before`` runs first, with the call number."""

    def __init__(self, before: Callable[[int], None] = lambda call: None) -> None:
        self.space = Space(Choice("device", ("a", "b"), 8))
        self.metrics = (
            Metric("latency", "s", "min", "time"),
            Metric("energy", "J", "min", "energy"),
            Metric("rate", "1/s", "max", "one over time"),
        )
        self.calls, self._before = 0, before

    def price(self, designs: Designs) -> Mapping[str, np.ndarray]:
        self._before(self.calls)
        self.calls += 1
        on_b = designs["device"].astype(float)
        latency = 1.0 + on_b @ np.linspace(1, 2, 8)
        return {"latency": latency, "energy": 30.0 - on_b @ np.linspace(3, 2, 8), "rate": 1.0 / latency}


class RandomChain:
    """A random additive chain. ``factor`` (N,) >= 1 multiplies the true price of metric 0, whose sum is then a
    minorant; ``shift`` is added to every unary term, so sums may be negative or zero."""

    def __init__(
        self,
        seed: int,
        *,
        n: int = 5,
        m: int = 2,
        pairs: bool = True,
        limited: bool = False,
        minorant: bool = False,
        shift: float = 0.0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.space = Space(Choice("device", ("a", "b"), n), Choice("precision", ("x", "y"), n))
        self.metrics = tuple(Metric(f"cost{k}", "1", "min", "sum") for k in range(m))
        self.unary = rng.integers(1, 60, (m, n, 4)).astype(float) + shift
        pair = rng.integers(0, 20, (m, n - 1, 4, 4)).astype(float)
        pair[..., np.arange(4), np.arange(4)] = 0.0
        self.pair = pair * pairs
        self.weight = rng.integers(1, 10, (n, 4)).astype(float)
        self.limit = float(np.median(self.weight) * n) * 0.9 if limited else np.inf
        self.n, self.minorant = n, minorant

    def price(self, designs: Designs) -> Prices:
        state, i = designs["device"].astype(int) * 2 + designs["precision"], np.arange(self.n)
        values = {}
        for k, metric in enumerate(self.metrics):
            total = self.unary[k][i, state].sum(axis=1)
            values[metric.name] = total + self.pair[k][i[:-1], state[:, :-1], state[:, 1:]].sum(axis=1)
        if self.minorant:
            crowd = (designs["device"] == 0).mean(axis=1)
            values["cost0"] = values["cost0"] + 30.0 * np.maximum(0, crowd - 0.4) ** 2
        used = self.weight[i, state].sum(axis=1)
        return Prices(values, {"memory": used / self.limit - 1.0} if np.isfinite(self.limit) else {})

    def structure(self) -> Structure:
        terms = {
            metric.name: ChainTerm(self.unary[k], self.pair[k], exact=not (self.minorant and k == 0))
            for k, metric in enumerate(self.metrics)
        }
        limits = {"memory": (self.weight, self.limit)} if np.isfinite(self.limit) else {}
        return Structure(("device", "precision"), terms, limits)


def everything(problem: Problem) -> tuple[Designs, Scores]:
    """All designs of a small problem, priced."""
    assert problem.space.size is not None
    designs = problem.space.at(np.arange(problem.space.size))
    return designs, problem.score(designs)


def brute_front(objectives: np.ndarray) -> np.ndarray:
    """Distinct non-dominated rows by comparing all pairs, sorted."""
    rows = np.unique(objectives, axis=0)
    better = (rows[:, None] <= rows[None]).all(2) & (rows[:, None] < rows[None]).any(2)
    return rows[~better.any(axis=0)]


def scores_of(objectives: Any, violations: Any = None) -> Scores:
    objectives = np.asarray(objectives, float)
    violations = np.zeros((len(objectives), 1)) if violations is None else np.asarray(violations, float).reshape(-1, 1)
    return Scores(objectives, violations, Prices({f"f{k}": objectives[:, k] for k in range(objectives.shape[1])}))
