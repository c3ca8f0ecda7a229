"""From the operators of a pass to native tasks in plan order.

Every operator writes to a buffer that the next ones read, as a runtime would; operators of one name share it over the
layers. Weights and caches come from an arena and differ from layer to layer. Norms scale by `SMALL`, so that random
weights let nothing overflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.blocks import decode_task
from tradespace.kernels.build import KernelError
from tradespace.kernels.decoder import (
    add_task,
    attention_task,
    gate_task,
    norm_task,
    rope_tables,
    rope_task,
    store_task,
)
from tradespace.kernels.formats import FORMATS
from tradespace.kernels.memory import zeros
from tradespace.kernels.products import WANTED, Product, ProductKernel, product_kernel
from tradespace.kernels.running import Task
from tradespace.verify.memory import Arena
from tradespace.verify.passes import Pass

Floats32 = NDArray[np.float32]

SMALL = 1e-4
CACHES = {"fp16": np.float16, "fp32": np.float32}
"""KV formats that the attention kernel reads."""
UNSUPPORTED = ("conv", "scan", "aggregate")


@dataclass(frozen=True, eq=False)
class Lowered:
    """Tasks in order, the row of the pass that each belongs to, and the kernel's name for each row."""

    tasks: tuple[Task, ...]
    owner: NDArray[np.intp]
    kernels: tuple[str, ...]


def lower(
    run: Pass, precisions: Sequence[str], kv: str, heads: tuple[int, int], arena: Arena, rng: np.random.Generator
) -> Lowered:
    """Tasks of one pass.

    Args:
        precisions: number format of each row.
        kv: format of the KV cache.
        heads: query heads and KV heads.

    Raises:
        KernelError: an operator, a format or a shape that no kernel runs; it names the operator.
    """
    state = _Lowering(run, tuple(precisions), kv, heads, arena, rng)
    for row in range(len(run.rows)):
        state.row = row
        try:
            state.one(row)
        except KernelError as error:
            if error.where == run.operators.name[row]:
                raise
            raise KernelError(
                error.rule, value=error.value, where=run.operators.name[row], remedy=error.remedy
            ) from None
    return Lowered(tuple(state.tasks), np.array(state.owner, np.intp), tuple(state.kernels))


def weight_bytes(run: Pass, precisions: Sequence[str], kv: str) -> NDArray[np.float64]:
    """(r,) B that each row takes from the arena. Raises `KernelError` as `lower`."""
    ops, out = run.operators, np.zeros(len(run.rows))
    for i, kind in enumerate(ops.kind):
        if kind == "matmul":
            _, k, n = _shape(run, i)
            kernel = _kernel(precisions[i], k, ops.name[i])
            out[i] = round(float(ops.count[i])) * (kernel.weight_bytes(n, k) + 64)
        elif kind == "embedding":
            out[i] = ops.act_out[i] * 4
        elif kind == "attention":
            out[i] = ops.kv_read[i] * _cache(kv)().itemsize + 64 * run.sequences
    return out


def _cache(kv: str) -> type[Any]:
    if kv not in CACHES:
        raise KernelError(f"the attention kernel reads KV caches in {' and '.join(CACHES)}", value=kv)
    return CACHES[kv]


def _shape(run: Pass, row: int) -> tuple[int, int, int]:
    """(m, k, n) of a product with weights, whole numbers."""
    ops = run.operators
    found = [float(column[row]) for column in (ops.m, ops.k, ops.n, ops.count)]
    m, k, n, count = (round(value) for value in found)
    if not ops.weights[row] or abs(found[0] - m) > 1e-6 or abs(found[3] - count) > 1e-6:
        raise KernelError(
            "a product has weights and a whole number of rows",
            value=f"{found[3]:g} products of {found[0]:g} rows",
            where=ops.name[row],
        )
    return m, k, n


def _kernel(precision: str, k: int, where: str) -> ProductKernel:
    try:
        kernel = product_kernel(precision)
    except KernelError as error:
        raise KernelError(error.rule, value=precision, where=where) from None
    if k % kernel.step:
        raise KernelError(
            f"the kernel of {precision} multiplies rows of a multiple of {kernel.step} weights",
            value=k,
            where=where,
            remedy="Choose another format for this block.",
        )
    return kernel


@dataclass
class _Lowering:
    run: Pass
    precisions: tuple[str, ...]
    kv: str
    heads: tuple[int, int]
    arena: Arena
    rng: np.random.Generator
    row: int = 0
    tasks: list[Task] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    kernels: list[str] = field(default_factory=list)
    outputs: dict[int, Floats32] = field(default_factory=dict)
    pool: dict[tuple[Any, ...], Floats32] = field(default_factory=dict)
    products: dict[tuple[Any, ...], Product] = field(default_factory=dict)
    tables: tuple[Floats32, Floats32] | None = None
    cached: dict[int, list[int]] = field(default_factory=dict)  # block -> rows that write its KV cache

    def one(self, row: int) -> None:
        kind = self.run.operators.kind[row]
        if kind in UNSUPPORTED:
            raise KernelError("a native kernel runs every operator of a plan", value=f"none runs '{kind}'")
        getattr(self, kind)(row)

    def emit(self, kernel: str, *tasks: Task) -> None:
        self.tasks += tasks
        self.owner += [self.row] * len(tasks)
        self.kernels.append(kernel)

    # -- buffers

    def local(self, row: int) -> str:
        """The operator's name without its layer."""
        name = self.run.operators.name[row]
        layer, dot, rest = name.partition(".")
        return rest if dot and layer.isdigit() else name

    def buffer(self, role: Any, size: int) -> Floats32:
        """A buffer of `size` numbers of order 1, the same for the same role."""
        key = (role, size)
        if key not in self.pool:
            self.pool[key] = zeros(size)
            self.pool[key][:] = self.rng.standard_normal(size, dtype=np.float32)
        return self.pool[key]

    def out(self, row: int, size: int) -> Floats32:
        found = self.outputs[row] = self.buffer(self.local(row), size)
        return found

    def input(self, row: int, size: int, which: int = 0) -> Floats32:
        """The first `size` numbers of what a row reads; numbers of nobody where the graph names no such source."""
        sources = self.run.source[row]
        found = self.outputs.get(sources[which]) if which < len(sources) else None
        if found is None or found.size < size:
            return self.buffer(("filler", which), size)
        return found[:size]

    # -- kinds of operators

    def matmul(self, row: int) -> None:
        m, k, n = _shape(self.run, row)
        ops, precision = self.run.operators, self.precisions[row]
        kernel = _kernel(precision, k, ops.name[row])
        x = self.input(row, m * k).reshape(m, k)
        tasks: list[Task] = []
        role = (self.local(row), precision, x.ctypes.data, m, k, n)
        for _ in range(round(float(ops.count[row]))):
            data = self.arena.take(kernel.weight_bytes(n, k))
            if role in self.products:
                product = kernel.again(self.products[role], data)
            else:
                product = self.products[role] = kernel.over(data, n, x)
            tasks += product.tasks
        self.outputs[row] = product.y.reshape(-1) if product.y.flags.c_contiguous else self.buffer("narrow", m * n)
        if ops.kv_write[row] > 0:
            self.cached.setdefault(int(ops.block[row]), []).append(row)
        self.emit(kernel.kernel, *tasks)

    def embedding(self, row: int) -> None:
        size = round(float(self.run.operators.act_out[row]))
        if not size:
            return self.emit("")
        tokens, y = self.run.tokens, self.out(row, size)
        form = FORMATS.get(WANTED[self.precisions[row]].form) if self.precisions[row] in WANTED else None
        if form is None or size // tokens % form.size:  # rows of any other format: as many numbers are copied
            return self.emit("add", add_task(self.buffer("filler", size), self.buffer("filler", size), y))
        data = self.arena.take(size // form.size * form.bytes).reshape(tokens, -1)
        self.emit("embedding", decode_task(form, data, y.reshape(tokens, -1)))

    def norm(self, row: int) -> None:
        ops = self.run.operators
        size, width = round(float(ops.act_out[row])), max(1, round(float(ops.weights[row])))
        if ops.flop[row] >= 7 * size or self.local(row).startswith("qk_norm"):
            width = max(1, width // 2)  # scale and shift, or one norm for queries and one for keys
        size = size or width
        width = width if size % width == 0 else size
        weight = self.buffer("scale", width)
        weight[:] = SMALL
        x = self.input(row, size).reshape(-1, width)
        self.emit("rms-norm", norm_task(x, weight, self.out(row, size).reshape(-1, width)))

    def elementwise(self, row: int) -> None:
        ops = self.run.operators
        size = max(1, round(float(ops.act_out[row])))
        if self.local(row).startswith("rope"):
            return self.rope(row, size)
        a, b, y = self.input(row, size), self.input(row, size, 1), self.out(row, size)
        gated = ops.flop[row] >= 5 * size
        self.emit("silu-mul" if gated else "add", (gate_task if gated else add_task)(a, b, y))

    def softmax(self, row: int) -> None:
        size = round(float(self.run.operators.act_out[row]))
        if not size or "softmax" in self.local(row):
            return self.emit("")  # inside the attention kernel
        self.emit("silu-mul", gate_task(self.input(row, size), self.input(row, size), self.out(row, size)))

    def rope(self, row: int, size: int) -> None:
        run, (heads, kv_heads) = self.run, self.heads
        width = size // (run.tokens * heads)
        if self.tables is None:
            self.tables = rope_tables(run.queries + 1, width)
        tables = self.tables
        x = self.input(row, size)
        keys = [self.outputs[r] for r in self.cached.get(int(run.operators.block[row]), [])[:1]]
        self.outputs[row] = x  # in place
        tasks = []
        for s in range(run.sequences):
            for buffer, count in ((x, heads), *((k, kv_heads) for k in keys)):
                part = buffer.reshape(run.sequences, run.queries, count, -1)[s]
                tasks.append(rope_task(part, part, *tables, 0))
        self.emit("rope", *tasks)

    def attention(self, row: int) -> None:
        """Scores, softmax and values are one kernel, run where the scores stand; the KV cache is written before."""
        run, ops, (heads, kv_heads) = self.run, self.run.operators, self.heads
        if self.local(row).startswith("values"):
            self.outputs[row] = self.buffer("attended", round(float(ops.act_out[row])))
            return self.emit("")
        width = round(float(ops.k[row]))
        queries, capacity = run.tokens * heads * width, round(float(ops.n[row])) + run.queries
        past = max(0, round(float(ops.n[row]) - (run.queries + 1) / 2))
        rows = self.cached.get(int(ops.block[row]), [])
        whole = run.tokens * kv_heads * width
        if len(rows) != 2 or any(self.outputs[r].size != whole for r in rows):
            raise KernelError("the attention kernel reads keys and values of one width", value="another cache")
        q = self.input(row, queries).reshape(run.sequences, run.queries, heads, width)
        out = self.buffer("attended", queries).reshape(q.shape)
        new = [self.outputs[r].reshape(run.sequences, run.queries, kv_heads, width) for r in rows]
        tasks = []
        for s in range(run.sequences):
            keys, values = (self.cache((kv_heads, capacity, width)) for _ in new)
            tasks.append(store_task(new[0][s], new[1][s], keys, values, past))
            tasks.append(attention_task(q[s], keys, values, out[s], past))
        self.emit("attention", *tasks)

    def cache(self, shape: tuple[int, int, int]) -> NDArray[Any]:
        kind = _cache(self.kv)
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        return np.asarray(self.arena.take(size).view(kind).reshape(shape))
