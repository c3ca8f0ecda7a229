"""The workload type `matmul`: one product with a weight matrix, as kernels are measured and compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradespace.workloads.operators import PRICED, Edges, OperatorGraph, Operators
from tradespace.workloads.options import check_keys, integer, text

KEYS = ("name", "title", "source", "kind", "m", "k", "n")


def build(options: Mapping[str, Any]) -> OperatorGraph:
    """``m`` results of ``k`` products each, for ``n`` rows of activations (default 1).

    Raises:
        InputError, UnknownName: an unknown key, or a size that is missing or out of bounds.
    """
    name = text(options, "name", "workload", default="matmul")
    where = f"workload {name}"
    check_keys(options, KEYS, where)
    m, k = (integer(options, key, where, high=1 << 20, default=None) for key in ("m", "k"))
    n = integer(options, "n", where, high=1 << 16, default=1)
    columns = dict.fromkeys(PRICED, 0.0) | {
        "m": n,
        "k": k,
        "n": m,
        "count": 1.0,
        "flop": 2.0 * m * k * n,
        "weights": float(m * k),
        "weights_resident": float(m * k),
        "act_in": float(n * k),
        "act_out": float(n * m),
    }
    operators = Operators(
        name=("matmul",),
        kind=("matmul",),
        block=np.zeros(1, np.int32),
        repeat=np.ones(1),
        **{key: np.array([value], np.float64) for key, value in columns.items()},
    )
    none = np.zeros(0)
    return OperatorGraph(
        name=name,
        operators=operators,
        blocks=("matmul",),
        edges=Edges(none.astype(np.int32), none.astype(np.int32), none, none),
        tokens=float(n),
        parameters=float(m * k),
        sources={
            "shape": text(options, "source", where, default="given by the user"),
            "kind": text(options, "kind", where, default="datasheet"),
        },
        facts={"title": text(options, "title", where, default=name), "rows": m, "columns": k, "batch": n},
    )
