"""RL+ACO: contract, couplings, both halves at work, exactness on small problems."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tradespace as ts
from tradespace.errors import TradespaceError, UnknownName
from tradespace.plugins import registry
from tradespace.search.contract import rng
from tradespace.settings import Setting, bind
from tradespace.testing import problems
from tradespace.testing.optimizers import check_optimizer
from tradespace_optimizers.rl_aco import ACO, COUPLINGS, RLACO, Reinforce, RLACOOptions
from tradespace_optimizers.rl_aco_colony import Trails, lanes_of, rebuilt, reinsert
from tradespace_optimizers.rl_aco_directions import directions
from tradespace_optimizers.rl_aco_policy import Policy, advantages, choice_gradient, order_gradient


@pytest.mark.parametrize("subject", [RLACO, ACO, Reinforce])
def test_kit(subject: Any) -> None:
    report = check_optimizer(subject)
    assert report.passed, report


@pytest.fixture(scope="module")
def workflow() -> Any:
    """Ten tasks on three processors: assignment and order, optimum 73."""
    return bind(Setting("topcuoglu-10", "three-processors"), registry()).evaluator


@pytest.fixture(scope="module")
def stream() -> Any:
    workload = {"type": "iot_task_set", "tasks": 60, "rate": "14 Hz", "seed": 3}
    return bind(Setting(workload, "cloud-fleet", "queue"), registry()).evaluator


def best(evaluator: Any, optimizer: Any, metric: str, evaluations: int, seed: int = 0, **options: Any) -> float:
    front = ts.search(evaluator, [metric], optimizer=optimizer, options=options, evaluations=evaluations, seed=seed)
    return float(front.values[0, 0])


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_every_coupling_beats_random_search_without_suggestions(coupling: str, stream: Any) -> None:
    ours = best(stream, RLACO, "response", 1500, coupling=coupling, suggestions=False)
    assert ours < best(stream, "random", "response", 1500)


def test_couplings_and_halves_ask_different_designs(stream: Any) -> None:
    """Each switch is connected: told the same batches, the optimizers go on differently."""
    problem = ts.Problem.of(stream, ["response", "energy"])
    view = problems.view_of(problem, evaluations=200)
    options = [RLACOOptions(coupling=c) for c in COUPLINGS]
    options += [RLACOOptions(learner=False), RLACOOptions(colony=False), RLACOOptions(rebuild=False)]
    asked = []
    for chosen in options:
        optimizer = RLACO(view, chosen)
        for batch in range(4):
            designs = problem.space.sample(32, rng(0, batch, "probe"))
            optimizer.tell(designs, problem.score(designs), rng(0, batch, "tell"))
        asked.append(tuple(optimizer.ask(32, rng(0, 9, "ask")).digest.tolist()))
    assert len(set(asked)) == len(asked)


def test_it_is_never_worse_than_the_suggestions(workflow: Any, stream: Any) -> None:
    for evaluator, metric in ((workflow, "makespan"), (stream, "response")):
        listed = min(float(evaluator.price(plan)[metric][0]) for plan in evaluator.suggest().values())
        assert best(evaluator, "rl_aco", metric, 64) <= listed


def test_it_finds_the_optimum_of_the_golden_graph(workflow: Any) -> None:
    """73, proved by constraint programming in the literature's check; HEFT gives 80."""
    found = [best(workflow, "rl_aco", "makespan", 6000, seed) for seed in range(4)]
    assert min(found) == pytest.approx(73.0)
    assert max(found) <= 76.0


def test_small_streams_are_solved_exactly() -> None:
    """At most 8 tasks on 3 nodes: brute force against 1,500 evaluations, 20 instances, at least 19 optimal."""
    target = {"extends": "processors-3"}
    hits = 0
    for seed in range(20):
        workload = {"type": "iot_task_set", "tasks": 5 + seed % 4, "rate": "2 Hz", "seed": seed}
        evaluator = bind(Setting(workload, target, "queue"), registry()).evaluator
        everything = evaluator.space.at(np.arange(evaluator.space.size))
        optimum = float(evaluator.price(everything)["response"].min())
        hits += best(evaluator, "rl_aco", "response", 1500, seed) <= optimum * (1 + 1e-12)
    assert hits >= 19


def test_the_front_of_two_objectives_comes_close_to_the_exact_one() -> None:
    workload = {"type": "iot_task_set", "tasks": 7, "rate": "3 Hz", "seed": 1}
    evaluator = bind(Setting(workload, "processors-3", "queue"), registry()).evaluator
    objectives = ["response", "energy", "cost"]
    exact = ts.search(evaluator, objectives, optimizer="exhaustive", evaluations=5000)
    ours = ts.search(evaluator, objectives, optimizer="rl_aco", evaluations=1500)
    assert ours.hypervolume >= 0.98 * exact.hypervolume


def test_refusals_name_the_remedy() -> None:
    view = problems.view_of(problems.problem_of(problems.Distances(problems.mixed_space())))
    with pytest.raises(TradespaceError, match="ants build assignments"):
        RLACO(view, RLACOOptions())
    fine = problems.view_of(problems.problem_of(problems.ToyChain()))
    with pytest.raises(UnknownName, match="coupling"):
        RLACO(fine, RLACOOptions(coupling="telepathy"))
    with pytest.raises(TradespaceError, match="learner or a colony"):
        RLACO(fine, RLACOOptions(learner=False, colony=False))


def test_directions_are_weights() -> None:
    for m in (1, 2, 3, 5):
        found = directions(m)
        assert np.allclose(found.sum(axis=1), 1) and (found >= 0).all()
        assert len(np.unique(found, axis=0)) == len(found)
        assert all((found == corner).all(axis=1).any() for corner in np.eye(m))


def test_advantages_rank_within_their_group() -> None:
    cost, violation = np.array([3.0, 1e150, -5.0, 2.0, 7.0, 7.0]), np.array([0.0, 0, 0, 0.5, 0, 0])
    found = advantages(cost, violation, np.array([0, 0, 0, 0, 1, 1]))
    assert np.argsort(-found[:4]).tolist() == [2, 0, 1, 3]  # infeasible last
    assert found[:4].sum() == pytest.approx(0) and (found[4:] == 0).all()


def test_gradients_are_slopes() -> None:
    generator = np.random.default_rng(0)
    logits, codes = generator.normal(size=(2, 3)), generator.integers(0, 3, (4, 2))
    gain = generator.normal(size=4)

    def choice(x: np.ndarray) -> float:
        p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
        entropy = -(p * np.log(p)).sum()
        return float((gain[:, None] * np.log(p[np.arange(2), codes])).sum() + 0.2 * entropy)

    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = choice_gradient(p, codes, gain, 0.2)
    for at in itertools.product(range(2), range(3)):
        step = np.zeros((2, 3))
        step[at] = 1e-5
        assert found[at] == pytest.approx((choice(logits + step) - choice(logits - step)) / 2e-5, abs=1e-6)

    weights, orders = np.exp(generator.normal(size=4)), np.array([[0, 2, 1, 3], [3, 1, 0, 2]])

    def order(x: np.ndarray) -> float:
        total = 0.0
        for g, o in zip(gain, orders.tolist(), strict=False):
            total += g * sum(x[o[t]] - np.log(np.exp(x[o[t:]]).sum()) for t in range(4))
        return total

    slope = order_gradient(weights, orders, gain[:2])[0]
    for i in range(4):
        step = np.zeros(4)
        step[i] = 1e-5
        x = np.log(weights)
        assert slope[i] == pytest.approx((order(x + step) - order(x - step)) / 2e-5, abs=1e-6)


def test_the_policy_learns_from_features_and_table() -> None:
    """A bandit whose second option is best: its probability must rise, by the feature in unrewarded rows too."""
    features = np.zeros((4, 3, 1))
    features[:, 1, 0] = 1.0
    policy = Policy(1, features, rate=0.05, decay=0.0, clip=1.0)
    generator = np.random.default_rng(0)
    one = np.ones((1, 1))
    for _ in range(200):
        logits = policy.logits(one)[0]
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        codes = np.stack([generator.choice(3, 16, p=row) for row in p], axis=1)
        score = (codes[:, :3] == 1).mean(axis=1)
        policy.learn(choice_gradient(p, codes, (score - score.mean()) / 16, 0.0)[None])
    logits = policy.logits(one)[0]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert (p[:3, 1] > 0.9).all()
    assert p[3, 1] > 0.5  # never rewarded: only the shared feature can have raised it


def test_trails_stay_within_their_limits_and_move_towards_the_deposit() -> None:
    lane = lanes_of(problems.ToyChain().space)[0]
    trails = Trails(2, lane, rho=0.2)
    target = lane.place(np.tile([0, 1, 2, 0], (3, 1)), np.array([1.0, 2.0, 0.5]))
    assert target.sum(axis=1) == pytest.approx(np.ones(lane.width))
    for _ in range(200):
        trails.deposit(0, target)
    assert trails.tau[0] == pytest.approx(np.where(target > 0.5, 1.0, lane.least))
    assert (trails.tau[1] == 1.0).all()  # the other objective's trails lie still
    assert trails.log(np.array([[1.0, 0.0]]))[0] == pytest.approx(np.log(trails.tau[0]))
    trails.restart()
    assert (trails.tau == 1.0).all()


def test_ants_rebuild_parts_of_every_size() -> None:
    masks = rebuilt(64, 4000, np.random.default_rng(0), 2)
    sizes = masks.sum(axis=1)
    assert sizes.min() == 2 and sizes.max() > 55
    assert 0.45 < (sizes <= 11).mean() < 0.6  # log-uniform from 2 to 64: half below their geometric mean
    assert masks.mean(axis=0).std() < 0.02  # every place as often


def test_reinserting_moves_one_thing_and_keeps_the_rest_in_order() -> None:
    lane = lanes_of(ts.Space(ts.Permutation("order", 12)))[0]
    orders = np.tile(np.arange(12, dtype=np.int32), (200, 1))
    reinsert(orders, np.arange(200), np.ones((12, 12)), lane, np.random.default_rng(1))
    for order in orders.tolist():
        assert sorted(order) == list(range(12)) and order != list(range(12))
        assert any([x for x in order if x != thing] == [x for x in range(12) if x != thing] for thing in range(12))


@pytest.mark.parametrize(("seconds", "ants", "last"), [(1.0, 0, 100), (None, 0, 32), (1.0, 32, 32)])
def test_batches_grow_by_the_clock_alone(seconds: float | None, ants: int, last: int, stream: Any) -> None:
    problem = ts.Problem.of(stream, ["response", "energy"])
    view = replace(problems.view_of(problem, 2000), evaluations=None if seconds else 2000, seconds=seconds)
    optimizer = RLACO(view, RLACOOptions(ants=ants))
    assert optimizer.batch == 32
    designs = problem.space.sample(2000, rng(0, 0, "probe"))
    optimizer.tell(designs, problem.score(designs), rng(0, 0, "tell"))
    assert optimizer.batch == last
