"""The loop: budgets, interrupts, errors, observers, replays."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.core.search.toys import Plain, RandomChain

from tradespace.designs import Designs
from tradespace.errors import PluginError, ProblemError, StudyError
from tradespace.problem import Prices, Problem
from tradespace.search import Budget, Front, run
from tradespace.search.api import search, view_of
from tradespace.search.contract import Batch, Recalled, digest_designs, digest_prices
from tradespace_optimizers.pgsam import PGSAM, PGSAMOptions
from tradespace_optimizers.random_search import RandomSearch

GOALS = ["latency", "energy"]


@dataclass
class Watch:
    batches: list[Batch] = field(default_factory=list)

    def batch(self, batch: Batch) -> None:
        self.batches.append(batch)


@dataclass
class Log:
    """A replay of watched batches; with ``keep`` it gives designs and prices, as for measured evaluators."""

    batches: Sequence[Batch]
    keep: bool = False
    seconds: float = 5.0

    def recall(self, index: int) -> Recalled | None:
        if index >= len(self.batches):
            return None
        b = self.batches[index]
        digests = digest_designs(b.designs), digest_prices(b.scores.prices)
        kept = (b.designs, b.scores.prices) if self.keep else (None, None)
        return Recalled(len(b.designs), *digests, *kept)


def _run(evaluator: object, budget: Budget, seed: int = 0, **options: object) -> Front:
    problem = Problem.of(evaluator, GOALS)  # type: ignore[arg-type]
    optimizer = PGSAM(view_of(problem, budget), PGSAMOptions())
    return run(problem, optimizer, budget, seed, name="pgsam", batch=10, **options)  # type: ignore[arg-type]


def _same(a: Front, b: Front) -> bool:
    pairs = [(a.minimised, b.minimised), (a.designs.digest, b.designs.digest)]
    volumes = [[p.hypervolume for p in f.history] for f in (a, b)]
    return all(np.array_equal(x, y) for x, y in pairs) and volumes[0] == volumes[1]


def test_the_evaluation_budget_is_met_exactly() -> None:
    watch = Watch()
    front = _run(Plain(), Budget(47), observers=[watch])
    assert front.evaluations == 47 == sum(len(b.designs) for b in watch.batches)
    assert [len(b.designs) for b in watch.batches] == [10, 10, 10, 10, 7]
    assert front.stopped == "47 evaluations" and not front.interrupted


def test_observers_see_each_batch_after_the_archive_took_it_in() -> None:
    watch = Watch()
    front = _run(Plain(), Budget(60), observers=[watch])
    last = watch.batches[-1]
    assert [b.index for b in watch.batches] == list(range(6))
    assert last.hypervolume == front.hypervolume == front.history[-1].hypervolume
    assert set(last.front.ids) == set(front.ids)
    volumes = [p.hypervolume for p in front.history]
    assert volumes == sorted(volumes)


def test_stagnation_ends_a_search_that_no_longer_gains() -> None:
    front = _run(Plain(), Budget(evaluations=None, stagnation=4))
    assert front.stopped == "no gain in 4 batches"
    assert len({p.hypervolume for p in front.history[-4:]}) == 1


def test_seconds_end_a_search() -> None:
    front = _run(Plain(lambda call: time.sleep(0.01)), Budget(evaluations=None, seconds=0.1))
    assert front.stopped == "0.1 seconds" and front.evaluations > 0


@pytest.mark.parametrize(
    "budget",
    [Budget(None), Budget(0), Budget(evaluations=None, seconds=-1.0), Budget(evaluations=2.5)],  # type: ignore[arg-type]
)
def test_senseless_budgets_are_refused(budget: Budget) -> None:
    with pytest.raises(ProblemError):
        _run(Plain(), budget)


def test_a_senseless_seed_is_refused() -> None:
    with pytest.raises(ProblemError, match="seed"):
        _run(Plain(), Budget(10), seed=-1)


def test_an_interrupt_while_pricing_drops_that_batch_only() -> None:
    def stop(call: int) -> None:
        if call == 4:  # call 0 prices the reference designs
            raise KeyboardInterrupt

    watch = Watch()
    front = _run(Plain(stop), Budget(100), observers=[watch])
    assert front.interrupted and front.stopped == "interrupted"
    assert front.evaluations == 30 and len(watch.batches) == 3
    assert len(front) and set(front.ids) == set(watch.batches[-1].front.ids)


def test_an_interrupt_before_the_first_batch_gives_an_empty_front() -> None:
    def stop(call: int) -> None:
        raise KeyboardInterrupt

    front = _run(Plain(stop), Budget(100))
    assert front.interrupted and len(front) == 0 and front.evaluations == 0
    assert front.values.shape == (0, 2) and front.pick() == ()


def test_ctrl_c_while_telling_waits_for_the_whole_batch() -> None:
    class Impatient(Watch):
        def batch(self, batch: Batch) -> None:
            if batch.index == 2:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)  # the signal arrives here, in the middle of the commit
            super().batch(batch)

    watch = Impatient()
    front = _run(Plain(), Budget(100), observers=[watch])
    assert front.interrupted and len(watch.batches) == 3 and front.evaluations == 30
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_in_price_names_the_batch_and_what_was_told_stays_logged() -> None:
    def fail(call: int) -> None:
        if call == 3:
            raise ZeroDivisionError("division by zero")

    watch = Watch()
    with pytest.raises(PluginError, match=r"price of Plain, batch 2.*ZeroDivisionError") as caught:
        _run(Plain(fail), Budget(100), observers=[watch])
    assert len(watch.batches) == 2 and caught.value.remedy and caught.value.__cause__


def test_an_error_in_an_optimizer_names_it() -> None:
    class Broken(RandomSearch):
        def tell(self, designs, scores, rng):  # type: ignore[no-untyped-def]
            raise IndexError("oops")

    with pytest.raises(PluginError, match=r"tell of the optimizer, batch 0.*IndexError: oops"):
        search(Plain(), GOALS, optimizer=Broken)


def test_an_optimizer_that_asks_too_much_is_refused() -> None:
    class Greedy(RandomSearch):
        def ask(self, n, rng):  # type: ignore[no-untyped-def]
            return super().ask(n + 1, rng)

    with pytest.raises(PluginError, match="at most as many"):
        search(Plain(), GOALS, optimizer=Greedy)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("done", [1, 4, 10])
def test_a_resumed_search_ends_bit_identical(keep: bool, done: int) -> None:
    watch = Watch()
    whole = _run(Plain(), Budget(100), observers=[watch])
    rest = Watch()
    resumed = _run(Plain(), Budget(100), replay=Log(watch.batches[:done], keep), observers=[rest])
    assert _same(whole, resumed)
    assert [b.index for b in rest.batches] == list(range(done, 10))
    assert resumed.seconds >= 5.0


def test_measured_designs_are_not_priced_again() -> None:
    class Measured(Plain):
        deterministic = False

    watch = Watch()
    whole = _run(Measured(), Budget(50), observers=[watch])
    evaluator = Measured()
    resumed = _run(evaluator, Budget(50), replay=Log(watch.batches, keep=True))
    assert evaluator.calls == 0 and _same(whole, resumed)
    assert whole.box.note.startswith("the first batch")


def test_a_longer_budget_continues_a_finished_log() -> None:
    """The last batch of the log was cut by its budget; the replay must ask for as many as then."""
    watch = Watch()
    problem = Problem.of(Plain(), GOALS)
    for evaluations, replay in ((25, None), (60, Log(watch.batches))):
        optimizer = RandomSearch(view_of(problem, Budget(60)), RandomSearch.Options())
        front = run(
            problem, optimizer, Budget(evaluations), 0, name="random", batch=10, observers=[watch], replay=replay
        )
        assert front.evaluations == evaluations
    assert [len(b.designs) for b in watch.batches] == [10, 10, 5, 10, 10, 10, 5]


def test_a_log_of_another_run_is_refused() -> None:
    watch = Watch()
    _run(Plain(), Budget(30), seed=1, observers=[watch])
    with pytest.raises(StudyError, match="other designs in batch 0"):
        _run(Plain(), Budget(30), seed=0, replay=Log(watch.batches))


def test_changed_prices_are_refused() -> None:
    class Dearer(Plain):
        def price(self, designs: Designs):  # type: ignore[no-untyped-def]
            prices = dict(super().price(designs))
            return prices | {"energy": prices["energy"] * 1.0000001}

    watch = Watch()
    _run(Plain(), Budget(30), observers=[watch])
    with pytest.raises(StudyError, match="other prices in batch 0"):
        _run(Dearer(), Budget(30), replay=Log(watch.batches))


def test_an_error_carries_what_was_found_before_it() -> None:
    class Breaks(Plain):
        def price(self, designs):  # type: ignore[no-untyped-def]
            prices = dict(super().price(designs))
            if self.calls > 3:  # the reference designs, then two batches
                prices["energy"][0] = np.nan
            return prices

    watch = Watch()
    with pytest.raises(PluginError, match=r"energy: prices are finite.*nan for design device: .*20 designs") as caught:
        search(Breaks(), GOALS, optimizer="random", batch=10, evaluations=100, observers=[watch])
    front = caught.value.front
    assert front.evaluations == 20 and len(front) and "prices are finite" in front.stopped
    assert np.array_equal(front.minimised, np.unique(watch.batches[-1].front_objectives, axis=0))
    assert pickle.loads(pickle.dumps(caught.value)).front is None
    with pytest.raises(PluginError) as caught:
        search(Plain(lambda call: 1 / 0), GOALS)  # type: ignore[arg-type]
    assert caught.value.front is None


def test_huge_prices_do_not_end_a_search() -> None:
    """Their squares overflow: a model that an optimizer learnt of them once priced its designs as nan."""

    class Huge(RandomChain):
        def price(self, designs):  # type: ignore[no-untyped-def]
            prices = super().price(designs)
            bad = (designs["device"][:, [2, 9, 14]] == 1).sum(axis=1)
            first = {name: prices[name] + 1e300 * bad for name in ("cost0", "cost1")}
            return Prices({**prices, **first}, {"cannot run": bad * 1.0})

        structure = None  # type: ignore[assignment]

    front = search(Huge(1, n=16, m=3, pairs=False), ["cost0", "cost1", "cost2"], evaluations=1000, seed=1)
    assert len(front) and front.values.max() < 1e4
