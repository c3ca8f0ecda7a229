"""The device model of a fleet: a machine of cores behind a network port, with a SPECpower table and a price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tradespace.costs.checks import check_whole
from tradespace.costs.contract import CostTable
from tradespace.costs.schedules_nodes import POINTS, Nodes
from tradespace.errors import InputError

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device, Target
    from tradespace.workloads.operators import Operators

MODEL = "node"
MAX_NODES = 1024
MAX_CORES = 65_536
LEVELS = tuple(f"p{10 * i}" for i in range(POINTS))


class Node:
    """One or ``count`` equal machines; a core executes ``rate`` operations (instructions) per second.

    ``p0 .. p100`` are W at 0, 10, ... 100 % of the cores busy, linear in between; without them a node draws nothing.
    ``delay`` is the one-way delay from the users and to other nodes, ``price`` is money per hour. The engine's
    ``bandwidth`` is the node's network port, ``capacity`` its RAM; its ``memory`` is the network that joins the nodes.
    """

    constants: ClassVar[Mapping[str, str]] = {
        "rate": "FLOP/s",
        "cores": "1",
        "count": "1",
        "delay": "s or zero",
        "price": "1 or zero",
        **dict.fromkeys(LEVELS, "W or zero"),
    }
    defaults: ClassVar[Mapping[str, float]] = {
        "cores": 1.0,
        "count": 1.0,
        "delay": 0.0,
        "price": 0.0,
        **dict.fromkeys(LEVELS, 0.0),
    }
    runs: ClassVar[tuple[str, ...]] = ("aggregate",)

    @staticmethod
    def check(device: Device) -> None:
        """Raises `InputError` for counts that are no whole numbers."""
        check_whole(device, ("cores",), MAX_CORES)
        check_whole(device, ("count",), MAX_NODES)

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        """Totals of operations at the rate of all cores, whatever the precision. Task graphs do not come this way."""
        time = operators.flop / (device.rate * device.cores * device.count)
        return CostTable(time=np.repeat(time[:, None], len(precisions), axis=1))


def nodes_of(target: Target) -> Nodes:
    """The nodes of a target whose devices are all of model "node"; ``count`` equal ones are named ``<device>_<i>``.

    Raises:
        InputError: counts that are no whole numbers, or too many nodes.
    """
    rows = [(name, device) for device in target.devices for name in _names(device)]
    cores = [int(device.cores) for _, device in rows]
    if len(rows) > MAX_NODES:
        raise InputError(f"a fleet has at most {MAX_NODES} nodes", value=len(rows), where=target.name)
    column = {
        key: np.array([getattr(device, key) for _, device in rows], np.float64)
        for key in ("rate", "bandwidth", "delay", "capacity", "price")
    }
    return Nodes(
        names=tuple(name for name, _ in rows),
        rate=column["rate"],
        cores=np.array(cores, np.int32),
        bandwidth=column["bandwidth"],
        delay=column["delay"],
        memory=column["capacity"],
        power=np.array([[getattr(device, level) for level in LEVELS] for _, device in rows]),
        price=column["price"],
        network=min(memory.bandwidth for memory in target.memories.values()),
    )


def _names(device: Device) -> tuple[str, ...]:
    count = int(device.count)
    return (device.name,) if count == 1 else tuple(f"{device.name}_{i}" for i in range(count))
