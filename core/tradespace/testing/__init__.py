"""Conformance kits for plugin authors. Each is one module; the functions below load theirs at first use.

from tradespace.testing import check_optimizer
report = check_optimizer(MyOptimizer)
assert report.passed, str(report)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradespace.testing.device_models import check_device_model
    from tradespace.testing.evaluators import check_evaluator
    from tradespace.testing.exporters import check_exporter
    from tradespace.testing.factories import check_factory
    from tradespace.testing.kernels import check_kernel
    from tradespace.testing.null_tests import NullReport, null_classification, null_regression
    from tradespace.testing.optimizers import check_optimizer
    from tradespace.testing.precisions import check_precision
    from tradespace.testing.readers import check_reader
    from tradespace.testing.report import Kit, KitReport
    from tradespace.testing.run import check_plugin
    from tradespace.testing.targets import check_target
    from tradespace.testing.workloads import check_workload

_HOME = {
    "Kit": "report",
    "KitReport": "report",
    "NullReport": "null_tests",
    "check_device_model": "device_models",
    "check_evaluator": "evaluators",
    "check_exporter": "exporters",
    "check_factory": "factories",
    "check_kernel": "kernels",
    "check_optimizer": "optimizers",
    "check_plugin": "run",
    "check_precision": "precisions",
    "check_reader": "readers",
    "check_target": "targets",
    "check_workload": "workloads",
    "null_classification": "null_tests",
    "null_regression": "null_tests",
}

__all__ = [
    "Kit",
    "KitReport",
    "NullReport",
    "check_device_model",
    "check_evaluator",
    "check_exporter",
    "check_factory",
    "check_kernel",
    "check_optimizer",
    "check_plugin",
    "check_precision",
    "check_reader",
    "check_target",
    "check_workload",
    "null_classification",
    "null_regression",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"tradespace.testing.{_HOME[name]}"), name)
    raise AttributeError(f"module 'tradespace.testing' has no attribute '{name}'")
