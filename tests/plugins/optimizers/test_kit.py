"""Every built-in optimizer passes the kit that third parties' optimizers must pass."""

from __future__ import annotations

import pytest

from tradespace.plugins import registry
from tradespace.testing.optimizers import check_optimizer

NAMES = ("chain_exact", "exhaustive", "nsga2", "optuna_nsga2", "optuna_tpe", "pgsam", "random")
REFUSES = {"chain_exact": 5, "exhaustive": 1}  # checks on spaces that they cannot search


@pytest.mark.parametrize("name", NAMES)
def test_the_kit_passes(name: str) -> None:
    report = check_optimizer(registry().load("optimizers", name), name)
    assert report.passed, report
    skipped = [check for check in report.checks if check.outcome == "not applicable"]
    assert len(skipped) == REFUSES.get(name, 0), report
