"""What a workload runs on: devices, memories, links, and the YAML files that describe them."""

from __future__ import annotations

from tradespace.targets.loader import load_target, target_names
from tradespace.targets.model import Device, Link, Memory, Sourced, Target, TransferPath

__all__ = ["Device", "Link", "Memory", "Sourced", "Target", "TransferPath", "load_target", "target_names"]
