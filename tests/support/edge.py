"""Small machines and graphs with every awkward feature, and a plain-Python twin of the tables evaluators.

The twin prices one design operator by operator from the graph and the target. It shares no code with the engine but
the number formats (their bytes and errors have tests of their own).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradespace.plugins import Registry
from tradespace.precisions import Precision
from tradespace.targets import Target, load_target
from tradespace.workloads import Edges, OperatorGraph, Operators

AWKWARD: dict[str, Any] = {
    "memories": {
        "dram": {"bandwidth": "50 GB/s", "capacity": "700 kB", "energy_per_byte": "40 pJ/B", "handoff": "3 us"},
        "vram": {"bandwidth": "200 GB/s", "capacity": "350 kB"},
    },
    "devices": {
        "cpu": {
            "model": "roofline", "memory": "dram",
            "peak": {"fp32": "40 GFLOPS", "fp16": "40 GFLOPS", "int8": "160 GOPS"},
            "bandwidth": "30 GB/s", "idle_power": "1 W", "dynamic_power": "9 W", "thermal_resistance": "3 K/W",
            "ambient": "35 degC", "max_temperature": "56 degC", "leakage_power": "0.8 W", "launch_overhead": "1 us",
            "reference_temperature": "40 degC", "leakage_scale": "28 K",
        },
        "npu": {  # integers only, and no attention
            "model": "roofline", "memory": "dram", "peak": {"int8": "2 TOPS"}, "capacity": "400 kB",
            "idle_power": "0.1 W",
            "runs": ["matmul", "norm", "elementwise", "softmax", "embedding"], "dynamic_power": "2 W",
            "launch_overhead": "20 us",
        },
        "gpu": {  # runs away when it is busy
            "model": "roofline", "memory": "vram", "peak": {"fp32": "1 TFLOPS", "fp16": "4 TFLOPS", "int8": "8 TOPS"},
            "idle_power": "5 W", "dynamic_power": "60 W", "thermal_resistance": "1.75 K/W", "leakage_power": "9 W",
            "max_temperature": "95 degC", "reference_temperature": "50 degC", "launch_overhead": "4 us",
        },
    },
    "links": {
        "pcie": {"between": ["dram", "vram"], "bandwidth": "8 GB/s", "latency": "9 us", "energy_per_byte": "80 pJ/B"},
    },
    "source": "a test",
}  # fmt: skip


def awkward(registry: Registry) -> Target:
    """CPU and integer-only NPU on one memory, and a GPU that runs away; capacities are tight for `diamond`."""
    return load_target(AWKWARD, registry)


def diamond(seed: int = 0, blocks: int = 5) -> OperatorGraph:
    """A graph that is no chain: blocks of 3 to 5 operators, edges that skip blocks, a tie, a KV cache, two phases."""
    rng = np.random.default_rng(seed)
    names: list[str] = []
    kinds: list[str] = []
    owner: list[int] = []
    for phase in ("", "/decode"):
        for b in range(blocks):
            for j in range(3 + b % 3):
                names.append(f"{b}.{j}{phase}")
                kinds.append(("matmul", "norm", "attention" if b == 2 else "matmul", "elementwise", "softmax")[j])
                owner.append(b)
    n = len(names)
    half = n // 2
    columns = {c: rng.integers(1, 4000, n).astype(np.float64) for c in ("act_in", "act_out")}
    weights = np.where(np.array(kinds) == "matmul", rng.integers(1000, 50_000, n), rng.integers(0, 200, n)) * 1.0
    weights[half:] = weights[:half]
    cached = np.where(np.array(kinds) == "attention", 3000.0, 0.0)
    shape = np.ceil(np.sqrt(weights))
    operators = Operators(
        name=tuple(names), kind=tuple(kinds), block=np.array(owner, np.int32), m=shape, k=shape, n=shape,
        count=np.ones(n), flop=weights * rng.integers(2, 60, n), weights=weights, kv_read=cached, kv_write=cached / 10,
        repeat=np.where(np.arange(n) < half, 1.0, 7.0), weights_resident=np.where(np.arange(n) < half, weights, 0.0),
        kv_resident=np.where(np.arange(n) < half, cached * 4, 0.0), **columns,
    )  # fmt: skip
    pairs = sorted({tuple(sorted(rng.choice(half, 2, replace=False).tolist())) for _ in range(3 * half)})
    source = np.array([a + s for s in (0, half) for a, _ in pairs], np.int32)
    dest = np.array([b + s for s in (0, half) for _, b in pairs], np.int32)
    edges = Edges(source, dest, columns["act_out"][source], operators.repeat[source])
    tie = float(min(weights[0], weights[names.index(f"{blocks - 1}.0")]))
    return OperatorGraph(
        "diamond", operators, tuple(f"b{b}" for b in range(blocks)), edges, ((0, blocks - 1, tie),), tokens=7.0,
        parameters=float(operators.weights_resident.sum()), facts={"phase": "request", "prompt": 5, "generate": 7},
    )  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """What the twin needs to know of the model: constants of QEIL, or none."""

    a: float = 0.5
    c: float = 0.0
    u0: float = 0.0
    knee: float = 0.95
    thermal: bool = False
    pipeline: bool = False


@dataclass
class Tally:
    time: float = 0.0
    energy: float = 0.0
    useful: float = 0.0
    moved: float = 0.0
    resident: float = 0.0
    transfers: float = 0.0


def twin(
    graph: OperatorGraph, target: Target, formats: dict[str, Precision], kv: Precision, placement: list[str],
    precision: list[str], rules: Rules,
) -> dict[str, float]:  # fmt: skip
    """Metrics and violations of one design, placement and precision per block."""
    ops = graph.operators
    tally = {device.name: Tally() for device in target.devices}
    out: dict[str, float] = {"memory_energy": 0.0, "broken_blocks": 0.0, "link_time": 0.0, "link_energy": 0.0}
    weights = [0.0] * len(graph.blocks)
    broken = set()
    for i, kind in enumerate(ops.kind):
        b = int(ops.block[i])
        device, fmt = target.device(placement[b]), formats[precision[b]]
        mine, memory = tally[device.name], target.memories[device.memory]
        activation = "fp32" if fmt.activation_bits == 32 else "bf16" if fmt.compute == "bf16" else "fp16"
        peak = device.peak(fmt.compute if kind in ("matmul", "conv") else activation)
        if peak is None and kind not in ("matmul", "conv"):
            peak = device.peak(fmt.compute)
        if peak is None or kind not in device.runs:
            broken.add(b)
            continue
        size = float(fmt.bytes(ops.weights[i])) + float(kv.bytes(ops.kv_read[i])) + float(kv.bytes(ops.kv_write[i]))
        size += (ops.act_in[i] + ops.act_out[i]) * (4 if fmt.activation_bits == 32 else 2)
        arithmetic, traffic = ops.flop[i] / peak, size / min(device.bandwidth, memory.bandwidth)
        t = max(arithmetic, traffic) + device.launch_overhead
        share = rules.a * arithmetic + (1 - rules.a) * traffic
        mine.time += t * ops.repeat[i]
        mine.energy += (t * device.idle_power + share * device.dynamic_power) * ops.repeat[i]
        mine.useful += arithmetic * ops.repeat[i]
        mine.moved += size * ops.repeat[i]
        mine.resident += float(fmt.bytes(ops.weights_resident[i])) + float(kv.bytes(ops.kv_resident[i]))
        out["memory_energy"] += size * ops.repeat[i] * memory.energy_per_byte
        weights[b] += ops.weights_resident[i]
    out["broken_blocks"] = float(len(broken))
    if broken:
        return out
    out["loss"] = sum(w * formats[p].nmse for w, p in zip(weights, precision, strict=True)) / sum(weights)
    for a, b, elements in graph.ties:
        if precision[a] == precision[b] and target.device(placement[a]).memory == target.device(placement[b]).memory:
            tally[placement[b]].resident -= float(formats[precision[a]].bytes(elements))
    _links(graph, target, formats, placement, precision, tally, out)
    _finish(graph, target, tally, rules, out)
    return out


def _links(graph, target, formats, placement, precision, tally, out):  # type: ignore[no-untyped-def]
    """Each tensor crosses once to each block that reads it."""
    crossing: dict[tuple[int, int], tuple[float, float]] = {}
    block = graph.operators.block
    for s, d, elements, count in zip(
        *(getattr(graph.edges, c) for c in ("source", "dest", "elements", "count")), strict=True
    ):
        if block[s] != block[d]:
            old = crossing.get((s, block[d]), (0.0, 0.0))
            crossing[s, block[d]] = (max(old[0], elements), max(old[1], count))
    for (s, b), (elements, count) in crossing.items():
        here, there = placement[block[s]], placement[b]
        if here == there:
            continue
        path = target.path(here, there)
        size = elements * (4 if formats[precision[block[s]]].activation_bits == 32 else 2)
        t = count * (path.latency + (0.0 if math.isinf(path.bandwidth) else size / path.bandwidth))
        out["link_time"] += t
        out["link_energy"] += count * size * path.energy_per_byte
        tally[here].transfers += t
        tally[there].transfers += t


def _finish(graph, target, tally, rules, out):  # type: ignore[no-untyped-def]
    latency = sum(x.time for x in tally.values()) + out["link_time"]
    period = latency
    stores = target.memories
    used = {m: sum(tally[d.name].resident for d in target.devices if d.memory == m) for m in stores}
    if rules.pipeline:
        period = max(x.time + x.transfers for x in tally.values())
        for m in stores:
            moved = sum(tally[d.name].moved for d in target.devices if d.memory == m)
            period = max(period, moved / stores[m].bandwidth)
    energy, hottest = out["memory_energy"] + out["link_energy"], 0.0
    for device in target.devices:
        mine = tally[device.name]
        u = max(mine.resident / device.capacity, used[device.memory] / stores[device.memory].capacity)
        mean = mine.energy / mine.time if mine.time else device.idle_power
        kelvin, leak, runaway = device.ambient + device.thermal_resistance * mean, 0.0, -math.inf
        if rules.thermal and mine.time:
            kelvin, leak, runaway = fixed_point(device, mean)
        energy += factor(u, rules) * (mine.energy + mine.time * leak) + device.idle_power * (period - mine.time)
        hottest = max(hottest, kelvin)
        hot = (kelvin - device.ambient) / (device.max_temperature - device.ambient) - 1
        out |= {f"busy.{device.name}": mine.time, f"memory.{device.name}": mine.resident}
        out |= {f"temperature.{device.name}": kelvin, f"thermal.{device.name}": max(hot, runaway)}
    out |= {f"memory.{m}": used[m] / stores[m].capacity - 1 for m in stores}
    out |= {"latency": latency, "energy": energy, "memory": sum(used.values()), "temperature": hottest}
    out |= {"throughput": graph.tokens / period, "power": energy / period}
    out["underutilisation"] = 1 - sum(x.useful for x in tally.values()) / (len(tally) * period)


def factor(u: float, rules: Rules) -> float:
    def curve(x: float) -> float:
        return 1 + rules.c * max(0.0, x - rules.u0) ** 2 / (1 - x)

    if u < rules.knee:
        return curve(u)
    over, free = rules.knee - rules.u0, 1 - rules.knee
    slope = rules.c * over * (2 * free + over) / free**2
    return curve(rules.knee) + slope * (u - rules.knee)


def fixed_point(device: Any, power: float) -> tuple[float, float, float]:
    """(T, leakage, how far beyond runaway), by iterating the fixed point from ambient: it climbs to the lowest root."""

    def leak(kelvin: float) -> float:
        return float(device.leakage_power * math.exp((kelvin - device.reference_temperature) / device.leakage_scale))

    kelvin, resistance = device.ambient, device.thermal_resistance
    if resistance == 0 or device.leakage_power == 0:
        return kelvin + resistance * power, leak(kelvin), -math.inf
    # the fixed point exists iff power <= that at which the two sides touch, where R dL/dT = 1
    touch = device.reference_temperature + device.leakage_scale * math.log(
        device.leakage_scale / (resistance * device.leakage_power)
    )
    critical = (touch - device.ambient - device.leakage_scale) / resistance
    if power >= critical:
        leaked = device.leakage_scale / resistance + 1000.0 * (power - critical)
        return device.ambient + resistance * (power + leaked), leaked, power / critical - 1
    for _ in range(200_000):
        new = device.ambient + resistance * (power + leak(kelvin))
        if abs(new - kelvin) <= 1e-15 * kelvin:
            break
        kelvin = new
    return kelvin, leak(kelvin), -math.inf
