"""Machines that agents run on: the device model, and the hosts of any target that has some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.contract import CostTable
from tradespace.costs.roofline import Roofline
from tradespace.errors import InputError

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device, Target
    from tradespace.workloads.operators import Operators

MODEL, NODE, COMPUTER = "agent-host", "node", "roofline"
MAX_HOSTS = 256
FOOTPRINT = 2.0**30
"""B that an agent's client and the applications it drives need at least (ours)."""


class AgentHost:
    """One or ``count`` equal machines with a device agent each; neural networks run on it as on a roofline.

    ``speed`` divides the durations of stars, ``slots`` stars run at once, ``latency`` is a message's one-way delay.
    After ``mtbf`` s on average it stops answering, for ``repair`` s on average (both exponential; 0: never).
    """

    constants: ClassVar[Mapping[str, str]] = {
        **Roofline.constants,
        "speed": "1",
        "slots": "1",
        "count": "1",
        "latency": "s or zero",
        "mtbf": "s or zero",
        "repair": "s or zero",
    }
    defaults: ClassVar[Mapping[str, float]] = {
        "speed": 1.0, "slots": 1.0, "count": 1.0, "latency": 0.0, "mtbf": 0.0, "repair": 0.0,
    }  # fmt: skip
    runs: ClassVar[tuple[str, ...]] = Roofline.runs

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        return Roofline().table(operators, device, precisions)

    @staticmethod
    def check(device: Device) -> None:
        """Raises `InputError` for counts that are no whole numbers."""
        for key in ("slots", "count"):
            _whole(device, key, device.name)


@dataclass(frozen=True)
class Hosts:
    """m hosts: ``name`` and ``group`` (what stars name in ``on``), and (m,) numbers in SI."""

    name: tuple[str, ...]
    group: tuple[str, ...]
    speed: NDArray[np.float64]
    slots: NDArray[np.int64]
    latency: NDArray[np.float64]
    idle: NDArray[np.float64]  # W
    busy: NDArray[np.float64]  # W more for each star that runs
    mtbf: NDArray[np.float64]
    repair: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.name)

    def able(self, on: tuple[str, ...]) -> tuple[int, ...]:
        """Hosts that run stars of these classes."""
        return tuple(j for j in range(len(self)) if not on or {self.group[j], self.name[j]} & set(on))

    @cached_property
    def fails(self) -> bool:
        return bool((self.mtbf > 0).any())


def hosts_of(target: Target) -> Hosts:
    """The hosts of a target: devices of model "agent-host" or, where there are none, "node"; else a computer (all its
    devices are rooflines) is one host, its first device, of one slot and unit speed.

    Raises:
        InputError: no hosts, too little memory for an agent, or too many.
    """
    found = [d for d in target.devices if d.model == MODEL] or [d for d in target.devices if d.model == NODE]
    if not found and all(d.model == COMPUTER for d in target.devices):
        found = list(target.devices[:1])
    if not found:
        models = ", ".join(sorted({d.model for d in target.devices}))
        rule = "agents run on devices of model 'agent-host' or 'node', or on a computer of 'roofline' devices alone"
        raise InputError(rule, value=models)
    small = next((d for d in found if d.capacity < FOOTPRINT), None)
    if small is not None:
        raise InputError("an agent needs 1 GiB of memory", value=f"{small.name} has {small.capacity:.3g} B")
    rows = [(d, i) for d in found for i in range(_whole(d, "count", target.name) if d.model != COMPUTER else 1)]
    if len(rows) > MAX_HOSTS:
        raise InputError(f"a fleet has at most {MAX_HOSTS} hosts", value=len(rows), where=target.name)
    facts = np.array([_facts(d) for d, _ in rows], np.float64).T
    many = {d.name for d, i in rows if i}
    return Hosts(
        tuple(f"{d.name}_{i}" if d.name in many else d.name for d, i in rows),
        tuple(d.name for d, _ in rows),
        facts[0],
        facts[1].astype(np.int64),
        *facts[2:],
    )


def _facts(device: Device) -> tuple[float, ...]:
    """speed, slots, latency, idle W, W a star, mtbf, repair."""
    if device.model == MODEL:
        slots = _whole(device, "slots", device.name)
        power = device.idle_power, device.dynamic_power / slots
        return device.speed, slots, device.latency, *power, device.mtbf, device.repair
    if device.model == NODE:
        cores = _whole(device, "cores", device.name)
        return 1.0, cores, device.delay, device.p0, (device.p100 - device.p0) / cores, 0.0, 0.0
    return 1.0, 1, 0.0, device.idle_power, device.dynamic_power, 0.0, 0.0


def _whole(device: Device, key: str, where: str) -> int:
    value = float(getattr(device, key))
    if value != int(value) or not 1 <= value <= 65_536:
        raise InputError(f"'{key}' is a whole number from 1 to 65536", value=value, where=f"{where}: {device.name}")
    return int(value)
