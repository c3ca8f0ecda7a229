"""Plain stacks of layers on rectangular maps: convolutions, separable ones, pooling, dense layers.

For networks that are no inverted residual blocks (VGG, DS-CNN, AkidaNet, PilotNet, perceptrons). Padding is "same": a
layer of stride s maps h to ceil(h / s). Batch norm and activation are folded into their layer, so a layer stores its
weights and one bias an output channel (a separable one biases only what leaves it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradespace.errors import InputError
from tradespace.workloads.decoder import SOURCE_KINDS
from tradespace.workloads.operators import PRICED, Edges, OperatorGraph, Operators
from tradespace.workloads.options import check_keys, integer, text, word
from tradespace.workloads.transform import batched, with_activity

KEYS = (
    "name", "title", "source", "kind", "note", "input", "layers", "width", "resolution", "classes", "activity", "batch",
    "native_precision",
)  # fmt: skip
LAYER = ("conv", "separable", "dense", "pool", "kernel", "stride", "fixed")
MAX_LAYERS, MAX_CHANNELS, MAX_SIDE = 4096, 1_000_000, 65_536


@dataclass(frozen=True, slots=True)
class Stage:
    """One layer as written: what it is, its outputs (pooling: window, 0 for all), kernel and stride."""

    kind: str
    outputs: int
    kernel: int = 3
    stride: int = 1


@dataclass(frozen=True, slots=True)
class _Row:
    """An operator: the columns it fills beside zeros."""

    name: str
    kind: str
    columns: Mapping[str, float]


def build(options: Mapping[str, Any]) -> OperatorGraph:
    """The workload type `sequential`.

    Keys: ``input`` ([height, width, channels]), ``layers`` (each {conv: outputs}, {separable: outputs} with ``kernel``
    and ``stride``, {dense: outputs} or {pool: window or all}), ``width`` (multiplies the outputs of convolutions that
    are not ``fixed``), ``resolution`` (height and width), ``classes`` (outputs of the last layer), ``activity`` (share
    of non-zero activations, see `with_activity`), ``batch``, ``native_precision``.

    Raises:
        InputError, UnknownName: an unknown key, or a value that is missing or out of bounds.
    """
    name = text(options, "name", "workload", default="sequential")
    where = f"workload {name}"
    check_keys(options, KEYS, where)
    sides = _input(options, where)
    stages = _stages(options, where)
    rows = _rows(sides, stages, where)
    source = {
        "shape": text(options, "source", where, default="given by the user"),
        "kind": word(options, "kind", where, known=SOURCE_KINDS, default="derived"),
    }
    facts: dict[str, float | str] = {"title": text(options, "title", where, default=name), "layers": len(stages)}
    if note := text(options, "note", where, default=""):
        facts["note"] = note
    graph = _graph(name, rows, source, text(options, "native_precision", where, default="int8"), facts)
    graph = batched(graph, integer(options, "batch", where, high=1_000_000, default=1), f"{where}: batch")
    activity = options.get("activity")
    return graph if activity is None else with_activity(graph, activity, f"{where}: activity")


def _input(options: Mapping[str, Any], where: str) -> tuple[int, int, int]:
    raw = options.get("input")
    rule = f"'input' is [height, width, channels], each a whole number from 1 to {MAX_SIDE}"
    if not isinstance(raw, list | tuple) or len(raw) != 3:
        raise InputError(rule, value=repr(raw)[:80], where=where)
    sides = [integer({"input": side}, "input", where, high=MAX_SIDE, default=None) for side in raw]
    if options.get("resolution") is not None:
        sides[:2] = [integer(options, "resolution", where, high=4096, default=None)] * 2
    if sides[0] * sides[1] * sides[2] > 1e9:
        raise InputError("an input has at most 1e9 elements", value=raw, where=where)
    return sides[0], sides[1], sides[2]


def _stages(options: Mapping[str, Any], where: str) -> list[Stage]:
    raw = options.get("layers")
    if not isinstance(raw, list | tuple) or not 1 <= len(raw) <= MAX_LAYERS:
        raise InputError(f"'layers' is a list of 1 to {MAX_LAYERS} layers", value=repr(raw)[:80], where=where)
    width = options.get("width", 1.0)
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0.01 <= width <= 64:
        raise InputError("a width multiplier is a number from 0.01 to 64", value=repr(width)[:80], where=where)
    found = [_stage(row, float(width), f"{where}: layers[{at}]") for at, row in enumerate(raw)]
    if options.get("classes") is not None:
        if found[-1].kind == "pool":
            raise InputError("'classes' are the outputs of a last layer that is no pooling", where=where)
        classes = integer(options, "classes", where, high=MAX_CHANNELS, default=None)
        found[-1] = Stage(found[-1].kind, classes, found[-1].kernel, found[-1].stride)
    return found


def _stage(row: Any, width: float, where: str) -> Stage:
    if not isinstance(row, Mapping):
        raise InputError("a layer is a mapping such as {conv: 32, stride: 2}", value=repr(row)[:80], where=where)
    check_keys(row, LAYER, where)
    kinds = [kind for kind in ("conv", "separable", "dense", "pool") if kind in row]
    if len(kinds) != 1:
        raise InputError("a layer is one of conv, separable, dense and pool", value=kinds or None, where=where)
    kind = kinds[0]
    if kind == "pool":
        whole = row["pool"] == "all"
        return Stage(kind, 0 if whole else integer(row, "pool", where, high=64, default=None))
    outputs = integer(row, kind, where, high=MAX_CHANNELS, default=None)
    fixed = row.get("fixed", False)
    if not isinstance(fixed, bool):
        raise InputError("'fixed' is true or false", value=repr(fixed)[:80], where=where)
    if kind != "dense" and not fixed:
        outputs = max(1, round(outputs * width))
    kernel = integer(row, "kernel", where, high=255, default=3)
    return Stage(kind, outputs, kernel, integer(row, "stride", where, high=64, default=1))


def _rows(sides: tuple[int, int, int], stages: Sequence[Stage], where: str) -> list[_Row]:
    height, width, channels = sides
    found: list[_Row] = []
    for at, stage in enumerate(stages):
        name = f"{at}.{stage.kind}"
        if stage.kind == "pool":
            window = (height, width) if not stage.outputs else (min(stage.outputs, height), min(stage.outputs, width))
            out = -(-height // window[0]), -(-width // window[1])
            read = float(height * width * channels)
            columns = {"flop": read, "act_in": read, "act_out": float(out[0] * out[1] * channels)}
            found.append(_Row(name, "aggregate", columns))
            height, width = out
            continue
        if stage.kind == "dense":
            channels, height, width = channels * height * width, 1, 1
            found.append(_product(name, "matmul", (1, 1), (1, 1), 1, channels, stage.outputs, 1))
        else:
            out = -(-height // stage.stride), -(-width // stage.stride)
            full = stage.kind == "conv"
            if not full:
                inside = (height, width)
                first = _product(
                    f"{name}.depthwise", "conv", inside, out, stage.kernel, channels, channels, channels, bias=False
                )
                found.append(first)
            kernel, inside = (stage.kernel, (height, width)) if full else (1, out)
            suffix = "" if full else ".pointwise"
            found.append(_product(name + suffix, "conv", inside, out, kernel, channels, stage.outputs, 1))
            height, width = out
        channels = stage.outputs
        if channels * height * width > 1e10:
            raise InputError("a map has at most 1e10 elements", value=name, where=where)
    return found


def _product(
    name: str, kind: str, inside: tuple[int, int], out: tuple[int, int], kernel: int, inputs: int, outputs: int,
    groups: int, bias: bool = True,
) -> _Row:  # fmt: skip
    positions, per_group = float(out[0] * out[1]), kernel * kernel * (inputs // groups)
    weights = float(per_group * outputs + outputs * bias)
    values = {
        "m": positions, "k": float(per_group), "n": float(outputs // groups), "count": float(groups),
        "flop": positions * outputs * (2.0 * per_group + bias), "weights": weights,
        "weights_resident": weights, "act_in": float(inside[0] * inside[1] * inputs), "act_out": positions * outputs,
    }  # fmt: skip
    if kind == "conv":
        values |= {"out_height": float(out[0]), "out_width": float(out[1])}
        values |= dict.fromkeys(("kernel_height", "kernel_width"), float(kernel))
    return _Row(name, kind, values)


def _graph(
    name: str, rows: Sequence[_Row], sources: Mapping[str, str], native: str, facts: Mapping[str, float | str]
) -> OperatorGraph:
    count = len(rows)
    columns = {key: np.array([row.columns.get(key, 0.0) for row in rows], np.float64) for key in PRICED}
    operators = Operators(
        name=tuple(row.name for row in rows), kind=tuple(row.kind for row in rows),
        block=np.arange(count, dtype=np.int32), repeat=np.ones(count), **columns,
    )  # fmt: skip
    before = np.arange(count - 1, dtype=np.int32)
    edges = Edges(before, before + 1, operators.act_out[:-1].copy(), np.ones(count - 1))
    return OperatorGraph(
        name=name, operators=operators, blocks=tuple(row.name for row in rows), edges=edges,
        parameters=float(operators.weights_resident.sum()), sources=sources, native_precision=native,
        facts={**facts, "macs": float(operators.macs.sum())},
    )  # fmt: skip
