"""What an optimizer takes: kinds of variables, limits, numbers of objectives, batches, packages it needs.

An optimizer declares it as a class attribute ``supports``; `tradespace show optimizer NAME` tells it, and
``python -m tradespace_optimizers.supports`` prints those of all as one table.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradespace.designs import Space
from tradespace.errors import PluginError, ProblemError, TradespaceError

if TYPE_CHECKING:
    from tradespace.plugins import Registry

KINDS = ("Choice", "Integer", "Real", "Permutation", "Composition")


@dataclass(frozen=True)
class Supports:
    """Attributes:
    variables: kinds of decision variables that a space may hold.
    constraints: how limits are respected, in a few words; empty where an optimizer does not look at them.
    objectives: least and most number; most = None is any number.
    batch: what one batch is, in a few words.
    extra: (module, extra of this package) that must be installed; empty for what always is.
    note: anything else a user must know.
    conditions: whether variables may exist under conditions or up to a depth.
    """

    variables: tuple[str, ...] = KINDS
    constraints: str = "feasible first"
    objectives: tuple[int, int | None] = (1, None)
    batch: str = "a generation"
    extra: tuple[str, str] | None = None
    note: str = ""
    conditions: bool = True

    def check(self, name: str, space: Space, objectives: int) -> None:
        """Raise ProblemError or PluginError, with a remedy, for what this optimizer cannot search."""
        where = f"optimizer {name}"
        least, most = self.objectives
        if objectives < least or (most is not None and objectives > most):
            wanted = f"{least} objectives or more" if most is None else f"{least} to {most} objectives"
            wanted = "one objective" if (least, most) == (1, 1) else wanted
            raise ProblemError(f"{name} needs {wanted}", value=objectives, where=where, remedy="Use nsga2 or pgsam.")
        unfit = [v.name for v in space.variables if type(v).__name__ not in self.variables]
        if unfit:
            raise ProblemError(
                f"{name} searches only variables of kind {', '.join(self.variables)}",
                value=", ".join(unfit[:6]),
                where=where,
                remedy="Use nsga2 or pgsam, which take every kind.",
            )
        if space.conditional and not self.conditions:
            raise ProblemError(
                f"{name} searches no variables under conditions", where=where, remedy="Use nsga2 or pgsam, which do."
            )
        self.require(name)

    @property
    def installed(self) -> bool:
        return self.extra is None or importlib.util.find_spec(self.extra[0]) is not None

    def require(self, name: str) -> None:
        """Raise PluginError where the package that this optimizer wraps is not installed."""
        if self.extra is not None and not self.installed:
            module, extra = self.extra
            raise PluginError(
                f"{name} needs the package '{module}'",
                value="it is not installed",
                where=f"optimizer {name}",
                remedy=f"Install it with: pip install 'tradespace[{extra}]'.",
            )

    def document(self) -> dict[str, Any]:
        """The fields as `tradespace show optimizer` tells them; None where there is nothing to say."""
        least, most = self.objectives
        objectives = f"{least} or more" if most is None else str(least) if least == most else f"{least} to {most}"
        return {
            "variables": list(self.variables),
            "conditions": self.conditions,
            "constraints": self.constraints or "not looked at",
            "objectives": objectives,
            "batch": self.batch,
            "needs": f"tradespace[{self.extra[1]}]" if self.extra else None,
            "note": self.note or None,
        }


def declared(optimizer: Any) -> Supports | None:
    """What an optimizer's class says of itself; None where it says nothing."""
    own = getattr(optimizer, "supports", None)
    return own if isinstance(own, Supports) else None


def row(name: str, supports: Supports) -> str:
    """One row of the table in docs/optimizers.md."""
    least, most = supports.objectives
    objectives = f"{least}+" if most is None else str(least) if least == most else f"{least}-{most}"
    needs = f"`tradespace[{supports.extra[1]}]`" if supports.extra else ""
    cells = [f"`{name}`", *("yes" if kind in supports.variables else "-" for kind in KINDS)]
    cells += ["yes" if supports.conditions else "-", supports.constraints or "not looked at", objectives]
    return f"| {' | '.join([*cells, supports.batch, needs, supports.note])} |"


def table(registry: Registry) -> str:
    """All optimizers that declare what they support, as a table in Markdown; those that fail to load are left out."""
    rows = []
    for name in registry.names("optimizers"):
        try:
            supports = declared(registry.load("optimizers", name))
        except TradespaceError:
            continue
        rows += [] if supports is None else [row(name, supports)]
    head = ["optimizer", *KINDS, "conditions", "constraints", "objectives", "a batch is", "needs", "note"]
    return "\n".join([f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *rows])
