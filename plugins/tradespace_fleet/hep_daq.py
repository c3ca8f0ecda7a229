"""A trigger chain of high-energy physics: flow graphs whose first filter is judged by simulated coincidences."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace import units
from tradespace.errors import InputError, UnknownName
from tradespace.workloads.classifiers import CLASSIFIERS, Classifier, Curve, empirical, share
from tradespace.workloads.flow import FlowGraph, flow_graph
from tradespace.workloads.options import check_keys, integer

Floats = NDArray[np.float64]
Pairs = tuple[tuple[float, float], ...]

MAX_OBJECTS = 8
MAX_EVENTS = 20_000_000
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_KEYS = ("events", "seed", "boost", "objects", "mix")
_OBJECT = ("threshold", "share", "energy", "efficiency")


@dataclass(frozen=True, slots=True)
class Trigger:
    """One kind of object: ``curve`` = (energy, efficiency) pairs; ``share`` of events that it triggers alone."""

    name: str
    threshold: float
    share: float
    curve: Pairs


@dataclass(frozen=True, slots=True)
class Coincidence:
    """Scores are sums of the efficiencies of an event's objects (arXiv 2407.00123, systemflow's L1T classifier).

    Null events have every object below its threshold, positive ones those above that one row of ``mix`` names.
    ``boost`` is added to the score of positives: what tracks in the trigger are worth.
    """

    triggers: tuple[Trigger, ...]
    mix: tuple[tuple[float, tuple[str, ...]], ...]
    events: int
    seed: int
    boost: float = 0.0

    def operating(self) -> Curve:
        """Empirical distributions of the scores of simulated events. Simulated once."""
        return _curve(self)


@functools.lru_cache(maxsize=4)
def _curve(spec: Coincidence) -> Curve:
    null, positive = _scores(replace(spec, boost=0.0))
    return empirical(null, positive + spec.boost)


@functools.lru_cache(maxsize=2)
def _scores(spec: Coincidence) -> Floats:
    """(2, events) sorted scores of null and positive events."""
    from tradespace_fleet.hep_daq_kernel import scores, tables

    curves = [_columns(trigger.curve) for trigger in spec.triggers]
    inputs = tables(
        curves,
        [mean_energy(x, y, trigger.share) for (x, y), trigger in zip(curves, spec.triggers, strict=True)],
        [trigger.threshold for trigger in spec.triggers],
        [part for part, _ in spec.mix],
        [[trigger.name in names for trigger in spec.triggers] for _, names in spec.mix],
        spec.events,
        spec.seed,
    )
    return np.sort(scores(inputs), axis=1)


def _columns(curve: Pairs) -> tuple[Floats, Floats]:
    table = np.array(curve)
    return table[:, 0].copy(), table[:, 1].copy()


def mean_energy(x: Floats, y: Floats, wanted: float) -> float:
    """Mean of the exponential energies whose mean efficiency over the curve's range is ``wanted``.

    A curve meets a share twice, with soft and with hard spectra; the soft one is taken. Where no spectrum reaches it,
    the one that comes closest.
    """
    rates = np.geomspace(1e-3 / x[-1], 1e3 / x[-1], 601)
    found = triggered(x, y, rates)
    best = int(np.argmax(found))
    if found[best] > wanted:
        falling = rates[best:][found[best:] >= wanted][-1]
        low, high = float(falling), float(falling * rates[1] / rates[0])
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if triggered(x, y, np.array([middle]))[0] >= wanted else (low, middle)
        return 2 / (low + high)
    fine = np.linspace(rates[max(best - 1, 0)], rates[min(best + 1, 600)], 2001)
    return float(1 / fine[np.argmax(triggered(x, y, fine))])


def triggered(x: Floats, y: Floats, rate: Floats) -> Floats:
    """(m,) mean efficiency, over the curve's range, of energies distributed as rate exp(-rate energy)."""
    from tradespace_fleet.hep_daq_kernel import pchip

    half = 0.5 * np.diff(x)[:, None]
    inside = half * (_NODES[None, :] + 1)  # (segments, 16) from the left end
    c0, c1, c2, c3 = (c[:, None] for c in pchip(x, y))
    efficiency = (((c3 * inside + c2) * inside + c1) * inside + c0) * half * _WEIGHTS[None, :]
    energy = (x[:-1, None] + inside).ravel()
    return np.asarray((rate[:, None] * np.exp(-rate[:, None] * energy[None, :])) @ efficiency.ravel())


def build_coincidence(options: Mapping[str, Any], where: str) -> Classifier:
    """``objects``: name -> threshold, share, and the lists energy and efficiency; ``mix``: rows of {share, above};
    ``events`` of either kind, ``seed``, ``boost``.

    Raises:
        InputError, UnitError, UnknownName: keys or values that do not fit.
    """
    check_keys(options, _KEYS, where)
    raw = options.get("objects")
    if not isinstance(raw, Mapping) or not 1 <= len(raw) <= MAX_OBJECTS:
        raise InputError(f"'objects' names 1 to {MAX_OBJECTS} objects", value=repr(raw)[:80], where=where)
    triggers = tuple(_trigger(str(name), body, f"{where}.objects.{name}") for name, body in raw.items())
    return Coincidence(
        triggers,
        _mix(options.get("mix"), tuple(t.name for t in triggers), f"{where}.mix"),
        integer(options, "events", where, low=100, high=MAX_EVENTS, default=1_000_000),
        integer(options, "seed", where, low=0, high=2**53, default=0),
        share(options, "boost", where, low=-100.0, high=100.0, default=0.0),
    )


def _trigger(name: str, body: Any, where: str) -> Trigger:
    from tradespace_fleet.hep_daq_kernel import KNOTS

    if not isinstance(body, Mapping):
        raise InputError("an object is a mapping", value=repr(body)[:80], where=where)
    check_keys(body, _OBJECT, where)
    columns = []
    for key, high in (("energy", 1e6), ("efficiency", 1.0)):
        raw = body.get(key)
        if not isinstance(raw, list) or not 2 <= len(raw) <= KNOTS:
            raise InputError(f"'{key}' is a list of 2 to {KNOTS} numbers", value=repr(raw)[:80], where=where)
        columns.append([share({key: value}, key, where, high=high) for value in raw])
    if len(columns[0]) != len(columns[1]) or (np.diff(columns[0]) <= 0).any():
        raise InputError("energies rise, and each has one efficiency", where=where)
    if not any(columns[1]):
        raise InputError("some energy triggers", value="efficiencies of 0", where=f"{where}.efficiency")
    threshold = units.parse(body.get("threshold", 0.0), "1", where=f"{where}.threshold", positive=True)
    wanted = share(body, "share", where, low=1e-6)
    return Trigger(name, threshold, wanted, tuple(zip(*columns, strict=True)))


def _mix(raw: Any, names: tuple[str, ...], where: str) -> tuple[tuple[float, tuple[str, ...]], ...]:
    if not isinstance(raw, list) or not 1 <= len(raw) <= 256:
        raise InputError("'mix' is a list of 1 to 256 rows {share, above}", value=repr(raw)[:80], where=where)
    rows = []
    for i, row in enumerate(raw):
        if not isinstance(row, Mapping):
            raise InputError("a row is {share, above}", value=repr(row)[:80], where=f"{where}[{i}]")
        check_keys(row, ("share", "above"), f"{where}[{i}]")
        above = row.get("above")
        if not isinstance(above, list) or len(set(map(str, above))) != len(above):
            raise InputError("'above' lists objects", value=repr(above)[:80], where=f"{where}[{i}]")
        for name in above:
            if name not in names:
                raise UnknownName("object", str(name)[:80], names, where=f"{where}[{i}].above")
        rows.append((share(row, "share", f"{where}[{i}]"), tuple(map(str, above))))
    total = sum(part for part, _ in rows)
    if abs(total - 1.0) > 1e-6:
        raise InputError("the shares of a mix add up to 1", value=f"{total:.6g}", where=where)
    return tuple(rows)


def build(options: Mapping[str, Any]) -> FlowGraph:
    """The workload type `trigger_chain`: a flow graph that may also name the classifier "coincidence"."""
    return flow_graph(options, {**CLASSIFIERS, "coincidence": build_coincidence})
