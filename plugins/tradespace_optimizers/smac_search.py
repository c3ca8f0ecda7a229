"""SMAC behind the ask/tell contract (an extra: ``pip install 'tradespace[smac]'``; it compiles a random forest).

Tried with SMAC 2.4: half a second to some seconds a design. SMAC changes when asked and writes into a
folder, so each ask builds one anew in a temporary folder with a seed of its own, tells it all that is known and drops
it: seconds a batch, for budgets of hundreds of designs. Several objectives go through ParEGO (Knowles 2006).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Choice, Designs, Integer, Space
from tradespace.problem import Scores
from tradespace.search.contract import SearchView
from tradespace_optimizers.supports import Supports

Array = NDArray[np.float64]
_BUDGET = 500
_FIRST, _SHARE = 10, 0.25  # quasi-random designs first: SMAC's defaults, so many a number, at most this of the budget


@dataclass(frozen=True)
class SMACOptions:
    """rows: designs per batch."""

    rows: int = 8


class SMAC:
    """Bayesian optimization with random forests, for expensive evaluations of mixed variables (SMAC)."""

    Options: ClassVar[type] = SMACOptions
    supports: ClassVar[Supports] = Supports(
        constraints="penalty", batch="8 trials, seconds each", extra=("smac", "smac"), note="orders as keys"
    )

    def __init__(self, view: SearchView, options: SMACOptions) -> None:
        self.supports.check("smac", view.space, len(view.objectives))
        self._space, self._objectives, self.batch = view.space, view.objectives, max(1, options.rows)
        self._budget = view.evaluations or _BUDGET
        self._first = int(min(_FIRST * view.space.width, _SHARE * self._budget))
        self._codes: Array = np.empty((0, view.space.width))
        self._costs: Array = np.empty((0, len(view.objectives)))
        self._worst: Array = np.full(len(view.objectives), -np.inf)

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        from ConfigSpace import Configuration
        from smac.runhistory.dataclasses import TrialInfo, TrialValue

        names = [f"x{i}" for i in range(self._space.width)]
        with tempfile.TemporaryDirectory() as folder:
            space = _config_space(self._space, names, int(rng.integers(0, 2**31)))
            values = [dict(zip(names, _values(self._space, row), strict=True)) for row in self._codes]
            configs = [Configuration(space, values=one) for one in values]
            smac = self._facade(space, folder, int(rng.integers(0, 2**31)), configs[:1])
            for config, cost in zip(configs, self._costs, strict=True):
                told = float(cost[0]) if len(cost) == 1 else [float(c) for c in cost]
                smac.tell(TrialInfo(config=config, seed=0), TrialValue(cost=told), save=False)
            asked = list(_asked(smac, min(n, self.batch)))
        designs = self._space.unflatten(
            np.asarray([[float(one[k]) for k in names] for one in asked]).reshape(-1, len(names))
        )
        return self._space.concat([designs, self._space.sample(min(n, self.batch) - len(asked), rng)])

    def _facade(self, space: Any, folder: str, seed: int, known: list[Any]) -> Any:
        """``known``: a told configuration, if any: SMAC warns of an initial design that is empty."""
        from smac import HyperparameterOptimizationFacade as Facade
        from smac import Scenario
        from smac.multi_objective.parego import ParEGO

        goals = [f"objective{i}" for i in range(len(self._objectives))]
        scenario = Scenario(
            space,
            deterministic=True,
            n_trials=self._budget + len(self._codes) + self.batch,
            objectives=goals if len(goals) > 1 else goals[0],
            output_directory=folder,
            seed=seed,
        )
        return Facade(
            scenario,
            target_function=_never,
            intensifier=Facade.get_intensifier(scenario, max_config_calls=1),
            # what is told counts: left to itself every new SMAC begins with an initial design of its own seed
            initial_design=Facade.get_initial_design(
                scenario, n_configs=max(self._first - len(self._codes), 0), additional_configs=known
            ),
            multi_objective_algorithm=ParEGO(scenario) if len(goals) > 1 else None,
            overwrite=True,
            logging_level=False,
        )

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        """Infeasible designs are worse than all that was seen, by their violation (ours)."""
        self._worst = np.maximum(self._worst, scores.objectives.max(axis=0))
        violation = scores.violation[:, None]
        penalty = self._worst + np.maximum(np.abs(self._worst), 1e-300) * violation
        costs = np.where(violation > 0, np.minimum(penalty, 1e300), scores.objectives)
        self._codes = np.concatenate([self._codes, self._space.flatten(designs)])
        self._costs = np.concatenate([self._costs, costs])


def _asked(smac: Any, n: int) -> Iterator[dict[str, Any]]:
    """Up to ``n`` configurations: SMAC stops once it finds none that is new to it."""
    for _ in range(n):
        try:
            yield dict(smac.ask().config)
        except StopIteration:
            return


def _never(config: Any, seed: int = 0) -> float:
    raise AssertionError("designs are priced by the search loop")


def _config_space(space: Space, names: list[str], seed: int) -> Any:
    from ConfigSpace import Categorical, ConfigurationSpace, Float
    from ConfigSpace import Integer as Whole

    low, high = space.bounds()
    made, column = ConfigurationSpace(seed=seed), 0
    for v in space.variables:
        for _ in range(v.width):
            a, b, name = float(low[column]), float(high[column]), names[column]
            if a == b:
                made.add(Categorical(name, [a]))
            elif isinstance(v, Choice):
                made.add(Categorical(name, list(range(len(v.options)))))
            elif isinstance(v, Integer):
                made.add(Whole(name, (int(a), int(b)), log=v.log))
            else:
                made.add(Float(name, (a, b), log=bool(getattr(v, "log", False))))
            column += 1
    return made


def _values(space: Space, row: Array) -> list[Any]:
    """Told codes as SMAC's values; entries that do not count (0) move to the nearest value."""
    low, high = space.bounds()
    values: list[Any] = []
    for v in space.variables:
        for _ in range(v.width):
            i = len(values)
            x = float(np.clip(row[i], low[i], high[i]))
            values.append(int(x) if isinstance(v, Choice | Integer) and low[i] < high[i] else x)
    return values
