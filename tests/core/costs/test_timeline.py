"""The timeline engine: loops against plain twins, closed forms and each other."""

from __future__ import annotations

import numpy as np
import pytest

from tradespace.costs.timeline import NEVER, Limits, Resource, TaskTable, events, ordered
from tradespace.costs.timeline_twin import events_twin, ordered_twin
from tradespace.errors import InputError

LATTICE = np.array([0.0, 0.0, 1.0, 1.0, 2.0, 3.0])  # many ties


def a_table(rng: np.random.Generator, *, shared: bool) -> tuple[TaskTable, np.ndarray, np.ndarray, np.ndarray]:
    """A random table with every feature, and work, resource, priority of one design."""
    n, m = int(rng.integers(1, 13)), int(rng.integers(1, 5))
    pairs = [(a, b) for a in range(n) for b in range(a + 1, n) if rng.random() < 0.2]
    resources = []
    for r in range(m):
        gate = f"r{rng.integers(0, r)}" if r and rng.random() < 0.3 else None
        batch = bool(rng.random() < 0.2)
        window = float(rng.choice(LATTICE)) if batch else 0.0
        resources.append(Resource(f"r{r}", 1 if batch else int(rng.integers(1, 3)), batch, gate, window))
    resource = np.where(rng.random(n) < 0.1, NEVER, rng.integers(-1, m, n)).astype(np.int32)
    batches = np.array([x.batch for x in resources] + [False])
    plain = ~batches[np.maximum(resource, -1)] & (resource >= 0)
    lock = np.where(plain & (rng.random(n) < 0.3), rng.integers(0, m, n), -1)
    lock = np.where((lock >= 0) & ((lock == resource) | batches[lock]), -1, lock)
    demand = np.where(plain & shared & (rng.random(n) < 0.5), rng.choice([0.5, 1.0], n), 0.0)
    begins = rng.choice(LATTICE, 2)
    patience = float(rng.choice([*LATTICE, np.inf]))
    ends = [*LATTICE, np.inf] if patience < np.inf else LATTICE
    outages = [(rng.integers(-1, m), b, b + rng.choice(ends)) for b in begins[: rng.integers(0, 3)]]
    gone = [r for r, _, end in outages if end == np.inf]
    lock = np.where(np.isin(lock, gone), -1, lock)  # a lock that never comes back is waited for in vain
    waits = np.bincount([b for _, b in pairs], minlength=n)
    need = np.where((waits > 1) & (rng.random(n) < 0.3), 1, -1)
    table = TaskTable(n, pairs, tuple(resources), rng.choice(LATTICE, len(pairs)), rng.choice(LATTICE, n), lock,
                      demand, 1.0, outages, float(rng.choice(LATTICE)), patience, need,
                      rng.random(len(pairs)) < 0.5)  # fmt: skip
    return table, rng.choice(LATTICE, n), resource, rng.integers(0, 3, n).astype(float)


def elsewhere(table: TaskTable, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random alternative, resource and work, of each task that may have one."""
    m, n = len(table.resources), table.tasks
    other = rng.integers(-1, m, n).astype(np.int32)
    batches = np.array([x.batch for x in table.resources] + [False])
    special = (table.locks >= 0) | (np.asarray(table.demand) > 0)
    return np.where((special & batches[other]) | (other == table.locks), -1, other), rng.choice(LATTICE, n)


@pytest.mark.parametrize("shared", [False, True])
def test_the_event_loop_equals_its_twin(shared: bool) -> None:
    rng = np.random.default_rng(11)
    stretched, fates = 0, np.zeros(3, int)
    for _ in range(1500):
        table, work, resource, priority = a_table(rng, shared=shared)
        other, there = elsewhere(table, rng)
        got = events(table, work, resource, priority, alternative=(other, there))
        pairs = list(zip(other.tolist(), there.tolist(), strict=True))
        told = events_twin(table, work.tolist(), resource.tolist(), priority.tolist(), pairs)
        assert got.fate[0].tolist() == told.fate
        if shared:
            np.testing.assert_allclose(got.finish[0], told.finish, rtol=1e-9, atol=1e-9)
        else:
            assert got.finish[0].tolist() == told.finish
            assert got.start[0].tolist() == told.start
            assert got.asked[0].tolist() == told.asked
        stretched += int((got.finish[0] - got.start[0] > work + 1e-12).any())
        fates += np.bincount(told.fate, minlength=3)
    assert stretched > 50  # batches and shares stretch some tasks, else the instances test nothing
    assert fates.min() > 100


def test_ordered_equals_its_twin_and_designs_do_not_meet() -> None:
    rng = np.random.default_rng(5)
    for _ in range(300):
        n = int(rng.integers(1, 20))
        pairs = [(a, b) for a in range(n) for b in range(a + 1, n) if rng.random() < 0.2]
        table = TaskTable(n, pairs, lag=rng.choice(LATTICE, len(pairs)), release=rng.choice(LATTICE, n))
        work = rng.random((n, 3))
        got = ordered(table, work)
        for d in range(3):
            assert got[:, d].tolist() == ordered_twin(table, work[:, d].tolist())
        assert ordered(table, work[:, 1]).tolist() == got[:, 1].tolist()


def test_with_chain_edges_both_loops_agree() -> None:
    rng = np.random.default_rng(7)
    for _ in range(1000):
        n, m = int(rng.integers(1, 16)), int(rng.integers(1, 4))
        pairs = [(a, b) for a in range(n) for b in range(a + 1, n) if rng.random() < 0.15]
        resource = rng.integers(0, m, n)
        plain = TaskTable(n, pairs, tuple(Resource(f"r{r}") for r in range(m)), rng.choice(LATTICE, len(pairs)))
        table = plain.chained([np.flatnonzero(resource == r).tolist() for r in range(m)])
        work = rng.random((2, n))
        got = events(table, work, resource)
        assert got.finish.T.tolist() == ordered(table, work.T).tolist()


def test_uniform_1f1b_takes_m_plus_p_minus_1_slots() -> None:
    """p stages, m micro-batches, forward 1 and backward 2: (m + p - 1) * 3 (PipeDream-flush)."""
    stages, micro = 4, 7
    at = {
        (k, s, b): i for i, (k, s, b) in enumerate((k, s, b) for k in "fb" for s in range(stages) for b in range(micro))
    }
    edges = [(at["f", s, b], at["f", s + 1, b]) for s in range(stages - 1) for b in range(micro)]
    edges += [(at["b", s + 1, b], at["b", s, b]) for s in range(stages - 1) for b in range(micro)]
    edges += [(at["f", stages - 1, b], at["b", stages - 1, b]) for b in range(micro)]
    queues = []
    for s in range(stages):
        warm = min(micro, stages - s - 1)
        order = [("f", s, b) for b in range(warm)]
        for b in range(micro - warm):
            order += [("f", s, warm + b), ("b", s, b)]
        queues.append([at[x] for x in [*order, *(("b", s, b) for b in range(micro - warm, micro))]])
    table = TaskTable(len(at), edges).chained(queues)
    work = np.array([1.0 if k == "f" else 2.0 for k, _, _ in at])
    assert ordered(table, work).max() == (micro + stages - 1) * 3


def test_first_come_first_served_on_k_servers_is_kiefer_wolfowitz() -> None:
    from tradespace.costs.queues import kiefer_wolfowitz

    rng = np.random.default_rng(2)
    arrive, service = np.sort(rng.random(200) * 50), rng.random(200)
    start, finish = np.empty(200), np.empty(200)
    kiefer_wolfowitz(np.arange(200), arrive, service, np.zeros(3), start, finish)
    got = events(TaskTable(200, (), (Resource("node", 3),), release=arrive), service, np.zeros(200, int))
    assert got.finish[0].tolist() == finish.tolist()


def test_two_flows_share_the_channel_in_proportion() -> None:
    """Both ask for all of it: each runs at half speed until the shorter ends: min / q + (max - min)."""
    table = TaskTable(2, (), (Resource("a"), Resource("b")), demand=1.0)
    got = events(table, [2.0, 5.0], [0, 1])
    assert got.finish[0].tolist() == [4.0, 7.0]
    alone = events(TaskTable(2, (), table.resources, demand=1.0, channel=2.0), [2.0, 5.0], [0, 1])
    assert alone.finish[0].tolist() == [2.0, 5.0]


def test_a_batch_drains_its_queue_and_its_gate_closes_the_rest() -> None:
    planner, device = Resource("planner", batch=True), Resource("device", 2, gate="planner")
    # two stars, each followed by an edit; the third star may only start when no edit runs
    table = TaskTable(5, [(0, 2), (1, 3), (2, 4), (3, 4)], (planner, device))
    got = events(table, [1.0, 1.0, 10.0, 4.0, 1.0], [1, 1, 0, 0, 1])
    assert got.finish[0].tolist() == [1.0, 1.0, 11.0, 11.0, 12.0]  # one edit of 10, not two


def test_an_outage_loses_the_running_attempt() -> None:
    table = TaskTable(1, (), (Resource("node"),), outages=[(0, 3.0, 5.0)], retry=2.0)
    got = events(table, [4.0], [0])
    assert (got.start[0, 0], got.finish[0, 0]) == (7.0, 11.0)
    assert events(table, [2.0], [0]).finish[0, 0] == 2.0


def test_a_lock_is_taken_with_the_server_or_not_at_all() -> None:
    table = TaskTable(3, (), (Resource("a"), Resource("b"), Resource("lock")), lock=[2, 2, -1])
    got = events(table, [2.0, 2.0, 1.0], [0, 1, 1])
    assert got.start[0].tolist() == [0.0, 2.0, 0.0]  # the third passes the second, whose lock is busy


def test_a_batch_may_wait_for_others() -> None:
    table = TaskTable(3, (), (Resource("planner", batch=True, window=2.0),), release=[0.0, 1.0, 3.0])
    got = events(table, [5.0, 4.0, 1.0], [0, 0, 0])
    assert got.start[0].tolist() == [2.0, 2.0, 9.0]  # from 0 on it collects, at 2 it draws two; the third waits again
    assert got.finish[0].tolist() == [7.0, 7.0, 10.0]


def test_limits_may_differ_between_designs() -> None:
    table = TaskTable(4, (), (Resource("a"), Resource("p", batch=True)), release=[0.0, 0.0, 0.0, 1.0])
    limits = Limits([[1, 1], [2, 1]], [[0.0, 0.0], [0.0, 3.0]], [np.inf, np.inf])
    got = events(table, [4.0, 4.0, 1.0, 1.0], [0, 0, 1, 1], limits=limits)
    assert got.start.tolist() == [[0.0, 4.0, 0.0, 1.0], [0.0, 0.0, 3.0, 3.0]]
    for row, own in enumerate((("a", 1, 0.0), ("a", 2, 3.0))):
        alone = TaskTable(4, (), (Resource("a", own[1]), Resource("p", 1, True, None, own[2])), release=[0, 0, 0, 1])
        assert events(alone, [4.0, 4.0, 1.0, 1.0], [0, 0, 1, 1]).finish[0].tolist() == got.finish[row].tolist()
    for wrong in (
        Limits([[0, 1]], [[0, 0]], [1]),
        Limits([[1, 1]], [[1, 0]], [1]),
        Limits([[1, 1]] * 3, [[0, 0]], [1]),
    ):
        with pytest.raises(InputError):
            events(table, [[1.0] * 4] * 2, 0, limits=wrong)


def test_an_outage_that_is_found_out_moves_what_it_hits() -> None:
    nodes = (Resource("a"), Resource("b"))
    table = TaskTable(3, (), nodes, release=[0.0, 0.0, 20.0], outages=[(0, 3.0, np.inf)], patience=5.0)
    got = events(table, [10.0, 10.0, 10.0], 0, alternative=([1, 1, -1], [4.0, 2.0, 0.0]))
    assert got.asked[0].tolist() == [8.0, 8.0, 20.0]
    assert got.start[0].tolist() == [8.0, 12.0, 20.0]
    assert got.fate[0].tolist() == [1, 1, 2]  # the third has no alternative, and the node never comes back
    short = events(table, [10.0, 10.0, 10.0], 0, outages=[[(0, 3.0, 7.0)], [(0, 3.0, 9.0)]])
    assert short.start.tolist() == [[17.0, 7.0, 27.0], [19.0, 9.0, 29.0]]  # the second has waited longer


def test_what_was_given_up_is_missed_over_strict_edges_only() -> None:
    table = TaskTable(4, [(0, 1), (0, 2), (0, 3), (2, 3)], (Resource("a"),), outages=[(0, 0.0, np.inf)], patience=1.0,
                      strict=[True, False, True, True], need=[-1, -1, -1, 1])  # fmt: skip
    got = events(table, [5.0, 5.0, 5.0, 5.0], [0, -1, -1, -1])
    assert got.fate[0].tolist() == [2, 2, 0, 0]  # the fourth needs one of two, and gets the third
    assert got.finish[0].tolist() == [1.0, 1.0, 6.0, 11.0]


def test_the_first_of_two_is_enough() -> None:
    table = TaskTable(3, [(0, 2), (1, 2)], (Resource("a", 2),), need=[-1, -1, 1])
    assert events(table, [3.0, 7.0, 1.0], [0, 0, -1]).finish[0].tolist() == [3.0, 7.0, 4.0]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: TaskTable(2, [(0, 1), (1, 0)]), "circle"),
        (lambda: TaskTable(2, [(0, 2)]), "edge"),
        (lambda: TaskTable(1, release=-1.0), "negative"),
        (lambda: TaskTable(1, (), (Resource("a", 0),)), "server"),
        (lambda: TaskTable(1, (), (Resource("a", gate="b"), Resource("b", gate="a"))), "circle"),
        (lambda: TaskTable(1, (), (Resource("a"),), lock=3), "lock"),
        (lambda: TaskTable(1, (), (Resource("a"),), outages=[(0, 2.0, 1.0)]), "outage"),
        (lambda: events(TaskTable(1, (), (Resource("a"),)), [1.0], [1]), "runs on"),
        (lambda: events(TaskTable(1, (), (Resource("a"),), lock=0), [1.0], [0]), "another resource"),
        (lambda: events(TaskTable(1), [np.nan], [-1]), "finite"),
        (lambda: TaskTable(1, (), (Resource("a", window=1.0),)), "window"),
        (lambda: TaskTable(2, [(0, 1)], need=[-1, 2]), "predecessors"),
        (lambda: TaskTable(1, patience=-1.0), "patience"),
        (lambda: events(TaskTable(1, (), (Resource("a"),)), [1.0], [0], outages=[[(0, np.inf, np.inf)]]), "outage"),
        (lambda: TaskTable(1, (), (Resource("a"),), outages=[(0.5, 1.0, 2.0)]), "outage"),
    ],
)
def test_tables_that_make_no_sense_are_refused(make: object, word: str) -> None:
    with pytest.raises(InputError, match=word):
        make()  # type: ignore[operator]
