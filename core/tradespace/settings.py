"""A setting: workload, target, evaluator and options, as commands, plans and published rows write them down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from tradespace.errors import PluginError, ProblemError, TradespaceError, UnknownName
from tradespace.plugins import Registry, foreign
from tradespace.problem import Declined, Evaluator

if TYPE_CHECKING:
    from tradespace.open_numbers import Open
    from tradespace.targets import Target


NO_EVALUATOR = "no evaluator takes this workload on this target"


@dataclass(frozen=True)
class Setting:
    """References, not objects: a name of the catalogue, a path, or ``{extends: name, dotted.key: value}``.

    ``evaluator=None`` takes the accepting one of highest declared fidelity.
    """

    workload: Any
    target: Any
    evaluator: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bound:
    """A setting turned into objects. ``others``: evaluators that also accept; ``declined``: why the rest do not."""

    setting: Setting
    workload: Any
    target: Target
    evaluator: Evaluator
    evaluator_name: str
    others: tuple[str, ...]
    declined: Mapping[str, str]


def bind(setting: Setting, registry: Registry) -> Bound:
    """Load workload and target, find the evaluator, tabulate. Raises `ProblemError` saying why each one declined.

    Open numbers (`tradespace.open_numbers`) become decisions; workload and target are then those of the first choices.
    """
    from tradespace import open_numbers
    from tradespace.targets import layers
    from tradespace.targets.loader import build_target
    from tradespace.workloads import load

    options, path = load.resolve(setting.workload, registry)
    name, tree = layers.resolve(setting.target, registry)
    parts = {"workload": options, "target": tree, "options": dict(setting.options)}
    numbers = tuple(n for part, body in parts.items() for n in open_numbers.find(body, part))

    def chosen(combination: tuple[int, ...], evaluator: str | None) -> Bound:
        bodies = dict(parts)
        for number, index in zip(numbers, combination, strict=True):
            bodies[number.part] = open_numbers.put(bodies[number.part], number.path, number.values[index])
        workload = load.build_workload(bodies["workload"], path, registry)
        target = build_target(name, cast(layers.Tree, bodies["target"]), registry)
        return bind_pair(replace(setting, evaluator=evaluator, options=bodies["options"]), workload, target, registry)

    if not numbers:
        return chosen((), setting.evaluator)
    return _opened(setting, numbers, chosen)


def _opened(
    setting: Setting, numbers: tuple[Open, ...], chosen: Callable[[tuple[int, ...], str | None], Bound]
) -> Bound:
    """The setting with its open numbers as decisions; every combination is priced by the same evaluator."""
    from tradespace.open_numbers import OpenEvaluator, check_numbers

    check_numbers(numbers)
    found: list[Bound] = []

    def bind_one(combination: tuple[int, ...]) -> Evaluator:
        bound = chosen(combination, found[0].evaluator_name if found else setting.evaluator)
        found.append(bound) if not found else None
        return bound.evaluator

    evaluator = OpenEvaluator(numbers, bind_one)
    _ = evaluator.space
    return replace(found[0], setting=setting, evaluator=evaluator)


def has_open_numbers(workload: Any, registry: Registry) -> bool:
    """Whether the workload that a reference stands for leaves numbers open."""
    from tradespace import open_numbers
    from tradespace.workloads import load

    return any(True for _ in open_numbers.find(load.resolve(workload, registry)[0], "workload"))


def bind_pair(setting: Setting, workload: Any, target: Target, registry: Registry) -> Bound:
    """`bind` for objects that are loaded already: what ``setting`` says of evaluator and options holds."""
    accepted, declined = _accepting(workload, target, registry)
    names = list(accepted)
    if setting.evaluator is not None:
        if setting.evaluator not in registry.names("evaluators"):
            raise UnknownName("evaluator", setting.evaluator, registry.names("evaluators"))
        if setting.evaluator in declined:
            raise ProblemError(
                f"evaluator '{setting.evaluator}' does not take this pair", value=declined[setting.evaluator].reason
            )
        names = [setting.evaluator, *(n for n in names if n != setting.evaluator)]
    if not names:
        raise ProblemError(
            NO_EVALUATOR,
            value=f"{setting.workload} on {setting.target}",
            remedy=f"{why_not(workload, declined)}.",
        )
    with foreign(f"evaluator '{names[0]}'"):
        evaluator = accepted[names[0]].bind(workload, target, setting.options, registry)
    return Bound(
        setting, workload, target, evaluator, names[0], tuple(names[1:]), {n: d.reason for n, d in declined.items()}
    )


def why_not(workload: Any, declined: Mapping[str, Declined]) -> str:
    """The reasons of the evaluators that take workloads of this kind, equal ones told once."""
    reasons: dict[str, list[str]] = {}
    for name, answer in declined.items():
        if not answer.other_kind:
            reasons.setdefault(answer.reason, []).append(name)
    if not reasons:
        return f"no evaluator prices workloads of kind '{getattr(workload, 'kind', '?')}'"
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())


def _accepting(workload: Any, target: Target, registry: Registry) -> tuple[dict[str, Any], dict[str, Declined]]:
    """Accepting factories by falling fidelity, and the reasons of the others."""
    accepted: dict[str, Any] = {}
    declined: dict[str, Declined] = {}
    for name in registry.names("evaluators"):
        try:
            with foreign(f"evaluator '{name}'"):
                factory = registry.load("evaluators", name)()
                answer = factory.accepts(workload, target)
                if answer is not True and not isinstance(answer, Declined):
                    raise PluginError("accepts answers True or Declined(reason)", value=answer)
        except TradespaceError as error:  # a broken plugin costs only its own names
            declined[name] = Declined(str(error))
            continue
        if isinstance(answer, Declined):
            declined[name] = answer
        else:
            accepted[name] = factory
    ranked = sorted(accepted, key=lambda n: (-accepted[n].fidelity, n))
    return {n: accepted[n] for n in ranked}, declined
