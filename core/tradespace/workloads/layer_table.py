"""Layer tables of SCALE-Sim: convolutions (feature map, filter, channels, stride) or matrix products (M, N, K).

Source: SCALE-Sim v2 (Samajdar et al., ISPASS 2020), README "Topology file"; output sizes as its `topology_utils.py`:
no padding, ceil((feature map - filter + stride) / stride).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tradespace.errors import InputError
from tradespace.workloads.operators import PRICED, WINDOW, Edges, OperatorGraph, Operators
from tradespace.workloads.options import check_keys, integer, text
from tradespace.workloads.tables_read import base_suffix, csv_rows, first_line, lines_of

MAX_LAYERS = 10_000
MAX_SIZE = 100_000_000
KEYS = ("name", "batch", "source")

_CONV = ("ifmapheight", "ifmapwidth", "filterheight", "filterwidth", "channels", "numfilter", "strides")
_GEMM = ("m", "n", "k")


class LayerTableReader:
    """Reads a topology of SCALE-Sim as a chain of operators; `batch` repeats the rows of each product."""

    name = "scalesim"
    reads = "SCALE-Sim topology: .csv with columns 'IFMAP Height ... Strides' (convolutions) or 'M, N, K' (products)"
    priority = 5

    def recognises(self, path: Path) -> bool:
        """The column names of one of the two forms."""
        return base_suffix(path) == ".csv" and _form(first_line(path).split(",")) is not None

    def read(self, path: Path, options: Mapping[str, Any]) -> OperatorGraph:
        """The graph: one block and one operator a layer.

        Raises:
            InputError, UnknownName: no such table, too many layers, sizes that cannot be.
        """
        where = str(path)
        check_keys(options, KEYS, f"workload {path.name}")
        batch = integer(options, "batch", where, high=1_000_000, default=1)
        with lines_of(path) as lines:
            rows = csv_rows(lines, where, ",")
            header = next(rows, None)
            columns = _form(header or [])
            if columns is None:
                raise InputError("the first line names the columns of a SCALE-Sim topology", value=header, where=where)
            layers: list[tuple[str, tuple[float, ...]]] = []
            for number, row in enumerate(rows, 2):
                if len(layers) == MAX_LAYERS:
                    raise InputError(f"a topology has at most {MAX_LAYERS} layers", where=where)
                if row[0]:
                    layers.append((row[0][:200], _sizes(row, columns, f"{where}:{number}")))
        if not layers:
            raise InputError("a topology has layers", where=where)
        name = text(options, "name", where, default=path.name.removesuffix(".gz").removesuffix(".csv"))
        source = text(options, "source", where, default=f"{path.name} (SCALE-Sim topology)")
        return _graph(name, layers, batch, source)


def _form(header: list[str]) -> list[int] | None:
    """Where our columns stand, None for another table. Seven of them: convolutions; three: products."""
    plain = ["".join(cell.lower().split()) for cell in header]
    for wanted in (_CONV, _GEMM):
        if len(plain) > len(wanted) and all(name in plain[1:] for name in wanted):
            return [plain.index(name, 1) for name in wanted]
    return None


def _sizes(row: list[str], columns: list[int], where: str) -> tuple[float, ...]:
    sizes = []
    for at in columns:
        cell = row[at] if at < len(row) else ""
        if not cell.isascii() or not cell.isdigit() or len(cell) > 9 or not 1 <= int(cell) <= MAX_SIZE:
            raise InputError(f"a size is a whole number from 1 to {MAX_SIZE}", value=repr(cell)[:40], where=where)
        sizes.append(float(cell))
    if len(columns) == len(_CONV) and (sizes[2] > sizes[0] or sizes[3] > sizes[1]):
        raise InputError("a filter fits into its feature map", value=f"{sizes[2:4]} in {sizes[:2]}", where=where)
    return tuple(sizes)


def _graph(name: str, layers: list[tuple[str, tuple[float, ...]]], batch: int, source: str) -> OperatorGraph:
    rows = np.array([_columns(sizes, batch) for _, sizes in layers])
    names = [f"{at}.{layer}" for at, (layer, _) in enumerate(layers)]
    count = len(rows)
    table = dict(zip(("m", "k", "n", "act_in", *WINDOW), rows.T, strict=True))
    weights = table["k"] * table["n"]
    columns = {key: np.zeros(count) for key in PRICED} | table | {"count": np.ones(count), "weights": weights}
    columns |= {"weights_resident": weights.copy(), "act_out": table["m"] * table["n"]}
    columns["flop"] = 2 * table["m"] * table["k"] * table["n"]
    kind = "conv" if len(layers[0][1]) == len(_CONV) else "matmul"
    operators = Operators(
        name=tuple(names),
        kind=(kind,) * count,
        block=np.arange(count, dtype=np.int32),
        repeat=np.ones(count),
        **columns,
    )
    source_rows = np.arange(count - 1, dtype=np.int32)
    edges = Edges(source_rows, source_rows + 1, columns["act_out"][:-1].copy(), np.ones(count - 1))
    return OperatorGraph(
        name=name, operators=operators, blocks=tuple(names), edges=edges, tokens=float(batch),
        parameters=float(weights.sum()), sources={"shape": source, "kind": "datasheet"},
        facts={
            "layers": count, "batch": batch,
            "note": "a table tells no data flow: each layer is taken to read the one before, and weights",
        },
    )  # fmt: skip


def _columns(sizes: tuple[float, ...], batch: int) -> tuple[float, ...]:
    """(m, k, n, elements read, output height and width, filter height and width) of a layer."""
    if len(sizes) == len(_GEMM):
        m, n, k = sizes
        return batch * m, k, n, batch * m * k, 0.0, 0.0, 0.0, 0.0
    height, width, rows, columns, channels, filters, stride = sizes
    down, across = -(-(height - rows + stride) // stride), -(-(width - columns + stride) // stride)
    product = batch * down * across, rows * columns * channels, filters
    return *product, batch * height * width * channels, down, across, rows, columns
