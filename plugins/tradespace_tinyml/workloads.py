"""Workload types of small networks: `mcunet_space` (a family to search) and `convnet` (one network)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.convnet import Block, ConvNet, NetOrigin, check_net, graph
from tradespace.workloads.convnet_space import ConvNetSpace, Stage, make_divisible
from tradespace.workloads.decoder import SOURCE_KINDS
from tradespace.workloads.operators import OperatorGraph
from tradespace.workloads.options import check_keys, integer, text, word

META = ("name", "title", "source", "kind", "note")
SPACE = (*META, "widths", "resolutions", "kernels", "expansions", "stem", "first", "stages", "last", "classes")
NET = (*META, "resolution", "stem", "blocks", "last", "classes", "channels", "width", "divisor", "native_precision")
MAX_CHOICES, MAX_STAGES, MAX_DEPTH = 64, 16, 16


def build_space(options: Mapping[str, Any]) -> ConvNetSpace:
    """The workload type `mcunet_space`: `widths`, `resolutions`, `kernels`, `expansions` (lists of choices), base
    channels `stem`, `first`, `last` (0: no layer before pooling), `stages` ([width, stride, [depths]] each), `classes`,
    `channels`, `divisor`.

    Raises:
        InputError, UnknownName: an unknown key, or a value that is missing or out of bounds.
    """
    name = text(options, "name", "workload", default="mcunet-space")
    where = f"workload {name}"
    check_keys(options, (*SPACE, "channels", "divisor"), where)
    stages = tuple(_stage(row, f"{where}: stages[{i}]") for i, row in enumerate(_list(options, "stages", where)))
    if not 1 <= len(stages) <= MAX_STAGES:
        raise InputError(f"'stages' are 1 to {MAX_STAGES}", value=len(stages), where=where)
    return ConvNetSpace(
        name=name,
        widths=_choices(options, "widths", where, _width),
        resolutions=_choices(options, "resolutions", where, _whole(8, 1024)),
        kernels=_choices(options, "kernels", where, _odd),
        expansions=_choices(options, "expansions", where, _whole(1, 64)),
        stem=integer(options, "stem", where, high=4096, default=None),
        first=integer(options, "first", where, high=4096, default=None),
        stages=stages,
        last=integer(options, "last", where, low=0, high=16_384, default=0),
        classes=integer(options, "classes", where, high=100_000, default=None),
        channels=integer(options, "channels", where, high=64, default=3),
        divisor=integer(options, "divisor", where, high=64, default=8),
        sources=_sources(options, where),
        facts={"title": text(options, "title", where, default=name), "note": text(options, "note", where, default="")},
    )


def build_net(options: Mapping[str, Any]) -> OperatorGraph:
    """The workload type `convnet`: `resolution`, `stem`, `blocks` ([kernel, middle, out, stride] each), `last`,
    `classes`, `channels`; with `width` all channels are multiplied and rounded to multiples of `divisor` (MobileNet's
    rule), the last layer only by widths above 1.

    Raises:
        InputError, UnknownName: an unknown key, or a value that is missing or out of bounds.
    """
    name = text(options, "name", "workload", default="convnet")
    where = f"workload {name}"
    check_keys(options, NET, where)
    width = _width(options.get("width", 1.0), where)
    divisor = integer(options, "divisor", where, high=64, default=8)
    rows = [_block(row, f"{where}: blocks[{i}]") for i, row in enumerate(_list(options, "blocks", where))]
    stem = integer(options, "stem", where, high=4096, default=None)
    last = integer(options, "last", where, low=0, high=16_384, default=0)
    if width != 1.0:
        stem, rows = _scaled(stem, rows, width, divisor)
        last = make_divisible(last * max(width, 1.0), divisor) if last else 0
    net = ConvNet(
        resolution=integer(options, "resolution", where, high=1024, default=None),
        stem=stem,
        blocks=tuple(rows),
        last=last,
        classes=integer(options, "classes", where, high=100_000, default=None),
        channels=integer(options, "channels", where, high=64, default=3),
    )
    check_net(net, where)
    source = _sources(options, where)
    title, note = text(options, "title", where, default=name), text(options, "note", where, default="")
    precision = text(options, "native_precision", where, default="int8")
    facts = {"title": title} | ({"note": note} if note else {})
    return graph(net, NetOrigin(name, source["shape"], source["kind"], precision, facts))


def _scaled(stem: int, blocks: Sequence[Block], width: float, divisor: int) -> tuple[int, list[Block]]:
    """Channels times `width`; a block keeps its ratio of expansion."""
    narrow = make_divisible(stem * width, divisor)
    found, before, now = [], stem, narrow
    for b in blocks:
        out = make_divisible(b.out * width, divisor)
        found.append(Block(b.kernel, round(now * b.middle / before), out, b.stride, b.shortcut))
        before, now = b.out, out
    return narrow, found


def _sources(options: Mapping[str, Any], where: str) -> dict[str, str]:
    return {
        "shape": text(options, "source", where, default="given by the user"),
        "kind": word(options, "kind", where, known=SOURCE_KINDS, default="derived"),
    }


def _list(options: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = options.get(key)
    if not isinstance(value, list | tuple) or not value:
        raise InputError(f"'{key}' is a list with at least one entry", value=repr(value)[:80], where=where)
    return list(value)


def _choices(options: Mapping[str, Any], key: str, where: str, read: Callable[[Any, str], Any]) -> tuple[Any, ...]:
    values = [read(value, f"{where}: {key}") for value in _list(options, key, where)]
    if len(values) > MAX_CHOICES or len(set(values)) != len(values):
        raise InputError(f"'{key}' are at most {MAX_CHOICES} different values", value=repr(values)[:80], where=where)
    return tuple(values)


def _whole(low: int, high: int) -> Callable[[Any, str], int]:
    def read(value: Any, where: str) -> int:
        return integer({"value": value}, "value", where, low=low, high=high, default=None)

    return read


def _odd(value: Any, where: str) -> int:
    number = _whole(1, 31)(value, where)
    if number % 2 == 0:
        raise InputError("a kernel is an odd number", value=number, where=where)
    return number


def _width(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.01 <= value <= 16:
        raise InputError("a width multiplier is a number from 0.01 to 16", value=repr(value)[:80], where=where)
    return float(value)


def _stage(row: Any, where: str) -> Stage:
    if not isinstance(row, list | tuple) or len(row) != 3:
        raise InputError("a stage is [width, stride, depths]", value=repr(row)[:80], where=where)
    depths = row[2] if isinstance(row[2], list | tuple) else [row[2]]
    read = _choices({"depths": list(depths)}, "depths", where, _whole(1, MAX_DEPTH))
    return Stage(_whole(1, 65_536)(row[0], where), _whole(1, 2)(row[1], where), tuple(sorted(read)))


def _block(row: Any, where: str) -> Block:
    if not isinstance(row, list | tuple) or len(row) not in (4, 5):
        raise InputError("a block is [kernel, middle, out, stride] and optionally the shortcut", value=row, where=where)
    kernel, middle, out, stride = (_whole(1, 65_536)(value, where) for value in row[:4])
    shortcut = row[4] if len(row) == 5 else True
    if not isinstance(shortcut, bool):
        raise InputError("a shortcut is true or false", value=repr(shortcut)[:80], where=where)
    return Block(kernel, middle, out, stride, shortcut)
