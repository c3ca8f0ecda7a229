"""tradespace: given this workload and this hardware, which deployments are worth having?

The public API. Names load at first use (PEP 562), so ``import tradespace`` stays cheap; nothing else is public.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradespace.designs import Choice, Composition, Designs, Integer, Permutation, Real, Space
    from tradespace.errors import TradespaceError
    from tradespace.hookspecs import hookimpl
    from tradespace.plans import Plan, read_plan
    from tradespace.plugins import Registry, registry
    from tradespace.precisions import Precision
    from tradespace.problem import ChainTerm, Declined, Graph, MaxTerm, Metric, Prices, Problem, Structure
    from tradespace.search import Front, search
    from tradespace.settings import Setting, bind
    from tradespace.structures import graph_structure, per_variable
    from tradespace.targets import Target, load_target
    from tradespace.workloads import OperatorGraph, load_workload

_HOME = {
    "Space": "designs",
    "Designs": "designs",
    "Choice": "designs",
    "Integer": "designs",
    "Real": "designs",
    "Permutation": "designs",
    "Composition": "designs",
    "Metric": "problem",
    "Prices": "problem",
    "Problem": "problem",
    "Structure": "problem",
    "ChainTerm": "problem",
    "MaxTerm": "problem",
    "Graph": "problem",
    "graph_structure": "structures",
    "per_variable": "structures",
    "Declined": "problem",
    "search": "search",
    "Front": "search",
    "Setting": "settings",
    "bind": "settings",
    "Plan": "plans",
    "read_plan": "plans",
    "Target": "targets",
    "load_target": "targets",
    "OperatorGraph": "workloads",
    "load_workload": "workloads",
    "Precision": "precisions",
    "Registry": "plugins",
    "registry": "plugins",
    "TradespaceError": "errors",
    "hookimpl": "hookspecs",
}

__all__ = [  # noqa: RUF022 - in the order of the way through the house
    "Space",
    "Designs",
    "Choice",
    "Integer",
    "Real",
    "Permutation",
    "Composition",
    "Metric",
    "Prices",
    "Problem",
    "Structure",
    "ChainTerm",
    "MaxTerm",
    "Graph",
    "graph_structure",
    "per_variable",
    "Declined",
    "search",
    "Front",
    "Setting",
    "bind",
    "Plan",
    "read_plan",
    "Target",
    "load_target",
    "OperatorGraph",
    "load_workload",
    "Precision",
    "Registry",
    "registry",
    "TradespaceError",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"tradespace.{_HOME[name]}"), name)
    raise AttributeError(f"module 'tradespace' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
