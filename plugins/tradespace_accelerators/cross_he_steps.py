"""Kernels of homomorphic encryption (CKKS in residue number form) as rows of operators.

Source: "Leveraging ASIC AI Chips for Homomorphic Encryption", arXiv 2501.07047 v3 (CROSS), and the order of the steps
in its repository (hemul.py, herot.py, ntt_mm.py, bconv.py). A polynomial of degree N with L limbs is N L words, a word
is K bytes. Everything is counted in bytes (the format `residue`), operations are multiply-adds of bytes (2 each) on
products and 32-bit integer operations elsewhere.

What crosses the main memory whatever a buffer holds (operands, results, constants, keys) is `weights`; what one step
hands to the next is an activation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tradespace.workloads.rows import Row

PARTIAL = 4
"""B of one partial sum of a byte product."""

WIDE = 20
"""32-bit operations of a product of two words in 64 bits: four products of halves, and what adds them up (ours, counted
from finite_field.py: every multiply, add, shift, mask, compare and select is one)."""

REDUCE: Mapping[str, float] = {"montgomery": 20.0, "barrett": 35.8, "shoup": 22.0}
"""32-bit operations from 64 bits to a residue. montgomery: counted likewise. shoup: the high half of a second product,
a low product, a subtraction. barrett: fitted on the Barrett row of C9 at batch 64 beside Montgomery's, as
what a compiler makes of its 64-bit products cannot be counted from the source."""

ADD = 3
"""Sum, compare, select."""
CARRY = 3
"""Adding 64 bits to 64 bits in words of 32."""
GATHER = 8
"""32-bit operations of moving one word to another lane: seven exchanges among 128 lanes, and the index (ours)."""
ENGINES = ("bat", "toeplitz", "vector")


@dataclass(frozen=True)
class Setup:
    """What all kernels of a program share.

    Args:
        degree, rows: N and R; the other side of the split is N / R.
        batch: polynomials or ciphertexts at once.
        bytes: K of a word.
        reduction: a key of `REDUCE`.
        engine, basis: how transforms and basis conversions multiply by constants, of `ENGINES`.
        group: most limbs in one operator; 0: all.
    """

    degree: int
    rows: int
    batch: int
    bytes: int
    reduction: str
    engine: str
    basis: str
    group: int

    @property
    def cols(self) -> int:
        return self.degree // self.rows

    @property
    def reduce(self) -> float:
        return REDUCE[self.reduction]

    @property
    def product(self) -> float:
        """32-bit operations of a modular product of two words."""
        return WIDE + self.reduce

    @property
    def split(self) -> float:
        """Of taking a word apart into bytes: shifts and masks."""
        return 2 * self.bytes - 1

    @property
    def sums(self) -> int:
        """Sums of constants times words that a reduction wants: Shoup's wants those with its quotients, too."""
        return 2 if self.reduction == "shoup" else 1

    def partials(self, engine: str) -> int:
        """Partial sums a word: K in the dense form, 2K - 1 in the sparse one of Toeplitz matrices."""
        return self.sums * (self.bytes if engine == "bat" else 2 * self.bytes - 1)

    def merge(self, engine: str) -> float:
        """Of adding partial sums up in 64 bits: two shifts and an addition with its carry each, for all but one."""
        return 7 * (self.partials(engine) - self.sums)


@dataclass
class Program:
    """Collects rows: (block, row, how often it runs)."""

    setup: Setup
    rows: list[tuple[str, Row, float]] = field(default_factory=list)
    block: str = ""
    repeat: float = 1.0
    _used: dict[str, int] = field(default_factory=dict)

    def call(self, name: str, repeat: float = 1.0) -> None:
        """Starts a block."""
        self._used[name] = self._used.get(name, 0) + 1
        self.block = name if self._used[name] == 1 else f"{name}_{self._used[name]}"
        self.repeat = repeat

    def add(self, name: str, row: Callable[[str], Row], times: float = 1.0) -> None:
        taken = sum(r.name.startswith(f"{self.block}.{name}") for _, r, _ in self.rows)
        full = f"{self.block}.{name}" if not taken else f"{self.block}.{name}_{taken + 1}"
        self.rows.append((self.block, row(full), self.repeat * times))

    def words(
        self, name: str, words: float, operations: float, *, reads: float, writes: float, memory: float = 0.0,
        times: float = 1.0,
    ) -> None:  # fmt: skip
        """An element-wise step over ``words``: operations, activation bytes in and out of each, ``memory`` B in all."""
        self.add(
            name,
            lambda full: Row(
                full, "elementwise", flop=words * operations, weights=memory, weights_resident=memory,
                act_in=words * reads, act_out=words * writes,
            ),
            times,
        )  # fmt: skip

    def product(
        self, name: str, m: float, k: float, n: float, count: float, *, partials: float, times: float = 1.0
    ) -> None:
        """``count`` products of a constant (k, n) byte matrix with m columns; sums of 4 B."""
        constants = k * n * count
        self.add(
            name,
            lambda full: Row(
                full, "matmul", m=m, k=k, n=n, count=count, flop=2 * m * k * n * count, weights=constants,
                weights_resident=constants, act_in=m * k * count, act_out=m * partials * count * PARTIAL,
            ),
            times,
        )  # fmt: skip

    def groups(self, limbs: int) -> list[tuple[int, int]]:
        """(limbs, times) of the operators that together take all limbs."""
        size = min(self.setup.group or limbs, limbs)
        whole, rest = divmod(limbs, size)
        return [(size, whole), *([(rest, 1)] if rest else [])]


def transform(p: Program, name: str, limbs: int, polynomials: int, *, stored: bool = False) -> None:
    """A number-theoretic transform, forth or back. ``stored``: from memory to memory.

    Dense and sparse: X (R x C) -> left product with R x R, product with R x C twiddles, right product with C x C.
    On the vector unit: log2(N) passes of N / 2 butterflies.
    """
    s = p.setup
    for size, times in p.groups(limbs):
        columns = s.batch * polynomials
        words, twiddles = float(columns * s.degree * size), float(s.degree * size * s.bytes)
        ends = words * s.bytes if stored else 0.0
        if s.engine == "vector":
            passes = (s.degree - 1).bit_length()
            work = passes / 2 * (s.product + 2 * ADD)
            p.words(name, words, work, reads=s.bytes, writes=s.bytes, memory=2 * ends + twiddles, times=times)
            continue
        sums, partials = s.partials(s.engine), s.partials(s.engine) * PARTIAL
        p.words(
            f"{name}_split", words, s.split, reads=0 if stored else s.bytes, writes=s.bytes, memory=ends, times=times
        )
        left, right = (s.bytes * s.rows, sums * s.rows), (s.bytes * s.cols, sums * s.cols)
        p.product(f"{name}_left", columns * s.cols, *left, size, partials=left[1], times=times)
        work = s.merge(s.engine) + s.reduce + s.product + s.split
        p.words(f"{name}_twiddle", words, work, reads=partials, writes=s.bytes, memory=twiddles, times=times)
        p.product(f"{name}_right", columns * s.rows, *right, size, partials=right[1], times=times)
        work = s.merge(s.engine) + s.reduce
        p.words(
            f"{name}_reduce", words, work, reads=partials, writes=0 if stored else s.bytes, memory=ends, times=times
        )


def convert(p: Program, name: str, limbs_in: int, limbs_out: int, polynomials: int, *, stored: bool = False) -> None:
    """A basis conversion: each limb times a constant, then an L_in x L_out constant product over all coefficients."""
    s = p.setup
    columns = float(s.batch * polynomials * s.degree)
    ends_in, ends_out = (columns * s.bytes * limbs if stored else 0.0 for limbs in (limbs_in, limbs_out))
    dense = s.basis != "vector"
    work = s.product + (s.split if dense else 0)
    reads = 0 if stored else s.bytes
    p.words(f"{name}_scale", columns * limbs_in, work, reads=reads, writes=s.bytes, memory=ends_in)
    writes = 0 if stored else s.bytes
    if not dense:
        work = limbs_in * (WIDE + CARRY) + s.reduce
        shared = s.bytes * limbs_in / limbs_out
        p.words(f"{name}_sum", columns * limbs_out, work, reads=shared, writes=writes, memory=ends_out)
        return
    sums = s.partials(s.basis) * limbs_out
    p.product(f"{name}_product", columns, s.bytes * limbs_in, sums, 1, partials=sums)
    work, reads = s.merge(s.basis) + s.reduce, s.partials(s.basis) * PARTIAL
    p.words(f"{name}_reduce", columns * limbs_out, work, reads=reads, writes=writes, memory=ends_out)


def multiply(p: Program, name: str, limbs: int, polynomials: int, *, stored: bool = False) -> None:
    """Modular products, word by word. ``stored``: both operands and the result in memory; else the second operand is a
    constant of one polynomial (a key, a twist), which is. Shoup's form brings 64 bits beside one operand."""
    s = p.setup
    for size, times in p.groups(limbs):
        words = float(s.batch * polynomials * s.degree * size)
        one = words if stored else float(s.degree * size)
        memory = s.bytes * (3 * words if stored else one) + (8 * one if s.reduction == "shoup" else 0)
        act = 0 if stored else s.bytes
        p.words(name, words, s.product, reads=act, writes=act, memory=memory, times=times)


def add(p: Program, name: str, limbs: int, polynomials: int, *, stored: bool = False) -> None:
    """Modular sums, word by word."""
    s = p.setup
    words = float(s.batch * polynomials * s.degree * limbs)
    memory = 3 * s.bytes * words if stored else 0.0
    p.words(name, words, ADD, reads=0 if stored else 2 * s.bytes, writes=0 if stored else s.bytes, memory=memory)


def permute(p: Program, name: str, limbs: int, polynomials: int, *, stored: bool = False) -> None:
    """An automorphism: every word moves."""
    s = p.setup
    words = float(s.batch * polynomials * s.degree * limbs)
    act, memory = (0, 2 * s.bytes * words) if stored else (s.bytes, 0.0)
    p.words(name, words, GATHER, reads=act, writes=act, memory=memory)


def byte_product(p: Program, name: str, m: int, n: int, k: int) -> None:
    """Words (m x k constant) times words (k x n) as bytes, or on the vector unit."""
    s = p.setup
    out, given = float(s.batch * m * n), float(s.batch * k * n)
    if s.engine == "vector":
        work = k * (WIDE + CARRY) + s.reduce
        p.words(name, out, work, reads=0, writes=0, memory=s.bytes * (given + out + m * k))
        return
    sums = s.partials(s.engine)
    p.words(f"{name}_split", given, s.split, reads=0, writes=s.bytes, memory=s.bytes * given)
    p.product(f"{name}_product", s.batch * n, s.bytes * k, sums * m, 1, partials=sums * m)
    work = s.merge(s.engine) + s.reduce
    p.words(f"{name}_reduce", out, work, reads=sums * PARTIAL, writes=0, memory=s.bytes * out)


def key_switch(p: Program, limbs: int, digits: int, special: int) -> None:
    """From one polynomial to two: digits back, to the other limbs, forth, times two keys; then down by the special
    moduli."""
    s = p.setup
    alpha = -(-limbs // digits)
    p.call("decompose")
    transform(p, "intt", limbs, 1)
    multiply(p, "twist", limbs, 1)
    left = limbs
    while left > 0:
        own, left = min(alpha, left), left - alpha
        p.call("digit")
        convert(p, "bconv", own, limbs + special - own, 1)
        multiply(p, "twist", limbs + special - own, 1)
        transform(p, "ntt", limbs + special - own, 1)
        words, keys = float(s.batch * s.degree * (limbs + special)), 2.0 * s.degree * (limbs + special) * s.bytes
        p.words("keys", words, 2 * (WIDE + CARRY), reads=s.bytes, writes=16, memory=keys)
    p.call("mod_down")
    p.words("reduce", 2.0 * s.batch * s.degree * (limbs + special), s.reduce, reads=8, writes=s.bytes)
    transform(p, "intt", special, 2)
    multiply(p, "twist", special, 2)
    convert(p, "bconv", special, limbs, 2)
    multiply(p, "untwist", limbs, 2)
    transform(p, "ntt", limbs, 2)
    add(p, "subtract", limbs, 2)
    multiply(p, "scale", limbs, 2)


def he_mult(p: Program, limbs: int, digits: int, special: int) -> None:
    """Rescaling of both ciphertexts by the last limb, their tensor product, and the key switch of its third part."""
    s, kept = p.setup, max(limbs - 1, 1)
    p.call("rescale")
    p.words(
        "read",
        4.0 * s.batch * s.degree * limbs,
        0,
        reads=0,
        writes=s.bytes,
        memory=4.0 * s.batch * s.degree * limbs * s.bytes,
    )
    transform(p, "intt", 1, 4)
    multiply(p, "spread", kept, 4)
    transform(p, "ntt", kept, 4)
    multiply(p, "scale", kept, 4)
    add(p, "add", kept, 4)
    p.call("tensor")
    words = float(s.batch * s.degree * kept)
    p.words("multiply", words, 4 * s.product + ADD, reads=4 * s.bytes, writes=3 * s.bytes)
    key_switch(p, kept, digits, special)
    p.call("sum")
    add(p, "add", kept, 2)
    p.words("write", 2 * words, 0, reads=s.bytes, writes=0, memory=2 * words * s.bytes)


def rotate(p: Program, limbs: int, digits: int, special: int) -> None:
    """The key switch of one part, the sum with the other, and the automorphism of both."""
    s = p.setup
    words = float(2 * s.batch * s.degree * limbs)
    p.call("read")
    p.words("read", words, 0, reads=0, writes=s.bytes, memory=words * s.bytes)
    key_switch(p, limbs, digits, special)
    p.call("automorphism")
    add(p, "add", limbs, 1)
    permute(p, "permute", limbs, 2)
    p.words("write", words, 0, reads=s.bytes, writes=0, memory=words * s.bytes)


def calls(p: Program, counts: Mapping[str, Mapping[Any, float]]) -> None:
    """Kernels from memory to memory, each so often: {kernel: {limbs, or "in-out": times}}."""
    alone: Mapping[str, Callable[..., None]] = {
        "multiply": multiply, "add": add, "ntt": transform, "automorphism": permute,
    }  # fmt: skip
    for kernel, table in counts.items():
        for limbs, times in table.items():
            p.call(f"{kernel}_{limbs}".replace("-", "_to_"), times)
            if kernel == "bconv":
                first, _, second = str(limbs).partition("-")
                convert(p, "bconv", int(first), int(second), 1, stored=True)
            else:
                alone[kernel](p, kernel, int(limbs), 1, stored=True)
