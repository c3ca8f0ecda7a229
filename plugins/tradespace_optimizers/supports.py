"""What an optimizer takes: kinds of variables, limits, numbers of objectives, batches, packages it needs.

Each optimizer of this package declares it as a class attribute ``supports``; the table in docs/optimizers.md and the
declarations are held equal, and tried, by tests.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

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
    """

    variables: tuple[str, ...] = KINDS
    constraints: str = "feasible first"
    objectives: tuple[int, int | None] = (1, None)
    batch: str = "a generation"
    extra: tuple[str, str] | None = None
    note: str = ""

    def check(self, name: str, space: Space, objectives: int) -> None:
        """Raise ProblemError or PluginError, with a remedy, for what this optimizer cannot search."""
        where = f"optimizer {name}"
        least, most = self.objectives
        if objectives < least or (most is not None and objectives > most):
            wanted = f"{least} objectives or more" if most is None else " or ".join(map(str, range(least, most + 1)))
            wanted = "one objective" if (least, most) == (1, 1) else wanted
            other = "nsga2 or pgsam"
            raise ProblemError(f"{name} needs {wanted}", value=objectives, where=where, remedy=f"Use {other}.")
        unfit = [v.name for v in space.variables if type(v).__name__ not in self.variables]
        if unfit:
            raise ProblemError(
                f"{name} searches only variables of kind {', '.join(self.variables)}",
                value=", ".join(unfit[:6]),
                where=where,
                remedy="Use nsga2 or pgsam, which take every kind.",
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
