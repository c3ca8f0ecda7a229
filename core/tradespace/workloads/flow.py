"""Flow graphs: sources emit messages at a rate, stages join, work on and filter them, one stage keeps the rest.

Trigger farms, telescopes, camera networks, telemetry: whatever reduces a stream in steps. Every node sends to one
other, so the graph is a tree whose root is the storage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tradespace import units
from tradespace.errors import InputError, UnknownName
from tradespace.workloads.classifiers import CLASSIFIERS, Builders, Classifier, share
from tradespace.workloads.options import check_keys, flag, text, word

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
MAX_NODES = 1024
MAX_SIZE = 1e15
MAX_RATIO = 1e9
META = ("name", "title", "source", "kind")
_TOP = (*META, "sources", "stages", "relevant", "whole")
_SOURCE = ("bytes", "rate", "to", "place", "reduction", "compression", "source", "kind")
_STAGE = ("to", "bytes", "place", "merge", "compression", "ratio", "classifier", "work", "source", "kind")
_WORK = ("kind", "constant", "linear", "quadratic", "cubic", "flop")
WORKS = ("select", "reconstruct")
"""Kinds of work: deciding on a few features within a fixed time, and rebuilding the whole message."""


@dataclass(frozen=True, slots=True)
class Work:
    """Operations on a message of x bytes: c0 + c1 x + c2 x^2 + c3 x^3.

    Args:
        kind: what a device must be able to do, one of `WORKS`.
        coefficients: (c0, c1, c2, c3).
        flop: FLOP of one such operation, 0 where nobody said: then only devices that know the kind can do it.
    """

    kind: str
    coefficients: tuple[float, float, float, float]
    flop: float = 0.0


@dataclass(frozen=True)
class Node:
    """A source (``rate`` above 0) or a stage.

    Args:
        to: the node that gets its messages; "" for the last.
        place: where it stands; links join places.
        size: B of its own that it adds to a message.
        reduction: share of its own bytes that a smarter sensor would not send.
        compression: share of every message that it removes before sending.
        merge: "events": inputs are fragments of one event, so sizes add up; "streams": rates add up.
        ratio: one message in so many passes; (low, high) with low < high is a decision.
    """

    name: str
    to: str
    place: str
    size: float
    rate: float = 0.0
    reduction: float = 0.0
    compression: float = 0.0
    merge: str = "events"
    ratio: tuple[float, float] = (1.0, 1.0)
    classifier: Classifier | None = None
    work: Work | None = None


@dataclass(frozen=True, eq=False)
class FlowGraph:
    """A workload of kind "flow-graph". Build with `flow_graph`, which checks it.

    Args:
        nodes: every node before the one it sends to; the last is the storage.
        relevant: share of the messages that should be kept; None: as many as the filters let through together.
        whole: counts per second are cut to whole messages.
    """

    name: str
    nodes: tuple[Node, ...]
    sources: Mapping[str, str]
    relevant: float | None = None
    whole: bool = False
    facts: Mapping[str, float | str] = field(default_factory=dict)
    kind: ClassVar[str] = "flow-graph"

    @cached_property
    def index(self) -> Mapping[str, int]:
        return {node.name: i for i, node in enumerate(self.nodes)}

    @cached_property
    def filters(self) -> tuple[Node, ...]:
        """Nodes that reject something."""
        return tuple(node for node in self.nodes if node.classifier is not None)

    @cached_property
    def workers(self) -> tuple[Node, ...]:
        """Nodes whose work needs a device."""
        return tuple(node for node in self.nodes if node.work is not None)


def build(options: Mapping[str, Any]) -> FlowGraph:
    """The workload type `flow_graph`; see `flow_graph`."""
    return flow_graph(options, CLASSIFIERS)


def flow_graph(options: Mapping[str, Any], classifiers: Builders) -> FlowGraph:
    """A checked flow graph.

    Args:
        options: ``sources`` and ``stages``, mappings of names; ``relevant`` and ``whole`` as in `FlowGraph`.
            ``ratio`` of a stage is a number or [low, high], which leaves it open.
        classifiers: what ``classifier: {model: ...}`` may name.

    Raises:
        InputError, UnitError, UnknownName: keys or values that do not fit, or a graph that is no tree.
    """
    name = text(options, "name", "workload", default="flow")
    where = f"workload {name}"
    check_keys(options, _TOP, where)
    rows = [_source(key, body, f"{where}.sources") for key, body in _section(options, "sources", where)]
    rows += [_stage(key, body, f"{where}.stages", classifiers) for key, body in _section(options, "stages", where)]
    if len(rows) > MAX_NODES or len({row.name for row in rows}) != len(rows):
        raise InputError(f"a flow graph has at most {MAX_NODES} nodes, of different names", where=where)
    raw = options.get("relevant")
    nodes = _ordered(rows, where)
    return FlowGraph(
        name,
        nodes,
        {
            "shape": text(options, "source", where, default="given by the user"),
            "kind": text(options, "kind", where, default="datasheet"),
        },
        None if raw is None else share(options, "relevant", where, low=1e-15),
        flag(options, "whole", where, default=False),
        _facts(nodes, text(options, "title", where, default=name)),
    )


def _facts(nodes: tuple[Node, ...], title: str) -> dict[str, float | str]:
    born = [node for node in nodes if node.rate > 0]
    return {
        "title": title,
        "event_bytes": float(sum(node.size for node in born)),
        "sources": float(len(born)),
        "stages": float(len(nodes) - len(born)),
        "filters": float(sum(node.classifier is not None for node in nodes)),
        "rate": float(max(node.rate for node in born)),
    }


def _section(options: Mapping[str, Any], key: str, where: str) -> list[tuple[str, Mapping[str, Any]]]:
    body = options.get(key)
    if not isinstance(body, Mapping) or not body or len(body) > MAX_NODES:
        raise InputError(f"'{key}' is a mapping of 1 to {MAX_NODES} names", value=repr(body)[:80], where=where)
    for name, row in body.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            rule = "a name is a letter, then at most 31 letters, digits and underscores, all lower case"
            raise InputError(rule, value=repr(name)[:80], where=f"{where}.{key}")
        if not isinstance(row, Mapping):
            raise InputError("a node is a mapping of keys", value=repr(row)[:80], where=f"{where}.{key}.{name}")
    return list(body.items())


def _source(name: str, body: Mapping[str, Any], above: str) -> Node:
    where = f"{above}.{name}"
    check_keys(body, _SOURCE, where)
    rate = units.parse(body.get("rate", 0.0), "Hz", where=f"{where}.rate", positive=True)
    if rate > MAX_SIZE:
        raise InputError(f"'rate' is at most {MAX_SIZE:g} Hz", value=rate, where=where)
    return Node(
        name,
        text(body, "to", where, default=""),
        text(body, "place", where, default="detector"),
        _bytes(body, where),
        rate=rate,
        reduction=share(body, "reduction", where, default=0.0),
        compression=share(body, "compression", where, default=0.0),
    )


def _stage(name: str, body: Mapping[str, Any], above: str, classifiers: Builders) -> Node:
    where = f"{above}.{name}"
    check_keys(body, _STAGE, where)
    ratio = _ratio(body.get("ratio", 1.0), where)
    raw = body.get("classifier")
    if raw is None and ratio[1] > 1.0:
        raise InputError("a stage with a 'ratio' above 1 has a 'classifier'", value=f"ratio {ratio[1]:g}", where=where)
    return Node(
        name,
        text(body, "to", where, default=""),
        text(body, "place", where, default=name),
        _bytes(body, where),
        compression=share(body, "compression", where, default=0.0),
        merge=word(body, "merge", where, known=("events", "streams"), default="events"),
        ratio=ratio,
        classifier=None if raw is None else _classifier(raw, f"{where}.classifier", classifiers),
        work=_work(body["work"], f"{where}.work") if body.get("work") is not None else None,
    )


def _bytes(body: Mapping[str, Any], where: str) -> float:
    size = units.parse(body.get("bytes", 0.0), "B", where=f"{where}.bytes", positive=False)
    if size > MAX_SIZE:
        raise InputError(f"'bytes' is at most {MAX_SIZE:g}", value=size, where=where)
    return size


def _ratio(raw: Any, where: str) -> tuple[float, float]:
    if isinstance(raw, list) and len(raw) != 2:
        raise InputError("a ratio left open is [low, high]", value=repr(raw)[:80], where=f"{where}.ratio")
    low, high = raw if isinstance(raw, list) else (raw, raw)
    both = [units.parse(end, "1", where=f"{where}.ratio") for end in (low, high)]
    if not 1.0 <= both[0] <= both[1] <= MAX_RATIO:
        raise InputError(
            f"'ratio' is a number from 1 to {MAX_RATIO:g}, or [low, high]",
            value=repr(raw)[:80],
            where=where,
        )
    return both[0], both[1]


def _classifier(raw: Any, where: str, classifiers: Builders) -> Classifier:
    if not isinstance(raw, Mapping):
        raise InputError("a classifier is {model: ..., ...}", value=repr(raw)[:80], where=where)
    model = raw.get("model")
    if model not in classifiers:
        raise UnknownName("classifier", str(model)[:80], classifiers, where=where)
    return classifiers[str(model)]({key: value for key, value in raw.items() if key != "model"}, where)


def _work(raw: Any, where: str) -> Work:
    if not isinstance(raw, Mapping):
        raise InputError("'work' is a mapping", value=repr(raw)[:80], where=where, remedy=f"Keys: {', '.join(_WORK)}.")
    check_keys(raw, _WORK, where)
    terms = [units.parse(raw.get(key, 0.0), "1", where=f"{where}.{key}", positive=False) for key in _WORK[1:5]]
    if max(terms) > MAX_SIZE:
        raise InputError(f"coefficients are at most {MAX_SIZE:g}", value=max(terms), where=where)
    flop = units.parse(raw.get("flop", 0.0), "FLOP", where=f"{where}.flop", positive=False)
    kind = word(raw, "kind", where, known=WORKS, default="reconstruct")
    return Work(kind, (terms[0], terms[1], terms[2], terms[3]), flop)


def _ordered(rows: list[Node], where: str) -> tuple[Node, ...]:
    """Sources first, every node before its receiver. Raises for circles, several ends, and stages without input."""
    known = {row.name: row for row in rows}
    for row in rows:
        if row.to and (row.to not in known or known[row.to].rate > 0):
            stages = [other.name for other in rows if not other.rate]
            raise UnknownName("stage", row.to[:80], stages, where=f"{where}.{row.name}.to")
    ends = [row.name for row in rows if not row.to]
    if len(ends) != 1:
        raise InputError("one stage, and no source, sends to no other", value=", ".join(ends) or "none", where=where)
    inputs = {name: sum(row.to == name for row in rows) for name in known}
    idle = [row.name for row in rows if not row.rate and not inputs[row.name]]
    if idle:
        raise InputError("every stage gets messages from somewhere", value=", ".join(idle[:5]), where=where)
    ready, done = [row for row in rows if row.rate > 0], list[Node]()
    while ready:
        row = ready.pop(0)
        done.append(row)
        if row.to:
            inputs[row.to] -= 1
            if not inputs[row.to]:
                ready.append(known[row.to])
    if len(done) != len(rows):
        raise InputError("messages do not run in a circle", where=where)
    return tuple(done)


def path_weights(graph: FlowGraph) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(n,) events at the storage that a message rejected at each node stands for: fragments of an event share it."""
    weight = np.ones(len(graph.nodes))
    fragments = {node.name: sum(other.to == node.name for other in graph.nodes) for node in graph.nodes}
    for i in range(len(graph.nodes) - 2, -1, -1):
        receiver = graph.index[graph.nodes[i].to]
        split = fragments[graph.nodes[receiver].name] if graph.nodes[receiver].merge == "events" else 1
        weight[i] = weight[receiver] / split
    return weight
