"""Pipeline schedules: closed forms, the event loop, and what happens at the ends of a step."""

from __future__ import annotations

import numpy as np
import pytest

from tradespace.costs import pipelines
from tradespace.costs.pipelines import Step, schedule, stage_order, step_time
from tradespace.costs.timeline import Resource, TaskTable, events, ordered
from tradespace.errors import InputError


def a_step(
    stages: int, chunks: int = 1, n: int = 1, *, forward: float = 1.0, backward: float = 2.0, **ends: float
) -> Step:
    """Equal stages; ``ends``: send, gather, reduce, update, overlap."""
    full = {key: np.full((n, stages), ends.get(key, 0.0)) for key in ("send", "gather", "reduce", "update")}
    blocks = (np.full((n, stages, chunks), time / chunks) for time in (forward, backward))
    return Step(*blocks, **full, overlap=np.full(n, bool(ends.get("overlap", 1.0))))


def random_step(rng: np.random.Generator, stages: int, chunks: int, n: int = 3) -> Step:
    def draw(*shape: int) -> np.ndarray:
        return rng.choice([0.0, 0.5, 1.0, 2.0], (n, *shape))

    ends = (draw(stages) for _ in range(4))
    return Step(draw(stages, chunks) + 0.25, draw(stages, chunks) + 0.25, *ends, rng.random(n) < 0.5)


@pytest.mark.parametrize(("stages", "micro"), [(1, 1), (1, 7), (2, 1), (4, 8), (8, 32), (6, 5), (3, 4000)])
def test_equal_stages_take_m_plus_p_minus_1_slots(stages: int, micro: int) -> None:
    assert step_time(a_step(stages), micro) == pytest.approx((micro + stages - 1) * 3)


@pytest.mark.parametrize(("stages", "micro", "chunks"), [(2, 4, 2), (4, 8, 2), (8, 32, 4), (4, 4000, 2)])
def test_interleaving_divides_the_bubble(stages: int, micro: int, chunks: int) -> None:
    assert step_time(a_step(stages, chunks), micro) == pytest.approx(3 * micro + 3 * (stages - 1) / chunks)


def test_two_stages_with_slow_transfers_by_hand() -> None:
    """A micro-batch goes there and back before the next but one can leave: 3 + L per micro-batch, and the ends."""
    one = step_time(a_step(2, send=0.25), 8)[0]
    more = step_time(a_step(2, send=0.25), 10)[0]
    assert more - one == pytest.approx(2 * (3 + 0.25))


def test_a_transfer_longer_than_the_work_sets_the_pace() -> None:
    times = [step_time(a_step(2, send=50.0), m)[0] for m in (20, 30)]
    assert times[1] - times[0] >= 10 * 50.0


def test_the_event_loop_agrees() -> None:
    """With a resource per stage and one per transfer direction, chains only restate the order."""
    rng = np.random.default_rng(5)
    for _ in range(40):
        stages, chunks = int(rng.integers(1, 5)), int(rng.integers(1, 4))
        chunks = 1 if stages == 1 else chunks
        micro = int(rng.integers(1, 4)) * stages
        step = random_step(rng, stages, chunks)
        table = schedule(stages, micro, chunks)
        work = pipelines._durations(step, micro, slice(None))
        looser = TaskTable(table.tasks, table.edges, (Resource("all", table.tasks),))
        assert (events(looser, work.T, 0).finish == ordered(table, work).T).all()


def test_orders_are_complete_and_bounded() -> None:
    """Every chunk of every micro-batch goes forward, then backward; 1F1B holds at most p - s of them."""
    for stages, micro, chunks in [(1, 3, 1), (4, 8, 1), (4, 2, 1), (3, 6, 2), (4, 8, 4)]:
        for stage in range(stages):
            order = stage_order(stages, micro, chunks, stage)
            forward = [(c, i) for back, c, i in order if not back]
            backward = [(c, i) for back, c, i in order if back]
            assert sorted(forward) == sorted(backward) == [(c, i) for c in range(chunks) for i in range(micro)]
            held = np.cumsum([-1 if back else 1 for back, _, _ in order])
            assert held.min() >= 0
            if chunks == 1:
                assert held.max() == min(micro, stages - stage)


def test_hidden_traffic_costs_only_what_the_work_does_not_cover() -> None:
    for size, shown in ((0.5, 0.0), (3.5, 2.5)):
        hidden = step_time(a_step(1, gather=size), 4)[0]
        assert hidden == pytest.approx(12 + shown)
        assert step_time(a_step(1, gather=size, overlap=0.0), 4)[0] == pytest.approx(12 + size)
    assert step_time(a_step(1, reduce=1.5), 4)[0] == pytest.approx(12)
    assert step_time(a_step(1, reduce=5.0, update=0.5), 4)[0] == pytest.approx(12 - 2 + 5 + 0.5)
    assert step_time(a_step(1, reduce=5.0, overlap=0.0), 4)[0] == pytest.approx(17)


def test_the_last_stage_reduces_while_the_first_still_runs() -> None:
    """Its gradients are ready before the last backward of the stages in front of it."""
    step = a_step(4, overlap=0.0)
    reduce = np.zeros((1, 4))
    reduce[0, 3] = 6.0  # three backwards of two
    late = Step(step.forward, step.backward, step.send, step.gather, reduce, step.update, step.overlap)
    assert step_time(late, 8) == step_time(step, 8)


def test_long_steps_go_on_at_their_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    for stages, chunks, micro in [(2, 1, 300), (3, 2, 240), (5, 1, 221), (4, 1, 401)]:
        step = random_step(rng, stages, chunks, 8)
        whole = step_time(step, micro)
        with monkeypatch.context() as patch:
            patch.setattr(pipelines, "MAX_CELLS", 64)
            assert step_time(step, micro) == pytest.approx(whole, rel=0.01)


def test_designs_do_not_see_each_other() -> None:
    step = random_step(np.random.default_rng(1), 3, 1, 5)
    alone = [
        step_time(Step(*(getattr(step, name)[i : i + 1] for name in Step.__dataclass_fields__)), 7)[0] for i in range(5)
    ]
    assert step_time(step, 7).tolist() == alone


def test_interleaving_needs_whole_groups() -> None:
    with pytest.raises(InputError, match="multiples"):
        step_time(a_step(4, 2), 6)
