"""A fit as a target file and as plain data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.fitting import Fit
from tradespace.costs.fitting_rows import Measurements


def errors(error: NDArray[np.float64]) -> dict[str, float]:
    """Absolute relative errors of the rows in four numbers."""
    size = np.abs(error)
    low, high = np.quantile(size, [0.5, 0.9])
    return {"median": float(low), "mean": float(size.mean()), "p90": float(high), "worst": float(size.max())}


def fitted_yaml(found: Fit, read: Measurements, base: str, path: Path) -> str:
    """A target file that extends `base`, with the moved numbers alone."""
    import yaml

    looks_like_path = base.endswith((".yaml", ".yml")) or os.sep in base
    extends = os.path.relpath(base, path.parent) if looks_like_path else base
    extends = f".{os.sep}{extends}" if looks_like_path and not os.path.dirname(extends) else extends
    own = errors(found.held_out)
    source = f"fitted on the {len(read.rows)} rows of {read.name} (sha256 {read.digest})"
    body: dict[str, Any] = {"extends": extends}
    for number in found.numbers:
        if number.moved:
            unit = number.number.unit
            value = f"{number.value:.6g} {unit}" if unit != "1" else float(f"{number.value:.6g}")
            body[number.number.path] = {"value": value, "source": source, "kind": "fitted"}
    head = (
        f"# {read.name}: error of a held-out row (held out {found.folding}) {own['median']:.1%} median, "
        f"{own['worst']:.1%} worst; before the fit {errors(found.before)['median']:.1%} median.\n"
    )
    return head + str(yaml.safe_dump({path.stem: body}, sort_keys=False, allow_unicode=True, width=110))


def document(found: Fit, read: Measurements) -> dict[str, Any]:
    """For --json: errors, numbers, residuals."""
    return {
        "measurements": {"file": read.name, "sha256": read.digest, "values": len(read.rows)},
        "errors": {
            "before": errors(found.before), "after": errors(found.after),
            "held_out": {**errors(found.held_out), "folds": found.folding}, "naive": errors(found.naive),
        },
        "numbers": [
            {"path": n.number.path, "before": n.number.value, "after": n.value, "unit": n.number.unit,
             "moved": n.moved, "seen": n.seen, "kind": n.number.kind, "source": n.number.source}
            for n in found.numbers
        ],
        "rows": [
            {"line": row.line, "what": row.label, "quantity": row.quantity, "measured": row.value,
             "before": float(found.before[i]), "after": float(found.after[i]), "held_out": float(found.held_out[i])}
            for i, row in enumerate(read.rows)
        ],
    }  # fmt: skip
