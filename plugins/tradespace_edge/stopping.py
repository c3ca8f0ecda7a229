"""Repeated sampling with early stopping: how many samples an answer needs, and what stopping early costs in accuracy.

Stands for the CSVET stage of QEIL v2 (arXiv 2602.06057v3), whose abstract names "early stopping" and nothing of its
rule. Everything here is ours: tasks with a known distribution over answers, samples drawn one after another, the
plurality of those drawn as the answer, and three rules for when to stop. Evaluated by Monte Carlo on draws that all
designs share, so differences between rules are differences of the rules.

- `all`: draw k samples.
- `posterior`: stop when P(the leading answer is more likely than the runner-up) >= 1 - delta, with counts a >= b and a
  uniform prior: P(Beta(a + 1, b + 1) > 1/2).
- `sprt`: Wald's sequential probability ratio test (1945) of the leader against the runner-up at odds of 7 to 3: stop
  when (a - b) * log(7/3) >= log((1 - delta) / delta).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.option_numbers import Bounded, read_numbers
from tradespace.designs import Choice, Designs, Space
from tradespace.errors import InputError, UnknownName
from tradespace.problem import Declined, Metric, Prices
from tradespace.units import parse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVELS: Mapping[str, tuple[float, float]] = {"easy": (0.75, 0.95), "medium": (0.45, 0.75), "hard": (0.10, 0.45)}
"""Range of the right answer's probability in one sample, uniform over tasks (ours)."""
ANSWERS = 6
"""Different answers to a task; the wrong ones share the rest by a uniform Dirichlet draw (ours)."""
RULES = ("all", "posterior", "sprt")
DELTAS = (0.2, 0.1, 0.05, 0.02, 0.01)
SAMPLES = (4, 8, 16, 32)
ODDS = 7.0 / 3.0


@dataclass(frozen=True)
class AnswerMix:
    """Tasks by difficulty; the shares add up to 1."""

    name: str
    shares: Mapping[str, float]
    kind: str = "answer-mix"
    sources: Mapping[str, str] = field(
        default_factory=lambda: {"shape": "ours: levels of difficulty", "kind": "substitute"}
    )


def build(options: Mapping[str, Any]) -> AnswerMix:
    """The workload type ``answer-mix``: shares of ``easy``, ``medium``, ``hard`` (any positive weights).

    Raises:
        UnknownName, InputError, UnitError: other keys, weights below 0, or none above 0.
    """
    known = ("name", *LEVELS)
    for key in options:
        if key not in known:
            raise UnknownName("key", str(key)[:80], known, where="answer-mix")
    where = "answer-mix"
    weights = {level: parse(options.get(level, 0.0), "1", where=f"{where}.{level}", positive=False) for level in LEVELS}
    total = sum(weights.values())
    if total <= 0:
        raise InputError("a mix has a share above 0", where=where, remedy=f"Shares: {', '.join(LEVELS)}.")
    return AnswerMix(str(options.get("name", "answer-mix")), {level: w / total for level, w in weights.items()})


class StoppingFactory:
    """Takes answer mixes; the target does not matter. Options: ``tasks`` (default 4000), ``seed`` (default 0)."""

    fidelity = 10

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        return True if isinstance(workload, AnswerMix) else Declined("takes answer mixes", other_kind=True)

    def bind(self, workload: AnswerMix, target: Any, options: Mapping[str, Any], registry: Any = None) -> Stopping:
        numbers = {"tasks": Bounded(4000, 1, 100_000, whole=True), "seed": Bounded(0, 0, 2**53, whole=True)}
        read = read_numbers(options, numbers)
        return Stopping(workload, int(read["tasks"]), int(read["seed"]))


class Stopping:
    """Prices rules from tables that are made once: (rule, delta, k) -> mean samples, accuracy."""

    default_objectives = ("samples", "accuracy")

    def __init__(self, mix: AnswerMix, tasks: int, seed: int) -> None:
        self.space = Space(
            Choice("rule", RULES), Choice("delta", DELTAS, when={"rule": RULES[1:]}), Choice("k", SAMPLES)
        )
        self.metrics = (
            Metric("samples", "1", "min", "mean samples drawn for a task"),
            Metric("accuracy", "1", "max", "share of tasks whose chosen answer is right"),
            Metric("saving", "1", "max", "1 - samples / k"),
            Metric("loss", "1", "min", "accuracy lost against drawing all k, on the same draws"),
        )
        self.drawn, self.right = simulate(mix, tasks, np.random.Generator(np.random.Philox(seed)))

    def price(self, designs: Designs) -> Prices:
        rule, delta, k = (designs[name].astype(np.int64) for name in ("rule", "delta", "k"))
        samples, accuracy = self.drawn[rule, delta, k], self.right[rule, delta, k]
        full = np.asarray(SAMPLES, np.float64)[k]
        everything = self.right[0, 0, k]
        return Prices(
            {"samples": samples, "accuracy": accuracy, "saving": 1.0 - samples / full, "loss": everything - accuracy}
        )


def simulate(mix: AnswerMix, tasks: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Mean samples and accuracy, (rules, deltas, ks) each. Answer 0 is the right one."""
    probabilities = _tasks(mix, tasks, rng)
    longest = max(SAMPLES)
    # a draw is where a uniform number falls in the cumulative distribution
    draws = (rng.random((tasks, longest, 1)) > np.cumsum(probabilities, axis=1)[:, None, :-1]).sum(axis=2)
    counts = np.cumsum(draws[:, :, None] == np.arange(ANSWERS), axis=1)  # (tasks, samples, answers)
    # ties go to the answer that was drawn first: its count reached the tie earlier
    first = np.where(counts > 0, np.argmax(counts > 0, axis=1)[:, None, :], longest)
    leader = np.argmax(counts * (longest + 1) - first, axis=2)
    ordered = np.sort(counts, axis=2)
    a, b = ordered[:, :, -1], ordered[:, :, -2]
    drawn, right = np.empty((len(RULES), len(DELTAS), len(SAMPLES))), np.empty((len(RULES), len(DELTAS), len(SAMPLES)))
    for r, rule in enumerate(RULES):
        for d, delta in enumerate(DELTAS):
            stops = _stops(rule, a, b, delta)
            for j, k in enumerate(SAMPLES):
                at = np.where(stops[:, :k].any(axis=1), np.argmax(stops[:, :k], axis=1), k - 1)
                drawn[r, d, j] = (at + 1).mean()
                right[r, d, j] = (leader[np.arange(tasks), at] == 0).mean()
    return drawn, right


def leads(a: Ints, b: Ints) -> Floats:
    """P(Beta(a + 1, b + 1) > 1/2) for counts a, b: the binomial tail P(Bin(a + b + 1, 1/2) <= a)."""
    most = int((a + b).max(initial=0)) + 1
    rows = [np.cumsum([math.comb(n, j) for j in range(n + 1)]) / 2.0**n for n in range(most + 1)]
    table = np.ones((most + 1, most + 1))
    for n, row in enumerate(rows):
        table[n, : n + 1] = row
    return np.asarray(table[a + b + 1, a])


def _stops(rule: str, a: Ints, b: Ints, delta: float) -> NDArray[np.bool_]:
    """(tasks, samples): whether the rule would stop after that sample."""
    if rule == "posterior":
        return leads(a, b) >= 1.0 - delta
    if rule == "sprt":
        return (a - b) * math.log(ODDS) >= math.log((1.0 - delta) / delta)
    return np.zeros(a.shape, bool)


def _tasks(mix: AnswerMix, tasks: int, rng: np.random.Generator) -> Floats:
    """(tasks, answers) probabilities of one sample's answer."""
    levels = list(mix.shares)
    chosen = rng.choice(len(levels), tasks, p=[mix.shares[level] for level in levels])
    low, high = np.array([LEVELS[level] for level in levels]).T
    right = low[chosen] + (high - low)[chosen] * rng.random(tasks)
    wrong = rng.dirichlet(np.ones(ANSWERS - 1), tasks) * (1.0 - right)[:, None]
    return np.concatenate([right[:, None], wrong], axis=1)
