"""What the log keeps of a problem, so that its plans can be read and published without pricing anything again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Choice, Composition, Integer, Permutation, Real, Space, Variable
from tradespace.errors import StudyError, TradespaceError
from tradespace.problem import Problem
from tradespace.studies import jsontext

_KINDS: Mapping[str, type[Any]] = {k.__name__: k for k in (Choice, Integer, Real, Permutation, Composition)}
_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "objectives": list,
    "constraints": list,
    "metrics": list,
    "variables": list,
}


@dataclass(frozen=True)
class Axis:
    """A metric or an objective: name, SI unit, better direction ("min" or "max")."""

    name: str
    unit: str
    direction: str


@dataclass(frozen=True)
class Outline:
    """Objectives, constraints, metrics and design space of a logged problem."""

    objectives: tuple[Axis, ...]
    constraints: tuple[str, ...]
    metrics: tuple[Axis, ...]
    space: Space

    @classmethod
    def of(cls, problem: Problem) -> Outline:
        return cls(
            tuple(Axis(o.name, o.unit, o.direction) for o in problem.objectives),
            tuple(c.text for c in problem.constraints),
            tuple(Axis(m.name, m.unit, m.direction) for m in problem.evaluator.metrics),
            problem.space,
        )

    def natural(self, minimised: NDArray[np.float64]) -> NDArray[np.float64]:
        """Minimised objectives (N, M) in natural directions, and back."""
        return minimised * np.where([o.direction == "max" for o in self.objectives], -1.0, 1.0)

    def to_json(self) -> str:
        """One JSON document. Raises `StudyError` for a kind of variable that is not ours."""
        document = {
            "objectives": [[a.name, a.unit, a.direction] for a in self.objectives],
            "constraints": self.constraints,
            "metrics": [[a.name, a.unit, a.direction] for a in self.metrics],
            "variables": [_variable_out(v) for v in self.space.variables],
        }
        return jsontext.dump(document, "problem")

    @classmethod
    def from_json(cls, text: str, where: str) -> Outline:
        """The outline of `to_json`. Raises `StudyError`."""
        found = jsontext.fields(jsontext.load(text, where), _KEYS, where)
        try:
            return cls(
                tuple(Axis(*jsontext.texts(a, where)) for a in found["objectives"]),
                jsontext.texts(found["constraints"], where),
                tuple(Axis(*jsontext.texts(a, where)) for a in found["metrics"]),
                Space(*(_variable_in(v) for v in found["variables"])),
            )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise StudyError("a logged problem must be readable", value=error, where=where) from None
        except StudyError:
            raise
        except TradespaceError as error:
            raise StudyError("a logged problem must make sense", value=error, where=where) from None


def _variable_out(variable: Variable) -> dict[str, Any]:
    kind = type(variable).__name__
    if _KINDS.get(kind) is not type(variable):
        raise StudyError(
            "a study logs the built-in kinds of decision variables",
            value=kind,
            where=variable.name,
            remedy=f"Use one of {', '.join(_KINDS)}, or search without a study database.",
        )
    values = {f.name: getattr(variable, f.name) for f in dataclasses.fields(variable)}  # type: ignore[arg-type]
    if "options" in values:
        values["options"] = [o if isinstance(o, bool | int | float | str) else str(o) for o in values["options"]]
    return {"kind": kind, **values}


def _variable_in(document: Any) -> Variable:
    values = dict(document)
    kind = _KINDS[values.pop("kind")]
    if "when" in values:
        values["when"] = {k: tuple(v) if isinstance(v, list) else v for k, v in values["when"].items()}
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})  # type: ignore[no-any-return]
