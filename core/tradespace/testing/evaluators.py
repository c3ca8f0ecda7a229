"""What every evaluator must do: one finite price for a design, whatever batch, order or moment it is priced in.

from tradespace.testing.evaluators import check_evaluator
report = check_evaluator(factory.bind(workload, target, {}, registry()))
assert report.passed, str(report)
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace import units
from tradespace.designs import Designs, Space
from tradespace.errors import TradespaceError
from tradespace.problem import Metric, Prices, Problem, check_prices
from tradespace.search.claims import check_shape, check_values
from tradespace.testing import problems
from tradespace.testing.report import Kit, KitReport, fail, not_applicable

Array = NDArray[Any]
SLOW = 0.05  # seconds for the kit's batch beyond which the large batch is not tried
EXACT = 1e-9  # relative tolerance of structure and plans, which sum in another order than price


@dataclass(frozen=True)
class EvaluatorSubject:
    """An evaluator, and how many random designs each check looks at."""

    evaluator: Any
    count: int = 48
    seed: int = 0

    @property
    def space(self) -> Space:
        space = self.evaluator.space
        return space if isinstance(space, Space) else fail(f"space is {type(space).__name__}")

    @cached_property
    def designs(self) -> Designs:
        """Random designs and designs at the rim, repaired, read-only."""
        rng = np.random.Generator(np.random.Philox(self.seed))
        found = self.space.concat([self.space.sample(self.count, rng), problems.edge_designs(self.space)])
        return problems.frozen(self.repaired(found))

    def repaired(self, designs: Designs) -> Designs:
        repair = getattr(self.evaluator, "repair", None)
        return designs if repair is None else repair(designs)

    def price(self, designs: Designs) -> Prices:
        return check_prices(self.evaluator.price(designs), tuple(self.evaluator.metrics), designs)

    def pure(self) -> None:
        if not getattr(self.evaluator, "deterministic", True):
            not_applicable("declares deterministic = False: it measures")


def check_evaluator(
    evaluator: Any, label: str | None = None, *, count: int = 48, expected: Mapping[str, str] | None = None
) -> KitReport:
    """Run the kit on a bound evaluator. `expected`: check -> reason, for known failures (strict)."""
    return KIT.run(EvaluatorSubject(evaluator, count), label or type(evaluator).__name__, expected)


def _same(a: Prices, b: Prices, why: str) -> None:
    """Bit-identical prices: a study is resumed by computing them again."""
    for kind, left, right in (("metric", a.columns, b.columns), ("violation", a.violations, b.violations)):
        if tuple(left) != tuple(right):
            fail(f"{why}: {kind} names are {list(left)} and {list(right)}")
        for name in left:
            unequal = np.flatnonzero(np.asarray(left[name]) != np.asarray(right[name]))
            if unequal.size:
                i = int(unequal[0])
                fail(f"{why}: {kind} '{name}' of design {i} is {left[name][i]!r} and {right[name][i]!r}")


# -- form -------------------------------------------------------------------------------------------------------------


def has_space_and_metrics(subject: EvaluatorSubject) -> None:
    """Has a Space and a tuple of Metrics with different names, units that can be read, and a meaning each."""
    metrics = subject.evaluator.metrics
    if subject.space.width < 1 or not isinstance(metrics, tuple) or not metrics:
        fail(f"metrics is {metrics!r}")
    for metric in metrics:
        if not isinstance(metric, Metric) or not metric.meaning.strip():
            fail(f"{metric!r} has no meaning")
        units.dimension(metric.unit or "1")
    if len({metric.name for metric in metrics}) != len(metrics):
        fail("metric names repeat")


def returns_what_it_declares(subject: EvaluatorSubject) -> None:
    """Prices hold every declared metric, finite and of shape (N,), and nothing else but `<metric>.se`."""
    raw = subject.evaluator.price(subject.designs)
    subject.price(subject.designs)
    declared = {metric.name for metric in subject.evaluator.metrics}
    extra = [name for name in raw if name not in declared and name.removesuffix(".se") not in declared]
    if extra:
        fail(f"undeclared: {', '.join(extra)}")


def prices_extreme_designs(subject: EvaluatorSubject) -> None:
    """Designs at the rim of the space get finite prices, one at a time as well."""
    for design in subject.repaired(problems.edge_designs(subject.space)):
        subject.price(design)


def violations_are_graded(subject: EvaluatorSubject) -> None:
    """Violations are finite, have the same names in every batch, and feasible means <= 0 (so not only 0 and 1)."""
    prices = subject.price(subject.designs)
    if not isinstance(prices.violations, Mapping):
        fail(f"violations are {type(prices.violations).__name__}")
    first = subject.price(subject.designs.take(slice(0, 1)))
    if tuple(first.violations) != tuple(prices.violations):
        fail(f"{list(first.violations)} for one design, {list(prices.violations)} for many")
    for name, amounts in prices.violations.items():
        if set(np.unique(amounts)) == {0.0, 1.0} and (amounts > 0).sum() >= 8:
            fail(f"'{name}' is only ever 0 or 1: state by how much a limit is exceeded, relative to the limit")


# -- purity -----------------------------------------------------------------------------------------------------------


def repeats_its_prices(subject: EvaluatorSubject) -> None:
    """Pricing one batch again, and after other designs, gives the same bits."""
    subject.pure()
    first = subject.price(subject.designs)
    _same(first, subject.price(subject.designs), "again")
    subject.price(subject.repaired(subject.space.sample(9, np.random.Generator(np.random.Philox(77)))))
    _same(first, subject.price(subject.designs), "after other designs")


def batch_does_not_matter(subject: EvaluatorSubject) -> None:
    """A design priced alone, in a part and in the whole batch has the same bits."""
    subject.pure()
    designs = subject.designs
    whole, half = subject.price(designs), len(designs) // 2
    for part in (slice(0, half), slice(half, None), slice(1, None, 3)):
        _same(whole.take(part), subject.price(designs.take(part)), f"rows {part.start}:{part.stop}:{part.step}")
    for row in range(0, len(designs), max(1, len(designs) // 16)):
        alone = slice(row, row + 1)
        _same(whole.take(alone), subject.price(designs.take(alone)), f"row {row} alone")


def order_does_not_matter(subject: EvaluatorSubject) -> None:
    """A batch in another order has the same prices, in that order."""
    subject.pure()
    order = np.random.Generator(np.random.Philox(3)).permutation(len(subject.designs))
    _same(subject.price(subject.designs).take(order), subject.price(subject.designs.take(order)), "in another order")


def large_batches_agree(subject: EvaluatorSubject) -> None:
    """Batches of thousands, where a fast evaluator splits its work, have the same bits as small ones."""
    subject.pure()
    begin = time.perf_counter()
    small = subject.price(subject.designs)
    seconds = time.perf_counter() - begin
    if seconds > SLOW:
        not_applicable(f"{len(subject.designs)} designs take {seconds:.2g} s: one large batch would take too long")
    rows = np.arange(9001) % len(subject.designs)
    _same(small.take(rows), subject.price(subject.designs.take(rows)), "in a batch of 9001")


def leaves_designs_alone(subject: EvaluatorSubject) -> None:
    """Never writes to the designs it is given (they are read-only here, so writing raises)."""
    before = {name: block.copy() for name, block in subject.designs.columns.items()}
    subject.price(subject.designs)
    subject.repaired(subject.designs)
    for name, block in subject.designs.columns.items():
        if not np.array_equal(block, before[name]):
            fail(f"'{name}' has changed")


# -- repair, plans, structure -----------------------------------------------------------------------------------------


def repair_is_idempotent(subject: EvaluatorSubject) -> None:
    """Repaired designs lie in the space and come back unchanged from a second repair."""
    if not hasattr(subject.evaluator, "repair"):
        not_applicable("has no repair")
    rng = np.random.Generator(np.random.Philox(11))
    once = subject.repaired(subject.space.sample(subject.count, rng))
    for why, other in (("a second repair", subject.repaired(once)), ("Space.repair", subject.space.repair(once))):
        changed = np.flatnonzero(once.digest != other.digest)
        if changed.size:
            fail(f"{why} changes design {int(changed[0])}: {once.show(int(changed[0]))}")


def plans_agree_with_prices(subject: EvaluatorSubject) -> None:
    """A plan names its design, which reads back as the same one, and the values and violations that price gives."""
    if not hasattr(subject.evaluator, "explain"):
        not_applicable("has no explain")
    for design in subject.designs.take(slice(0, None, max(1, len(subject.designs) // 8))):
        plan, prices = subject.evaluator.explain(design), subject.price(design)
        if plan.id != design.ids[0]:
            fail(f"plan id {plan.id} for design {design.ids[0]}")
        if subject.space.parse(plan.design).digest[0] != design.digest[0]:
            fail(f"plan {plan.id} reads back as another design")
        for name, told, true in (
            *((n, plan.values.get(n), v[0]) for n, v in prices.items()),
            *((n, plan.violations.get(n), v[0]) for n, v in prices.violations.items()),
        ):
            if told is None or not np.isclose(told, true, rtol=EXACT, atol=1e-300):
                fail(f"plan {plan.id}: '{name}' is {told}, priced {true}")


def suggestions_are_designs(subject: EvaluatorSubject) -> None:
    """Suggested designs lie in the space, have finite prices, and are the same every time."""
    suggest = getattr(subject.evaluator, "suggest", None)
    if suggest is None:
        not_applicable("suggests nothing")
    first, again = suggest(), suggest()
    if list(first) != list(again):
        fail(f"suggests {list(first)}, then {list(again)}")
    for name, designs in first.items():
        if not len(designs) or not np.array_equal(designs.digest, subject.space.repair(designs).digest):
            fail(f"'{name}' is no design of the space")
        if not np.array_equal(designs.digest, again[name].digest):
            fail(f"'{name}' changes from call to call")
        subject.price(subject.repaired(designs))


def structure_holds(subject: EvaluatorSubject) -> None:
    """Declared structure is true on random designs: exact forms are the price, bounds and limits never exceed it."""
    problem = Problem.of(subject.evaluator, [subject.evaluator.metrics[0].name])
    try:
        structure = problem.structure()
        if structure is None:
            not_applicable("declares no structure")
        check_shape(problem, structure)
        prices = subject.price(subject.designs)
        check_values(structure, subject.designs, prices, "structure", tolerance=EXACT, strict=True)
    except TradespaceError as error:
        fail(str(error))
    directions = {metric.name: metric.direction for metric in subject.evaluator.metrics}
    for name in (*structure.terms, *structure.maxima):
        if directions[name] != "min":
            fail(f"'{name}' is no metric of direction 'min'")


KIT: Kit[EvaluatorSubject] = Kit(
    "evaluator kit",
    (
        has_space_and_metrics,
        returns_what_it_declares,
        prices_extreme_designs,
        violations_are_graded,
        repeats_its_prices,
        batch_does_not_matter,
        order_does_not_matter,
        large_batches_agree,
        leaves_designs_alone,
        repair_is_idempotent,
        plans_agree_with_prices,
        suggestions_are_designs,
        structure_holds,
    ),
)
