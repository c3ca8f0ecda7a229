"""Searching for a hash below a target: rounds of a trial, a filter that cuts trials off, jobs, difficulty.

Facts of double SHA-256 mining: the first of the header's two blocks is shared by all nonces (midstate), and the word
that a target tests first is known after round 61 of the second hash, so that three rounds need no doing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tradespace import units
from tradespace.costs.quality import Estimate
from tradespace.errors import InputError, UnknownName
from tradespace.workloads.classifiers import CLASSIFIERS, Curve, Gaussian, Point
from tradespace.workloads.options import check_keys, flag, integer, text, word
from tradespace_hashing.asic import ALGORITHMS

Floats = NDArray[np.float64]
Span = tuple[float, float]

MAX_DIFFICULTY = 1e18
_KEYS = (
    "name", "title", "source", "kind", "algorithm", "rounds", "hashes", "midstate", "early_reject", "shared_rounds",
    "round_ops", "abort_round", "abort_in", "keep", "classifier", "difficulty", "credited_difficulty", "job",
    "job_time", "versions", "latency", "overhead", "prefetch", "trials",
)  # fmt: skip


class Detector(Protocol):
    """What decides which trials go on: an operating curve, and how sure its AUC is."""

    def operating(self) -> Gaussian | Point | Curve: ...

    def quality(self) -> Estimate: ...


@dataclass(frozen=True)
class Given:
    """A curve that somebody states."""

    curve: Gaussian | Point | Curve

    def operating(self) -> Gaussian | Point | Curve:
        return self.curve

    def quality(self) -> Estimate:
        value = area(self.curve)
        return Estimate(value, value, value)


def area(curve: Gaussian | Point | Curve) -> float:
    """Area under the operating curve; a single point counts with straight lines to both ends."""
    if isinstance(curve, Gaussian):
        return NormalDist().cdf(curve.separation / (1 + curve.spread**2) ** 0.5)
    if isinstance(curve, Point):
        return (1 + curve.true_positive - curve.false_positive) / 2
    return float(np.trapezoid(1 - curve.positives, curve.negatives))


def passed(curve: Gaussian | Point | Curve, keep: Floats) -> tuple[Floats, Floats]:
    """(false positive, true positive) shares that go on where ``keep`` of the losers may."""
    if isinstance(curve, Point):
        return np.full_like(keep, curve.false_positive), np.full_like(keep, curve.true_positive)
    if isinstance(curve, Curve):
        return keep, 1 - np.interp(1 - keep, curve.negatives, curve.positives)
    normal = NormalDist()
    inside = keep.clip(1e-300, 1 - 1e-16)
    cut = np.array([-normal.inv_cdf(float(k)) for k in inside])
    hit = np.array([normal.cdf((curve.separation - float(x)) / curve.spread) for x in cut])
    return keep, np.where(keep <= 0, 0.0, np.where(keep >= 1, 1.0, hit))


@dataclass(frozen=True, eq=False)
class HashSearch:
    """A workload of kind "hash-search". Numbers with two ends are decisions where these differ.

    Args:
        total: rounds that a trial takes when nothing cuts it off.
        offset: rounds before the first one that ``abort_round`` counts.
        abort_round: (low, high); 0: nothing is cut off.
        keep: (low, high) share of losing trials that go on.
        job: what ends a job: "share" a hit, "range" all nonces of ``versions`` headers, "fixed" ``job_time`` s.
        trials: trials that a published experiment made, for counting what it would have seen.
    """

    name: str
    algorithm: str
    total: float
    offset: float
    round_ops: float
    abort_round: Span
    keep: Span
    detector: Detector
    difficulty: Span
    credited: float
    job: str
    job_time: float
    versions: float
    latency: float
    overhead: float
    prefetch: Span
    trials: float
    sources: Mapping[str, str]
    facts: Mapping[str, float | str] = field(default_factory=dict)
    kind: ClassVar[str] = "hash-search"


Builder = Callable[[Mapping[str, Any], str], Detector]


def hash_search(options: Mapping[str, Any], detectors: Mapping[str, Builder]) -> HashSearch:
    """A checked workload; see the docstring of the module for the facts and `HashSearch` for the numbers.

    Raises:
        InputError, UnitError, UnknownName: keys or values that do not fit.
    """
    name = text(options, "name", "workload", default="mining")
    where = f"workload {name}"
    check_keys(options, _KEYS, where)
    rounds = integer(options, "rounds", where, high=1024, default=64)
    hashes = integer(options, "hashes", where, high=64, default=2)
    early = integer(options, "early_reject", where, low=0, high=rounds, default=0)
    shared = integer(options, "shared_rounds", where, low=0, high=rounds - 1, default=0)
    unshared = 0 if flag(options, "midstate", where, default=True) else rounds
    total = float(hashes * rounds + unshared - shared - (rounds - early if early else 0))
    second = word(options, "abort_in", where, known=("first", "last"), default="last") == "last"
    offset = float(unshared - shared + (rounds * (hashes - 1) if second else 0))
    offset = max(offset, 0.0)
    difficulty = _span(options, "difficulty", where, 1.0, low=1e-12, high=MAX_DIFFICULTY)
    facts: dict[str, float | str] = {"title": text(options, "title", where, default=name), "rounds_per_trial": total}
    return HashSearch(
        name,
        word(options, "algorithm", where, known=ALGORITHMS, default=ALGORITHMS[0]),
        total,
        offset,
        _number(options, "round_ops", where, 37.0, "1"),
        _span(options, "abort_round", where, 0.0, low=0.0, high=total - offset),
        _span(options, "keep", where, 1.0, low=0.0, high=1.0),
        _detector(options.get("classifier"), f"{where}.classifier", detectors),
        difficulty,
        _number(options, "credited_difficulty", where, difficulty[0], "1"),
        word(options, "job", where, known=("share", "range", "fixed"), default="range"),
        _number(options, "job_time", where, 30.0, "s"),
        _number(options, "versions", where, 1.0, "1"),
        _number(options, "latency", where, 0.0, "s"),
        _number(options, "overhead", where, 0.0, "s"),
        _span(options, "prefetch", where, 1.0, low=0.0, high=4096.0),
        _number(options, "trials", where, 0.0, "1"),
        {
            "shape": text(options, "source", where, default="given by the user"),
            "kind": text(options, "kind", where, default="datasheet"),
        },
        facts,
    )


def _detector(raw: Any, where: str, detectors: Mapping[str, Builder]) -> Detector:
    if raw is None:
        return Given(Gaussian(0.0))
    if not isinstance(raw, Mapping):
        raise InputError("a classifier is {model: ..., ...}", value=repr(raw)[:80], where=where)
    model, rest = raw.get("model"), {key: value for key, value in raw.items() if key != "model"}
    if model in detectors:
        return detectors[str(model)](rest, where)
    if model not in CLASSIFIERS:
        raise UnknownName("classifier", str(model)[:80], (*CLASSIFIERS, *detectors), where=where)
    return Given(CLASSIFIERS[str(model)](rest, where).operating())


def _number(options: Mapping[str, Any], key: str, where: str, default: float, unit: str) -> float:
    value = units.parse(options.get(key, default), unit, where=f"{where}.{key}", positive=False)
    needed = key in ("round_ops", "job_time", "versions", "credited_difficulty")
    if value > MAX_DIFFICULTY or (needed and not value):
        raise InputError(f"'{key}' is {'above 0 and ' if needed else ''}at most 1e18", value=value, where=where)
    return value


def _span(options: Mapping[str, Any], key: str, where: str, default: float, *, low: float, high: float) -> Span:
    """A number, or [low, high] where it is left open."""
    raw = options.get(key, default)
    if isinstance(raw, list) and len(raw) != 2:
        raise InputError("a number left open is [low, high]", value=repr(raw)[:80], where=f"{where}.{key}")
    first, last = raw if isinstance(raw, list) else (raw, raw)
    ends = tuple(units.parse(end, "1", where=f"{where}.{key}") for end in (first, last))
    whole = key in ("abort_round", "prefetch") and any(end != int(end) for end in ends)
    if not low <= ends[0] <= ends[1] <= high or whole:
        rule = f"'{key}' is a {'whole ' if key in ('abort_round', 'prefetch') else ''}number from {low:g} to {high:g}"
        raise InputError(f"{rule}, or [low, high]", value=repr(raw)[:80], where=where)
    return ends[0], ends[1]


def build(options: Mapping[str, Any]) -> HashSearch:
    """The workload type `hash_search`."""
    from tradespace_hashing.hash_states import build_hash_state

    return hash_search(options, {"hash_state": build_hash_state})
