"""A network as the house's operator graph, with the bytes that the file's own types need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradespace.errors import InputError
from tradespace.workloads.networks.lifetimes import edges, peak_bytes, state_bytes, trace
from tradespace.workloads.networks.network import Network, Op
from tradespace.workloads.operators import WINDOW, Edges, OperatorGraph, Operators, StoredFormat

PRODUCTS = ("conv", "matmul", "attention")
NATIVE: Mapping[str, str] = {
    "fp64": "fp32", "fp32": "fp32", "fp16": "fp16", "bf16": "bf16", "int8": "int8", "uint8": "int8", "int4": "int4",
    "uint4": "int4",
}  # fmt: skip
"""Type of most stored weights -> precision of the house."""
MAX_TIES = 256
MAX_FACT = 500
MAX_LABEL = 32


@dataclass(frozen=True)
class Origin:
    """Where a network comes from: its name, one line of source, what people should see."""

    name: str
    title: str
    source: str
    where: str


def build(network: Network, origin: Origin) -> OperatorGraph:
    """One inference of the network is the job.

    A block begins at every product (convolution, matrix product) and holds what follows it up to the next one: the
    groups that runtimes fuse. A weight that several blocks use is stored once where they share memory (a tie).

    Raises:
        InputError: no operators, or operators in an order in which they cannot execute.
    """
    if not network.ops:
        raise InputError("a network has at least one operator", where=origin.where)
    lives = trace(network, origin.where)
    block, blocks = _blocks(network.ops)
    resident, ties = _residence(network, block)
    operators = _operators(network, block, blocks, resident)
    links = edges(network, lives)
    return OperatorGraph(
        name=origin.name,
        operators=operators,
        blocks=blocks,
        edges=_without_backward(links),
        ties=ties,
        parameters=float(resident.sum()) - sum(elements for *_, elements in ties),
        sources={"shape": origin.source, "kind": "datasheet"},
        native_precision=native_precision(network),
        facts=_facts(network, origin, peak_bytes(network, lives)),
        stored=stored_by_type(network),
    )


def _without_backward(links: Edges) -> Edges:
    keep = links.source < links.dest
    return Edges(links.source[keep], links.dest[keep], links.elements[keep], links.count[keep])


def _blocks(ops: Sequence[Op]) -> tuple[np.ndarray[Any, np.dtype[np.int32]], tuple[str, ...]]:
    """(n,) the block of each operator, and the blocks' names: short, unique, from the product that begins one."""
    index, used = np.zeros(len(ops), np.int32), Counter[str]()
    names: list[str] = []
    begun = False
    for at, op in enumerate(ops):
        product = op.kind in PRODUCTS
        if not names or (product and begun):
            stem = label(op, at)
            used[stem] += 1
            names.append(stem if used[stem] == 1 else f"{stem}#{used[stem]}")
        begun = begun or product
        index[at] = len(names) - 1
    if len(set(names)) != len(names):  # "a#2" as a file's own name
        names = [f"{at}:{name}" for at, name in enumerate(names)]
    return index, tuple(names)


def label(op: Op, at: int) -> str:
    """A name that a table can show: the last two parts of a path, or type and place where that is too long."""
    words = [part for part in op.name.replace(";", "/").split("/") if part.strip()]
    text = "/".join(words[-2:])
    if not words or len(text) > MAX_LABEL:
        text = f"{op.type.lower()}_{at}"[:MAX_LABEL]
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_/:") else "_" for c in text)


def _residence(
    network: Network, block: np.ndarray[Any, np.dtype[np.int32]]
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], tuple[tuple[int, int, float], ...]]:
    """(n,) stored elements that each operator owns, and ties between blocks that use the same ones."""
    resident = np.zeros(len(network.ops))
    ties: list[tuple[int, int, float]] = []
    owner: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    for at, op in enumerate(network.ops):
        for stored, _ in op.weights:
            here = int(block[at])
            elements = counted(network, stored)
            if stored not in owner:
                owner[stored] = here
                resident[at] += elements
            elif owner[stored] != here and (stored, here) not in seen and len(ties) < MAX_TIES and elements > 0:
                seen.add((stored, here))
                ties.append((owner[stored], here, elements))
                resident[at] += elements
    return resident, tuple(ties)


def counted(network: Network, stored: int) -> float:
    """Weight elements of a constant. The int32 biases of quantised products count in bytes alone: they are sums at the
    accumulator's width, not weights in the network's format."""
    constant = network.stored[stored]
    return 0.0 if constant.dtype == "int32" else constant.elements


def _operators(
    network: Network,
    block: np.ndarray[Any, np.dtype[np.int32]],
    blocks: tuple[str, ...],
    resident: np.ndarray[Any, np.dtype[np.float64]],
) -> Operators:
    ops, none = network.ops, np.zeros(len(network.ops))
    names, used = [], Counter[str]()
    for at, op in enumerate(ops):
        stem = f"{blocks[block[at]]}.{label(op, at)}"
        used[stem] += 1
        names.append(stem if used[stem] == 1 else f"{stem}#{used[stem]}")
    if len(set(names)) != len(names):
        names = [f"{name}#{at}" for at, name in enumerate(names)]

    def column(values: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array(values, np.float64)

    m, k, n, count = (column([op.gemm[i] for op in ops]) for i in range(4))
    tensors = network.tensors
    moved = [any(tensors[t].view < 0 for t in op.writes) or op.flop > 0 for op in ops]  # a view moves nothing
    return Operators(
        name=tuple(names),
        kind=tuple(op.kind for op in ops),
        block=block,
        m=m, k=k, n=n, count=count,
        flop=column([op.flop for op in ops]),
        weights=column([sum(min(read, counted(network, stored)) for stored, read in op.weights) for op in ops]),
        act_in=column([sum(read for _, read in op.reads) * move for op, move in zip(ops, moved, strict=True)]),
        act_out=column([sum(tensors[t].elements for t in op.writes if tensors[t].view < 0) for op in ops]),
        kv_read=none, kv_write=none,
        repeat=column([op.repeat for op in ops]),
        weights_resident=resident, kv_resident=none,
        **{name: column([op.window[i] for op in ops]) for i, name in enumerate(WINDOW)},
    )  # fmt: skip


def stored_by_type(network: Network) -> dict[str, StoredFormat]:
    """Type of stored elements -> what operators use in it, most bytes first."""
    totals: dict[str, StoredFormat] = {}
    for index in sorted({stored for op in network.ops for stored, _ in op.weights}):
        one = network.stored[index]
        known = totals.get(one.dtype, StoredFormat(0, 0.0, 0.0))
        totals[one.dtype] = StoredFormat(known.tensors + 1, known.elements + one.elements, known.bytes + one.bytes)
    return dict(sorted(totals.items(), key=lambda item: -item[1].bytes))


def native_precision(network: Network) -> str | None:
    """The house's precision of most stored elements."""
    totals = stored_by_type(network)
    best = max(totals, key=lambda dtype: totals[dtype].elements, default=None)
    return NATIVE.get(best) if best else None


def _facts(network: Network, origin: Origin, peak: float) -> dict[str, float | str]:
    totals = stored_by_type(network)
    types = Counter(op.type for op in network.ops)
    written = sum(network.tensors[t].bytes * (op.repeat > 0) for op in network.ops for t in _own(network, op))
    active = Counter[str]()
    for op in network.ops:
        active.update(network.tensors[t].dtype for t in _own(network, op))
    facts: dict[str, float | str] = {
        "title": origin.title,
        "layers": float(len(network.ops)),
        "operator_types": _listed(types),
        "weight_bytes": sum(held.bytes for held in totals.values()),
        "weight_types": ", ".join(f"{dtype} {held.elements:,.0f}" for dtype, held in totals.items()) or "none",
        "activation_bytes": written + sum(network.tensors[t].bytes for t in network.inputs),
        "activation_types": _listed(active),
        "peak_activation_bytes": peak,
    }
    state = state_bytes(network)
    if state:
        facts["state_bytes"] = state
    notes = {"note": " ".join(network.notes)[:MAX_FACT]} if network.notes else {}
    return {**facts, **network.facts, **notes}


def _own(network: Network, op: Op) -> list[int]:
    """Tensors that an operator really writes."""
    return [t for t in op.writes if network.tensors[t].view < 0]


def _listed(counts: Counter[str]) -> str:
    shown = [f"{name} {count}" for name, count in counts.most_common()]
    text = ", ".join(shown)
    return text if len(text) <= MAX_FACT else text[: text.rfind(",", 0, MAX_FACT)] + ", …"
