"""What every optimizer must do: propose valid designs, deterministically, with a state that depends on tells alone.

from tradespace.testing.optimizers import check_optimizer
report = check_optimizer(MyOptimizer)
assert report.passed, str(report)
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradespace.designs import Designs
from tradespace.errors import TradespaceError
from tradespace.problem import Problem, Scores
from tradespace.search.contract import Optimizer, rng
from tradespace.testing import problems
from tradespace.testing.problems import Distances, ToyChain
from tradespace.testing.report import Kit, KitReport, fail, not_applicable

SIZES = (8, 8, 8)
LARGEST = 128
"""Designs of a batch at most, where an optimizer is run with the batches that it likes."""


@dataclass(frozen=True)
class OptimizerSubject:
    """An optimizer class, and the problem that most checks run on: a chain with structure, unless one is given."""

    cls: Any
    problem: Problem = field(default_factory=lambda: problems.problem_of(ToyChain()))

    def build(self, problem: Problem | None = None) -> Optimizer:
        built: Optimizer = self.cls(problems.view_of(problem or self.problem), self.cls.Options())
        return built

    def build_or_decline(self, problem: Problem) -> Optimizer:
        """A space that an optimizer cannot search is refused when it is built, by a TradespaceError with a reason."""
        try:
            return self.build(problem)
        except TradespaceError as refusal:
            not_applicable(f"refuses this space: {refusal}")


def check_optimizer(
    subject: Any,
    label: str | None = None,
    *,
    problem: Problem | None = None,
    expected: Mapping[str, str] | None = None,
) -> KitReport:
    """Run the kit on an optimizer class.

    Args:
        subject: the class.
        label: how the report calls it.
        problem: for optimizers that search only problems of a certain kind: a small one of that kind.
        expected: check -> reason, for known failures (strict).
    """
    label = label or str(getattr(subject, "__name__", subject))
    return KIT.run(
        OptimizerSubject(subject) if problem is None else OptimizerSubject(subject, problem), label, expected
    )


# -- driving ----------------------------------------------------------------------------------------------------------


def _drive(
    optimizer: Optimizer,
    problem: Problem,
    sizes: Sequence[int] = SIZES,
    *,
    seed: int = 0,
    first: int = 0,
    score: Callable[[Scores], Scores] = lambda scores: scores,
) -> list[tuple[Designs, Scores]]:
    """Ask, repair, score and tell as the loop does; ends early when nothing is proposed. Returns what was told."""
    told = []
    for batch, n in enumerate(sizes, start=first):
        asked = optimizer.ask(n, rng(seed, batch, "ask"))
        if not len(asked):
            break
        designs = problems.frozen(problem.repair(asked))
        scores = score(problem.score(designs))
        optimizer.tell(designs, scores, rng(seed, batch, "tell"))
        told.append((designs, scores))
    return told


def _same_runs(runs: Sequence[list[tuple[Designs, Scores]]], why: str) -> None:
    a, b = runs
    batch = problems.first_difference(a, b, lambda x, y: np.array_equal(x[0].digest, y[0].digest))
    if batch is not None:
        fail(f"{why}: batch {batch} differs")


def _as_long_as_ever(subject: OptimizerSubject, problem: Problem, change: Callable[[Scores], Scores]) -> None:
    """With changed scores it proposes valid designs for as many batches as with ordinary ones."""
    ordinary = _drive(subject.build(), problem)
    told = _drive(subject.build(), problem, score=change)
    _all_valid(told, problem, SIZES)
    if len(told) < len(ordinary):
        fail(f"proposed nothing after {len(told)} batches, {len(ordinary)} with ordinary scores")


def _all_valid(told: list[tuple[Designs, Scores]], problem: Problem, sizes: Sequence[int]) -> None:
    if not told:
        fail("the first ask proposed nothing")
    for batch, ((designs, _), n) in enumerate(zip(told, sizes, strict=False)):
        _valid(designs, problem, n, f"batch {batch}")


def _valid(designs: Designs, problem: Problem, n: int, where: str) -> None:
    if len(designs) > n:
        fail(f"{where}: asked for {n} designs, got {len(designs)}")
    repaired = problem.space.repair(designs)
    for variable in problem.space.variables:
        block = designs.columns.get(variable.name)
        if block is None or block.shape != (len(designs), variable.width) or block.dtype != variable.dtype:
            found = None if block is None else (block.shape, str(block.dtype))
            fail(f"{where}: '{variable.name}' is {found}, needs ({len(designs)}, {variable.width}) {variable.dtype}")
        if not np.array_equal(block, repaired.columns[variable.name]):
            fail(f"{where}: '{variable.name}' holds values outside its range or entries that do not count")


# -- checks -----------------------------------------------------------------------------------------------------------


def options_have_defaults(subject: OptimizerSubject) -> None:
    """`Options` is a frozen dataclass whose fields all have defaults."""
    options = getattr(subject.cls, "Options", None)
    if not (isinstance(options, type) and dataclasses.is_dataclass(options)):
        fail(f"Options is {options!r}")
    if not options.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        fail("Options is not frozen")
    bare = [
        field.name
        for field in dataclasses.fields(options)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if bare:
        fail(f"without defaults: {', '.join(bare)}")


def states_its_batch(subject: OptimizerSubject) -> None:
    """`batch` is a whole number of at least 1."""
    batch = subject.build().batch
    if isinstance(batch, bool) or not isinstance(batch, int | np.integer) or batch < 1:
        fail(f"batch is {batch!r}")


def asks_valid_designs(subject: OptimizerSubject) -> None:
    """Asked designs lie in the space, canonical, with the space's types, at most as many as asked for."""
    problem = subject.problem
    optimizer = subject.build()
    for batch, n in enumerate(SIZES):
        asked = optimizer.ask(n, rng(0, batch, "ask"))
        if batch == 0 and not len(asked):
            fail("the first ask proposed nothing")
        if not len(asked):
            break
        _valid(asked, problem, n, f"batch {batch}")
        optimizer.tell(asked, problem.score(asked), rng(0, batch, "tell"))


def same_seed_same_designs(subject: OptimizerSubject) -> None:
    """Two fresh optimizers with equal generators ask equal designs."""
    problem = subject.problem
    runs = [_drive(subject.build(), problem) for _ in range(2)]
    _same_runs(runs, "two runs of one seed")


def global_randomness_is_untouched(subject: OptimizerSubject) -> None:
    """Neither reads nor changes numpy's and Python's global random states."""
    problem, runs = subject.problem, []
    before = np.random.get_state(), random.getstate()  # noqa: NPY002 - the global state is what is watched
    try:
        for seed in (1, 2):
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            state = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
            runs.append(_drive(subject.build(), problem))
            after = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
            if repr(state) != repr(after):
                fail("the global random state has changed")
    finally:
        np.random.set_state(before[0])  # noqa: NPY002
        random.setstate(before[1])
    _same_runs(runs, "two global random states")


def asking_changes_nothing(subject: OptimizerSubject) -> None:
    """Asking more often than telling leaves no trace in later asks."""
    problem = subject.problem
    plain, curious = subject.build(), subject.build()
    for batch, n in enumerate(SIZES):
        curious.ask(n + 3, rng(99, batch, "ask"))
        curious.ask(1, rng(98, batch, "ask"))
        a, b = (optimizer.ask(n, rng(0, batch, "ask")) for optimizer in (plain, curious))
        if not np.array_equal(a.digest, b.digest):
            fail(f"batch {batch} differs after extra asks")
        if not len(a):
            break
        curious.ask(2, rng(97, batch, "ask"))
        for optimizer in (plain, curious):
            optimizer.tell(a, problem.score(a), rng(0, batch, "tell"))


def state_comes_from_tells_alone(subject: OptimizerSubject) -> None:
    """A fresh optimizer that is only told a study's batches goes on as the one that ran it."""
    problem = subject.problem
    runner = subject.build()
    size = min(max(int(runner.batch), SIZES[0]), LARGEST)  # so that what it does after its first batch is seen
    told = _drive(runner, problem, (size, size, SIZES[0]))
    resumed = subject.build()
    for batch, (designs, scores) in enumerate(told):
        resumed.tell(designs, scores, rng(0, batch, "tell"))
    rest = [_drive(optimizer, problem, (6, 6), first=len(told)) for optimizer in (runner, resumed)]
    _same_runs(rest, "a resumed optimizer against the one that ran")


def told_arrays_stay_as_they_are(subject: OptimizerSubject) -> None:
    """Never writes to told designs or scores."""
    problem = subject.problem
    copies: list[tuple[Scores, Scores]] = []

    def keep(scores: Scores) -> Scores:
        copies.append((scores, dataclasses.replace(scores, objectives=scores.objectives.copy())))
        return scores

    _drive(subject.build(), problem, score=keep)  # designs are read-only: writing to them raises
    for batch, (now, then) in enumerate(copies):
        if not np.array_equal(now.objectives, then.objectives):
            fail(f"the objectives of batch {batch} were overwritten")


def accepts_designs_it_did_not_ask(subject: OptimizerSubject) -> None:
    """Told designs may differ from the asked ones: repair changes them, and users bring plans of their own."""
    problem = subject.problem
    optimizer = subject.build()
    designs = problem.space.sample(10, rng(5, 0, "probe"))
    optimizer.tell(designs, problem.score(designs), rng(0, 0, "tell"))
    for asked, _ in _drive(optimizer, problem, (5, 5), first=1):  # none, if it has nothing left to propose
        _valid(asked, problem, 5, "afterwards")


def survives_infeasible_batches(subject: OptimizerSubject) -> None:
    """Goes on when no design it has seen is feasible."""
    problem = subject.problem

    def spoil(scores: Scores) -> Scores:
        return dataclasses.replace(scores, violations=np.abs(scores.violations) + 0.5)

    _as_long_as_ever(subject, problem, spoil)


def survives_equal_and_huge_scores(subject: OptimizerSubject) -> None:
    """Goes on when all scores are equal, and when they span 300 orders of magnitude."""
    problem = subject.problem

    def level(scores: Scores) -> Scores:
        return dataclasses.replace(scores, objectives=np.ones_like(scores.objectives))

    def huge(scores: Scores) -> Scores:
        powers = np.geomspace(1e-150, 1e150, scores.objectives.size).reshape(scores.objectives.shape)
        return dataclasses.replace(scores, objectives=powers)

    for change in (level, huge):
        _as_long_as_ever(subject, problem, change)


def takes_any_batch_size(subject: OptimizerSubject) -> None:
    """The number asked for may change from batch to batch: 7, 1, 16, 2."""
    problem, sizes = subject.problem, (7, 1, 16, 2)
    _all_valid(_drive(subject.build(), problem, sizes), problem, sizes)


def takes_a_large_batch(subject: OptimizerSubject) -> None:
    """A first ask for 400 designs gets at least one and at most 400."""
    problem = subject.problem
    _all_valid(_drive(subject.build(), problem, (400,)), problem, (400,))


def stays_at_its_end(subject: OptimizerSubject) -> None:
    """An optimizer that proposes nothing goes on proposing nothing."""
    problem = problems.problem_of(Distances(problems.single_space()))
    optimizer = subject.build_or_decline(problem)
    told = _drive(optimizer, problem, (4,) * 6)
    if len(told) == 6:
        return
    if len(optimizer.ask(4, rng(0, len(told), "ask"))):
        fail("proposed designs after it had ended")


def _searches(evaluator: Any, rule: str, name: str) -> Callable[[OptimizerSubject], None]:
    def check(subject: OptimizerSubject) -> None:
        problem = problems.problem_of(evaluator)
        optimizer = subject.build_or_decline(problem)
        _all_valid(_drive(optimizer, problem, (5, 5)), problem, (5, 5))

    check.__name__, check.__doc__ = name, rule
    return check


KIT: Kit[OptimizerSubject] = Kit(
    "optimizer kit",
    (
        options_have_defaults,
        states_its_batch,
        asks_valid_designs,
        same_seed_same_designs,
        global_randomness_is_untouched,
        asking_changes_nothing,
        state_comes_from_tells_alone,
        told_arrays_stay_as_they_are,
        accepts_designs_it_did_not_ask,
        survives_infeasible_batches,
        survives_equal_and_huge_scores,
        takes_any_batch_size,
        takes_a_large_batch,
        stays_at_its_end,
        _searches(ToyChain(objectives=1), "Searches for a single objective.", "searches_one_objective"),
        _searches(ToyChain(objectives=5), "Searches for five objectives.", "searches_five_objectives"),
        _searches(Distances(problems.single_space()), "A space of one variable.", "searches_one_variable"),
        _searches(Distances(problems.only_space()), "A space with one design.", "searches_one_design"),
        _searches(Distances(problems.mixed_space()), "All kinds of variables, or a clean refusal.", "searches_mixed"),
        _searches(
            Distances(problems.conditional_space()),
            "Variables under conditions, or a clean refusal.",
            "searches_conditional",
        ),
    ),
)
