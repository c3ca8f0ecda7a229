"""PGSAM: acceptance limits, moves, momentum, what each switch does, and its quality against NSGA-II."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.support.chains import Chain

from tradespace.designs import Choice, Designs, Space
from tradespace.problem import Problem
from tradespace.search import streams
from tradespace.search.api import search, view_of
from tradespace.search.contract import Budget, rng
from tradespace.testing.problems import Distances, mixed_space, problem_of
from tradespace_optimizers import pgsam_annealing as annealing
from tradespace_optimizers import pgsam_chains as chains
from tradespace_optimizers import pgsam_moves as moves
from tradespace_optimizers.pgsam import PGSAM, PGSAMOptions
from tradespace_optimizers.pgsam_seen import Seen, slot
from tradespace_optimizers.relaxation import relaxed_designs

GOALS = ["latency", "energy", "loss"]
SPACE = Space(Choice("device", ("a", "b", "c"), 12), Choice("precision", ("x", "y"), 12), Choice("mode", ("p", "q")))
LAYOUT = moves.layout_of(SPACE)
SCRATCH = np.empty(SPACE.width, np.int64)


def _random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _asked(options: dict[str, Any], evaluator: Any = None, batches: int = 12, seed: int = 0) -> list[int]:
    """Digests of all designs that a run asks."""
    problem = Problem.of(evaluator or Chain(0, 10, kind="coupled"), GOALS)
    optimizer = PGSAM(view_of(problem, Budget(600)), PGSAMOptions(**{"warm_start": "none"} | options))
    digests: list[int] = []
    for batch in range(batches):
        designs = optimizer.ask(30, rng(seed, batch, "ask"))
        optimizer.tell(designs, problem.score(designs), rng(seed, batch, "tell"))
        digests += designs.digest.tolist()
    return digests


# -- acceptance -------------------------------------------------------------------------------------------------------


def _taken(delta: np.ndarray, temperature: float) -> np.ndarray:
    """Which of these worsenings chains of their own accept."""
    n, one = len(delta), np.ones(1)
    codes, now = np.ones((n, 2)), np.zeros((n, 2))
    annealing.settle(
        np.uint64(3), 0, n, 0, codes, delta[:, None], np.zeros(n), now, np.zeros((n, 1)), np.zeros(n), np.ones((n, 2)),
        np.zeros(1), one, 0.0, True, temperature, 0.0, 0.0, 1, np.empty((0, 2)), np.empty(0, np.intp),
        np.empty((1, 0)), np.empty(0), np.empty(1, np.uint64), np.empty(1),
    )  # fmt: skip
    return now[:, 0] == 1.0


def test_hot_chains_accept_everything_and_cold_ones_nothing_worse() -> None:
    delta = _random().normal(size=10_000)
    assert _taken(delta, np.inf).all()
    assert _taken(delta, 1e9).mean() > 0.9999
    for cold in (0.0, 1e-12):
        assert np.array_equal(_taken(delta, cold), delta <= 0)


def test_acceptance_is_metropolis() -> None:
    assert _taken(np.full(200_000, 0.7), 0.5).mean() == pytest.approx(np.exp(-1.4), abs=0.005)


@pytest.mark.parametrize("feasible", [True, False])
def test_the_compiled_energy_is_that_of_the_scale(feasible: bool) -> None:
    random = _random()
    scale = chains.Scale(random.normal(size=3), random.random(3) + 0.5, feasible, 0.3)
    objectives, violation, weights = random.normal(size=(50, 3)), random.random(50), random.random((50, 4))
    each = [
        annealing.energy(objectives[i], violation[i], weights[i], scale.low, scale.span, scale.corner, feasible)
        for i in range(50)
    ]
    assert np.allclose(each, scale.energy(objectives, violation, weights), rtol=1e-12)


def test_the_first_temperature_accepts_four_of_five_median_moves() -> None:
    delta = np.abs(_random().normal(size=1001))
    t0 = chains.first_temperature(np.concatenate([delta, -delta]))
    assert np.exp(-np.median(delta) / t0) == pytest.approx(0.8)
    assert chains.first_temperature(-delta) == 0.0


def test_infeasible_designs_cost_more_the_more_they_break() -> None:
    scale = chains.Scale(np.zeros(2), np.ones(2), True, 0.3)
    weights, objectives = np.full((3, 3), 0.5), np.full((3, 2), 0.4)
    energy = scale.energy(objectives, np.array([0.0, 0.01, 0.5]), weights)
    assert energy[0] < energy[1] < energy[2]


def test_while_nothing_is_feasible_the_violation_leads() -> None:
    scale = chains.Scale(np.zeros(2), np.ones(2), False, 0.3)
    energy = scale.energy(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0.5, 0.4]), np.full((2, 3), 0.5))
    assert energy[1] < energy[0]


def test_directions_sum_to_one_and_include_every_objective() -> None:
    weights = chains.directions(40, 3, _random())
    weights, strictness = weights[:, :3], weights[:, 3]
    assert np.allclose(weights.sum(axis=1), 1.0)
    assert strictness.min() < 0.15 and strictness.max() > 0.5
    assert (weights[:3].argmax(axis=1) == np.arange(3)).all() and (weights[:3].max(axis=1) > 0.98).all()


# -- moves ------------------------------------------------------------------------------------------------------------


def _codes(n: int = 200) -> np.ndarray:
    return SPACE.flatten(SPACE.sample(n, _random(1)))


def _moved(kind: str, codes: np.ndarray, guides: np.ndarray | None = None, **rules: Any) -> np.ndarray:
    """Every row moved in one way, nothing remembered."""
    shares = np.asarray([float(kind == name) for name in moves.KINDS])
    slopes, effect = np.ones((len(codes), 2)), np.zeros((SPACE.width, 3, 2))
    guides = codes if guides is None else guides
    moved, digests = moves.neighbours(
        LAYOUT, codes, np.zeros((len(codes), 1)), shares, _random(), n=len(codes), slopes=slopes,
        guides=moves.Guides(effect, guides, np.arange(len(guides))), rules=moves.Rules(**rules),
    )  # fmt: skip
    assert np.array_equal(digests, SPACE.unflatten(moved).digest)
    return moved


@pytest.mark.parametrize("kind", sorted(set(moves.KINDS) - {"copy"}))
def test_moves_change_designs_and_stay_in_the_space(kind: str) -> None:
    codes = _codes()
    before = codes.copy()
    moved = _moved(kind, codes)
    assert np.array_equal(codes, before)
    assert np.array_equal(SPACE.flatten(SPACE.unflatten(moved)), moved)
    assert (moved != codes).any(axis=1).mean() > 0.5


def test_a_reassignment_changes_one_to_four_entries_evenly() -> None:
    codes = _codes(4000)
    changed = _moved("reassign", codes) != codes
    count = changed.sum(axis=1)
    assert count.min() >= 0 and count.max() <= 4
    assert (count == 1).mean() == pytest.approx(0.6, abs=0.05)
    assert changed.mean(axis=0).std() < 0.2 * changed.mean()


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    """Threads take halves of a batch; each row has a stream of its own."""
    codes = _codes(3000)
    whole, part = _moved("reassign", codes), _moved("reassign", codes[:100])
    assert np.array_equal(whole[:100], part)


def test_a_swap_keeps_the_counts_and_changes_two_entries() -> None:
    codes = _codes()
    moved = _moved("swap", codes)
    for start, width, _ in LAYOUT.lanes.tolist():
        part = slice(start, start + width)
        assert np.array_equal(np.sort(moved[:, part], axis=1), np.sort(codes[:, part], axis=1))
    assert set((moved != codes).sum(axis=1)) == {2}


def test_a_cut_shift_makes_no_new_code_and_moves_a_boundary() -> None:
    codes = np.zeros((100, SPACE.width))
    codes[:, 5:12] = 2.0  # one boundary, between 4 and 5, in "device"; "precision" has none
    device = _moved("cut", codes)[:, :12]
    assert set(np.unique(device)) == {0.0, 2.0}
    assert ((np.diff(device, axis=1) != 0).sum(axis=1) <= 1).all()
    assert 0.3 < (device != codes[:, :12]).any(axis=1).mean() < 0.7  # the other half drew "precision"


def test_a_run_is_contiguous_and_has_one_code() -> None:
    moved = _moved("block", np.zeros((300, SPACE.width)))
    assert np.abs(np.diff(np.pad(moved[:, :12] != 0, ((0, 0), (1, 1))).astype(int), axis=1)).sum(axis=1).max() == 2


def test_copied_stretches_come_from_the_guide() -> None:
    moved = _moved("copy", np.zeros((200, SPACE.width)), np.ones((200, SPACE.width)))
    assert set(np.unique(moved)) == {0.0, 1.0}
    assert 0.1 < moved.mean() < 0.5


def test_a_space_without_choices_moves_as_its_variables_say() -> None:
    from tradespace.designs import Permutation, Real

    layout = moves.layout_of(Space(Real("x", 0, 1), Permutation("order", 5)))
    assert moves.kinds(layout, block_moves=True, guides=False).tolist() == [0, 0, 0, 0, 0, 1]


def test_streams_are_uniform_and_apart() -> None:
    state, drawn = np.empty(1, np.uint64), []
    for row in range(50):
        streams.open_stream(state, np.uint64(5), row)
        drawn.append([streams.uniform(state) for _ in range(400)])
    numbers = np.asarray(drawn)
    assert numbers.min() >= 0.0 and numbers.max() < 1.0
    assert np.histogram(numbers, 20, (0, 1))[0] == pytest.approx(np.full(20, 1000), abs=150)
    assert abs(np.corrcoef(numbers)[np.triu_indices(50, 1)]).max() < 0.25


# -- designs asked before ---------------------------------------------------------------------------------------------


def test_compiled_digests_are_those_of_designs() -> None:
    space = mixed_space()
    designs, layout = space.sample(100, _random()), moves.layout_of(mixed_space())
    codes = space.flatten(designs)
    assert [streams.digest_of(row, layout.keys, layout.real) for row in codes] == designs.digest.tolist()


def test_seen_digests_are_found_and_others_not() -> None:
    known, others = np.split(_random().integers(1, 1 << 63, 40_000, dtype=np.uint64), 2)
    seen = Seen(30_000)
    for part in np.split(known, 8):
        seen.add(part)
    assert all(seen.table[slot(seen.table, d)] == d for d in known)
    assert all(seen.table[slot(seen.table, d)] == 0 for d in others)


# -- momentum ---------------------------------------------------------------------------------------------------------


def test_momentum_learns_additive_effects_per_objective() -> None:
    random = _random()
    true = random.normal(size=(SPACE.width, 3, 2))
    effect, place = np.zeros_like(true), np.arange(SPACE.width)
    for _ in range(60):
        before = SPACE.flatten(SPACE.sample(100, random))
        after = SPACE.flatten(SPACE.mutate(SPACE.unflatten(before), random))
        value = [true[place, codes.astype(int)].sum(axis=1) for codes in (before, after)]
        for i in range(100):
            annealing.learn(before[i], after[i], value[1][i] - value[0][i], LAYOUT.columns, effect, 0.5, SCRATCH)
    for column in range(SPACE.width):
        count = LAYOUT.options[column]
        error = (effect - true)[column, :count] - (effect - true)[column, :1]
        assert np.abs(error).max() < 0.05


def test_opposite_directions_prefer_opposite_moves() -> None:
    effect = np.zeros((SPACE.width, 3, 2))
    moved, change = np.eye(SPACE.width)[0], np.array([-1.0, 2.0])
    annealing.learn(np.zeros(SPACE.width), moved, change, LAYOUT.columns, effect, 1.0, SCRATCH)
    gain = effect[0, 0] - effect[0, 1]
    assert gain[0] > 0 > gain[1]


def test_remembered_gains_choose_the_move() -> None:
    codes, effect = np.zeros((400, SPACE.width)), np.zeros((SPACE.width, 3, 1))
    effect[3, 1] = -1.0  # entry 3 gains by option 1
    shares = np.asarray([1.0, 0, 0, 0, 0, 0])
    for slope, low, high in ((1.0, 0.5, 1.0), (-1.0, 0.0, 0.1)):
        moved, _ = moves.neighbours(
            LAYOUT, codes, np.zeros((400, 1)), shares, _random(), n=400, slopes=np.full((400, 1), slope),
            guides=moves.Guides(effect, codes, np.arange(400)), rules=moves.Rules(explore=0.0),
        )  # fmt: skip
        assert low <= (moved[:, 3] == 1).mean() < high


def test_far_runs_have_any_length_and_are_not_screened() -> None:
    codes = np.zeros((2000, SPACE.width))
    short, far = (_moved("block", codes, far=share) for share in (0.0, 1.0))
    start, width, _ = LAYOUT.lanes[0]
    whole = [(moved[:, start : start + width] != 0).all(axis=1).mean() for moved in (short, far)]
    assert whole[1] > 2 * whole[0]
    share = moves.kinds(LAYOUT, block_moves=True, guides=True)
    assert moves.reaching(share, 0.5).sum() == pytest.approx(1.0)
    assert moves.reaching(share, 0.5)[moves.kernel.BLOCK] > 0.25
    none = moves.kinds(LAYOUT, block_moves=False, guides=True)
    assert np.array_equal(moves.reaching(none, 0.5), none)


# -- switches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switch",
    [
        {"momentum": False},
        {"guidance": False},
        {"block_moves": False},
        {"far_runs": False},
        {"turning": 0.0},
        {"screen": 1},
    ],
)
def test_a_switch_changes_what_is_asked(switch: dict[str, Any]) -> None:
    on, off = _asked({}), _asked(switch)
    assert on != off and on[:30] == off[:30]  # the first batch knows nothing yet


def test_the_warm_start_asks_the_relaxed_front_first() -> None:
    problem = Problem.of(Chain(0, 10, kind="coupled"), GOALS)
    view = view_of(problem, Budget(600))
    optimizer = PGSAM(view, PGSAMOptions(chains=30))  # enough for every plain design to be among the first
    first = optimizer.ask(30, rng(0, 0, "ask"))
    scores = problem.score(first)
    optimizer.tell(first, scores, rng(0, 0, "tell"))
    second = optimizer.ask(30, rng(0, 1, "ask"))
    relaxed = relaxed_designs(view, scores, 150)
    assert 0 < len(relaxed) <= 150
    assert np.array_equal(second.digest[: len(relaxed)], relaxed.digest[:30])


def test_the_warm_start_helps_where_there_is_structure() -> None:
    results = {
        warm: search(Chain(1, 24), GOALS, optimizer="pgsam", options={"warm_start": warm}, evaluations=1000).hypervolume
        for warm in ("relaxation", "none")
    }
    assert results["relaxation"] > results["none"]


# -- behaviour --------------------------------------------------------------------------------------------------------


def test_designs_are_not_asked_twice() -> None:
    digests = _asked({}, Chain(0, 16))
    assert len(set(digests)) > 0.97 * len(digests)


def test_the_first_batch_holds_the_plain_designs() -> None:
    problem = Problem.of(Chain(0, 10), GOALS)
    asked = PGSAM(view_of(problem, Budget(2000)), PGSAMOptions()).ask(40, rng(0, 0, "ask"))
    assert set(problem.space.homogeneous().digest.tolist()) <= set(asked.digest.tolist())


def test_suggested_plans_come_first() -> None:
    class Suggests(Chain):
        def suggest(self):  # type: ignore[no-untyped-def]
            return {"mine": self.space.parse({"device": "gpu", "precision": {"0": "int4"}})}

    problem = Problem.of(Suggests(0, 10), GOALS)
    asked = PGSAM(view_of(problem, Budget(2000)), PGSAMOptions()).ask(40, rng(0, 0, "ask"))
    assert asked.take([0]).digest == Suggests(0, 10).suggest()["mine"].digest


def test_an_infeasible_start_is_left() -> None:
    constraints = ["mem0<=0.3", "mem1<=0.3", "mem2<=0.3", "loss<=1"]
    chain = Chain(2, 16)
    sample = Problem.of(chain, GOALS, constraints)
    assert not sample.score(chain.space.sample(500, _random())).feasible.any()
    front = search(chain, GOALS, constraints, optimizer="pgsam", options={"warm_start": "none"}, evaluations=2000)
    assert len(front) >= 10


@pytest.mark.parametrize("m", [1, 2, 6])
def test_it_beats_random_search_on_mixed_variables(m: int) -> None:
    evaluator = Distances(mixed_space(), m)
    names = list(problem_of(evaluator).names)
    ours, theirs = (search(evaluator, names, optimizer=o, evaluations=1500).hypervolume for o in ("pgsam", "random"))
    assert ours > theirs


@pytest.mark.parametrize("kind", ["sum", "capped", "bottleneck", "coupled"])
def test_it_is_no_worse_than_nsga2_at_equal_evaluations(kind: str) -> None:
    """Three seeds on one chain each; bench/optimizers.py does it with twenty on many."""

    def median(optimizer: str, options: dict[str, Any]) -> float:
        fronts = [
            search(Chain(1, 16, kind=kind), GOALS, optimizer=optimizer, options=options, evaluations=2000, seed=s)
            for s in range(3)
        ]
        return float(np.median([f.hypervolume for f in fronts]))

    assert median("pgsam", {"warm_start": "none"}) > median("nsga2", {"homogeneous": True})


def test_told_designs_need_not_be_asked_ones_even_in_number() -> None:
    problem = Problem.of(Chain(0, 6), GOALS)
    optimizer = PGSAM(view_of(problem, Budget(500)), PGSAMOptions())
    for batch, n in enumerate((3, 200, 1, 50)):
        designs: Designs = problem.space.sample(n, _random(batch))
        optimizer.tell(designs, problem.score(designs), rng(0, batch, "tell"))
    assert len(optimizer.ask(64, rng(0, 9, "ask"))) == 64


def test_large_batches_make_more_chains_and_can_be_told_again() -> None:
    problem = Problem.of(Chain(0, 10), GOALS)
    told = []

    def fresh(options: PGSAMOptions) -> PGSAM:
        return PGSAM(view_of(problem, Budget(2000)), options)

    first = fresh(PGSAMOptions(warm_start="none"))
    for batch in range(5):
        designs = first.ask(300, rng(0, batch, "ask"))
        told.append((designs, problem.score(designs)))
        first.tell(*told[-1], rng(0, batch, "tell"))
    again = fresh(PGSAMOptions(warm_start="none"))
    for batch, (designs, scores) in enumerate(told):
        again.tell(designs, scores, rng(0, batch, "tell"))
    asked = [o.ask(300, rng(0, 5, "ask")).digest for o in (first, first, again)]
    assert np.array_equal(asked[0], asked[1]) and np.array_equal(asked[0], asked[2])
    assert first._chains is not None and len(first._chains) == 300
    assert len(np.unique(asked[0])) == 300
