"""The orchestrator's configuration: evaluator options with the defaults that its documentation states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace import units
from tradespace.costs.option_numbers import check_names, read_choices
from tradespace.errors import InputError, UnknownName
from tradespace.targets.model import Sourced
from tradespace.workloads.options import check_keys, flag, integer, word

Floats = NDArray[np.float64]

DOCS = "microsoft/UFO, documents/docs/galaxy"
TIMES: Mapping[str, tuple[float, str, str]] = {
    "heartbeat": (30.0, "config/galaxy/constellation.yaml of microsoft/UFO", "paper"),
    "backoff": (1.0, f"{DOCS}: reconnect policy of the constellation client", "paper"),
    "backoff_cap": (60.0, f"{DOCS}: reconnect policy", "paper"),
    "dispatch": (0.010, f"{DOCS}: ready to dispatch takes less than 10 ms, the bound is used", "paper"),
    "detect": (0.005, f"{DOCS}: completion is detected within 5 ms, the bound is used", "paper"),
    "sync": (0.0255, f"{DOCS}: lock, validation, synchronisation and event of an edit, 17 to 34 ms", "derived"),
    "edit_timeout": (600.0, f"{DOCS}: after that long an edit is given up and the lock released", "paper"),
    "pause": (0.0, "ours: nothing passes between an edit and the next assignment", "substitute"),
}
"""Option -> (default s, source, kind)."""
SLOTS = 6
"""Stars at once: config/galaxy/constellation.yaml."""
RECONNECTS = 5
SWITCHES = ("edits", "batching", "lock", "overlap")
RECOVERIES = ("migrate", "wait")
PLANS = ("free", "scheduler")
MAX_REPLICATIONS = 100_000
LISTS: Mapping[str, tuple[tuple[int, ...], int, int]] = {
    "concurrency": ((SLOTS, 1, 2, 3, 4, 5, 8, 10, 12, 16, 32, 64), 1, 65_536),
    "retries": ((0, 1, 2, 3), 0, 8),
    "replicas": ((1, 2, 3), 1, 4),
}
"""Option -> (choices, lowest, highest); the first choice is the default design."""
WINDOWS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
KEYS = (
    *TIMES,
    "reconnects",
    *SWITCHES,
    "unlimited",
    *LISTS,
    "window",
    "recovery",
    "replications",
    "seed",
    "faults",
    "plan",
)


@dataclass(frozen=True)
class Fault:
    """``host`` stops answering at ``at`` s and is back ``lasts`` s later (inf: never)."""

    host: str
    at: float
    lasts: float


@dataclass(frozen=True)
class Config:
    """See the options of `AgentsFactory`."""

    heartbeat: float
    backoff: float
    backoff_cap: float
    dispatch: float
    detect: float
    sync: float
    edit_timeout: float
    pause: float
    reconnects: int
    edits: bool
    batching: bool
    lock: bool
    overlap: bool
    unlimited: bool
    concurrency: tuple[int, ...]
    retries: tuple[int, ...]
    replicas: tuple[int, ...]
    window: tuple[float, ...]
    recovery: tuple[str, ...]
    replications: int
    seed: int
    faults: tuple[Fault, ...]
    plan: str
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reconnect_times(self) -> Floats:
        """s after a missed heartbeat at which the orchestrator tries to reconnect: waits that double up to a cap."""
        waits = np.minimum(self.backoff * 2.0 ** np.arange(self.reconnects), self.backoff_cap)
        return np.asarray(np.cumsum(waits))

    def edit_time(self, call: Floats) -> Floats:
        """s that an edit holds the lock, from those of the planner's call."""
        return np.asarray(np.minimum(call + self.sync, self.edit_timeout) + self.pause)

    @property
    def budget(self) -> float:
        """s of all reconnection attempts."""
        return float(self.reconnect_times[-1]) if self.reconnects else 0.0

    def back(self, lasts: Floats) -> Floats:
        """s after a failure at which the host counts as connected again, inf if all attempts came too early. A host
        that returns before its heartbeat is missed reconnects by itself."""
        tries = np.concatenate([self.heartbeat + self.reconnect_times, [np.inf]])
        return np.where(
            lasts <= self.heartbeat, lasts, tries[np.minimum(np.searchsorted(tries, lasts), len(tries) - 1)]
        )

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        """Defaults in use that are ours."""
        return tuple(
            Sourced(f"options.{key}", value, "s", source, kind)
            for key, (value, source, kind) in TIMES.items()
            if kind == "substitute" and key not in self.given
        )


def read_config(options: Mapping[str, Any], hosts: tuple[str, ...]) -> Config:
    """Checked options.

    Raises:
        InputError, UnitError, UnknownName: keys or values that do not fit, or a fault of a host that does not exist.
    """
    where = "evaluator options"
    check_names(options, KEYS)
    times = {
        key: units.parse(options.get(key, default), "s", where=f"option {key}", positive=False)
        for key, (default, _, _) in TIMES.items()
    }
    for key, value in times.items():
        if value > 1e6:
            raise InputError(f"'{key}' is at most 1e6 s", value=value, where=where)
    listed = {
        key: read_choices(key, options.get(key, default), high, low) for key, (default, low, high) in LISTS.items()
    }
    windows = options.get("window", list(WINDOWS))
    windows = windows if isinstance(windows, list) else [windows]
    window = tuple(units.parse(w, "s", where="option window", positive=False) for w in windows)
    if not 1 <= len(set(window)) == len(window) <= 32 or max(window) > 1e6:
        raise InputError("'window' lists 1 to 32 different times of at most 1e6 s", value=windows, where=where)
    switch = {key: flag(options, key, where, default=True) for key in SWITCHES}
    return Config(
        heartbeat=times["heartbeat"],
        backoff=times["backoff"],
        backoff_cap=times["backoff_cap"],
        dispatch=times["dispatch"],
        detect=times["detect"],
        sync=times["sync"],
        edit_timeout=times["edit_timeout"],
        pause=times["pause"],
        reconnects=integer(options, "reconnects", where, low=0, high=100, default=RECONNECTS),
        edits=switch["edits"],
        batching=switch["batching"],
        lock=switch["lock"],
        overlap=switch["overlap"],
        unlimited=flag(options, "unlimited", where, default=False),
        concurrency=listed["concurrency"],
        retries=listed["retries"],
        replicas=listed["replicas"],
        window=tuple(int(w) if w % 1 == 0 else w for w in window),
        recovery=_words(options.get("recovery", list(RECOVERIES)), "recovery"),
        replications=integer(options, "replications", where, high=MAX_REPLICATIONS, default=32),
        seed=integer(options, "seed", where, low=0, high=2**53, default=0),
        faults=_faults(options.get("faults"), hosts),
        plan=word(options, "plan", where, known=PLANS, default="free"),
        given=dict(options),
    )


def _words(raw: Any, key: str) -> tuple[str, ...]:
    rows = raw if isinstance(raw, list) else [raw]
    for row in rows:
        if row not in RECOVERIES:
            raise UnknownName(key, str(row)[:80], RECOVERIES, where=f"option {key}")
    if not 1 <= len(set(rows)) == len(rows):
        raise InputError(f"'{key}' lists {' and '.join(RECOVERIES)} or one of them", value=raw, where=f"option {key}")
    return tuple(rows)


def _faults(raw: Any, hosts: tuple[str, ...]) -> tuple[Fault, ...]:
    where = "option faults"
    rows = [] if raw is None else raw
    if not isinstance(rows, list) or len(rows) > 64:
        raise InputError("'faults' is a list of at most 64 rows {host, at, lasts}", value=repr(raw)[:80], where=where)
    found = []
    for row in rows:
        if not isinstance(row, Mapping):
            raise InputError("a fault is {host, at, lasts}", value=repr(row)[:80], where=where)
        check_keys(row, ("host", "at", "lasts"), where)
        if row.get("host") not in hosts:
            raise UnknownName("host", str(row.get("host"))[:80], hosts, where=where)
        at = units.parse(row.get("at", 0.0), "s", where=f"{where}.at", positive=False)
        raw_lasts = row.get("lasts", "forever")
        lasts = (
            math.inf if raw_lasts == "forever" else units.parse(raw_lasts, "s", where=f"{where}.lasts", positive=False)
        )
        if at > 1e9 or (lasts > 1e9 and lasts < math.inf):
            raise InputError("times of faults are at most 1e9 s", value=(at, lasts), where=where)
        found.append(Fault(str(row["host"]), at, lasts))
    return tuple(found)
