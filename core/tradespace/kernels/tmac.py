"""T-MAC's product by table lookup as a native kernel: 1-4 bit weights, no dequantisation.

System: "T-MAC: CPU Renaissance via Table Lookup for Low-Bit LLM Deployment on Edge", arXiv 2407.00088, sections 3
and 4. Activations become tables of 16 signed sums of four, weights are indices into them; ``c/tmac.c`` has the layouts.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels import tmac_reference
from tradespace.kernels.build import KernelError, load_shipped
from tradespace.kernels.contract import Arrays, Work
from tradespace.kernels.memory import aligned, zeros
from tradespace.kernels.running import Task, run_tasks, task_function
from tradespace.kernels.tmac_weights import Floats, Quantised, check_shape, pack, pack_scales, pad_rows, quantise

LAYOUTS = ("tile", "wide", "natural", "scattered")
TABLES = ("int8", "int16")
TREES = (0, 8, 16)
K_TILES = (128, 256, 1024, 4096)


class _Job(ctypes.Structure):
    """`Job` of ``c/tmac.c``."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "planes", "scales", "tables", "alpha", "beta", "y")),
        ("zero", ctypes.c_float),
        *(
            (name, ctypes.c_int32)
            for name in ("m", "k", "n", "bits", "group", "rows", "k_tile", "chunk", "per_scale", "fast", "natural")
        ),
        *((name, ctypes.c_int32) for name in ("wide", "part", "plain", "scattered")),
    )


@dataclass(frozen=True)
class Lookup:
    """``y = x W^T`` with x (n, k) fp32 and W (m, k) in bit planes.

    Args:
        bits: of a weight, 1 to 4.
        weight_group: weights that share a scale.
        table_group: activations that share a table scale; 0: a whole row.
        fast: fast aggregation (section 3.4): so many bytes (8 or 16) are averaged in a tree instead of being added up
            in 16 bits; 0: exact.
        rows: of a tile, 32 or 64.
        k_tile: columns of a tile.
        layout: "tile"; "wide" (AVX-512 VBMI and VNNI, ours); "natural" (no interleaving) and "scattered" (no
            permutation) are there for the ablations of section 5.5.
        tables: "int8" (one rounding a table entry), or "int16": exact sums of int8 activations, two lookups.
        batch: n of `inputs`.
        isa: instruction set the library is compiled for.
        plain: run the path without vectors.
    """

    bits: int = 4
    weight_group: int = 32
    table_group: int = 32
    fast: int = 0
    rows: int = 32
    k_tile: int = 1024
    layout: str = "tile"
    tables: str = "int8"
    batch: int = 1
    isa: str = "native"
    plain: bool = False
    name: ClassVar[str] = "tmac"
    tolerance: ClassVar[float] = 2e-4  # integers are exact; floats of whole chunks are added up in fp32

    def __post_init__(self) -> None:
        for name, value, known in (
            ("bits", self.bits, (1, 2, 3, 4)),
            ("rows", self.rows, (32, 64)),
            ("fast", self.fast, TREES),
            ("layout", self.layout, LAYOUTS),
            ("tables", self.tables, TABLES),
        ):
            if value not in known:
                raise KernelError(f"{name} is one of {known}", value=value, where="kernel tmac")
        if self.weight_group % 32 or self.table_group % 32 or self.k_tile % 128:
            raise KernelError("groups are multiples of 32 and k_tile is one of 128", where="kernel tmac")
        if self.layout == "wide" and (self.fast or self.rows != 32 or self.plain):
            raise KernelError("the wide layout has 32 rows and adds exactly", where="kernel tmac")
        if self.fast and (self.tables != "int8" or self.layout == "natural" or self.chunk < self.fast):
            raise KernelError(
                "fast aggregation averages int8 tables of the tile layout, no more than share both scales",
                value=f"trees of {self.fast}, groups of {self.weight_group} and {self.table_group}",
                where="kernel tmac",
            )

    @property
    def chunk(self) -> int:
        """Tables whose entries are added up as integers before they become a float: as many as share both scales and
        do not overflow 16 bits (the wide layout adds in 32)."""
        shared = min(self.weight_group, self.table_group or self.weight_group) // 4
        fits = 32 if self.layout == "wide" else 65535 // (255 * (2**self.bits - 1))
        return next(c for c in (32, 16, 8) if shared % c == 0 and c <= fits)

    # -- weights ---------------------------------------------------------------------------------------------------

    def prepare(self, weights: Quantised | Floats, x: Floats) -> Arrays:
        """Inputs from weights (m, k), floats or quantised, and activations (n, k). Offline: not part of a run.

        Rows are padded with zeros to whole tiles; `run` gives the first m.
        """
        check_shape(x.shape[-1], self.weight_group)
        q = weights if isinstance(weights, Quantised) else quantise(weights, self.bits, self.weight_group)
        m, k = q.codes.shape
        codes, scales = pad_rows(q.codes, self.rows), pad_rows(q.scales, self.rows)
        planes = pack(
            codes, self.bits, layout=self.layout, rows=self.rows, k_tile=min(self.k_tile, k), chunk=self.chunk
        )
        return {
            "x": np.ascontiguousarray(x, np.float32).reshape(-1, k),
            "planes": aligned(planes),
            "scales": pack_scales(np.asarray(scales, np.float16), self.rows),
            "shape": np.array([m, k], np.int64),
            "zero": np.array([q.zero], np.float32),
            "y": zeros((x.size // k, len(codes))),
        }

    def shaped(self, m: int, k: int, rng: np.random.Generator) -> Arrays:
        """Random planes and scales for m rows and k columns, without quantising anything: what a timing needs."""
        check_shape(k, self.weight_group)
        rows = m + -m % self.rows
        scales = rng.uniform(0.5, 1.0, rows * (k // self.weight_group)).astype(np.float16)
        return {
            "x": rng.standard_normal((self.batch, k), dtype=np.float32),
            "planes": aligned(rng.integers(0, 256, rows * k * self.bits // 8, dtype=np.uint8)),
            "scales": scales,
            "shape": np.array([m, k], np.int64),
            "y": zeros((self.batch, rows)),
            "zero": np.array([2.0 ** (self.bits - 1)], np.float32),
        }

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        """A Gaussian matrix of about ``32 * size / bits`` weights, and activations."""
        unit = max(self.weight_group, self.table_group, 32)
        weights = 32.0 * size / self.bits
        k = max(unit, int(np.sqrt(weights)) // unit * unit)
        m = max(1, int(weights / k) // self.rows) * self.rows
        w = rng.standard_normal((m, k), dtype=np.float32)
        return self.prepare(w, rng.standard_normal((self.batch, k), dtype=np.float32))

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        """Equal codes, zeros, outliers, tiny and huge activations, columns that end within a tile."""
        k = 3 * max(self.weight_group, self.table_group, 128)
        for label, byte in (("all bits set", 255), ("no bits set", 0)):
            found = dict(self.shaped(self.rows, k, rng))
            found["planes"][:] = byte
            yield label, found
        for label, factor in (("zeros", 0.0), ("tiny", 1e-30), ("huge", 1e30)):
            found = dict(self.shaped(self.rows, k, rng))
            yield label, {**found, "x": aligned(found["x"] * np.float32(factor))}
        for label, value in (("one outlier", 1e4), ("one sign", 0.0)):
            found = dict(self.shaped(self.rows, k, rng))
            x = np.abs(found["x"]) if value == 0 else found["x"]
            x[:, 1] += value
            yield label, {**found, "x": aligned(x)}
        for columns in range(self.weight_group, 4 * self.weight_group, self.weight_group):
            if self.table_group == 0 or columns % (4 * self.chunk) == 0:
                yield f"{columns} columns", self.shaped(self.rows, columns, rng)

    # -- the contract of a kernel ------------------------------------------------------------------------------------

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        return tmac_reference.product(self, inputs)

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["y"][:, : int(inputs["shape"][0])]

    def work(self, inputs: Arrays) -> Work:
        """Two operations a weight and row of activations, as a multiplication would take. Bytes: planes and scales
        once, activations in and results out."""
        m, k = (int(v) for v in inputs["shape"])
        moved = sum(inputs[name].nbytes for name in ("planes", "scales", "x", "y"))
        return Work(2.0 * m * k * len(inputs["x"]), float(moved))

    def tasks(self, inputs: Arrays) -> Sequence[Task]:
        """Tables, then lookups; twice for int16 tables."""
        library = load_shipped("tmac", self.isa)
        if library.tmac_level() < (2 if self.layout == "wide" else 0):
            raise KernelError("the wide layout needs AVX-512 VBMI and VNNI", where=f"isa {self.isa}")
        build, lookup = task_function(library, "tmac_tables"), task_function(library, "tmac_lookup")
        n, k = inputs["x"].shape
        m, group = inputs["y"].shape[1], self.table_group or k
        tasks = []
        for part in (0,) if self.tables == "int8" else (1, 2):
            job, keep = self._job(inputs, part)
            tasks += [
                Task(build, job, rows=n * -(-k // group), grain=1, keep=keep, label="tables"),
                Task(lookup, job, rows=m, grain=self.rows, keep=keep, label="lookup"),
            ]
        return tasks

    def _job(self, inputs: Arrays, part: int) -> tuple[_Job, tuple[NDArray[Any], ...]]:
        n, k = inputs["x"].shape
        tables = zeros((n, 4 * k), np.uint8)
        factors = zeros((2, n, k // (4 * self.chunk)))
        arrays = (
            inputs["x"], inputs["planes"], inputs["scales"], tables, factors[0], factors[1], inputs["y"]
        )  # fmt: skip
        numbers = {
            "zero": float(inputs["zero"][0]),
            "m": inputs["y"].shape[1],
            "k": k,
            "n": n,
            "bits": self.bits,
            "group": self.table_group or k,
            "rows": self.rows,
            "k_tile": min(self.k_tile, k),
            "chunk": self.chunk,
            "per_scale": self.weight_group // (4 * self.chunk),
            "fast": self.fast,
            "natural": self.layout == "natural",
            "wide": self.layout == "wide",
            "part": part,
            "plain": self.plain,
            "scattered": self.layout == "scattered",
        }
        job = _Job(*(array.ctypes.data for array in arrays))
        for name, value in numbers.items():
            setattr(job, name, value)
        return job, arrays


def nmse(kernel: Lookup, weights: Floats, x: Floats) -> float:
    """Squared error of a product against the unquantised one, relative to its square (section 5.6)."""
    exact = x.astype(np.float64) @ weights.astype(np.float64).T
    got = kernel.run(kernel.prepare(weights, x))
    return float(np.sum((got - exact) ** 2) / np.sum(exact**2))
