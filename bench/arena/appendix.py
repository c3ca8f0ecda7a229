"""Parts of the page that rest on other files of its folder: ablations.json, and trials.jsonl of what takes minutes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from bench.arena.instances import Line
from bench.arena.runner import References, quality


def ablations(page: Path) -> str:
    """What each part of pgsam is worth, where bench/optimizers.py has measured it: a list of rows, or ``rows`` beside a
    ``note``, or ready ``text``."""
    path = page / "ablations.json"
    if not path.exists():
        return ""
    document: Any = json.loads(path.read_text(encoding="utf-8"))
    rows = document if isinstance(document, list) else document.get("rows", [])
    text = "" if isinstance(document, list) else str(document.get("text", document.get("note", "")))
    parts = ["## What each part of pgsam is worth", text, table(rows)]
    return "\n\n".join(part for part in parts if part)


def table(rows: list[Mapping[str, Any]]) -> str:
    """Rows of one kind as a table; columns in the order in which they come up."""
    heads = list(dict.fromkeys(key for row in rows for key in row))
    if not heads:
        return ""
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    return "\n".join([*lines, *(f"| {' | '.join(_cell(row.get(key)) for key in heads)} |" for row in rows)])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict | list):
        return json.dumps(value)
    return "-" if value is None else str(value)


def trials(page: Path, line: Line, references: References, best: Mapping[str, float]) -> str:
    """Optimizers that need packages beyond the locked ones or take minutes a run: recorded once with `bench.trials`,
    scored here in the box of the other runs."""
    path = page / "trials.jsonl"
    if not path.exists():
        return ""
    runs = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in runs:
        if run["instance"] in best and run["instance"] in line.instances:
            rows.setdefault((run["optimizer"], run["instance"]), []).append(run)
    lines = ["| optimizer | instance | evaluations | seeds | median score | seconds a run |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
    for (optimizer, instance), of in rows.items():
        box = references.bounds(instance)
        scores = [quality(np.asarray(r["front"]).reshape(-1, len(box.ideal)), box) / best[instance] for r in of]
        spent = float(np.median([r["seconds"] for r in of]))
        priced = int(np.median([r["priced"] for r in of]))
        lines.append(f"| {optimizer} | {instance} | {priced} | {len(of)} | {np.median(scores):.3f} | {spent:.1f} |")
    head = (
        "## Optimizers that take minutes\n\nThrough our adapters, recorded once by `python -m bench.trials`"
        " (trials.jsonl holds their fronts), on a machine that did other work too: seconds are upper bounds."
    )
    return "\n\n".join([head, "\n".join(lines)]) if rows else ""
