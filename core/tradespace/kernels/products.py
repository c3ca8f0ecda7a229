"""Which native kernel multiplies with weights of a precision, over raw bytes: what calibration and verification run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.blocks import Activations, product_task, quantise_task
from tradespace.kernels.build import KernelError
from tradespace.kernels.dense import dense_task
from tradespace.kernels.formats import FORMATS
from tradespace.kernels.memory import zeros
from tradespace.kernels.running import Task
from tradespace.kernels.tmac import Lookup

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Product:
    """y (n, m) = x (n, k) times the transpose of weights (m, k).

    Args:
        prepare: tasks on the activations alone (none, quantising, tables); products of one x can share their buffers,
            but here each has its own.
        multiply: tasks that read the weights.
        weight_bytes: what they read.
    """

    prepare: tuple[Task, ...]
    multiply: tuple[Task, ...]
    y: Floats
    weight_bytes: int

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All of them in order."""
        return (*self.prepare, *self.multiply)


class ProductKernel(Protocol):
    """How weights of one precision are multiplied with."""

    @property
    def kernel(self) -> str:
        """Registered name."""

    @property
    def step(self) -> int:
        """k must be a multiple of it."""

    def weight_bytes(self, m: int, k: int) -> int:
        """Bytes of m rows of k weights as the kernel stores them."""

    def over(self, data: Bytes, m: int, x: Floats) -> Product:
        """The product with the first `weight_bytes(m, k)` bytes of `data` as weights, x (n, k) and a new y (n, m)."""

    def again(self, product: Product, data: Bytes) -> Product:
        """The same product with the weights at the beginning of `data`: x, prepared activations and y are shared."""


def _pointing(task: Task, data: Bytes, **pointers: int) -> Task:
    """A copy of a task whose arguments point elsewhere, into `data`."""
    args = type(task.args).from_buffer_copy(task.args)
    for name, pointer in pointers.items():
        setattr(args, name, pointer)
    return replace(task, args=args, keep=(*task.keep, data))


def _with_weights(product: Product, data: Bytes) -> Product:
    (multiply,) = product.multiply
    return replace(product, multiply=(_pointing(multiply, data, w=data.ctypes.data),))


@dataclass(frozen=True)
class _Dense:
    form: str

    @property
    def kernel(self) -> str:
        return f"gemv-{self.form}"

    @property
    def step(self) -> int:
        return 1

    def weight_bytes(self, m: int, k: int) -> int:
        return m * k * (4 if self.form == "fp32" else 2)

    def over(self, data: Bytes, m: int, x: Floats) -> Product:
        k, size = x.shape[1], self.weight_bytes(m, x.shape[1])
        w = data[:size].view(np.float32 if self.form == "fp32" else np.uint16).reshape(m, k)
        y = zeros((len(x), m))
        return Product((), (dense_task(self.form, w, x, y),), y, size)

    def again(self, product: Product, data: Bytes) -> Product:
        return _with_weights(product, data)


@dataclass(frozen=True)
class _Blocks:
    form: str

    @property
    def kernel(self) -> str:
        return f"gemv-{self.form}"

    @property
    def step(self) -> int:
        return FORMATS[self.form].size

    def weight_bytes(self, m: int, k: int) -> int:
        return m * k // self.step * FORMATS[self.form].bytes

    def over(self, data: Bytes, m: int, x: Floats) -> Product:
        form, k = FORMATS[self.form], x.shape[1]
        size = self.weight_bytes(m, k)
        y = zeros((len(x), m))
        acts = Activations.empty(k, form.size, len(x))
        multiply = product_task(form, data[:size].reshape(m, -1), acts, y)
        return Product((quantise_task(x, acts),), (multiply,), y, size)

    def again(self, product: Product, data: Bytes) -> Product:
        return _with_weights(product, data)


@dataclass(frozen=True)
class _Lookup:
    """T-MAC with the weight groups of 128 of the precisions int1, int2, int3; of 64 or 32 where k asks for it."""

    bits: int
    layout: str
    rows: int = 32

    @property
    def kernel(self) -> str:
        return "tmac"

    @property
    def step(self) -> int:
        return 32

    def weight_bytes(self, m: int, k: int) -> int:
        whole = m + -m % self.rows
        return whole * k * self.bits // 8 + whole * k // self._group(k) * 2

    @staticmethod
    def _group(k: int) -> int:
        return next(group for group in (128, 64, 32) if k % group == 0 or group == 32)

    def over(self, data: Bytes, m: int, x: Floats) -> Product:
        n, k = x.shape
        whole = m + -m % self.rows
        planes, scales = whole * k * self.bits // 8, whole * k // self._group(k) * 2
        inputs: dict[str, NDArray[Any]] = {
            "x": x,
            "planes": data[:planes],
            "scales": data[planes : planes + scales].view(np.float16),
            "shape": np.array([m, k], np.int64),
            "zero": np.array([2.0 ** (self.bits - 1)], np.float32),
            "y": zeros((n, whole)),
        }
        kernel = Lookup(self.bits, weight_group=self._group(k), layout=self.layout, rows=self.rows, batch=n)
        tables, multiply = kernel.tasks(inputs)
        return Product((tables,), (multiply,), inputs["y"][:, :m], planes + scales)

    def again(self, product: Product, data: Bytes) -> Product:
        (multiply,) = product.multiply
        at = data.ctypes.data
        planes = product.weight_bytes - self._scales(product)
        return replace(product, multiply=(_pointing(multiply, data, planes=at, scales=at + planes),))

    def _scales(self, product: Product) -> int:
        """Bytes of the scales of a product."""
        args = product.multiply[0].args
        return int(args.m) * int(args.k) // self._group(int(args.k)) * 2


@dataclass(frozen=True)
class Wanted:
    """A precision that native kernels serve, and how to get at its kernel."""

    form: str
    bits: int = 0


WANTED: Mapping[str, Wanted] = {
    **{form: Wanted(form) for form in ("fp32", "fp16", "bf16", *FORMATS)},
    "int8": Wanted("q8_0"),
    "int4": Wanted("q4_0"),
    **{f"int{bits}": Wanted("tmac", bits) for bits in (1, 2, 3)},
}
"""Precision -> its kernel. int8 and int4 are ggml's Q8_0 and Q4_0 by another name."""


def product_kernel(precision: str) -> ProductKernel:
    """The kernel of a precision. Raises `KernelError` for one without, naming those that have one."""
    wanted = WANTED.get(precision)
    if wanted is None:
        raise KernelError(f"native kernels multiply with {', '.join(WANTED)}", value=precision)
    if wanted.form == "tmac":
        return _Lookup(wanted.bits, _best_layout())
    return _Blocks(wanted.form) if wanted.form in FORMATS else _Dense(wanted.form)


def _best_layout() -> str:
    from tradespace.kernels.build import load_shipped

    return "wide" if load_shipped("tmac").tmac_level() >= 2 else "tile"


def random_weights(size: int, rng: np.random.Generator) -> Bytes:
    """`size` random bytes that are sane weights of any format: as fp16, bf16 and fp32 they are of order 2^-31 to 2, so
    no kernel meets a subnormal number, which some processors compute slowly. Repeats after 1 MB."""
    words = rng.integers(0, 1 << 16, 1 << 19, np.uint16) & np.uint16(0x8FFF) | np.uint16(0x3000)
    out: Any = zeros(size, np.uint8)
    piece = words.view(np.uint8)
    for start in range(0, size, piece.size):
        part = out[start : start + piece.size]
        part[:] = piece[: part.size]
    return np.asarray(out, np.uint8)
