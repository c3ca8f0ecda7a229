"""A setting: workload, target, evaluator and options, as commands, plans and published rows write them down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tradespace.errors import PluginError, ProblemError, TradespaceError, UnknownName
from tradespace.plugins import Registry, foreign
from tradespace.problem import Declined, Evaluator

if TYPE_CHECKING:
    from tradespace.targets import Target


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
    """Load workload and target, find the evaluator, tabulate. Raises `ProblemError` saying why each one declined."""
    from tradespace.targets import load_target
    from tradespace.workloads import load_workload

    workload = load_workload(setting.workload, registry)
    target = load_target(setting.target, registry)
    accepted, declined = _accepting(workload, target, registry)
    names = list(accepted)
    if setting.evaluator is not None:
        if setting.evaluator not in registry.names("evaluators"):
            raise UnknownName("evaluator", setting.evaluator, registry.names("evaluators"))
        if setting.evaluator in declined:
            raise ProblemError(
                f"evaluator '{setting.evaluator}' does not take this pair", value=declined[setting.evaluator]
            )
        names = [setting.evaluator, *(n for n in names if n != setting.evaluator)]
    if not names:
        reasons = "; ".join(f"{n}: {r}" for n, r in declined.items())
        raise ProblemError(
            "no evaluator takes this workload on this target",
            value=f"{setting.workload} on {setting.target}",
            remedy=f"{reasons}.",
        )
    with foreign(f"evaluator '{names[0]}'"):
        evaluator = accepted[names[0]].bind(workload, target, setting.options, registry)
    return Bound(setting, workload, target, evaluator, names[0], tuple(names[1:]), declined)


def _accepting(workload: Any, target: Target, registry: Registry) -> tuple[dict[str, Any], dict[str, str]]:
    """Accepting factories by falling fidelity, and the reasons of the others."""
    accepted: dict[str, Any] = {}
    declined: dict[str, str] = {}
    for name in registry.names("evaluators"):
        try:
            with foreign(f"evaluator '{name}'"):
                factory = registry.load("evaluators", name)()
                answer = factory.accepts(workload, target)
                if answer is not True and not isinstance(answer, Declined):
                    raise PluginError("accepts answers True or Declined(reason)", value=answer)
        except TradespaceError as error:  # a broken plugin costs only its own names
            declined[name] = str(error)
            continue
        if isinstance(answer, Declined):
            declined[name] = answer.reason
        else:
            accepted[name] = factory
    ranked = sorted(accepted, key=lambda n: (-accepted[n].fidelity, n))
    return {n: accepted[n] for n in ranked}, declined
