"""Plan files for tests, written from a design alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tradespace.exporters import Export, export_plan
from tradespace.plugins import Registry, registry
from tradespace.reports.recall import from_file

LAYERS = 16  # llama-3.2-1b


def write_plan(
    path: Path,
    design: Mapping[str, Any],
    *,
    workload: Any = "llama-3.2-1b",
    target: Any = "laptop",
    evaluator: str = "tables",
    options: Mapping[str, Any] | None = None,
) -> Path:
    document = {
        "format": "tradespace plan 1",
        "id": "",
        "workload": workload,
        "target": target,
        "evaluator": evaluator,
        "options": dict(options or {}),
        "design": dict(design),
    }
    path.write_text(yaml.safe_dump(document))
    return path


def blocks(*runs: tuple[str, int]) -> list[str]:
    """``blocks(("cpu", 5), ("dgpu", 13))`` is 18 entries."""
    return [name for name, count in runs for _ in range(count)]


def exported(
    to: str,
    path: Path,
    placement: Sequence[str],
    precision: Sequence[str],
    settings: Mapping[str, str] | None = None,
    *,
    workload: Any = "llama-3.2-1b",
    target: Any = "laptop",
    options: Mapping[str, Any] | None = None,
    found: Registry | None = None,
) -> Export:
    """A plan of the tables evaluator through the exporter `to`."""
    design = {"placement": list(placement), "precision": list(precision)}
    file = write_plan(path / "plan.yaml", design, workload=workload, target=target, options=options)
    known = found or registry()
    return export_plan(to, from_file(str(file), known), settings or {}, known)
