"""What the tables know of their own form: exact sums over a chain, lower bounds, and capacity limits.

Energy of the thermal variant is no sum: leakage depends on the mean power of a device. It has an additive minorant:

1. With E, t the energy and busy time of a device, its leakage energy is t L(E / t), L the leakage at the fixed point.
2. L is convex (see `thermal`: its slope x / (1 - x) grows with power; beyond runaway it goes on with a steeper line),
   so it lies above each of its tangents: t L(E / t) >= t (L(P) - L'(P) P) + L'(P) E for any P.
3. The right side is linear in E and t, so it adds up over entries. It is exact for a device whose mean power is P, and
   off only to second order elsewhere; we take for P the mean over all entries and formats.
4. The pressure factor is >= 1 and multiplies a number >= 0.

Everything here is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tradespace.costs import held, thermal
from tradespace.costs.binding import Binding, lowest, resident_minorant
from tradespace.costs.columns import BROKEN, ENERGY, LEAK0, LEAK_TA, LOSS, MEMORY_ENERGY, MOVED, RESISTANCE, SCALE, TIME
from tradespace.costs.kernel import RULE_C, RULE_PIPELINE, RULE_THERMAL
from tradespace.costs.pack import Packed
from tradespace.problem import ChainTerm, Graph, MaxTerm, Structure

Floats = NDArray[np.float64]

STABLE = 0.9
"""Tangents are taken where L R / Ts <= 0.9, so that their slope (at most 9) stays below that beyond runaway."""


def structure(binding: Binding, packed: Packed) -> Structure | None:
    """Sums over the chain of entries; a tensor that skips entries is remembered on the way (`held`), as long as one
    does at a time. Where more do, the chain's sums are lower bounds, and the graph of all edges is declared beside it.
    Contiguous placement: device numbers do not fall along the chain."""
    n, d, p = binding.broken.shape
    skips = _skips(binding)
    far = held.kept(skips, n, d * p)
    adjacent = len(far) == len(set(skips)) and not _backward(binding)
    rising = binding.options.placement == "contiguous"
    near = [(i, i + 1) for i in range(n - 1)]
    resident = resident_minorant(binding)
    limits = _limits(binding, resident)
    terms, maxima = _sums(binding, packed, [*near, *far], adjacent, resident)
    links = _rising(n - 1, d, p) if rising else None
    found = held.lifted(Structure(("placement", "precision"), terms, limits, maxima, links=links), far)
    edges = _edges(binding, near if rising else [])
    if adjacent:
        return found
    terms, maxima = _sums(binding, packed, edges, True, resident)
    follows = np.asarray([rising and edge in set(near) for edge in edges])
    bound = np.where(follows[:, None, None], _rising(len(edges), d, p), True) if rising else None
    return replace(found, graph=Graph(edges, terms, limits, maxima, links=bound))


def _sums(
    binding: Binding, packed: Packed, edges: Sequence[held.Edge], whole: bool, resident: Floats
) -> tuple[dict[str, ChainTerm], dict[str, MaxTerm]]:
    """Terms and maxima whose pairs are those of ``edges``. ``whole``: no edge of the workload is missing."""
    one = len(binding.samples) == 1
    p = binding.broken.shape[2]
    pipeline, heat = packed.rules[RULE_PIPELINE] > 0, packed.rules[RULE_THERMAL] > 0
    time = lowest(binding, TIME)
    pair_time, pair_energy = _pairs(binding, edges)
    terms = {
        "latency": ChainTerm(time, pair_time, exact=whole and one),
        "loss": ChainTerm(lowest(binding, LOSS), None, exact=True),
    }
    maxima = {"period": _period(binding, time, pair_time, whole and one)} if pipeline else {}
    terms["period"] = _mean(maxima["period"], len(binding.target.devices)) if pipeline else terms["latency"]
    unary, pair = _energy(binding, packed, time, pair_time, pair_energy)
    plain = not (heat or packed.rules[RULE_C] > 0 or pipeline)
    terms["energy"] = ChainTerm(unary, pair, exact=plain and whole and one)
    if heat and not pipeline and p > 1:
        maxima["energy"] = _tangents(binding, packed, terms["energy"])
    if pipeline and one:
        flat = not (heat or packed.rules[RULE_C] > 0)
        maxima["energy"] = _paced(binding, terms["energy"], maxima["period"], time, flat and whole)
    return terms | _unary_terms(binding, time, resident), maxima


def _unary_terms(binding: Binding, time: Floats, resident: Floats) -> dict[str, ChainTerm]:
    """What depends on single entries alone: memory, busy times, further columns."""
    one = len(binding.samples) == 1
    exact = one and not binding.entries.ties
    terms = {"memory": ChainTerm(resident.reshape(len(resident), -1), None, exact=exact)}
    for k, name in enumerate(device.name for device in binding.target.devices):
        terms[f"memory.{name}"] = ChainTerm(_only(resident, [k]), None, exact=exact)
        terms[f"busy.{name}"] = ChainTerm(_only(time.reshape(resident.shape), [k]), None, exact=one)
    described = binding.tables[0].described
    for name in binding.tables[0].extra:
        if name in described and described[name].over is not None:
            continue  # a mean is no sum
        column = np.stack([t.extra[name] for t in binding.tables]).min(axis=0)
        terms[name] = ChainTerm(column.reshape(len(column), -1), None, exact=one)
    return terms


def _skips(binding: Binding) -> list[held.Edge]:
    """Edges to an entry further on than the next."""
    edges = binding.entries.edges
    return [(int(a), int(b)) for a, b in zip(edges.source, edges.dest, strict=True) if b > a + 1]


def _backward(binding: Binding) -> bool:
    return bool((binding.entries.edges.dest <= binding.entries.edges.source).any())


def _edges(binding: Binding, more: Sequence[held.Edge]) -> tuple[held.Edge, ...]:
    """All edges between two entries, and ``more``."""
    edges = binding.entries.edges
    own = ((int(a), int(b)) for a, b in zip(edges.source, edges.dest, strict=True) if a != b)
    return tuple(sorted({*own, *more}))


def _rising(count: int, d: int, p: int) -> NDArray[np.bool_]:
    """(count, S, S): the next entry is on the same device or on a later one."""
    on = np.repeat(np.arange(d), p)
    return np.tile(on[:, None] <= on[None, :], (count, 1, 1))


def _period(binding: Binding, time: Floats, pair_time: Floats, exact: bool) -> MaxTerm:
    """The period of a pipeline: the largest time that a device works and sends or receives, or that a memory which
    several devices share takes to move their bytes."""
    d, p = binding.broken.shape[1:]
    on, groups = np.repeat(np.arange(d), p), []
    for k in range(d):
        ends = (on[:, None] == k) != (on[None, :] == k)  # a transfer keeps both of its ends busy
        groups.append(ChainTerm(np.where(on == k, time, 0.0), np.where(ends, pair_time, 0.0), exact))
    moved = lowest(binding, MOVED)
    for memory in binding.target.memories.values():
        here = [k for k, device in enumerate(binding.target.devices) if device.memory == memory.name]
        if len(here) > 1:
            groups.append(ChainTerm(np.where(np.isin(on, here), moved, 0.0) / memory.bandwidth, None, exact))
    return MaxTerm(tuple(groups), exact)


def _paced(binding: Binding, energy: ChainTerm, period: MaxTerm, time: Floats, exact: bool) -> MaxTerm:
    """Energy of a pipeline: a sum and the idle power of all devices for one period, so the largest of as many sums as
    the period is. ``energy`` counts the mean busy time instead of the period."""
    idle = sum(device.idle_power for device in binding.target.devices)
    rest, pair = energy.unary - time * (idle / len(binding.target.devices)), np.asarray(energy.pair)
    sums = [(rest + idle * g.unary, pair if g.pair is None else pair + idle * g.pair) for g in period.groups]
    return MaxTerm(tuple(ChainTerm(unary, links, exact) for unary, links in sums), exact)


def _mean(term: MaxTerm, devices: int) -> ChainTerm:
    """The busiest device is at least as busy as the mean."""
    groups = term.groups[:devices]
    pair = np.sum([g.pair for g in groups if g.pair is not None], axis=0) / devices
    return ChainTerm(np.sum([g.unary for g in groups], axis=0) / devices, pair, exact=False)


def _energy(
    binding: Binding, packed: Packed, time: Floats, pair_time: Floats, pair_energy: Floats
) -> tuple[Floats, Floats]:
    """Energy while working, plus idle power: of every device over the whole job, less what the busy one already counts.

    In a pipeline idle power lasts one period, which is at least the mean busy time of the devices.
    """
    n, (d, p) = len(time), binding.costs.shape[2:4]
    idle = np.array([device.idle_power for device in binding.target.devices])
    pipeline = packed.rules[RULE_PIPELINE] > 0
    waiting = idle.sum() / (d if pipeline else 1)
    per_state = np.repeat(waiting - idle, p)[None, :]
    work = lowest(binding, ENERGY)
    unary = work + lowest(binding, MEMORY_ENERGY)
    if len(binding.samples) == 1:
        unary = unary + time * per_state
    else:  # the difference may be negative, so both sides are taken at each sample count before the minimum
        each = binding.costs[..., ENERGY] + binding.costs[..., MEMORY_ENERGY]
        each = each.reshape(*each.shape[:2], -1) + binding.costs[..., TIME].reshape(*each.shape[:2], -1) * per_state
        unary = each.min(axis=0)
    if packed.rules[RULE_THERMAL] > 0:
        unary = unary + _leakage(binding, packed).reshape(n, -1)
    pair = pair_energy + (0.0 if pipeline else waiting) * pair_time
    return unary, pair


def _tangents(binding: Binding, packed: Packed, energy: ChainTerm) -> MaxTerm:
    """Energy is at least its minorant with any tangents: those at the mean power over all formats, and those at each
    format's own, which are exact for designs in one format on one device."""
    flat = energy.unary - _leakage(binding, packed).reshape(energy.unary.shape)
    formats = [_leakage(binding, packed, p).reshape(flat.shape) for p in range(binding.broken.shape[2])]
    own = [ChainTerm(flat + leak, energy.pair, exact=False) for leak in formats]
    return MaxTerm((replace(energy, exact=False), *own), exact=False)


def _leakage(binding: Binding, packed: Packed, kind: int | None = None) -> Floats:
    """(n, D, P) J of leakage, from below: the tangent at each device's mean power, over all formats or in one."""
    costs = binding.costs
    out = np.zeros(costs.shape[1:4])
    runs = costs[..., BROKEN] == 0
    for d in range(len(packed.devices)):
        here = runs[:, :, d]
        if kind is not None:
            here = here & (np.arange(here.shape[-1]) == kind)
        spent, busy = costs[:, :, d, :, ENERGY], costs[:, :, d, :, TIME]
        total = (busy * here).sum()
        if total > 0:
            level, slope = tangent(float((spent * here).sum() / total), packed.devices, d)
            out[:, d] = (level * busy + slope * spent).min(axis=0)
    return out


def tangent(power: float, devices: Floats, d: int) -> tuple[float, float]:
    """(value at zero power, slope) of the tangent to a device's leakage at ``power``, on the stable branch."""
    row = devices[d]
    resistance, scale, at_ambient = row[RESISTANCE], row[SCALE], row[LEAK_TA]
    if row[LEAK0] <= 0:
        return 0.0, 0.0
    if resistance <= 0:
        return float(at_ambient), 0.0
    edge = scale / resistance * (math.log(STABLE) - STABLE - math.log(at_ambient * resistance / scale))
    power = min(power, edge)
    if power <= 0:
        return 0.0, 0.0
    value = float(thermal.leakage(power, devices, d))
    x = value * resistance / scale
    slope = x / (1.0 - x)
    return value - slope * power, slope


def _pairs(binding: Binding, edges: Sequence[held.Edge]) -> tuple[Floats, Floats]:
    """(E, S, S) s and J of these edges, at the sample count where each is smallest."""
    tables = binding.tables
    d, p = binding.broken.shape[1:]
    rows = {edge: e for e, edge in enumerate(edges)}
    time, energy = np.zeros((2, len(tables), len(rows), d, p, d, p))
    for k, table in enumerate(tables):
        for e, (a, b) in enumerate(zip(table.edge_source.tolist(), table.edge_dest.tolist(), strict=True)):
            if (a, b) in rows:  # [precision, source, dest] -> [source, precision, dest, any]
                time[k, rows[a, b]] += table.edge_time[e].transpose(1, 0, 2)[..., None]
                energy[k, rows[a, b]] += table.edge_energy[e].transpose(1, 0, 2)[..., None]
    shape = (len(rows), d * p, d * p)
    return time.min(axis=0).reshape(shape), energy.min(axis=0).reshape(shape)


def _only(table: Floats, devices: list[int]) -> Floats:
    """(n, S): the table where the entry is on one of ``devices``, else 0."""
    mask = np.isin(np.arange(table.shape[1]), devices)
    return np.where(mask[None, :, None], table, 0.0).reshape(len(table), -1)


def _limits(binding: Binding, resident: Floats) -> dict[str, tuple[Floats, float]]:
    target = binding.target
    limits = {}
    for memory in target.memories.values():
        here = [d for d, device in enumerate(target.devices) if device.memory == memory.name]
        if here:
            limits[f"memory.{memory.name}"] = (_only(resident, here), memory.capacity)
    for d, device in enumerate(target.devices):
        if device.capacity < target.memories[device.memory].capacity:
            limits[f"memory.{device.name}"] = (_only(resident, [d]), device.capacity)
    if binding.broken.any():
        limits["runs"] = (binding.broken.astype(np.float64).reshape(len(resident), -1), 0.5)
    return limits
