"""CROSS: homomorphic encryption on AI chips, as operators that any device of matrix and vector units runs.

System: "Leveraging ASIC AI Chips for Homomorphic Encryption", arXiv 2501.07047 v3 (HPCA 2026). The workload type
`modular` builds one kernel (a transform, a basis conversion, a byte product ...), an operation on ciphertexts, or a
list of kernel calls. What a deployment decides are keys of it: the split rows x columns of the degree, the reduction,
the batch, limbs a step, and whether constants are multiplied as dense bytes, as sparse ones, or on the vector unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from tradespace.errors import InputError, UnknownName
from tradespace.precisions import Precision
from tradespace.workloads.operators import Edges, OperatorGraph, Operators
from tradespace.workloads.options import check_keys, integer, word
from tradespace.workloads.rows import Row
from tradespace_accelerators import cross_he_steps as steps
from tradespace_accelerators.cross_he_steps import Program, Setup

RESIDUE = Precision(
    "residue", 8, 1, 0, "int8", 8, "one byte of a residue: exact integers modulo a prime",
    "arXiv 2501.07047, section on basis-aligned transformation", error=0.0, exact=True,
)  # fmt: skip

MAX_DEGREE, MAX_LIMBS, MAX_BATCH, MAX_CALLS, MAX_SIDE = 1 << 20, 4096, 10_000_000, 1000, 1 << 20
COMMON = ("name", "title", "type", "kernel", "word", "reduction", "engine", "bconv_engine", "batch", "source", "kind")
RING = ("degree", "rows", "group")


def _ntt(p: Program, o: Mapping[str, Any], where: str) -> None:
    p.call("ntt")
    steps.transform(p, "ntt", _limbs(o, where), _polynomials(o, where), stored=True)


def _multiply(p: Program, o: Mapping[str, Any], where: str) -> None:
    p.call("multiply")
    steps.multiply(p, "multiply", _limbs(o, where), _polynomials(o, where), stored=True)


def _add(p: Program, o: Mapping[str, Any], where: str) -> None:
    p.call("add")
    steps.add(p, "add", _limbs(o, where), _polynomials(o, where), stored=True)


def _automorphism(p: Program, o: Mapping[str, Any], where: str) -> None:
    p.call("automorphism")
    steps.permute(p, "permute", _limbs(o, where), _polynomials(o, where), stored=True)


def _bconv(p: Program, o: Mapping[str, Any], where: str) -> None:
    p.call("bconv")
    out = integer(o, "limbs_out", where, high=MAX_LIMBS, default=None)
    steps.convert(p, "bconv", _limbs(o, where), out, _polynomials(o, where), stored=True)


def _matmul(p: Program, o: Mapping[str, Any], where: str) -> None:
    m, n, k = (integer(o, side, where, high=MAX_SIDE, default=None) for side in "mnk")
    p.call("matmul")
    steps.byte_product(p, "matmul", m, n, k)


def _switched(p: Program, o: Mapping[str, Any], where: str) -> None:
    limbs = _limbs(o, where)
    digits = integer(o, "dnum", where, high=limbs, default=min(3, limbs))
    special = integer(o, "special", where, high=MAX_LIMBS, default=-(-limbs // digits))
    if o["kernel"] == "key-switch":
        steps.key_switch(p, limbs, digits, special)
    else:
        (steps.he_mult if o["kernel"] == "he-mult" else steps.rotate)(p, limbs, digits, special)


def _calls(p: Program, o: Mapping[str, Any], where: str) -> None:
    steps.calls(p, read_calls(o.get("calls"), f"{where}: calls"))


_PLAIN = ("limbs", "polynomials")
_SWITCH = ("limbs", "dnum", "special")
KERNELS: Mapping[str, tuple[Callable[[Program, Mapping[str, Any], str], None], tuple[str, ...]]] = {
    "ntt": (_ntt, _PLAIN),
    "vec-mod-mul": (_multiply, _PLAIN),
    "vec-mod-add": (_add, _PLAIN),
    "automorphism": (_automorphism, _PLAIN),
    "bconv": (_bconv, (*_PLAIN, "limbs_out")),
    "matmul": (_matmul, ("m", "n", "k")),
    "key-switch": (_switched, _SWITCH),
    "he-mult": (_switched, _SWITCH),
    "rotate": (_switched, _SWITCH),
    "calls": (_calls, ("calls",)),
}
"""Kernel -> what adds its rows, and the keys it takes beside those of all (`COMMON`, and `RING` but for matmul)."""
NUMBERS = tuple(f.name for f in fields(Row) if f.name not in ("name", "kind"))
CALLED = ("multiply", "add", "ntt", "bconv", "automorphism")


def build(options: Mapping[str, Any]) -> OperatorGraph:
    """The workload type `modular`.

    Keys: ``kernel`` (of `KERNELS`), ``degree`` and ``rows`` (a factor of it; default: the nearest to its root),
    ``limbs``, ``polynomials`` (a ciphertext has 2), ``batch``, ``word`` (bits of a word), ``reduction``, ``engine`` and
    ``bconv_engine`` (bat, toeplitz, vector), ``group`` (most limbs a step), ``limbs_out``, ``dnum``, ``special``
    (moduli of the key switch), ``m``, ``n``, ``k``, and ``calls`` ({multiply, add, ntt, automorphism: {limbs: times},
    bconv: {"in-out": times}}). An item is one of the batch.

    Raises:
        InputError, UnknownName: keys or values that do not fit.
    """
    where = f"workload {options.get('name', 'modular')}"
    kernel = word(options, "kernel", where, known=tuple(KERNELS), default="ntt")
    make, own = KERNELS[kernel]
    check_keys(options, (*COMMON, *(() if kernel == "matmul" else RING), *own), where)
    program = Program(read_setup(options, where))
    given = {**options, "kernel": kernel}
    make(program, given, where)
    return graph_of(program, given)


def read_setup(options: Mapping[str, Any], where: str) -> Setup:
    """Raises `InputError` for a split that is none; `UnknownName` for words of no meaning."""
    degree = integer(options, "degree", where, high=MAX_DEGREE, low=2, default=65_536)
    if degree & (degree - 1):
        raise InputError("'degree' is a power of two", value=degree, where=where)
    rows = integer(options, "rows", where, high=MAX_DEGREE, default=1 << (degree.bit_length() - 1) // 2)
    if degree % rows:
        pairs = ", ".join(f"{1 << i} x {degree >> i}" for i in range(degree.bit_length()))
        raise InputError("'rows' is a factor of the degree", value=rows, where=where, remedy=f"Splits: {pairs}.")
    bits = integer(options, "word", where, high=64, default=32)
    engine = word(options, "engine", where, known=steps.ENGINES, default="bat")
    return Setup(
        degree, rows, integer(options, "batch", where, high=MAX_BATCH, default=1), -(-bits // 8),
        word(options, "reduction", where, known=tuple(steps.REDUCE), default="montgomery"), engine,
        word(options, "bconv_engine", where, known=steps.ENGINES, default=engine),
        integer(options, "group", where, high=MAX_LIMBS, low=0, default=0),
    )  # fmt: skip


def read_calls(raw: Any, where: str) -> dict[str, dict[str, float]]:
    """{kernel: {limbs: times}}, checked. Raises `InputError` or `UnknownName`."""
    if not isinstance(raw, Mapping) or not raw:
        raise InputError("'calls' is {kernel: {limbs: times}}", value=repr(raw)[:80], where=where)
    found: dict[str, dict[str, float]] = {}
    for kernel, table in raw.items():
        if kernel not in CALLED:
            raise UnknownName("kernel", str(kernel)[:80], CALLED, where=where)
        if not isinstance(table, Mapping) or not 1 <= len(table) <= MAX_CALLS:
            raise InputError(f"a kernel has {{limbs: times}}, 1 to {MAX_CALLS}", value=repr(table)[:80], where=where)
        found[kernel] = {}
        for key, times in table.items():
            sides = str(key).split("-")
            for side in sides:
                integer({"limbs": side}, "limbs", f"{where}.{kernel}", high=MAX_LIMBS, default=None)
            if len(sides) != 1 + (kernel == "bconv"):
                raise InputError("bconv is called by 'in-out', all others by limbs", value=key, where=where)
            number = integer({"times": times}, "times", f"{where}.{kernel}", high=10**9, default=None)
            found[kernel][str(key)] = float(number)
    return found


def graph_of(program: Program, options: Mapping[str, Any]) -> OperatorGraph:
    """Rows as a chain of operators; facts count what identities of the publication count."""
    s, rows = program.setup, program.rows
    blocks = tuple(dict.fromkeys(block for block, _, _ in rows))
    index = {block: at for at, block in enumerate(blocks)}
    columns: dict[str, Any] = {
        name: np.array([getattr(row, name) for _, row, _ in rows], np.float64) for name in NUMBERS
    }
    repeat = np.array([times for *_, times in rows])
    ops = Operators(
        name=tuple(row.name for _, row, _ in rows), kind=tuple(row.kind for _, row, _ in rows),
        block=np.array([index[block] for block, _, _ in rows], np.int32), repeat=repeat, **columns,
    )  # fmt: skip
    at = np.arange(len(rows) - 1, dtype=np.int32)
    edges = Edges(at, at + 1, ops.act_out[:-1].copy(), np.minimum(repeat[:-1], repeat[1:]))
    return OperatorGraph(
        name=str(options.get("name", options["kernel"])), operators=ops, blocks=blocks, edges=edges,
        tokens=float(s.batch), parameters=float(ops.weights_resident.sum()),
        sources={
            "shape": str(options.get("source", "kernels of CROSS, arXiv 2501.07047 v3")),
            "kind": str(options.get("kind", "paper")),
        },
        native_precision="residue", facts=_facts(ops, s, options),
    )  # fmt: skip


def _facts(ops: Operators, s: Setup, options: Mapping[str, Any]) -> dict[str, float | str]:
    products = np.array([kind == "matmul" for kind in ops.kind])
    total = ops.flop * ops.repeat
    facts: dict[str, float | str] = {
        "batch": float(s.batch),
        "byte_operations": float(total[products].sum()),
        "word_operations": float(total[~products].sum()),
        "reduction": s.reduction,
        "engine": s.engine,
    }
    if options["kernel"] != "matmul":
        facts |= {"degree": float(s.degree), "rows": float(s.rows), "cols": float(s.cols)}
    for kernel, table in read_calls(options["calls"], "calls").items() if options["kernel"] == "calls" else ():
        facts[f"calls_{kernel}"] = sum(table.values())
    return facts


def _limbs(options: Mapping[str, Any], where: str) -> int:
    return integer(options, "limbs", where, high=MAX_LIMBS, default=1)


def _polynomials(options: Mapping[str, Any], where: str) -> int:
    return integer(options, "polynomials", where, high=64, default=1)
