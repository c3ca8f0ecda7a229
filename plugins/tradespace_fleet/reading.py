"""Options that the workload types of fleets share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tradespace import units
from tradespace.errors import InputError
from tradespace.workloads.options import check_keys, integer, text, word
from tradespace.workloads.task_graph import Floats

META_KEYS = ("name", "title", "source", "kind", "note")
SOURCE_KINDS = ("measured", "datasheet", "paper", "derived", "substitute", "fitted")
MAX_SEED = 2**53


def rng_of(seed: int, entity: int) -> np.random.Generator:
    """Philox(seed, entity): what one workload draws, whatever is drawn for another (common random numbers)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, entity))))


def origin(options: Mapping[str, Any], where: str, source: str, kind: str) -> dict[str, str]:
    """`sources` of a workload."""
    found = word(options, "kind", where, known=SOURCE_KINDS, default=kind)
    return {"shape": text(options, "source", where, default=source)[:500], "kind": found}


def seed_of(options: Mapping[str, Any], where: str) -> int:
    return integer(options, "seed", where, low=0, high=MAX_SEED, default=0)


def number(options: Mapping[str, Any], key: str, where: str, *, default: float, unit: str = "1") -> float:
    """A finite number of at least 0, in SI. Raises `InputError` or `UnitError`."""
    value = options.get(key)
    return default if value is None else units.parse(value, unit, where=f"{where}.{key}", positive=False)


def between(
    options: Mapping[str, Any], key: str, where: str, *, default: tuple[float, float], unit: str = "1"
) -> tuple[float, float]:
    """A range ``[low, high]`` in SI."""
    value = options.get(key)
    if value is None:
        return default
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise InputError(f"'{key}' is a range [low, high]", value=repr(value)[:80], where=where)
    low, high = (units.parse(v, unit, where=f"{where}.{key}", positive=False) for v in value)
    if low > high:
        raise InputError(f"the range '{key}' goes from low to high", value=repr(value)[:80], where=where)
    return low, high


def affinity(options: Mapping[str, Any], n: int, where: str) -> dict[str, Floats]:
    """Per-task effort on named machines: ``{machines: [p0, p1], spread: 0.5, seed: 0}`` draws each factor from
    U(1 - spread, 1 + spread) (ours: unrelated machines in the sense of Topcuoglu's heterogeneity factor)."""
    raw = options.get("affinity")
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise InputError("'affinity' is a mapping", value=repr(raw)[:80], where=where)
    check_keys(raw, ("machines", "spread", "seed"), f"{where}.affinity")
    machines = raw.get("machines")
    good = isinstance(machines, Sequence) and not isinstance(machines, str) and 0 < len(machines) <= 256
    if not good or not all(isinstance(name, str) for name in machines):  # type: ignore[union-attr]
        raise InputError("'machines' lists names of nodes", value=repr(machines)[:80], where=f"{where}.affinity")
    spread = number(raw, "spread", f"{where}.affinity", default=0.5)
    if not spread < 1:
        raise InputError("'spread' is below 1", value=spread, where=f"{where}.affinity")
    rng = rng_of(seed_of(raw, f"{where}.affinity"), 7)
    return {str(name): rng.uniform(1 - spread, 1 + spread, n) for name in machines or ()}
