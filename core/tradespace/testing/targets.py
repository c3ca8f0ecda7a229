"""What every target must be: numbers with sources, within what physics and shops allow, and everything connected.

from tradespace.testing.targets import check_target
report = check_target(lambda: load_target("phone", registry()))
assert report.passed, str(report)
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tradespace.targets.model import Target
from tradespace.testing.report import Kit, KitReport, fail, not_applicable

NAME = re.compile(r"[a-z][a-z0-9_]*")
SOURCE_KINDS = ("measured", "datasheet", "paper", "derived", "substitute", "fitted")
PLAUSIBLE: Mapping[str, tuple[float, float]] = {
    "bandwidth": (1.0, 1e15),  # B/s: a graph in time units to a rack of HBM
    "capacity": (64, 1e16),  # B: a register file to a storage pool
    "peak": (1e3, 1e19),  # FLOP/s: an 8-bit controller to a pod
    "latency": (0.0, 60.0),  # s
    "launch_overhead": (0.0, 60.0),  # s
    "idle_power": (0.0, 1e7),  # W
    "dynamic_power": (0.0, 1e7),  # W
    "leakage_power": (0.0, 1e7),  # W
    "energy_per_byte": (0.0, 1e-3),  # J/B: a radio
    "thermal_resistance": (0.0, 1e4),  # K/W
    "ambient": (3.0, 400.0),  # K: cryogenic to under a bonnet
    "max_temperature": (250.0, 700.0),  # K
    "reference_temperature": (3.0, 700.0),  # K
}
"""Ranges that catch slips of a unit (GB for GB/s, 45 K for 45 degC), not limits of technology (ours)."""


@dataclass(frozen=True)
class TargetSubject:
    """A way to load a target (it is loaded twice), and the device models that exist, if known."""

    load: Callable[[], Target]
    models: tuple[str, ...] = ()

    @cached_property
    def target(self) -> Target:
        return self.load()

    def numbers(self) -> list[tuple[str, str, float]]:
        """(path, quantity, SI value) of everything numeric in the target."""
        target, found = self.target, []
        for memory in target.memories.values():
            for key in ("bandwidth", "capacity", "energy_per_byte"):
                found.append((f"memories.{memory.name}.{key}", key, float(getattr(memory, key))))
        for link in target.links:
            for key in ("bandwidth", "latency", "energy_per_byte"):
                found.append((f"links.{link.name}.{key}", key, float(getattr(link, key))))
        for device in target.devices:
            for key, value in device.numbers.items():
                found.append((f"devices.{device.name}.{key}", key, float(value)))
            for key, table in device.by_precision.items():
                for precision, value in table.items():
                    found.append((f"devices.{device.name}.{key}.{precision}", key, float(value)))
        return found


def check_target(
    load: Callable[[], Target],
    label: str = "target",
    *,
    models: tuple[str, ...] = (),
    expected: Mapping[str, str] | None = None,
) -> KitReport:
    """Run the kit on a target, given as the function that loads it. `models`: known device models."""
    return KIT.run(TargetSubject(load, models), label, expected)


def loads_twice_equal(subject: TargetSubject) -> None:
    """Loading it again gives an equal target."""
    again, target = subject.load(), subject.target
    for key in ("name", "title", "devices", "links", "sources"):
        if getattr(again, key) != getattr(target, key):
            fail(f"{key} differs")
    if dict(again.memories) != dict(target.memories):
        fail("memories differ")


def says_what_it_is(subject: TargetSubject) -> None:
    """Has a name, a title for people, and at least one device."""
    target = subject.target
    if not target.name.strip() or not target.title.strip():
        fail(f"name {target.name!r}, title {target.title!r}")
    if not target.devices:
        fail("no device")


def names_are_names(subject: TargetSubject) -> None:
    """Devices and memories have different lower-case names: metric names are made of them."""
    target = subject.target
    names = [*(device.name for device in target.devices), *target.memories]
    wrong = [name for name in names if not NAME.fullmatch(name)]
    if wrong:
        fail(f"'{wrong[0]}' does not match [a-z][a-z0-9_]*")
    if len(set(names)) != len(names):
        fail(f"names repeat: {', '.join(sorted({name for name in names if names.count(name) > 1}))}")
    if any(key != memory.name for key, memory in target.memories.items()):
        fail("a memory is filed under another name than its own")


def numbers_are_physical(subject: TargetSubject) -> None:
    """Every number is finite and in the range of things that exist (see PLAUSIBLE), so units have not slipped."""
    for path, quantity, value in subject.numbers():
        if not np.isfinite(value):
            fail(f"{path} is {value}")
        low, high = PLAUSIBLE.get(quantity, (-np.inf, np.inf))
        if not low <= value <= high:
            fail(f"{path} is {value:.4g}, outside {low:.4g} to {high:.4g}")


def devices_fit_their_memory(subject: TargetSubject) -> None:
    """A device draws no more bandwidth than its memory gives, uses no more of it than there is, and can get warm."""
    target = subject.target
    for device in target.devices:
        memory = target.memories.get(device.memory)
        if memory is None:
            fail(f"device '{device.name}' works in memory '{device.memory}', which does not exist")
        for key in ("bandwidth", "capacity"):
            if getattr(device, key) > getattr(memory, key) * (1 + 1e-9):
                fail(f"{key} of device '{device.name}' exceeds that of memory '{memory.name}'")
        if not device.ambient < device.max_temperature:
            fail(f"device '{device.name}' is at its maximum temperature when idle")


def devices_can_run_something(subject: TargetSubject) -> None:
    """Every device names a model (a registered one) and the operator kinds it runs."""
    for device in subject.target.devices:
        if subject.models and device.model not in subject.models:
            fail(f"device '{device.name}' has the model '{device.model}'; known: {', '.join(subject.models)}")
        if not device.runs:
            fail(f"device '{device.name}' runs nothing")


def everything_is_connected(subject: TargetSubject) -> None:
    """Between any two devices there is a path, of equal cost both ways (a device made of others hands over to its own
    parts for nothing)."""
    target = subject.target
    for a, b in itertools.combinations([device.name for device in target.devices], 2):
        there, back = target.path(a, b), target.path(b, a)
        if not (there.bandwidth > 0 and 0 <= there.latency < np.inf and 0 <= there.energy_per_byte < np.inf):
            fail(f"{a} to {b}: {there}")
        pairs = [(getattr(there, k), getattr(back, k)) for k in ("bandwidth", "latency", "energy_per_byte")]
        if any(device.of and {a, b} <= {device.name, *device.of} for device in target.devices):
            continue
        if not all(one == two or np.isclose(one, two, rtol=1e-9) for one, two in pairs):
            fail(f"{a} to {b} is {there}, back is {back}")


def every_number_has_a_source(subject: TargetSubject) -> None:
    """`sources` lists every number with the value in use, its origin and its kind."""
    sourced = {entry.path: entry for entry in subject.target.sources}
    if len(sourced) != len(subject.target.sources):
        fail("a path is listed twice")
    for entry in sourced.values():
        if not entry.source.strip() or entry.kind not in SOURCE_KINDS:
            fail(f"{entry.path}: source {entry.source!r}, kind {entry.kind!r} (kinds: {', '.join(SOURCE_KINDS)})")
    for path, _, value in subject.numbers():
        found = sourced.get(path) or sourced.get(path.removesuffix(".*"))
        if found is None:
            fail(f"{path} has no source")
        capped = path.endswith((".bandwidth", ".capacity")) and value <= float(found.value)  # by the device's memory
        if not capped and not np.isclose(float(found.value), value, rtol=1e-12):
            fail(f"{path} is {value!r}, its source says {found.value!r}")


def substitutes_are_told(subject: TargetSubject) -> None:
    """`substitutes` are exactly the numbers of kind substitute."""
    if not subject.target.sources:
        not_applicable("has no sources")
    wanted = [entry.path for entry in subject.target.sources if entry.kind == "substitute"]
    if [entry.path for entry in subject.target.substitutes] != wanted:
        fail(f"{len(subject.target.substitutes)} told, {len(wanted)} listed")


KIT: Kit[TargetSubject] = Kit(
    "target kit",
    (
        loads_twice_equal,
        says_what_it_is,
        names_are_names,
        numbers_are_physical,
        devices_fit_their_memory,
        devices_can_run_something,
        everything_is_connected,
        every_number_has_a_source,
        substitutes_are_told,
    ),
)
