"""What must run. Workloads hold shapes and element counts; bytes, time and energy are made elsewhere."""

from __future__ import annotations

from tradespace.workloads.load import load_workload, workload_names
from tradespace.workloads.operators import KINDS, Edges, OperatorGraph, Operators
from tradespace.workloads.readers import Reader, Workload

__all__ = ["KINDS", "Edges", "OperatorGraph", "Operators", "Reader", "Workload", "load_workload", "workload_names"]
