"""The ant system on random one-machine instances: its published behaviour, and that the heuristic learns."""

from __future__ import annotations

import numpy as np
import pytest

from tradespace.plugins import registry
from tradespace.search import ants
from tradespace.settings import Setting, bind
from tradespace_fleet import smtwtp_policy as policy
from tradespace_fleet.colony import DECAY, run_colony
from tradespace_fleet.workloads import draw_smtwtp


def plain_colony(eta, due, weight, time, learning, uniform):  # type: ignore[no-untyped-def]
    """The same ant system from the general construction loop and numpy."""
    rounds, count, n = uniform.shape
    tau, best, out = np.ones((n + 1, n)), np.inf, []
    base, fresh = np.tile(np.arange(n, dtype=np.int32), (count, 1)), np.ones((count, n), bool)
    for t in range(rounds):
        orders = np.empty_like(base)
        weights = (tau * eta)[None]
        ants.arrange(weights, weights, 0.0, ants.SUCCESSOR, np.zeros(count, int), base, fresh, uniform[t], orders)
        cost = policy.tardiness(orders, due, weight, time)
        best = min(best, cost.min())
        out.append(best)
        if learning:
            tau *= DECAY
            for order, c in zip(orders, cost, strict=True):
                tau[order[:-1] + 1, order[1:]] += 1 / (c + 1)
    return out


@pytest.mark.parametrize("learning", [True, False])
def test_the_loop_equals_the_general_construction(learning: bool) -> None:
    for seed in range(5):
        instance = draw_smtwtp(12, seed)
        uniform = np.random.default_rng(seed).random((8, 5, 12))
        best = np.empty(8)
        run_colony(policy.manual_eta(*instance), *instance, DECAY, learning, uniform, best)
        assert best == pytest.approx(plain_colony(policy.manual_eta(*instance), *instance, learning, uniform))


def test_trails_and_a_learned_heuristic_help() -> None:
    setting = Setting("smtwtp-50", "single-machine", "colony", {"instances": 40})
    evaluator = bind(setting, registry()).evaluator

    def best(heuristic: str, trails: str, iterations: int) -> float:
        design = evaluator.space.parse({"heuristic": heuristic, "trails": trails, "iterations": iterations})
        return float(evaluator.price(design)["best_cost"][0])

    manual = [best("due", "on", t) for t in (1, 10)]
    assert 4.0 < manual[0] < 9.0 and 2.0 < manual[1] < 5.0
    assert best("due", "off", 10) > manual[1]
    assert best("learned", "on", 1) < 0.1 * manual[0]


def test_training_lowers_the_cost_on_unseen_instances() -> None:
    theta = policy.train(20, steps=150)
    ours, manual = [], []
    for seed in range(30):
        instance = draw_smtwtp(20, seed)
        uniform = np.random.default_rng(seed).random((1, 20, 20))
        for eta, into in (
            (policy.table(policy.features(*instance) @ theta), ours),
            (policy.manual_eta(*instance), manual),
        ):
            best = np.empty(1)
            run_colony(eta, *instance, DECAY, True, uniform, best)
            into.append(best[0])
    assert np.mean(ours) < 0.5 * np.mean(manual)


def test_the_hybrid_is_no_worse_than_either_half_on_most_instances() -> None:
    """Learned eta with trails against trails alone and the learned eta alone, DeepACO's first 40 test instances."""
    workload = {"extends": "smtwtp-50", "draw": "deepaco-test"}
    evaluator = bind(Setting(workload, "single-machine", "colony", {"instances": 40}), registry()).evaluator
    hybrid, colony, learner = (evaluator.best(*codes, 1) for codes in ((1, 0), (0, 0), (1, 1)))
    assert np.mean(hybrid <= np.minimum(colony, learner) + 1e-12) >= 0.7
    assert np.mean(hybrid < colony - 1e-9) > 0.5  # and not by ties alone


def test_the_manual_heuristic_costs_what_deepaco_printed() -> None:
    """Mean of the best of 20 ants over its own 100 instances of 50 jobs after 10 iterations, within a tenth."""
    workload = {"extends": "smtwtp-50", "draw": "deepaco-test"}
    evaluator = bind(Setting(workload, "single-machine", "colony", {"instances": 100}), registry()).evaluator
    assert evaluator.best(0, 0, 1).mean() == pytest.approx(3.170, rel=0.1)
