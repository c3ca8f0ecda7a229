"""The records that the event loop of `timeline` works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.timeline import TaskTable

TASK = np.dtype(
    [
        ("waits", "i8"),  # predecessors
        ("edge", "i8"),  # first outgoing edge; row T holds E
        ("lock", "i8"),
        ("release", "f8"),
        ("demand", "f8"),
        ("resource", "i8"),  # of this design, like work and priority
        ("work", "f8"),
        ("priority", "f8"),
        ("left", "i8"),  # predecessors that have not finished
        ("ready", "f8"),
        ("state", "i8"),
        ("attempt", "i8"),
        ("follower", "i8"),  # next task of the same batch
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
        ("down", "i8"),
        ("dirty", "i8"),  # a list: resources to look at in this instant
        ("listed", "i8"),
        ("blocked", "i8"),  # a list: resources with tasks passed over
        ("is_blocked", "i8"),
        ("first", "i8"),  # first task of the running batch
        ("runs", "i8"),  # batches begun
    ],
    align=True,
)
EDGE = np.dtype([("dest", "i8"), ("lag", "f8")], align=True)
HEAP = np.dtype([("key", "f8"), ("stamp", "i8"), ("item", "i8")], align=True)
WORLD = np.dtype(
    [
        ("now", "f8"),
        ("virtual", "f8"),  # passes at the rate of those that share the channel
        ("total", "f8"),  # demanded of the channel
        ("channel", "f8"),
        ("retry", "f8"),
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
    outage: NDArray[np.float64]
    aside: NDArray[np.int64]
    roots: NDArray[np.int64]


def state_of(table: TaskTable) -> State:
    """Records filled with what does not depend on the design."""
    n, m, k = table.tasks, len(table.resources), len(np.asarray(table.outages))
    task, resource = np.zeros(n + 1, TASK), np.zeros(m + 1, RESOURCE)
    pointers, dest, lag = table.successors
    task["edge"], task["waits"][:n] = pointers, np.diff(table.predecessors[0])
    task["lock"][:n], task["release"][:n], task["demand"][:n] = table.locks, table.release, table.demand
    edge = np.zeros(len(dest), EDGE)
    edge["dest"], edge["lag"] = dest, lag
    resource["servers"][:m] = [0 if r.batch else r.servers for r in table.resources]
    resource["gate"][:m], resource["depth"][:m] = table.gates, table.depth
    resource["closes"][table.gates[table.gates >= 0]] = 1
    room = 2 * n * (k + 1) + m * (k + 1) + 2 * k + 2  # an outage may end and repeat every task
    world = np.zeros(1, WORLD)
    world["channel"], world["retry"] = table.channel, table.retry
    world["tasks"], world["resources"], world["outages"], world["span"] = n, m, k, 2 * n + m + 2 * k
    world["share_base"], world["queue_base"] = room, 2 * room
    heap = np.zeros(2 * room + n + 1, HEAP)
    roots = np.flatnonzero(task["waits"][:n] == 0)
    roots = roots[np.argsort(task["release"][roots], kind="stable")]
    outage = np.ascontiguousarray(table.outages, np.float64)
    return State(world, task, edge, resource, heap, outage, np.zeros((n + 1, 2), np.int64), roots)
