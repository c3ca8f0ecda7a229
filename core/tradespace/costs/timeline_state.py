"""The records that the event loop of `timeline` works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.timeline import TaskTable

TASK = np.dtype(
    [
        ("need", "i8"),  # predecessors that suffice
        ("spare", "i8"),  # predecessors beyond those
        ("edge", "i8"),  # first outgoing edge; row T holds E
        ("lock", "i8"),
        ("release", "f8"),
        ("demand", "f8"),
        ("resource", "i8"),  # of this design, like work and priority
        ("work", "f8"),
        ("priority", "f8"),
        ("other", "i8"),  # alternative resource, -1: none, or it has moved already
        ("other_work", "f8"),
        ("left", "i8"),  # predecessors still needed
        ("slack", "i8"),  # predecessors that may still be given up
        ("ready", "f8"),
        ("state", "i8"),
        ("attempt", "i8"),
        ("fate", "i8"),  # 0: ran where it was meant to, 1: moved, 2: given up
        ("follower", "i8"),  # next task of the same batch
        ("asked", "f8"),
        ("start", "f8"),
        ("finish", "f8"),
    ],
    align=True,
)
RESOURCE = np.dtype(
    [
        ("servers", "i8"),  # 0: a batch
        ("gate", "i8"),
        ("closes", "i8"),  # 1: is the gate of some resource
        ("depth", "i8"),
        ("base", "i8"),  # where its queue begins in the heap; row R holds the end
        ("size", "i8"),
        ("busy", "i8"),
        ("down", "i8"),  # outages that go on
        ("known", "i8"),  # those of them that were found out
        ("dead", "i8"),  # those of them that never end
        ("window", "f8"),
        ("phase", "i8"),  # of a batch with a window: 0 idle or running, 1 collecting, 2 due
        ("dirty", "i8"),  # a list: resources to look at in this instant
        ("listed", "i8"),
        ("blocked", "i8"),  # a list: resources with tasks passed over
        ("is_blocked", "i8"),
        ("first", "i8"),  # first task of the running batch
        ("runs", "i8"),  # batches begun
    ],
    align=True,
)
EDGE = np.dtype([("dest", "i8"), ("lag", "f8"), ("strict", "i8")], align=True)
HEAP = np.dtype([("key", "f8"), ("stamp", "i8"), ("item", "i8")], align=True)
WORLD = np.dtype(
    [
        ("now", "f8"),
        ("virtual", "f8"),  # passes at the rate of those that share the channel
        ("total", "f8"),  # demanded of the channel
        ("channel", "f8"),
        ("retry", "f8"),
        ("patience", "f8"),
        ("tasks", "i8"),
        ("resources", "i8"),
        ("outages", "i8"),
        ("span", "i8"),
        ("events", "i8"),  # sizes of the heaps and lists
        ("shares", "i8"),
        ("share_base", "i8"),
        ("queue_base", "i8"),
        ("stamp", "i8"),
        ("n_dirty", "i8"),
        ("n_blocked", "i8"),
        ("sharing", "i8"),
        ("done", "i8"),
        ("handled", "i8"),
    ],
    align=True,
)


@dataclass(frozen=True, eq=False)
class State:
    """What `run` works on, as records that the loop writes to: not to be shared by threads."""

    world: NDArray[np.void]
    task: NDArray[np.void]
    edge: NDArray[np.void]
    resource: NDArray[np.void]
    heap: NDArray[np.void]
    aside: NDArray[np.int64]
    roots: NDArray[np.int64]


def state_of(table: TaskTable, outages: int) -> State:
    """Records filled with what does not depend on the design. ``outages``: the most that a design has."""
    n, m, k = table.tasks, len(table.resources), outages
    task, resource = np.zeros(n + 1, TASK), np.zeros(m + 1, RESOURCE)
    pointers, dest, lag = table.successors
    waits = np.diff(table.predecessors[0])
    task["edge"], task["need"][:n] = pointers, table.needs
    task["spare"][:n] = waits - task["need"][:n]
    task["lock"][:n], task["release"][:n], task["demand"][:n] = table.locks, table.release, table.demand
    edge = np.zeros(len(dest), EDGE)
    edge["dest"], edge["lag"], edge["strict"] = dest, lag, table.strict_by_source
    resource["gate"][:m], resource["depth"][:m] = table.gates, table.depth
    resource["closes"][table.gates[table.gates >= 0]] = 1
    room = 3 * n * (k + 1) + 2 * m * (k + 1) + 3 * k + 2  # an outage may end and repeat every task
    world = np.zeros(1, WORLD)
    world["channel"], world["retry"] = table.channel, table.retry
    world["tasks"], world["resources"], world["outages"], world["span"] = n, m, k, 2 * n + 2 * m + 3 * k
    world["share_base"], world["queue_base"] = room, 2 * room
    heap = np.zeros(2 * room + 2 * n + 1, HEAP)  # a task may queue at its resource or its alternative
    roots = np.flatnonzero(waits == 0)
    roots = roots[np.argsort(task["release"][roots], kind="stable")]
    return State(world, task, edge, resource, heap, np.zeros((n + 1, 2), np.int64), roots)
