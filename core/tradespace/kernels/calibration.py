"""From measurements to a target file, and from two of them to what changed."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.device import SMALL, shortness
from tradespace.kernels.formats import FORMATS
from tradespace.kernels.gpu import GPU, find_gpu
from tradespace.kernels.machine import Machine, this_machine
from tradespace.kernels.measure import Bench, Probe, Reading, probes
from tradespace.kernels.power import package_power
from tradespace.kernels.products import WANTED, product_kernel

AGREE = 0.10
"""Two medians this close agree."""
SECONDS = {"quick": (7.0, 3, 1), "full": (40.0, 8, 2)}
"""Mode -> s after which no further round begins, most rounds, passes of a round."""
ALIASES = {"int8": "q8_0", "int4": "q4_0"}
_SPREAD = re.compile(r"spread ([0-9.]+) %")


@dataclass(frozen=True)
class Calibration:
    """Everything one calibration found.

    Args:
        readings: path -> what was measured, sorted by path.
        facts: path -> (value, unit, source) of what the system states instead.
        missing: what could not be measured, and why.
        load: the system's load averages before and after, () where it has none.
    """

    machine: Machine
    date: str
    readings: Mapping[str, Reading]
    facts: Mapping[str, tuple[float, str, str]]
    missing: tuple[str, ...]
    seconds: float
    rounds: int
    load: tuple[float, ...]
    gpu: GPU | None = field(default=None)


def calibrate(
    *, quick: bool, folder: Path, seed: int = 0, progress: Callable[[str, float], None] = lambda label, share: None
) -> Calibration:
    """Measure this machine.

    Args:
        quick: about 10 s instead of 60.
        folder: where the storage probe writes its file.
        progress: told what is measured next, and which share of the time is over.

    Raises:
        KernelError: an unknown system, or no compiler.
    """
    begin, machine = time.monotonic(), this_machine()
    limit, rounds, passes = SECONDS["quick" if quick else "full"]
    load = _load()
    progress("compiling kernels", 0.0)
    bench = Bench(machine, np.random.default_rng(seed), folder, passes)
    todo, done = probes(bench, full=not quick), 0
    samples: dict[str, list[NDArray[np.float64]]] = {}
    began = time.monotonic()
    while done < rounds and (done == 0 or (time.monotonic() - began) * (done + 1) / done < limit):
        for step, probe in enumerate(todo):
            progress(probe.label, (done + step / len(todo)) / rounds)
            for path, found in probe.measure().items():
                samples.setdefault(path, []).append(found)
        done += 1
    units = {path: unit for probe in todo for path, unit in probe.units.items()}
    readings = _arrange(samples, units, machine)
    gpu = find_gpu(3 if quick else 10)
    power = package_power(lambda: _busy(todo))
    facts = _facts(machine, folder, power)
    missing = _missing(todo, samples, power, gpu)
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Calibration(machine, date, readings, facts, missing, time.monotonic() - begin, done, (*load, *_load()), gpu)


def _load() -> tuple[float, ...]:
    return (round(os.getloadavg()[0], 2),) if hasattr(os, "getloadavg") else ()


def _busy(todo: list[Probe]) -> None:
    for probe in todo[:3]:
        probe.measure()


# -- readings under the paths of the target


def _arrange(
    samples: Mapping[str, list[NDArray[np.float64]]], units: Mapping[str, tuple[str, str]], machine: Machine
) -> dict[str, Reading]:
    raw = {path: Reading(path, units[path][0], tuple(found), units[path][1]) for path, found in samples.items()}
    out: dict[str, Reading] = {}

    def put(path: str, reading: Reading) -> None:
        out[path] = reading.at(path)

    for path, reading in raw.items():
        name = path.split(".")[0]
        crew = name.rsplit("_", 1)[-1]
        if name.startswith("peak"):
            if crew == "all" or machine.cores == 1:
                put(f"devices.cpu.peak.{path.split('.')[1]}", reading)
        elif name.startswith("read"):
            if crew == "all" or machine.cores == 1:
                put("devices.cpu.bandwidth", reading)
                put("memories.dram.bandwidth", reading)
        elif name.startswith("small"):
            precision = path.split(".", 1)[1]
            put(f"devices.cpu.start_{crew}.{precision}", _start(precision, crew, raw))
        elif name == "latency":
            put(f"latency.{path.split('.')[1]}", reading)
        elif name == "storage":
            put(path, reading)
        else:
            put(f"devices.cpu.{path}", reading)
    _storage(raw, put)
    _latencies(raw, put, machine)
    if "pass_flag" in raw:
        put("memories.dram.handoff", raw["pass_flag"])
    if machine.cores == 1:
        ones = {path: path.replace("_one", "_all") for path in out if "_one" in path}
        out |= {whole: out[path].at(whole) for path, whole in ones.items()}
    for alias, form in ALIASES.items():
        for path in [p for p in out if p.endswith(f".{form}")]:
            mine = f"{path.removesuffix(form)}{alias}"
            out.setdefault(mine, out[path].at(mine))
    return dict(sorted(out.items()))


def _start(precision: str, crew: str, raw: Mapping[str, Reading]) -> Reading:
    """s that a small product takes beyond its weights at the rate of its row length and its activations."""
    weights = product_kernel(precision).weight_bytes(SMALL, SMALL)
    long, short = (raw[f"{name}_{crew}.{precision}"].value for name in ("stream", "short"))
    parts = weights * (1 / long + float(shortness(np.array(SMALL))) * (1 / short - 1 / long))
    ready = raw.get(f"prepare_{crew}.{precision}")
    parts += SMALL / ready.value if ready is not None else 0.0
    small = raw[f"small_{crew}.{precision}"]
    how = f"{small.how}, beyond its weights and activations"
    return replace(small.at("", lambda seconds: np.maximum(0.0, seconds - parts)), how=how)


def _storage(raw: Mapping[str, Reading], put: Callable[..., None]) -> None:
    large, small = raw.get("storage.sequential.524288"), raw.get("storage.random.4096")
    if large and small:
        for path in ("memories.storage.bandwidth", "links.storage_dram.bandwidth"):
            put(path, replace(large.at(path, lambda seconds: 524288 / seconds), unit="B/s"))
        put("links.storage_dram.latency", small)


def _latencies(raw: Mapping[str, Reading], put: Callable[..., None], machine: Machine) -> None:
    ladder = {int(path.split(".")[1]): reading for path, reading in raw.items() if path.startswith("latency.")}
    if ladder:
        inside = [size for size in ladder if size <= (machine.cache(2) or 2**20) // 4]
        put("devices.cpu.cache_latency", ladder[max(inside, default=min(ladder))])
        put("devices.cpu.memory_latency", ladder[max(ladder)])


def _facts(machine: Machine, folder: Path, power: tuple[float, float] | None) -> dict[str, tuple[float, str, str]]:
    facts = {
        "memories.dram.capacity": (float(machine.memory), "B", machine.memory_from),
        "devices.cpu.threads": (float(machine.cores), "1", "all usable cores"),
        "devices.cpu.cores": (float(machine.cores), "1", machine.cores_from),
        "devices.cpu.cache": (float(machine.last_cache), "B", "last-level cache, as the system states it"),
        "devices.cpu.here": (1.0, "1", "the machine that tradespace ran on"),
        "memories.storage.capacity": (float(shutil.disk_usage(folder).free), "B", "free space where the file lies"),
    }
    if power is not None:
        facts["devices.cpu.idle_power"] = (power[0], "W", "package energy counter, all threads asleep")
        facts["devices.cpu.dynamic_power"] = (power[1], "W", "package energy counter, streaming products, above idle")
    return facts


def _missing(
    todo: list[Probe], samples: Mapping[str, Any], power: tuple[float, float] | None, gpu: GPU | None
) -> tuple[str, ...]:
    out = []
    for probe in todo:
        if not any(path in samples for path in probe.units):
            out.append(f"{probe.label}: not offered by this processor or system")
    if power is None:
        out.append("power: no readable energy counter, so energies are counted as 0")
    if gpu is not None and gpu.missing:
        out.append(f"{gpu.name}: {gpu.missing}")
    return tuple(out)


# -- the file


def target_text(found: Calibration, name: str) -> str:
    """The YAML of a target `name`."""
    import yaml

    tree: dict[str, Any] = {
        "title": f"{found.machine.name}, {found.machine.cores} usable cores, measured {found.date}",
        "kind": "measured",
        "memories": {},
        "devices": {"cpu": {"model": "cpu-kernels", "memory": "dram"}},
        "links": {"storage_dram": {"between": ["storage", "dram"]}},
    }
    for path, number in _numbers(found).items():
        *above, last = path.split(".")
        branch = tree
        for key in above:
            branch = branch.setdefault(key, {})
        branch[last] = number
    if "bandwidth" not in tree["memories"].get("storage", {}):
        tree["memories"].pop("storage", None)
        tree.pop("links")
    _add_gpu(tree, found)
    body = yaml.safe_dump({name: tree}, sort_keys=False, width=10_000, default_flow_style=None, allow_unicode=True)
    return f"{_header(found, name)}{body}"


def _numbers(found: Calibration) -> dict[str, dict[str, str]]:
    from tradespace.units import format as show

    known = {"fp32", "fp16", "bf16", *WANTED, *FORMATS}
    facts = {
        path: {"value": show(value, unit, digits=6), "source": f"{source}; {found.date}"}
        for path, (value, unit, source) in found.facts.items()
    }
    out = {
        path: {"value": show(r.value, r.unit, digits=5), "source": source_of(r, found.date)}
        for path, r in found.readings.items()
        if path.startswith(("devices.", "memories.", "links."))
        and not (path.startswith("devices.cpu.peak.") and path.rsplit(".", 1)[1] not in known)
    }
    return dict(sorted((facts | out).items()))


def source_of(reading: Reading, date: str) -> str:
    """What the file says of a number; `compare` reads the spread out of it again."""
    return f"{reading.how}; {reading.samples.size} samples, spread {100 * reading.spread:.1f} %; {date}"


def _header(found: Calibration, name: str) -> str:
    lines = [
        f"Written by `tradespace calibrate` on {found.date} in {found.seconds:.0f} s ({found.rounds} rounds).",
        f"Use it as target={name}.yaml. Every spread is the quartile range over the median.",
        *([f"Load of the system before and after: {', '.join(map(str, found.load))}."] if found.load else []),
        "threads: {choices: [1, 2]} instead of one number makes the threads a decision.",
        *(f"Not measured: {text}." for text in found.missing),
    ]
    ladder = [(int(p.split(".")[1]), r) for p, r in found.readings.items() if p.startswith("latency.")]
    if ladder:
        steps = ", ".join(f"{_size(size)} {r.value * 1e9:.3g} ns" for size, r in sorted(ladder))
        lines.append(f"Latency of a random read: {steps}.")
    return "".join(f"# {line}\n" for line in lines)


def _size(size: int) -> str:
    return f"{size >> 20} MB" if size >= 1 << 20 else f"{size >> 10} KB"


def _add_gpu(tree: dict[str, Any], found: Calibration) -> None:
    """A roofline device with a memory and a link of its own."""
    from tradespace.units import format as show

    gpu = found.gpu
    if gpu is None or not gpu.samples:
        return

    def number(key: str, unit: str, how: str) -> dict[str, str]:
        reading = Reading(key, unit, (gpu.samples[key],), f"PyTorch on {gpu.name}: {how}")
        return {"value": show(reading.value, unit, digits=5), "source": source_of(reading, found.date)}

    capacity = {"value": show(float(gpu.capacity), "B", digits=6), "source": f"free memory; {found.date}"}
    tree["memories"]["vram"] = {"bandwidth": number("bandwidth", "B/s", "copies of 512 MB"), "capacity": capacity}
    peaks = {
        k.split(".")[1]: number(k, "FLOP/s", "products of 4096 x 4096") for k in gpu.samples if k.startswith("peak.")
    }
    tree["devices"]["gpu"] = {
        "model": "roofline",
        "memory": "vram",
        "peak": peaks,
        "launch_overhead": number("launch_overhead", "s", "additions of one number"),
    }
    tree.setdefault("links", {})["pcie"] = {
        "between": ["dram", "vram"],
        "bandwidth": number("link", "B/s", "copies of 128 MB from pinned memory"),
    }


# -- two calibrations


@dataclass(frozen=True)
class Change:
    """One number in two calibrations. `spread`: of both, added up. `verdict`: agrees, spread explains, differs."""

    path: str
    unit: str
    before: float
    after: float
    spread: float

    @property
    def ratio(self) -> float:
        return self.after / self.before if self.before else (1.0 if not self.after else float("inf"))

    @property
    def verdict(self) -> str:
        off = abs(self.ratio - 1)
        return "agrees" if off <= AGREE else "spread explains" if off <= max(self.spread, AGREE) else "differs"


def compare(found: Calibration, earlier: Path) -> list[Change]:
    """What was measured now beside an earlier file, the largest changes first.

    Raises:
        InputError, UnitError: not a target file that a calibration wrote.
    """
    from tradespace.documents import read_document
    from tradespace.errors import InputError
    from tradespace.units import parse

    document = read_document(earlier)
    body = next(iter(document.values())) if len(document) == 1 else document
    changes = []
    for path, reading in found.readings.items():
        if ".start_" in path:
            continue  # what is left of measured times after subtracting others, which are compared themselves
        node: Any = body
        for key in path.split("."):
            node = node.get(key) if isinstance(node, Mapping) else None
        if not isinstance(node, Mapping) or "value" not in node:
            continue
        said = _SPREAD.search(str(node.get("source", "")))
        before = parse(node["value"], reading.unit, where=f"{earlier}: {path}", positive=False)
        spread = reading.spread + (float(said[1]) / 100 if said else 0.0)
        changes.append(Change(path, reading.unit, before, reading.value, spread))
    if not changes:
        raise InputError(
            "the file must hold numbers that `tradespace calibrate` measures", where=str(earlier),
            remedy="Write one with 'tradespace calibrate'.",
        )  # fmt: skip
    return sorted(changes, key=lambda change: -abs(np.log(change.ratio)) if change.ratio > 0 else -np.inf)


def explained(changes: list[Change]) -> str | None:
    """What one number says about all that several threads do: a flag is passed three to four times faster between two
    threads of one core than between two cores, and a virtual machine's processors may be either from time to time."""
    flag = next((change for change in changes if change.path == "devices.cpu.pass_flag"), None)
    if flag is None or 0.5 < flag.ratio < 2:
        return None
    near, far = ("before", "now") if flag.ratio > 1 else ("now", "before")
    return (
        f"a flag between two threads took {flag.before * 1e9:.0f} ns and takes {flag.after * 1e9:.0f} ns: {near} the "
        f"two processors seem to have shared a core, {far} they did not. That moves rates of several threads."
    )
