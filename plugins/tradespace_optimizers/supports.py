"""What an optimizer takes: kinds of variables, limits, numbers of objectives, batches, packages it needs.

Each optimizer of this package declares it as a class attribute ``supports``; the table in docs/optimizers.md and the
declarations are held equal, and tried, by tests. ``python -m tradespace_optimizers.supports`` prints the table.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

from tradespace.designs import Space
from tradespace.errors import PluginError, ProblemError

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


_ASSIGNMENTS = Supports(("Choice", "Permutation"), batch="one design an ant", conditions=False)
UNDECLARED = {
    "pgsam": Supports(batch="one move of every chain"),
    "random": Supports(constraints="", batch="any"),
    "exhaustive": Supports(
        ("Choice", "Integer", "Permutation", "Composition"), "all are priced", batch="any", note="small spaces"
    ),
    "chain_exact": Supports(
        ("Choice", "Composition"),
        constraints="exact where in the structure",
        batch="any",
        note="needs the structure of a chain, or of a series-parallel graph",
    ),
    "rl_aco": _ASSIGNMENTS,
    "aco": _ASSIGNMENTS,
    "reinforce": _ASSIGNMENTS,
    "tinynas": Supports(batch="children of a population"),
    "nas_evolution": Supports(batch="children of a population"),
}
"""Optimizers of this package whose classes do not say it themselves."""


def declared(name: str, cls: Any) -> Supports | None:
    """What the optimizer ``name`` says of itself; None where nothing is known."""
    own = getattr(cls, "supports", None)
    return own if isinstance(own, Supports) else UNDECLARED.get(name)


def row(name: str, supports: Supports) -> str:
    """One row of the table in docs/optimizers.md."""
    least, most = supports.objectives
    objectives = f"{least}+" if most is None else str(least) if least == most else f"{least}-{most}"
    needs = f"`tradespace[{supports.extra[1]}]`" if supports.extra else ""
    cells = [f"`{name}`", *("yes" if kind in supports.variables else "-" for kind in KINDS)]
    cells += ["yes" if supports.conditions else "-", supports.constraints or "not looked at", objectives]
    return f"| {' | '.join([*cells, supports.batch, needs, supports.note])} |"


def table() -> str:
    """The table of all optimizers of this package."""
    from tradespace.plugins import registry

    known = registry()
    names = [name for p in known.plugins if p.name == "optimizers" for name in p.names["optimizers"]]
    found = ((name, declared(name, known.load("optimizers", name))) for name in sorted(names))
    head = ["optimizer", *KINDS, "conditions", "constraints", "objectives", "a batch is", "needs", "note"]
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *(row(name, supports) for name, supports in found if supports is not None)])


if __name__ == "__main__":  # run as a script, this module is another than the one that classes import
    from tradespace_optimizers import supports as imported

    print(imported.table())
