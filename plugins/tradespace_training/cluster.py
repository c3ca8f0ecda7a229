"""The device model of a training cluster: equal nodes of accelerators behind one kind of network card.

In a target one device is one cluster, its memory that of one accelerator; a link between the memories of two clusters
is what a node of one can send to the other. A workload that is not trained runs on one accelerator, as on a roofline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tradespace.costs.checks import check_share, check_whole
from tradespace.costs.collectives import Transport
from tradespace.costs.roofline import Roofline
from tradespace.costs.training_sites import Sites
from tradespace.errors import InputError

if TYPE_CHECKING:
    from tradespace.costs.contract import CostTable
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device, Target
    from tradespace.workloads.operators import Operators

MODEL = "cluster"
MAX_COUNT = 1_000_000


class Cluster:
    """``nodes`` of ``accelerators`` each. ``efficiency``: share of the peak that training attains; ``fabric``: B/s
    between accelerators of a node, one port each; ``network``: B/s of a node's port to other nodes; 0 where there is
    nobody to talk to."""

    constants: ClassVar[Mapping[str, str]] = {
        "peak": "FLOP/s by precision",
        "nodes": "1",
        "accelerators": "1",
        "efficiency": "1",
        "fabric": "B/s or zero",
        "fabric_latency": "s or zero",
        "network": "B/s or zero",
        "network_latency": "s or zero",
    }
    defaults: ClassVar[Mapping[str, float]] = {
        "nodes": 1.0,
        "accelerators": 1.0,
        "efficiency": 0.5,
        **dict.fromkeys(("fabric", "fabric_latency", "network", "network_latency"), 0.0),
    }
    runs: ClassVar[tuple[str, ...]] = Roofline.runs

    @staticmethod
    def check(device: Device) -> None:
        """Raises `InputError` for clusters that cannot be."""
        check_whole(device, ("nodes", "accelerators"), MAX_COUNT)
        check_share(device, ("efficiency",))

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        """One accelerator, by the roofline model at its peak."""
        return Roofline().table(operators, device, precisions)


def sites_of(target: Target, precision: str, efficiency: float) -> Sites | str:
    """The devices that compute in ``precision`` as sites, or why there are none. One that is no cluster is a site of
    one accelerator that attains ``efficiency`` of its peak.

    Raises:
        InputError: counts that are no whole numbers, or an efficiency above 1.
    """
    able = [device for device in target.devices if "peak" in device.by_precision and device.peak(precision)]
    if not able:
        return f"needs a device with a peak rate in {precision}"

    def column(of: Any, dtype: Any = np.float64) -> Any:
        return np.array([of(device) for device in able], dtype)

    node = column(lambda d: _count(d, "accelerators", target), np.int64)
    memories = tuple(dict.fromkeys(device.memory for device in able))
    return Sites(
        names=tuple(device.name for device in able),
        ranks=node * column(lambda d: _count(d, "nodes", target), np.int64),
        node=node,
        rate=column(lambda d: d.peak(precision) * _efficiency(d, efficiency, target)),
        bandwidth=column(lambda d: d.bandwidth),
        capacity=column(lambda d: d.capacity),
        fabric=_transport(able, "fabric", "accelerators", target),
        network=_transport(able, "network", "nodes", target),
        between=_between(able, target),
        idle=column(lambda d: d.idle_power),
        dynamic=column(lambda d: d.dynamic_power),
        shared=column(lambda d: memories.index(d.memory), np.int64),
    )


def _transport(devices: Sequence[Device], key: str, peers: str, target: Target) -> Transport:
    """A port that leads to nobody is never the slowest."""
    bandwidth = np.full(len(devices), np.inf)
    latency = np.zeros(len(devices))
    for at, device in enumerate(devices):
        if _count(device, peers, target) == 1:
            continue
        if not device.numbers[key] > 0:
            where = f"{target.name}: devices.{device.name}"
            raise InputError(f"'{key}' is above 0 B/s where there are several {peers}", value=0.0, where=where)
        bandwidth[at], latency[at] = device.numbers[key], device.numbers[f"{key}_latency"]
    return Transport(bandwidth, latency)


def _between(devices: Sequence[Device], target: Target) -> Transport:
    paths = [[target.path(a.name, b.name) for b in devices] for a in devices]
    bandwidth = np.array([[path.bandwidth for path in row] for row in paths], np.float64)
    return Transport(bandwidth, np.array([[path.latency for path in row] for row in paths], np.float64))


def _count(device: Device, key: str, target: Target) -> int:
    value = float(device.numbers.get(key, 1.0)) if device.model == MODEL else 1.0
    if value != int(value) or not 1 <= value <= MAX_COUNT:
        raise InputError(
            f"'{key}' is a whole number from 1 to {MAX_COUNT}",
            value=value,
            where=f"{target.name}: devices.{device.name}",
        )
    return int(value)


def _efficiency(device: Device, otherwise: float, target: Target) -> float:
    value = float(device.numbers.get("efficiency", otherwise)) if device.model == MODEL else otherwise
    if not 0 < value <= 1:
        rule = "'efficiency' is a share of the peak, above 0 and at most 1"
        raise InputError(rule, value=value, where=f"{target.name}: devices.{device.name}")
    return value
