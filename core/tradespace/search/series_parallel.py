"""Series-parallel shape of a graph: what it is put together from, by reduction (Valdes, Tarjan, Lawler 1982).

Directions do not matter for sums. A node with two neighbours becomes the middle of a series, two parts between the same
nodes become parallel, and a part that ends at a node with no other neighbour hangs at its other end. A graph comes down
to one node this way exactly if its treewidth is at most two: chains, rings, trees, residual and inception networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

END_TO_END = -1
"""The edge of a `Link` that costs nothing: it joins parts of a graph that have no edge between them."""


@dataclass(frozen=True)
class Link:
    """An edge, by its index. ``turned``: it is walked against its direction."""

    edge: int
    turned: bool = False


@dataclass(frozen=True)
class Series:
    """``parts[0]``, then ``nodes[0]``, then ``parts[1]``, and so on."""

    parts: tuple[Part, ...]
    nodes: tuple[int, ...]


@dataclass(frozen=True)
class Parallel:
    """All of ``parts`` between the same two nodes."""

    parts: tuple[Part, ...]


Part = Link | Series | Parallel


@dataclass(frozen=True)
class Reduction:
    """The graph from ``root``. ``hanging``: node -> (part from it, node at the part's other end), which has what hangs
    at itself in turn."""

    root: int
    hanging: dict[int, tuple[tuple[Part, int], ...]]


def reduced(n: int, edges: Sequence[tuple[int, int]]) -> Reduction | None:
    """The reduction of nodes 0 to n - 1, seen from node 0; None for a graph of treewidth three or more."""
    around: list[dict[int, _Between]] = [{} for _ in range(n)]
    links = [(a, b, Link(e)) for e, (a, b) in enumerate(edges)]
    for a, b, link in [*links, *((a, b, Link(END_TO_END)) for a, b in _bridges(n, edges))]:
        _put(around, a, b, link)
    hanging: dict[int, list[tuple[Part, int]]] = {}
    queue = {k: [v for v in range(n - 1, 0, -1) if len(around[v]) == k] for k in (1, 2)}
    gone, left = [False] * n, n - 1
    while queue[1] or queue[2]:
        degree = 2 if queue[2] else 1  # series first: what hangs stays shallow
        v = queue[degree].pop()
        if gone[v] or len(around[v]) != degree:
            continue
        ends = sorted(around[v])
        for u in ends:
            del around[u][v]
        gone[v], left = True, left - 1
        if degree == 1:
            hanging.setdefault(ends[0], []).append((around[v][ends[0]].out_of(ends[0]), v))
        else:
            first, second = around[v][ends[0]].out_of(ends[0]), around[v][ends[1]].out_of(v)
            _put(around, ends[0], ends[1], _series(first, v, second))
        for u in ends:
            if u and len(around[u]) in (1, 2):
                queue[len(around[u])].append(u)
    return None if left else Reduction(0, {v: tuple(parts) for v, parts in hanging.items()})


def turned(part: Part) -> Part:
    """The part walked from its other end."""
    if isinstance(part, Link):
        return Link(part.edge, not part.turned)
    if isinstance(part, Parallel):
        return Parallel(tuple(map(turned, part.parts)))
    return Series(tuple(map(turned, part.parts[::-1])), part.nodes[::-1])


@dataclass(frozen=True)
class _Between:
    """A part as it leaves node ``start``; turned only where it is needed, since series grow long."""

    part: Part
    start: int

    def out_of(self, node: int) -> Part:
        return self.part if node == self.start else turned(self.part)


def _put(around: list[dict[int, _Between]], a: int, b: int, part: Part) -> None:
    """One more part between two nodes, as it leaves ``a``."""
    known = around[a].get(b)
    if known is not None:
        both = [p.parts if isinstance(p, Parallel) else (p,) for p in (known.out_of(a), part)]
        part = Parallel((*both[0], *both[1]))
    around[a][b] = around[b][a] = _Between(part, a)


def _series(first: Part, node: int, second: Part) -> Series:
    both = [p if isinstance(p, Series) else Series((p,), ()) for p in (first, second)]
    return Series((*both[0].parts, *both[1].parts), (*both[0].nodes, node, *both[1].nodes))


def _bridges(n: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Edges that join the parts of a graph that has several."""
    root = list(range(n))

    def find(v: int) -> int:
        while root[v] != v:
            root[v] = root[root[v]]
            v = root[v]
        return v

    for a, b in edges:
        root[find(b)] = find(a)
    firsts = [v for v in range(n) if find(v) == v]
    return list(pairwise(firsts))
