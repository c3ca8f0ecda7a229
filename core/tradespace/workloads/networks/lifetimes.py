"""Who makes a tensor, who reads it last, and how many bytes are alive at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tradespace.errors import InputError
from tradespace.workloads.networks.network import Network
from tradespace.workloads.operators import Edges


@dataclass(frozen=True)
class Lifetimes:
    """Tensors of a network by the operators that touch them. Views share the lifetime of what they show.

    Args:
        root: tensor -> the tensor whose bytes it shows.
        maker: root -> operator that writes it first (-1: an input of the network).
        last: root -> operator that reads it last.
    """

    root: tuple[int, ...]
    maker: Mapping[int, int]
    last: Mapping[int, int]


def trace(network: Network, where: str) -> Lifetimes:
    """Follows every tensor.

    Raises:
        InputError: a view of itself, an operator that reads what nobody has written yet.
    """
    root = _roots(network, where)
    maker: dict[int, int] = {root[tensor]: -1 for tensor in network.inputs}
    last: dict[int, int] = dict.fromkeys(maker, -1)
    for at, op in enumerate(network.ops):
        for tensor, _ in op.reads:
            if root[tensor] not in maker:
                rule = "an operator reads what the network's inputs or earlier operators give"
                raise InputError(rule, value=op.name[:80], where=where)
            if op.repeat > 0:
                last[root[tensor]] = at
        for tensor in op.writes:
            maker.setdefault(root[tensor], at)
            last[root[tensor]] = at
    for tensor in network.outputs:
        if root[tensor] in maker:
            last[root[tensor]] = len(network.ops)
    return Lifetimes(tuple(root), maker, last)


def _roots(network: Network, where: str) -> list[int]:
    root: list[int] = []
    for at, tensor in enumerate(network.tensors):
        if tensor.view >= at:
            raise InputError("a tensor shows one that was there before it", value=f"tensor {at}", where=where)
        root.append(root[tensor.view] if tensor.view >= 0 else at)
    return root


def edges(network: Network, lives: Lifetimes) -> Edges:
    """One row for each pair of operators between which tensors flow; several tensors of one pair add up."""
    flows: dict[tuple[int, int], dict[int, float]] = {}
    for at, op in enumerate(network.ops):
        for tensor, _ in op.reads:
            source = lives.maker[lives.root[tensor]]
            if 0 <= source < at:
                size = network.tensors[tensor].elements
                tensors = flows.setdefault((source, at), {})
                tensors[lives.root[tensor]] = max(size, tensors.get(lives.root[tensor], 0.0))
    pairs = sorted(flows)
    sizes = [sum(flows[pair].values()) for pair in pairs]
    count = [network.ops[dest].repeat for _, dest in pairs]
    ends = np.array(pairs, np.int32).reshape(-1, 2)
    return Edges(ends[:, 0].copy(), ends[:, 1].copy(), np.array(sizes, np.float64), np.array(count, np.float64))


def state_bytes(network: Network) -> float:
    """Bytes that stay between two inferences: variables, each as large as what is read from it."""
    sizes: dict[int, float] = {}
    for op in network.ops:
        if op.type == "READ_VARIABLE" and op.reads and op.writes:
            sizes[op.reads[0][0]] = network.tensors[op.writes[0]].bytes
    return sum(sizes.values())


def peak_bytes(network: Network, lives: Lifetimes) -> float:
    """Most activation bytes alive at once: operators in file order, a tensor lives from its first to its last use.

    Inputs of the network live from the start to their last use, outputs to the end, variables always. No operator
    works in place (ours; it is what an arena planner without in-place operators needs at least).
    """
    change = np.zeros(len(network.ops) + 2)
    for tensor, maker in lives.maker.items():
        if maker >= 0 and network.ops[maker].repeat == 0:
            continue  # a branch that is not taken
        change[max(maker, 0)] += network.tensors[tensor].bytes
        change[max(lives.last[tensor], 0) + 1] -= network.tensors[tensor].bytes
    return state_bytes(network) + float(np.cumsum(change)[: max(len(network.ops), 1)].max(initial=0.0))
