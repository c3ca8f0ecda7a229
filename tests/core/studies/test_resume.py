"""A study that was cut off and resumed ends bit-identical to one that never was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from tradespace.errors import StudyError
from tradespace.plugins import Registry
from tradespace.studies import Store, StudySpec, start
from tradespace.studies import resume as resuming


def assert_same(resumed: Any, whole: Any) -> None:
    """Designs, values, violations, history (but for its seconds) and box, bit for bit."""
    assert resumed.ids == whole.ids
    assert resumed.values.tobytes() == whole.values.tobytes()
    assert resumed.scores.violations.tobytes() == whole.scores.violations.tobytes()
    assert [(p.evaluations, p.hypervolume) for p in resumed.history] == [
        (p.evaluations, p.hypervolume) for p in whole.history
    ]
    assert resumed.box.nadir.tobytes() == whole.box.nadir.tobytes()
    assert (resumed.stopped, resumed.evaluations) == (whole.stopped, whole.evaluations)


def logged(store: Store, name: str) -> list[tuple[Any, ...]]:
    """The log without seconds."""
    query = sa.text(
        "select number, count, designs_digest, prices_digest, evaluations, hypervolume, change from ts_batches b "
        "join ts_studies s on s.id = b.study where s.name = :name order by number"
    )
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query, {"name": name})]


def killed(chain: ModuleType, database: Path, optimizer: str, after: int) -> None:
    """Run the search as another process and kill -9 it when batch ``after`` is logged."""
    command = [sys.executable, str(chain.__file__), str(database), "a", optimizer, "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == after:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("optimizer", ["pgsam", "random", "nsga2"])
def test_a_killed_study_ends_like_one_that_was_not(
    tmp_path: Path, chain: ModuleType, registry: Registry, spec: StudySpec, optimizer: str
) -> None:
    killed(chain, tmp_path / "killed.db", optimizer, 7)
    spec = replace(spec, optimizer=optimizer)
    with Store.open(tmp_path / "killed.db") as store:
        before = store.load("a")
        assert before.status == "interrupted" and 8 <= len(before.batches) <= 9
        resumed = resuming.resume(store, "a", registry, problem=chain.problem())
        whole = start(store, "whole", spec, chain.problem(), registry)
        assert_same(resumed, whole)
        assert logged(store, "a") == logged(store, "whole")
        after = store.load("a")
        assert (after.status, after.evaluations) == ("complete", 600)
        assert after.front.ids == whole.ids


@pytest.mark.parametrize("fail_at", [1, 2, 3, 15, 21])
def test_a_study_ended_by_ctrl_c_is_resumed(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec, fail_at: int
) -> None:
    """Call 1 prices the reference designs, call n + 1 batch n of 20; an interrupt drops the batch being priced."""
    front = start(store, "a", spec, chain.problem(fail_at=fail_at), registry)
    assert front.interrupted
    study = store.load("a")
    assert (study.status, len(study.batches)) == ("interrupted", max(fail_at - 2, 0))
    assert study.front.ids == front.ids
    resumed = resuming.resume(store, "a", registry, problem=chain.problem())
    assert_same(resumed, start(store, "whole", spec, chain.problem(), registry))
    assert logged(store, "a") == logged(store, "whole")


def test_an_interrupt_while_replaying_loses_nothing(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    first = start(store, "a", spec, chain.problem(fail_at=16), registry)
    again = resuming.resume(store, "a", registry, problem=chain.problem(fail_at=5))
    assert again.interrupted and len(again.history) < len(first.history)
    study = store.load("a")
    assert (study.status, len(study.batches)) == ("interrupted", 14)
    assert sorted(study.front.ids) == sorted(first.ids)
    resumed = resuming.resume(store, "a", registry, problem=chain.problem())
    assert_same(resumed, start(store, "whole", spec, chain.problem(), registry))


@pytest.mark.parametrize("optimizer", ["random", "nsga2", "pgsam"])
def test_nothing_is_measured_twice(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec, optimizer: str
) -> None:
    spec = replace(spec, optimizer=optimizer)
    first = chain.problem(noise=True, fail_at=9)
    start(store, "a", spec, first, registry)
    assert len(first.evaluator.priced) == 8 * 30
    second = chain.problem(noise=True)
    front = resuming.resume(store, "a", registry, problem=second)
    assert len(second.evaluator.priced) == 600 - 8 * 30
    assert front.evaluations == 600
    # the same measurements in one piece give the same study
    values = [*_measured(store, first, 8), *_measured(store, second, 20, start=8)]
    whole = start(store, "whole", spec, _Replayed(chain, values).problem(), registry)
    assert_same(front, whole)
    assert logged(store, "a") == logged(store, "whole")


def _measured(store: Store, problem: Any, stop: int, start: int = 0) -> list[Any]:
    study = store.load("a")
    found = [store.recall(study, number, problem.space) for number in range(start, stop)]
    return [recalled.prices for recalled in found if recalled is not None]


class _Replayed:
    """A measurement whose results are known beforehand."""

    def __init__(self, chain: ModuleType, values: list[Any]) -> None:
        self.chain, self.values = chain, iter(values)

    def problem(self) -> Any:
        problem = self.chain.problem(noise=True)
        problem.evaluator.price = lambda designs: next(self.values)
        return problem


def test_a_complete_study_is_not_continued(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    start(store, "a", spec, chain.problem(), registry)
    with pytest.raises(StudyError, match=r"'a' is complete: 600 evaluations.*start a new study"):
        resuming.resume(store, "a", registry, problem=chain.problem())


def test_a_kill_between_the_last_batch_and_the_end_is_mended(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    whole = start(store, "a", spec, chain.problem(), registry)
    with store.engine.begin() as connection:
        connection.execute(sa.text("update ts_studies set status = 'running', front = null, summary = null"))
    resumed = resuming.resume(store, "a", registry, problem=chain.problem())
    assert_same(resumed, whole)
    assert store.load("a").status == "complete"


def test_a_problem_that_prices_otherwise_is_refused(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    start(store, "a", spec, chain.problem(fail_at=9), registry)
    other = chain.problem()
    other.evaluator.times = np.nextafter(other.evaluator.times, 99.0)
    with pytest.raises(StudyError, match="other prices in batch 0"):
        resuming.resume(store, "a", registry, problem=other)
    assert len(store.load("a").batches) == 7
    resuming.resume(store, "a", registry, problem=chain.problem())  # and the right one still continues


def test_another_problem_is_refused_before_anything_is_priced(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    start(store, "a", spec, chain.problem(fail_at=9), registry)
    other = chain.problem(("latency<=90 s",))
    with pytest.raises(StudyError, match="other metrics, objectives, constraints"):
        resuming.resume(store, "a", registry, problem=other)
    assert other.evaluator.calls == 0


def test_what_changed_is_named(store: Store, chain: ModuleType, registry: Registry, spec: StudySpec) -> None:
    start(store, "a", spec, chain.problem(fail_at=9), registry)
    with store.engine.begin() as connection:
        connection.execute(
            sa.text('update ts_studies set provenance = replace(provenance, \'"numpy":"\', \'"numpy":"0.\')')
        )
    with pytest.raises(StudyError, match=rf"numpy was 0\.{np.__version__}, is {np.__version__}.*start a new study"):
        resuming.resume(store, "a", registry, problem=chain.problem())


def test_an_evaluator_of_a_program_needs_that_program(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    start(store, "a", spec, chain.problem(fail_at=9), registry)
    with pytest.raises(StudyError, match="was an object of a program"):
        resuming.resume(store, "a", registry)


def test_seconds_go_on_from_the_log(store: Store, chain: ModuleType, registry: Registry, spec: StudySpec) -> None:
    start(store, "a", spec, chain.problem(fail_at=9), registry)
    with store.engine.begin() as connection:
        connection.execute(sa.text("update ts_batches set seconds = seconds + 1000"))
    resumed = resuming.resume(store, "a", registry, problem=chain.problem())
    assert 1000 < resumed.seconds < 1100
    assert (np.diff(store.load("a").history[:, 1]) > 0).all()


def test_batches_written_while_the_problem_was_rebuilt_are_seen(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    """A running study goes on until it is claimed; what it wrote meanwhile is replayed, not asked again."""
    from tradespace.search.api import make_optimizer, view_of
    from tradespace.search.loop import run
    from tradespace.studies import Provenance

    problem = chain.problem(noise=True)
    log = store.create("a", spec, Provenance.of(None, registry), problem)
    early: list[Any] = []

    class Other:
        def batch(self, batch: Any) -> None:
            if batch.index == 3:
                early.append(store.load("a"))
            if batch.index == 9:
                _, now = store.resume(early[0], take_over=True)
                assert len(now.batches) == 10

    optimizer = make_optimizer("random", {}, view_of(problem, spec.budget), registry)
    with pytest.raises(StudyError, match="one process at a time"), log:
        run(problem, optimizer, spec.budget, spec.seed, name="random", batch=30, observers=[log, Other()])
    again = chain.problem(noise=True)
    resuming.resume(store, "a", registry, problem=again, take_over=True)
    assert len(again.evaluator.priced) == 600 - 300
