"""Fit the numbers of a target to measurements: robust least squares on log multipliers, drawn towards what they were.

Minimised over x (one log multiplier for each number that the rows can see):

    sum_i rho(log(predicted_i / measured_i) / NOISE) + sum_j (x_j / SPREAD[kind_j])^2,   rho(r) = 2 (sqrt(1 + r^2) - 1)

rho is the pseudo-Huber loss (Charbonnier et al., 1997), so a broken row pulls like its size and not its square. The
second sum (a normal prior, ours) keeps a number that the rows do not determine where its source put it: widely for
substitutes, narrowly for measured ones. A number that is 0 (a launch overhead nobody stated) is moved additively.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.fitting_prices import Rows
from tradespace.errors import InputError
from tradespace.targets.constants import model_facts
from tradespace.targets.model import ANY_PRECISION, Device, Target

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

NOISE = 0.05
"""Relative scatter of a good measurement; rows further off than this begin to count less."""
SPREAD: Mapping[str, float] = {
    "measured": 0.1, "paper": 0.5, "datasheet": 0.7, "derived": 0.7, "fitted": 0.7, "substitute": 1.5,
}  # fmt: skip
"""Standard deviation of a number's log by the kind of its source (ours)."""
BOUND = float(np.log(30.0))
"""No number moves by more than a factor of 30."""
MOVED = 0.01
"""A number counts as moved from 1 % on."""
SEEN = 1e-6
"""A number counts as seen if some row's log changes by more than this per unit of its log."""
FEWEST = 4
FOLDS = 10
COMMON = ("bandwidth", "launch_overhead", "idle_power", "dynamic_power")
STEP = 1e-3


@dataclass(frozen=True)
class Number:
    """One number that may move.

    Args:
        path: as in a target file ("devices.gpu.peak.fp16").
        value: SI, before the fit.
        unit, source, kind: of the value.
        scale: SI; what one unit of an additive number is (0 for those that are multiplied).
        highest: SI; what it may not exceed.
    """

    path: str
    value: float
    unit: str
    source: str
    kind: str
    scale: float = 0.0
    highest: float = np.inf

    def at(self, x: float) -> float:
        moved = self.value + self.scale * x if self.scale else self.value * float(np.exp(x))
        return min(moved, self.highest)

    @property
    def spread(self) -> float:
        return 1.0 if self.scale else SPREAD[self.kind]

    @property
    def bounds(self) -> tuple[float, float]:
        if self.scale:
            return 0.0, 100.0
        return -BOUND, min(BOUND, float(np.log(self.highest / self.value)) + 1e-9)


@dataclass(frozen=True)
class Moved:
    """A number after the fit. ``seen``: False if no row depends on it."""

    number: Number
    value: float
    seen: bool

    @property
    def factor(self) -> float:
        return self.value / self.number.value if self.number.value else np.inf

    @property
    def moved(self) -> bool:
        return self.seen and abs(self.value - self.number.value) > MOVED * max(self.number.value, self.number.scale)


@dataclass(frozen=True)
class Fit:
    """What came out. Errors are predicted / measured - 1, (N,) in the order of the rows.

    Args:
        before, after: on all rows, by the old and the new numbers.
        held_out: each row by numbers fitted without its fold.
        naive: each row by the old numbers times one common factor fitted without its fold (median of the ratios).
        folds: (N,) fold of each row; ``folding`` says how they were made.
    """

    numbers: tuple[Moved, ...]
    target: Target
    before: Floats
    after: Floats
    held_out: Floats
    naive: Floats
    folds: Ints
    folding: str


def fit(rows: Rows, target: Target, *, groups: Sequence[str] | None = None) -> Fit:
    """Fit the target to the rows.

    Args:
        groups: a word for each row; rows with the same word are held out together. Default: each row alone up to 30
            rows, else ten random folds.

    Raises:
        InputError: too few rows, or only one group.
    """
    count = len(rows.measured)
    if count < FEWEST:
        raise InputError(f"a fit needs at least {FEWEST} measured values", value=count, remedy="Measure more: 20 do.")
    numbers = movable(target, rows)
    everything = np.arange(count)
    x, seen = _solve(rows, target, numbers, everything, np.zeros(len(numbers)))
    folds, folding = _folds(count, groups)
    fitted = changed(target, numbers, x)
    held_out, naive = np.zeros(count), np.zeros(count)
    base = rows.predict(target)
    for fold in range(int(folds.max()) + 1):
        out, kept = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        own, _ = _solve(rows, target, numbers, kept, x)
        held_out[out] = rows.predict(changed(target, numbers, own))[out]
        naive[out] = base[out] * float(np.median(rows.measured[kept] / base[kept]))
    after = rows.predict(fitted)
    moved = tuple(Moved(n, n.at(float(v)), bool(s)) for n, v, s in zip(numbers, x, seen, strict=True))
    error: Callable[[Floats], Floats] = lambda predicted: predicted / rows.measured - 1  # noqa: E731
    return Fit(moved, fitted, error(base), error(after), error(held_out), error(naive), folds, folding)


def movable(target: Target, rows: Rows) -> tuple[Number, ...]:
    """The numbers of the devices that were measured: the model's constants, and those the engine adds."""
    sources = {s.path: s for s in target.sources}
    used = sorted({int(d) for d in rows.device})
    typical = float(rows.measured[~rows.energy].min(initial=np.inf)) if (~rows.energy).any() else 1e-6
    found: list[Number] = []
    for index in used:
        device = target.devices[index]
        facts = model_facts(device.model, rows.registry, target.name)
        paths: list[tuple[str, float, bool]] = []
        for name, spec in facts.constants.items():
            table = device.by_precision.get(name) if spec.by_precision else None
            if table is None:
                paths.append((name, device.numbers[name], spec.zero))
            else:
                paths += [(name if p == ANY_PRECISION else f"{name}.{p}", v, spec.zero) for p, v in table.items()]
        paths += [(name, device.numbers[name], name != "bandwidth") for name in COMMON]
        limit = target.memory_of(device.name).bandwidth
        for name, value, _ in paths:
            source = sources[f"devices.{device.name}.{name}"]
            scale = 0.0 if value else (0.1 * typical if name == "launch_overhead" else 0.0)
            if value or scale:
                highest = limit if name == "bandwidth" else np.inf
                found.append(Number(source.path, value, source.unit, source.source, source.kind, scale, highest))
    return tuple(found)


def changed(target: Target, numbers: Sequence[Number], x: Floats) -> Target:
    """The target with its numbers moved."""
    values = {number.path: number.at(float(v)) for number, v in zip(numbers, x, strict=True)}
    devices = tuple(_device(device, values) for device in target.devices)
    return replace(target, devices=devices)


def _device(device: Device, values: Mapping[str, float]) -> Device:
    head = f"devices.{device.name}."
    own = {path.removeprefix(head): value for path, value in values.items() if path.startswith(head)}
    numbers = {name: own.get(name, value) for name, value in device.numbers.items()}
    tables = {
        name: {p: own.get(name if p == ANY_PRECISION else f"{name}.{p}", v) for p, v in table.items()}
        for name, table in device.by_precision.items()
    }
    return replace(device, numbers=numbers, by_precision=tables)


def _solve(
    rows: Rows, target: Target, numbers: Sequence[Number], kept: Ints, start: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """The best x on the kept rows, and which numbers any of them depends on."""
    from scipy.optimize import least_squares

    spread = np.array([number.spread for number in numbers])
    low, high = (np.array(column) for column in zip(*(number.bounds for number in numbers), strict=True))
    logs = np.log(rows.measured[kept])

    def residuals(x: Floats) -> Floats:
        predicted = rows.predict(changed(target, numbers, x))[kept]
        off = (np.log(np.maximum(predicted, 1e-300)) - logs) / NOISE
        robust = np.sign(off) * np.sqrt(2.0 * (np.sqrt(1.0 + off**2) - 1.0))
        return np.concatenate([robust, x / spread])

    seen = _seen(rows, target, numbers, kept)
    free = np.flatnonzero(seen)
    x = np.zeros(len(numbers))
    if not free.size:
        return x, seen

    def of_free(part: Floats) -> Floats:
        whole = np.zeros(len(numbers))
        whole[free] = part
        return residuals(whole)

    best, cost = x, np.inf
    for first in _starts(start, low, high, free):
        found = least_squares(of_free, first, bounds=(low[free], high[free]), diff_step=STEP, max_nfev=60)
        if found.cost < cost:
            cost = float(found.cost)
            best = np.zeros(len(numbers))
            best[free] = found.x
    return best, seen


def _starts(start: Floats, low: Floats, high: Floats, free: Ints) -> list[Floats]:
    """Where to begin: where we are; and, as max(arithmetic, memory) has flat sides, everything slower by half."""
    inside = np.clip(start, low + 1e-6, high - 1e-6)[free]
    return [inside] if start.any() else [inside, np.clip(start - 0.7, low + 1e-6, high - 1e-6)[free]]


def _seen(rows: Rows, target: Target, numbers: Sequence[Number], kept: Ints) -> NDArray[np.bool_]:
    """Whether a row depends on a number, nearby or a factor of e away (the other side of a maximum)."""
    base = np.log(np.maximum(rows.predict(target)[kept], 1e-300))
    seen = np.zeros(len(numbers), bool)
    for j, number in enumerate(numbers):
        low, high = number.bounds
        for step in (-1.0, -STEP, STEP, 1.0):
            x = np.zeros(len(numbers))
            x[j] = float(np.clip(step, low, high))
            there = np.log(np.maximum(rows.predict(changed(target, numbers, x))[kept], 1e-300))
            seen[j] |= bool(np.abs(there - base).max(initial=0.0) > SEEN)
    return seen


def _folds(count: int, groups: Sequence[str] | None) -> tuple[Ints, str]:
    if groups is not None:
        words = sorted(set(groups))
        if len(words) < 2:
            raise InputError("rows are held out by a column with at least two values", value=words)
        return np.array([words.index(g) for g in groups], np.intp), f"one of {len(words)} groups at a time"
    if count <= 30:
        return np.arange(count), "one row at a time"
    rng = np.random.Generator(np.random.Philox(0))
    return rng.permutation(np.arange(count) % FOLDS), f"one of {FOLDS} random folds at a time"
