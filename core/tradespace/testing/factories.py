"""What every evaluator factory must do: answer for any pair, and bind whatever it accepted.

from tradespace.testing.factories import check_factory
report = check_factory(MyFactory(), [(workload, target, {})])
assert report.passed, str(report)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tradespace import plugins
from tradespace.errors import TradespaceError
from tradespace.plugins import Registry
from tradespace.problem import Declined
from tradespace.testing.evaluators import EvaluatorSubject
from tradespace.testing.report import Kit, KitReport, fail, not_applicable


@dataclass(frozen=True)
class FactorySubject:
    """An evaluator factory, and (workload, target, options) triples to offer it."""

    factory: Any
    pairs: tuple[tuple[Any, Any, Mapping[str, Any]], ...]
    registry: Registry

    def accepted(self) -> list[tuple[Any, Any, Mapping[str, Any]]]:
        return [pair for pair in self.pairs if self.factory.accepts(pair[0], pair[1])]


def check_factory(
    factory: Any,
    pairs: Sequence[tuple[Any, Any, Mapping[str, Any]]],
    label: str | None = None,
    *,
    expected: Mapping[str, str] | None = None,
    registry: Registry | None = None,
) -> KitReport:
    """Run the kit on an evaluator factory with (workload, target, options) triples. Names are looked up in
    ``registry`` (default: the installed plugins)."""
    subject = FactorySubject(factory, tuple(pairs), registry or plugins.registry())
    return FACTORY_KIT.run(subject, label or type(factory).__name__, expected)


def states_its_fidelity(subject: FactorySubject) -> None:
    """`fidelity` is a whole number: it ranks factories that accept the same pair."""
    fidelity = getattr(subject.factory, "fidelity", None)
    if isinstance(fidelity, bool) or not isinstance(fidelity, int):
        fail(f"fidelity is {fidelity!r}")


def answers_every_pair(subject: FactorySubject) -> None:
    """`accepts` returns True, or Declined with a reason."""
    for workload, target, _ in subject.pairs:
        answer = subject.factory.accepts(workload, target)
        if answer is not True and not (isinstance(answer, Declined) and answer.reason.strip()):
            fail(f"answers {answer!r}")


def declines_what_it_does_not_know(subject: FactorySubject) -> None:
    """A workload of an unknown kind is declined, not crashed on."""
    if not subject.pairs:
        not_applicable("no pair was given")

    @dataclass(frozen=True)
    class Strange:
        kind: str = "strange-kind"
        name: str = "strange"

    answer = subject.factory.accepts(Strange(), subject.pairs[0][1])
    if not isinstance(answer, Declined):
        fail(f"answers {answer!r}")


def binds_what_it_accepts(subject: FactorySubject) -> None:
    """Binding an accepted pair never fails, and what is bound prices designs."""
    accepted = subject.accepted()
    if not accepted:
        not_applicable(f"accepts none of the {len(subject.pairs)} pairs given")
    for workload, target, options in accepted:
        bound = EvaluatorSubject(subject.factory.bind(workload, target, options, subject.registry), 4)
        bound.price(bound.designs)


def refuses_unknown_options(subject: FactorySubject) -> None:
    """An option it does not know is refused by a TradespaceError."""
    accepted = subject.accepted()
    if not accepted:
        not_applicable(f"accepts none of the {len(subject.pairs)} pairs given")
    workload, target, options = accepted[0]
    try:
        subject.factory.bind(workload, target, {**options, "no_such_option": 1}, subject.registry)
    except TradespaceError:
        return
    fail("takes the option 'no_such_option'")


FACTORY_KIT: Kit[FactorySubject] = Kit(
    "evaluator factory kit",
    (
        states_its_fidelity,
        answers_every_pair,
        declines_what_it_does_not_know,
        binds_what_it_accepts,
        refuses_unknown_options,
    ),
)
