"""Number-theoretic transforms on this processor: as products of bytes (CROSS, arXiv 2501.07047) and as butterflies.

The native counterpart of the paper's argument on a chip without a matrix unit: VNNI multiplies 64 bytes an instruction.
``c/ntt.c`` has the layout. Both equal one numpy reference, word for word.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import KernelError, load_shipped
from tradespace.kernels.contract import Arrays, Work
from tradespace.kernels.memory import aligned, zeros
from tradespace.kernels.running import Task, run_tasks, task_function
from tradespace_accelerators import cross_he_numbers as numbers

SHAPES = ((1, 2), (2, 2), (4, 4), (4, 8), (8, 16), (16, 16), (2, 32), (32, 128))
"""(R, C) of the awkward cases: below, at and above the tiles of every instruction set."""


ARRAYS = ("x", "y", "scratch", "left", "lower", "right", "sums", "middle", "q", "inverse")
"""What ``struct ntt`` points to, in its order."""


class _Bytes(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ARRAYS),
        *((name, ctypes.c_int64) for name in ("rows", "cols", "limbs", "back")),
    )


class _Butterflies(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "y", "roots", "scale", "q", "inverse")),
        *((name, ctypes.c_int64) for name in ("size", "limbs", "back")),
    )


@dataclass(frozen=True)
class _Transform:
    """What both kernels share.

    Args:
        rows, cols: R and C; N = R C.
        limbs: primes; polynomial p is taken modulo prime p % limbs.
        back: the inverse transform.
        isa: instruction set the library is compiled for.
    """

    name: ClassVar[str]
    tolerance: ClassVar[float] = 1e-12
    rows: int = 64
    cols: int = 64
    limbs: int = 1
    back: bool = False
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        """Random polynomials modulo derived primes below 2^28; with all that they become, about ``size`` words."""
        degree = self.rows * self.cols
        count = max(1, size // (3 * degree * self.limbs)) * self.limbs
        return self.shaped(count, numbers.primes(degree, self.limbs), rng)

    def shaped(self, count: int, moduli: Sequence[int], rng: np.random.Generator) -> Arrays:
        """``count`` random polynomials modulo given primes.

        Raises:
            KernelError: moduli of 2^31 or more, or a count that they do not divide.
        """
        if max(moduli) >= 1 << 31 or count % len(moduli):
            raise KernelError("moduli are below 2^31, and divide the polynomials", value=(max(moduli), count))
        q = np.array(moduli, np.uint32)
        top = np.tile(q, count // len(moduli))[:, None]
        x = rng.integers(0, top, (count, self.rows * self.cols), np.uint32)
        inverse = np.array([-pow(int(p), -1, numbers.RADIX) % numbers.RADIX for p in moduli], np.uint32)
        return {"x": aligned(x), "y": zeros(x.shape, np.uint32), "q": aligned(q), "inverse": aligned(inverse)}

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        for rows, cols in SHAPES:
            for back in (False, True):
                kind = type(self)(rows, cols, 3, back, self.isa)
                moduli = numbers.primes(rows * cols, 3, 1 << 31 if back else 1 << 28)
                found = {**kind.shaped(6, moduli, rng), "back": np.array([back])}
                yield f"{rows} x {cols}{' back' if back else ''}", found

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        """The N log N transform in numpy."""
        moduli = [int(q) for q in inputs["q"]]
        return numbers.transform(inputs["x"], moduli, back=self._way(inputs))

    def _way(self, inputs: Arrays) -> bool:
        return bool(inputs["back"][0]) if "back" in inputs else self.back

    def tasks(self, inputs: Arrays) -> list[Task]:
        raise NotImplementedError  # abstract

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["y"]

    def _task(self, symbol: str, job: ctypes.Structure, inputs: Arrays) -> list[Task]:
        function = task_function(load_shipped("ntt", self.isa), symbol)
        return [Task(function, job, len(inputs["x"]), 1, tuple(inputs.values()), symbol)]


class NTTBytes(_Transform):
    """Three steps: products of bytes from the left and from the right, twiddles between, Montgomery's reduction."""

    name = "ntt-bytes"

    def shaped(self, count: int, moduli: Sequence[int], rng: np.random.Generator) -> Arrays:
        found = dict(super().shaped(count, moduli, rng))
        parts: dict[str, list[NDArray[np.uint32]]] = {"left": [], "right": [], "sums": [], "middle": []}
        for q in moduli:
            plain = numbers.steps(self.rows, self.cols, q, back=self.back)
            left, middle, right = (numbers.montgomery(matrix, q) for matrix in plain)
            spread = np.ascontiguousarray(numbers.constant_bytes(right, q).transpose(0, 2, 1))
            parts["left"].append(numbers.constant_bytes(left, q))
            parts["right"].append(spread)
            parts["sums"].append(spread.view(np.uint8).reshape(*spread.shape, 4).sum(axis=(0, 3), dtype=np.uint32))
            parts["middle"].append(middle.astype(np.uint32))
        found |= {name: aligned(np.stack(arrays)) for name, arrays in parts.items()}
        found["lower"] = aligned(found["left"] ^ np.uint32(0x80808080))
        return found | {"scratch": zeros(found["x"].shape, np.uint32)}

    def tasks(self, inputs: Arrays) -> list[Task]:
        rows, cols = inputs["middle"].shape[1:]
        pointers = (inputs[name].ctypes.data for name in ARRAYS)
        job = _Bytes(*pointers, rows, cols, len(inputs["q"]), self._way(inputs))
        return self._task("ntt_bytes", job, inputs)

    def work(self, inputs: Arrays) -> Work:
        """Multiply-adds of bytes, 16 for each modular product; every array once."""
        rows, cols = inputs["middle"].shape[1:]
        return Work(32.0 * inputs["x"].size * (rows + cols), float(sum(a.nbytes for a in inputs.values())))


class NTTButterflies(_Transform):
    """The reference algorithm natively: log2(N) passes of butterflies with Montgomery's reduction."""

    name = "ntt-butterflies"

    def shaped(self, count: int, moduli: Sequence[int], rng: np.random.Generator) -> Arrays:
        found = dict(super().shaped(count, moduli, rng))
        size, roots, scale = self.rows * self.cols, [], []
        for q in moduli:
            psi = numbers.root(size, q)
            table = numbers.powers(pow(psi, -1, q) if self.back else psi, numbers.reversed_bits(size), 2 * size, q)
            roots.append(numbers.montgomery(table, q).astype(np.uint32))
            scale.append(pow(size, -1, q) * numbers.RADIX % q)
        return found | {"roots": aligned(np.stack(roots)), "scale": aligned(np.array(scale, np.uint32))}

    def tasks(self, inputs: Arrays) -> list[Task]:
        pointers = (inputs[name].ctypes.data for name in ("x", "y", "roots", "scale", "q", "inverse"))
        job = _Butterflies(*pointers, inputs["x"].shape[1], len(inputs["q"]), self._way(inputs))
        return self._task("ntt_butterflies", job, inputs)

    def work(self, inputs: Arrays) -> Work:
        """Three operations a butterfly; every array once."""
        size = inputs["x"].shape[1]
        return Work(1.5 * inputs["x"].size * (size.bit_length() - 1), float(sum(a.nbytes for a in inputs.values())))
