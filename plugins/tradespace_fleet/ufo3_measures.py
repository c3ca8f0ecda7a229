"""What simulated sessions of agents amount to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.timeline import GIVEN_UP, MOVED
from tradespace_fleet.ufo3_host import Hosts
from tradespace_fleet.ufo3_sessions import SKIPPED, Draws, Sessions
from tradespace_fleet.ufo3_workload import Floats

METRICS: Mapping[str, tuple[str, str, str]] = {
    "makespan": ("s", "min", "from the request until the planner has seen the last star end"),
    "success": ("1", "max", "share of the requests all of whose required stars succeed"),
    "completion": ("1", "max", "share of the stars that succeed"),
    "energy": ("J", "min", "all hosts over the session: idle power, and more for every star that runs"),
    "calls": ("1", "min", "calls of the planner: the first and the edits"),
    "span": ("s", "min", "from the start of the first star to the end of the last"),
    "edits": ("1", "min", "edits"),
    "editing": ("s", "min", "time that the planner spends on edits"),
    "work": ("s", "min", "total time of the stars"),
    "critical_path": ("s", "min", "longest chain of stars in time"),
    "parallelism": ("1", "max", "total time over critical path"),
    "width": ("1", "max", "most stars at once"),
    "waiting": ("s", "min", "mean time that a ready star waits for its host, a slot or the planner"),
    "throughput": ("Hz", "max", "stars done over the time from the first start until the last end is taken up"),
    "recovery": ("s", "min", "longest time from a host's failure until a star that it hit may be assigned again"),
    "stranded": ("1", "min", "share of the stars that only hosts can run which fail"),
}
LONGEST = ("recovery",)
"""Metrics of which the largest of all sessions counts; of the others the mean."""


def measure(s: Sessions, draws: Draws, hosts: Hosts) -> dict[str, Floats]:
    """Metric -> (N reps,)."""
    layout, times = s.layout, s.times
    count, flat = len(s.host) // draws.reps, layout.run.ravel()
    tiled = {
        k: np.tile(getattr(s.outcome, k), (count,) + (1,) * (getattr(s.outcome, k).ndim - 1))
        for k in ("state", "runs", "success")
    }
    last = layout.end[:, -1]
    lost = times.fate[:, last] == GIVEN_UP
    done = tiled["success"] & ~lost
    counted = tiled["state"] != SKIPPED
    required = np.array([star.required for star in layout.request.stars]) & counted
    moved = times.fate[:, flat].reshape(s.host.shape) == MOVED
    there = np.where(moved, s.inputs.spare, s.host)
    on = tiled["runs"][..., None] & (s.host >= 0) & (times.fate[:, flat].reshape(s.host.shape) != GIVEN_UP)
    span = np.where(on, times.finish[:, flat].reshape(s.host.shape) - times.start[:, flat].reshape(s.host.shape), 0.0)
    session, calls, editing, taken = _edits(s, on)
    service = np.where(on, np.tile(s.outcome.work, (count, 1, 1, 1)) / hosts.speed[np.maximum(there, 0)], 0.0)
    good = on & np.tile(s.outcome.reports, (count, 1, 1, 1))  # an attempt ends with the first replica that succeeds
    attempt = np.where(good.any(axis=3), np.where(good, service, np.inf).min(axis=3), service.max(axis=3))
    alone = np.where(on.any(axis=3), attempt, 0.0).sum(axis=2)  # (., n) s of a star, its attempts one after another
    begin, end = times.start[:, flat], times.finish[:, flat]
    used = on.reshape(len(on), -1)
    energy = (hosts.idle.sum() * session) + (span * np.where(on, hosts.busy[np.maximum(there, 0)], 0.0)).sum(
        axis=(1, 2, 3)
    )
    work, path = alone.sum(axis=1), layout.request.longest(alone)
    first = np.where(used, begin, np.inf).min(axis=1, initial=np.inf)
    ends = np.where(tiled["runs"].reshape(len(on), -1), times.finish[:, layout.end.ravel()], 0.0)
    final = ends.max(axis=1, initial=0.0)
    wait = np.where(used, begin - times.asked[:, flat], 0.0).sum(axis=1)
    took = np.where(taken > 0, taken, final) - np.where(np.isfinite(first), first, 0.0)
    return {
        "makespan": session,
        "span": np.where(np.isfinite(first), final - first, 0.0),
        "success": (done | ~required).all(axis=1).astype(np.float64),
        "completion": (done & counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1),
        "energy": energy,
        "calls": calls + 1.0,
        "edits": calls,
        "editing": editing,
        "work": work,
        "critical_path": path,
        "parallelism": np.divide(work, path, out=np.ones_like(work), where=path > 0),
        "width": _peak(begin, end, used & (end > begin)),
        "waiting": wait / np.maximum(used.sum(axis=1), 1),
        "throughput": np.divide(done.sum(axis=1), took, out=np.zeros_like(took), where=took > 0),
        "recovery": _recovery(s),
        "stranded": _stranded(s, counted),
    }


def _edits(s: Sessions, on: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats, Floats]:
    """(end of the session, calls, s in calls, when the last completion was taken up), (N reps,) each. Edits that start
    together are one call; what a fault causes after the last star does not count."""
    layout, times, config = s.layout, s.times, s.layout.config
    own, ends = layout.edit.ravel(), layout.end.ravel()
    runs = np.tile(s.outcome.runs.reshape(len(s.outcome.runs), -1), (len(s.host) // len(s.outcome.runs), 1))
    real = runs & config.edits
    start, finish = times.start[:, own], times.finish[:, own] - config.pause
    last = np.where(runs, times.finish[:, ends], times.finish[:, :1]).max(axis=1)
    last = np.where(real, finish, last[:, None]).max(axis=1)
    taken = np.where(real, start, 0.0).max(axis=1)
    if layout.faults:
        late = layout.fault[:, 1]
        counts = (s.inputs.work[:, late] > 0) & (times.start[:, late] < last[:, None])
        start, finish = (
            np.hstack([start, times.start[:, late]]),
            np.hstack([finish, times.finish[:, late] - config.pause]),
        )
        real = np.hstack([real, counts])
        last = np.where(real, finish, last[:, None]).max(axis=1)
    begin = np.where(real, start, np.inf)
    order = np.argsort(begin, axis=1, kind="stable")
    begin, spent = (
        np.take_along_axis(begin, order, 1),
        np.take_along_axis(np.where(real, finish - start, 0.0), order, 1),
    )
    fresh = np.isfinite(begin)
    if config.batching:
        fresh[:, 1:] &= begin[:, 1:] != begin[:, :-1]
    return last, fresh.sum(axis=1).astype(np.float64), np.where(fresh, spent, 0.0).sum(axis=1), taken


def _peak(begin: Floats, end: Floats, used: NDArray[np.bool_]) -> Floats:
    """(N,) most intervals at once; one that ends where another begins does not meet it."""
    at = np.concatenate([np.where(used, end, np.inf), np.where(used, begin, np.inf)], axis=1)
    step = np.concatenate([np.where(used, -1, 0), np.where(used, 1, 0)], axis=1)
    order = np.argsort(at, axis=1, kind="stable")
    return np.asarray(np.take_along_axis(step, order, 1).cumsum(axis=1).max(axis=1), np.float64)


def _recovery(s: Sessions) -> Floats:
    """(N reps,) longest time from a host's failure until a star that it hit may be assigned again, 0 if it hit none."""
    layout, found = s.layout, np.zeros(len(s.host))
    asked, fate = s.times.asked[:, layout.run.ravel()], s.times.fate[:, layout.run.ravel()]
    host = s.host.reshape(len(s.host), -1)
    for k in range(layout.faults):
        where, begin, end = s.faults[:, k].T
        hit = (host == where[:, None]) & (asked == (begin + s.patience)[:, None]) & (fate > 0)
        hit |= (host == where[:, None]) & (asked == end[:, None])
        found = np.maximum(found, np.where(hit, asked - begin[:, None], 0.0).max(axis=1))
    return found


def _stranded(s: Sessions, counted: NDArray[np.bool_]) -> Floats:
    """(N reps,) share of the stars that can only run on hosts that fail."""
    only = np.where(s.inputs.spare[:, :, 0, 0] < 0, s.host[:, :, 0, 0], -1)
    hit = np.zeros(only.shape, bool)
    for k in range(s.layout.faults):
        hit |= only == s.faults[:, k, :1]
    return np.asarray((hit & counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1))
