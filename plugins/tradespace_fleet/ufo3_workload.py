"""Requests that a planner turns into graphs of subtasks for agents on several machines.

A request is a graph of stars (subtasks) joined by lines. A star takes a lognormal time on a host of unit speed,
succeeds with a probability, and runs on hosts of certain classes. Before the first star the planner is asked once;
afterwards it edits the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace import units
from tradespace.errors import InputError, UnknownName
from tradespace.workloads.options import check_keys, flag, integer, text, word
from tradespace_fleet.reading import META_KEYS, between, number, origin, rng_of, seed_of

Floats = NDArray[np.float64]

LINES = ("unconditional", "completion", "success", "conditional")
"""A line waits for the end of its source; over the last two a source that failed cancels what follows."""
PRIORITIES = ("critical", "high", "medium", "low")
MAX_STARS = 2000
MAX_TIME = 1e9
_PLANNER = ("creation", "creation_spread", "edit", "edit_spread", "correlation", "success", "spread")
_STAR = ("duration", "spread", "success", "priority", "hosts", "required", "after", "copies", "source", "kind")


@dataclass(frozen=True, slots=True)
class Star:
    """A subtask.

    Args:
        median: s on a host of unit speed; spread: sigma of its logarithm, 0: always the same.
        success: probability that an attempt succeeds.
        priority: index into `PRIORITIES`.
        on: classes of hosts that can run it, () for all.
        required: whether the request fails without it.
    """

    name: str
    median: float
    spread: float
    success: float
    priority: int
    on: tuple[str, ...]
    required: bool


@dataclass(frozen=True, slots=True)
class Line:
    """``dest`` waits for ``source``; ``holds``: probability that the predicate of a conditional line is true."""

    source: int
    dest: int
    kind: str = "unconditional"
    holds: float = 1.0

    @property
    def strict(self) -> bool:
        """Whether a failed source cancels the destination."""
        return self.kind in ("success", "conditional")


@dataclass(frozen=True)
class Request:
    """Stars in an order in which every line leads forwards."""

    name: str
    stars: tuple[Star, ...]
    lines: tuple[Line, ...]

    @cached_property
    def before(self) -> tuple[tuple[Line, ...], ...]:
        """Of each star, the lines that end at it."""
        found: list[list[Line]] = [[] for _ in self.stars]
        for line in self.lines:
            found[line.dest].append(line)
        return tuple(map(tuple, found))

    def longest(self, durations: Floats) -> Floats:
        """(N,) s of the longest chain of ``durations`` (N, n)."""
        finish = np.array(durations, np.float64)
        for star, lines in enumerate(self.before):
            if lines:
                finish[:, star] += finish[:, [line.source for line in lines]].max(axis=1)
        return np.asarray(finish.max(axis=1))


@dataclass(frozen=True)
class AgentDag:
    """A workload of kind "agent-dag": requests that are served one after another by the same fleet.

    Args:
        creation, edit: (median, spread) of the planner's first call and of every edit, s.
        correlation: of the successes of one request's attempts (one-factor Gaussian; Vasicek 1987).
    """

    name: str
    requests: tuple[Request, ...]
    creation: tuple[float, float]
    edit: tuple[float, float]
    correlation: float
    sources: Mapping[str, str]
    facts: Mapping[str, float | str] = field(default_factory=dict)
    kind: ClassVar[str] = "agent-dag"

    @property
    def stars(self) -> tuple[tuple[str, Star], ...]:
        """(name, star) of all requests, in order; the request's name stands before the star's if there are several."""
        many = len(self.requests) > 1
        return tuple((f"{r.name}.{s.name}" if many else s.name, s) for r in self.requests for s in r.stars)


def build(options: Mapping[str, Any]) -> AgentDag:
    """The workload type `agent_dag`: one request, ``stars`` a mapping of names.

    A star has ``duration`` (the median), and may have ``spread``, ``success``, ``priority``, ``hosts`` (classes that
    can run it), ``required``, ``copies`` (equal stars name_0, name_1, ...), ``after``: names or {star, kind, holds}.

    Raises:
        InputError, UnitError, UnknownName: keys or values that do not fit, or stars that wait for each other.
    """
    name, where, common = _common(options, "agent-dag", ("stars",))
    raw = options.get("stars")
    if not isinstance(raw, Mapping) or not 1 <= len(raw) <= MAX_STARS:
        raise InputError(f"'stars' is a mapping of 1 to {MAX_STARS} names", value=repr(raw)[:80], where=where)
    stars: dict[str, Star] = {}
    after: dict[str, list[tuple[str, str, float]]] = {}
    copies: dict[str, list[str]] = {}
    for key, body in raw.items():
        place = f"{where}.stars.{key}"
        if not isinstance(body, Mapping) or not str(key) or len(str(key)) > 100:
            raise InputError("a star is a mapping of keys under a name", value=repr(body)[:80], where=place)
        check_keys(body, _STAR, place)
        count = integer(body, "copies", place, high=MAX_STARS, default=1)
        copies[str(key)] = [str(key)] if body.get("copies") is None else [f"{key}_{i}" for i in range(count)]
        for copy in copies[str(key)]:
            stars[copy] = _star(copy, body, common, place)
            after[copy] = _after(body.get("after"), place)
    if len(stars) > MAX_STARS:
        raise InputError(f"a request has at most {MAX_STARS} stars", value=len(stars), where=where)
    request = _request(name, stars, after, copies, where)
    return _dag(name, (request,), common, origin(options, where, "given by the user", "datasheet"), options, where)


def build_random(options: Mapping[str, Any]) -> AgentDag:
    """The workload type `agent_dag_random`: ``requests`` layered graphs.

    Options: ``stars`` [low, high] of a request; ``width``, the mean of total work over critical path, met by the share
    of stars that open a new layer; ``duration`` [low, high] of the stars' medians; ``required``: a number of stars that
    must succeed (the last ones), or all; ``classes``: class of hosts -> share of the stars; ``seed``.

    Raises:
        InputError, UnitError, UnknownName: keys or values that do not fit.
    """
    own = ("requests", "stars", "width", "duration", "required", "classes", "lines", "seed")
    name, where, common = _common(options, "agent-dag-random", own)
    count = integer(options, "requests", where, high=MAX_STARS, default=55)
    seed = seed_of(options, where)
    low, high = between(options, "stars", where, default=(3.0, 8.0))
    if low % 1 or high % 1 or not 1 <= low <= high <= 100 or count * high > 100 * MAX_STARS:
        raise InputError("'stars' is a range of whole numbers from 1 to 100", value=(low, high), where=where)
    width = number(options, "width", where, default=1.0)
    if not 1 <= width <= high:
        raise InputError("'width' is from 1 to the most stars of a request", value=width, where=where)
    kind = word(options, "lines", where, known=LINES[:3], default="unconditional")
    drafts = [_draft(rng_of(seed, 100 + i), int(low), int(high), i, options, where) for i in range(count)]
    needed = options.get("required", "all")
    last = MAX_STARS if needed == "all" else integer(options, "required", where, low=0, high=100, default=1)
    share = _solve(drafts, width, common["spread"])
    requests = tuple(
        Request(f"r{i}", _stars(draft, common, last), tuple(Line(a, b, kind) for a, b in draft.lines(share)))
        for i, draft in enumerate(drafts)
    )
    made = origin(options, where, "drawn by tradespace", "substitute")
    return _dag(name, requests, common, made, options, where)


@dataclass(frozen=True)
class _Draft:
    """Random numbers of a request: ``opens`` (n,) decides who opens a layer, ``link`` (n, n) whom a star waits for."""

    median: Floats
    on: tuple[tuple[str, ...], ...]
    opens: Floats
    link: Floats
    noise: Floats  # (64, n) standard normal

    def lines(self, share: float) -> list[tuple[int, int]]:
        """Every star waits for one star of the layer before, and for each other one of it with probability 1/4."""
        layer = np.cumsum(np.concatenate([[0], self.opens[1:] < share]))
        found = []
        for b in range(len(layer)):
            earlier = np.flatnonzero(layer == layer[b] - 1)
            if len(earlier):
                first = earlier[int(np.argmin(self.link[b, earlier]))]
                found += [(int(a), b) for a in earlier if a == first or self.link[b, a] > 0.75]
        return found


def _draft(rng: np.random.Generator, low: int, high: int, index: int, options: Mapping[str, Any], where: str) -> _Draft:
    n = int(rng.integers(low, high + 1))
    span = between(options, "duration", where, default=(60.0, 120.0), unit="s")
    if not 0 <= span[0] <= span[1] <= MAX_TIME:
        raise InputError(f"'duration' is at most {MAX_TIME:g} s", value=span, where=where)
    classes = options.get("classes") or {}
    if not isinstance(classes, Mapping):
        raise InputError("'classes' maps classes of hosts to shares", value=repr(classes)[:80], where=where)
    shares = np.array([number(classes, k, f"{where}.classes", default=0.0) for k in classes], np.float64)
    if len(shares) and not shares.sum() > 0:
        raise InputError("some class has a share above 0", where=f"{where}.classes")
    median = span[0] + (span[1] - span[0]) * rng.random(n)
    opens, link, noise, pick = rng.random(n), rng.random((n, n)), rng.standard_normal((64, n)), rng.random(n)
    codes = np.searchsorted(np.cumsum(shares) / shares.sum(), pick).tolist() if len(shares) else []
    names = [str(k) for k in classes]
    return _Draft(median, tuple((names[c],) for c in codes) if names else ((),) * n, opens, link, noise)


def _solve(drafts: Sequence[_Draft], width: float, spread: float) -> float:
    """The share of stars that open a layer at which the mean of work over critical path is ``width``."""
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = 0.5 * (low + high)
        if np.mean([_parallelism(draft, middle, spread) for draft in drafts]) > width:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _parallelism(draft: _Draft, share: float, spread: float) -> float:
    """Mean over durations of total work over critical path."""
    times = draft.median * np.exp(spread * draft.noise)
    stars = tuple(Star("", 0.0, 0.0, 1.0, 0, (), False) for _ in draft.median)
    request = Request("", stars, tuple(Line(a, b) for a, b in draft.lines(share)))
    return float((times.sum(axis=1) / request.longest(times)).mean())


def _stars(draft: _Draft, common: Mapping[str, float], last: int) -> tuple[Star, ...]:
    n = len(draft.median)
    return tuple(
        Star(f"s{i}", float(draft.median[i]), common["spread"], common["success"], 2, draft.on[i], i >= n - last)
        for i in range(n)
    )


def _common(options: Mapping[str, Any], default: str, own: tuple[str, ...]) -> tuple[str, str, dict[str, float]]:
    """Name, place and the numbers that both types share."""
    name = text(options, "name", "workload", default=default)
    where = f"workload {name}"
    check_keys(options, (*META_KEYS, *_PLANNER, *own), where)
    times = {k: number(options, k, where, default=d, unit="s") for k, d in (("creation", 0.0), ("edit", 0.0))}
    plain = {
        k: number(options, k, where, default=0.0) for k in ("creation_spread", "edit_spread", "spread", "correlation")
    }
    found = {**times, **plain, "success": number(options, "success", where, default=1.0)}
    for key, most in (("success", 1.0), ("correlation", 1.0), ("spread", 5.0), ("edit_spread", 5.0),
                      ("creation_spread", 5.0), ("creation", MAX_TIME), ("edit", MAX_TIME)):  # fmt: skip
        if found[key] > most:
            raise InputError(f"'{key}' is at most {most:g}", value=found[key], where=where)
    return name, where, found


def _star(name: str, body: Mapping[str, Any], common: Mapping[str, float], where: str) -> Star:
    if body.get("duration") is None:
        raise InputError("a star has a 'duration'", where=where)
    median = units.parse(body["duration"], "s", where=f"{where}.duration", positive=False)
    spread = number(body, "spread", where, default=common["spread"])
    success = number(body, "success", where, default=common["success"])
    if median > MAX_TIME or spread > 5 or success > 1:
        rule = f"durations are at most {MAX_TIME:g} s, spreads 5, probabilities 1"
        raise InputError(rule, value=(median, spread, success), where=where)
    on = body.get("hosts") or []
    on = [on] if isinstance(on, str) else on
    if not isinstance(on, list) or not all(isinstance(k, str) and k for k in on) or len(on) > 64:
        raise InputError("'hosts' lists classes of hosts", value=repr(on)[:80], where=where)
    priority = word(body, "priority", where, known=PRIORITIES, default="medium")
    required = flag(body, "required", where, default=True)
    return Star(name, median, spread, success, PRIORITIES.index(priority), tuple(on), required)


def _after(raw: Any, where: str) -> list[tuple[str, str, float]]:
    rows = [] if raw is None else raw if isinstance(raw, list) else [raw]
    found = []
    for row in rows:
        body = {"star": row} if isinstance(row, str) else row
        if not isinstance(body, Mapping) or not isinstance(body.get("star"), str):
            raise InputError(
                "'after' lists stars, or {star, kind, holds}", value=repr(row)[:80], where=f"{where}.after"
            )
        check_keys(body, ("star", "kind", "holds"), f"{where}.after")
        kind = word(body, "kind", f"{where}.after", known=LINES, default="unconditional")
        holds = number(body, "holds", f"{where}.after", default=1.0)
        if holds > 1 or (holds < 1 and kind != "conditional"):
            raise InputError("'holds' is a probability, of a conditional line", value=holds, where=f"{where}.after")
        found.append((body["star"], kind, holds))
    return found


def _request(
    name: str,
    stars: Mapping[str, Star],
    after: Mapping[str, list[tuple[str, str, float]]],
    copies: Mapping[str, list[str]],
    where: str,
) -> Request:
    """Stars sorted so that lines lead forwards, in the order of the file as far as possible."""
    before: dict[str, dict[str, tuple[str, float]]] = {star: {} for star in stars}
    for star, rows in after.items():
        for source, kind, holds in rows:
            if source not in copies and source not in stars:
                raise UnknownName("star", source[:80], [*copies, *stars], where=f"{where}.stars.{star}.after")
            before[star] |= dict.fromkeys(copies.get(source, [source]), (kind, holds))
    order: list[str] = []
    waiting = list(stars)
    while waiting:
        ready = next((star for star in waiting if set(before[star]) <= set(order)), None)
        if ready is None:
            raise InputError("stars do not wait for each other in a circle", value=waiting[0], where=where)
        order.append(ready)
        waiting.remove(ready)
    at = {star: i for i, star in enumerate(order)}
    lines = tuple(Line(at[a], at[b], *before[b][a]) for b in order for a in before[b])
    return Request(name, tuple(stars[star] for star in order), lines)


def _dag(
    name: str,
    requests: tuple[Request, ...],
    common: Mapping[str, float],
    sources: Mapping[str, str],
    options: Mapping[str, Any],
    where: str,
) -> AgentDag:
    count = sum(len(r.stars) for r in requests)
    facts: dict[str, float | str] = {
        "title": text(options, "title", where, default=name),
        "requests": float(len(requests)),
        "stars": float(count),
        "lines": float(sum(len(r.lines) for r in requests)),
        "depth": float(max(r.longest(np.ones((1, len(r.stars))))[0] for r in requests)),
    }
    creation, edit = ((common[k], common[f"{k}_spread"]) for k in ("creation", "edit"))
    return AgentDag(name, requests, creation, edit, common["correlation"], sources, facts)
