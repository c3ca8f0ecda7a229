"""The evaluator of hash searches: filters that cut trials off, jobs in flight, difficulty, voltage and clock.

System: "Speaking to Silicon", arXiv 2601.12032. What a filter saves depends on the core: one that is pipelined finishes
a trial every clock whatever happened to it, so that cutting off frees nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace import units
from tradespace.costs import lottery
from tradespace.costs.latency_hiding import busy_share
from tradespace.costs.option_numbers import Bounded, read_numbers
from tradespace.costs.plain_work import plain_work
from tradespace.designs import Choice, Designs, Integer, Real, Space, Variable
from tradespace.errors import ProblemError
from tradespace.plans import Plan, plan_of_prices
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric, Prices
from tradespace.targets.model import Device, Sourced, Target
from tradespace_hashing.asic import MODEL, highest_clock, switching
from tradespace_hashing.mining_workload import HashSearch, passed

Floats = NDArray[np.float64]

METRICS = (
    Metric("energy_per_share", "J", "min", "of one hit that is reported"),
    Metric("useful_rate", "Hz", "max", "trials that would have been reported had they hit"),
    Metric("false_abort", "1", "min", "share of hits that the filter cuts off"),
    Metric("hash_rate", "Hz", "max", "trials begun"),
    Metric("share_rate", "Hz", "max", "hits reported"),
    Metric("power", "W", "min", "mean, idling included"),
    Metric("energy_per_hash", "J", "min", "power / useful rate"),
    Metric("efficiency", "1/J", "max", "useful trials a joule"),
    Metric("keep", "1", "max", "share of the trials that go on"),
    Metric("rounds", "1", "min", "mean rounds a trial needs, if rounds that are cut off cost nothing"),
    Metric("saving", "1", "max", "1 - rounds / all rounds: what free aborts would save"),
    Metric("saving_bound", "1", "max", "the same if nothing went on"),
    Metric("multiplier", "1", "max", "1 / (1 - saving)"),
    Metric("energy_saving", "1", "max", "energy of a trial that this core saves by the filter"),
    Metric("gain", "1", "max", "useful trials a joule, relative to no filter"),
    Metric("busy", "1", "max", "share of the time that the cores work"),
    Metric("idle_ratio", "1", "min", "idle time / hashing time"),
    Metric("hiding", "1", "max", "rate relative to a dialogue without prefetch, less 1"),
    Metric("combined_saving", "1", "max", "1 - (1 - saving)(1 - dialogue's busy share / busy share)"),
    Metric("job_time", "s", "max", "hashing time of a job"),
    Metric("gap", "s", "min", "mean time between reported hits"),
    Metric("gap_p95", "s", "min", "within which 19 of 20 hits come"),
    Metric("gap_cv", "1", "min", "coefficient of variation of the gaps"),
    Metric("credited_rate", "Hz", "max", "hits x credited difficulty x 2^32"),
    Metric("auc", "1", "max", "of the filter: 0.5 knows nothing"),
    Metric("auc_low", "1", "max", "its 95 % interval"),
    Metric("auc_high", "1", "max", "its 95 % interval"),
    Metric("information", "1", "max", "bit that a trial's inner state tells of its hash (0 where nobody measured)"),
    Metric("false_aborts", "1", "min", "hits that the filter would have cut off in `trials` trials"),
    Metric("winners", "1", "max", "hits in `trials` trials"),
)
WORK = "aggregate"


class MiningFactory:
    """Takes hash searches on chips made for their algorithm, and on anything that computes.

    Options: ``clock``, ``voltage``: of mining chips, a number or [low, high], which makes it a decision; default: the
    rated ones. ``lockstep`` (1): trials that a processor runs side by side: time is freed only if all are cut off.
    """

    fidelity = 20

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        if not isinstance(workload, HashSearch):
            kind = getattr(workload, "kind", type(workload).__name__)
            return Declined(f"prices hash searches, not {kind}", other_kind=True)
        if not able(workload, target):
            why = "and none whose power is known does plain arithmetic ('aggregate')"
            return Declined(f"no device of {target.name} is made for {workload.algorithm}, {why}")
        return True

    def bind(self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry) -> MiningEvaluator:
        """Raises `UnknownName`, `UnitError` or `ProblemError` for options that do not fit."""
        spanned = ("clock", "voltage")
        lockstep = read_numbers(options, {"lockstep": Bounded(1.0, 1.0, 1e6)}, spanned)["lockstep"]
        devices = able(workload, target)
        spans = {key: _operating(options.get(key), key, devices) for key in spanned}
        rows = tuple(_machine(workload, device, registry, lockstep) for device in devices)
        return MiningEvaluator(workload, target, rows, spans, dict(options))


def able(workload: HashSearch, target: Target) -> tuple[Device, ...]:
    """The devices that can search: made for the algorithm, or computing with known power."""
    return tuple(
        device
        for device in target.devices
        if not device.of
        and (
            workload.algorithm in device.runs or (device.model != MODEL and WORK in device.runs and _power(device) > 0)
        )
    )


def _power(device: Device) -> float:
    return device.idle_power + device.dynamic_power


@dataclass(frozen=True)
class Machine:
    """A device as a searcher: trials a second without a filter, W, and what cutting off frees.

    ``frees``: cutting off frees time; ``gating``: share of the unneeded energy that it saves where it frees no time.
    """

    device: Device
    rate: float
    idle: float
    active: float
    frees: bool
    gating: float
    lockstep: float
    filter: float
    scales: bool


def _machine(workload: HashSearch, device: Device, registry: Registry, lockstep: float) -> Machine:
    if device.model == MODEL:
        cores = device.chips * device.cores * device.clock
        pipelined = bool(device.pipelined)
        rate = cores if pipelined else cores * device.rounds_per_clock / workload.total
        gating = device.clock_gating if pipelined else 1.0
        return Machine(
            device, rate, device.idle_power, device.dynamic_power, not pipelined, gating, 1.0, device.share_filter, True
        )
    # one 32-bit operation takes the slot of a multiply-add, two FLOP: full rate only in fp32
    joule, second = plain_work(WORK, 2.0 * workload.round_ops * workload.total, device, registry, ("fp32",))
    idle = min(device.idle_power, joule / second)
    return Machine(device, 1.0 / second, idle, joule / second - idle, True, 1.0, lockstep, 1e-300, False)


def _operating(raw: Any, key: str, devices: tuple[Device, ...]) -> tuple[float, float] | None:
    if raw is None:
        return None
    chips = [device for device in devices if device.model == MODEL]
    if len(chips) != 1 or len(devices) != 1:
        raise ProblemError(f"'{key}' is that of one mining chip", value=len(devices), where=f"option {key}")
    if isinstance(raw, list | tuple) and len(raw) != 2:
        raise ProblemError("a decision is [low, high]", value=repr(raw)[:80], where=f"option {key}")
    unit = {"clock": "Hz", "voltage": "V"}[key]
    first, last = raw if isinstance(raw, list | tuple) else (raw, raw)
    ends = [units.parse(end, unit, where=f"option {key}", positive=True) for end in (first, last)]
    low, high = float(getattr(chips[0], f"min_{key}")), float(getattr(chips[0], f"max_{key}"))
    if not low <= ends[0] <= ends[1] <= high:
        rule = f"{chips[0].name} works from {units.format(low, unit)} to {units.format(high, unit)}"
        raise ProblemError(rule, value=raw, where=f"option {key}")
    return ends[0], ends[1]


@dataclass(frozen=True, eq=False)
class MiningEvaluator:
    """Prices filters, prefetch, difficulty and operating points of a hash search. Pure.

    The space has ``device``, and whatever the workload (abort_round, keep, difficulty, prefetch) and the options
    (clock, voltage) leave open.
    """

    workload: HashSearch
    target: Target
    machines: tuple[Machine, ...]
    spans: Mapping[str, tuple[float, float] | None]
    given: Mapping[str, Any] = field(default_factory=dict)

    metrics = METRICS
    default_objectives = ("energy_per_share", "useful_rate", "false_abort")

    @cached_property
    def space(self) -> Space:
        w = self.workload
        found: list[Variable] = [Choice("device", tuple(m.device.name for m in self.machines))]
        for name, (low, high) in (("abort_round", w.abort_round), ("prefetch", w.prefetch)):
            if low < high:
                found.append(Integer(name, int(low), int(high)))
        for name, span in (("keep", w.keep), ("difficulty", w.difficulty), *self.spans.items()):
            if span is not None and span[0] < span[1]:
                found.append(Real(name, *span, log=name in ("keep", "difficulty") and span[0] > 0))
        return Space(*found)

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        shape = self.workload.sources["shape"]
        own = (Sourced(f"workload.{self.workload.name}", shape, "1", shape, "substitute"),)
        return (*self.target.substitutes, *(own if self.workload.sources["kind"] == "substitute" else ()))

    def _decided(self, designs: Designs, name: str, fixed: float) -> Floats:
        if name in self.space:
            return np.asarray(designs[name], np.float64).reshape(len(designs))
        return np.full(len(designs), fixed)

    def _of(self, designs: Designs, what: str) -> Floats:
        """(N,) a number of the machine that each design searches with."""
        column = np.array([float(getattr(m, what)) for m in self.machines])
        return np.asarray(column[np.asarray(designs["device"]).reshape(-1)])

    def _speed(self, designs: Designs) -> tuple[Floats, Floats, Floats]:
        """(clock relative to the rated one, switching power W, how far the clock is beyond what the voltage allows)."""
        active, beyond = self._of(designs, "active"), np.full(len(designs), -1.0)
        if not self.machines[0].scales or len(self.machines) > 1:
            return np.ones(len(designs)), active, beyond
        chip = self.machines[0].device
        clock, voltage = (
            self._decided(designs, key, span[0] if span else float(getattr(chip, key)))
            for key, span in (("clock", self.spans["clock"]), ("voltage", self.spans["voltage"]))
        )
        beyond = clock / highest_clock(chip, voltage) - 1.0 - 1e-9
        return clock / chip.clock, switching(chip, voltage, clock), beyond

    def repair(self, designs: Designs) -> Designs:
        """Cutting off nothing and letting everything go on are one design."""
        designs = self.space.repair(designs)
        if "keep" not in self.space or "abort_round" not in self.space:
            return designs
        abort, keep = designs.columns["abort_round"], designs.columns["keep"]
        if self.workload.abort_round[0] == 0:
            abort = np.where(keep < 1, abort, 0)
        keep = np.where(abort > 0, keep, self.workload.keep[1])
        return Designs(self.space, {**designs.columns, "abort_round": abort, "keep": keep})

    def price(self, designs: Designs) -> Prices:
        w = self.workload
        clock, active, beyond = self._speed(designs)
        abort = self._decided(designs, "abort_round", w.abort_round[0])
        cut = np.where(abort > 0, abort + w.offset, 0.0)
        difficulty = self._decided(designs, "difficulty", w.difficulty[0])
        hit = lottery.chance(difficulty)
        wrong, right = passed(w.detector.operating(), self._decided(designs, "keep", w.keep[0]))
        right = np.where(cut > 0, right, 1.0)
        kept = np.where(cut > 0, hit * right + (1 - hit) * wrong, 1.0)
        rounds = lottery.rounds_spent(w.total, cut, kept)
        together = 1 - (1 - kept) ** self._of(designs, "lockstep")
        spent = lottery.rounds_spent(w.total, cut, together) / w.total  # share of a trial's time that a free core takes
        frees = self._of(designs, "frees") > 0
        rate = self._of(designs, "rate") * clock / np.where(frees, spent, 1.0)
        gated = np.where(frees, 0.0, self._of(designs, "gating") * (1 - rounds / w.total))
        found = self._jobs(designs, rate, difficulty, right)
        power = self._of(designs, "idle") + active * (1 - gated) * found["busy"]
        plain = self._of(designs, "idle") + active * found["busy"]
        useful = rate * found["busy"] * right
        shares = useful * lottery.chance(np.maximum(difficulty, self._of(designs, "filter")))
        saving = 1 - rounds / w.total
        with np.errstate(divide="ignore", over="ignore"):
            columns = {
                **found,
                "energy_per_share": power / shares,
                "useful_rate": useful,
                "false_abort": 1 - right,
                "hash_rate": rate * found["busy"],
                "share_rate": shares,
                "power": power,
                "energy_per_hash": power / useful,
                "efficiency": useful / power,
                "keep": kept,
                "rounds": rounds,
                "saving": saving,
                "saving_bound": np.where(cut > 0, 1 - cut / w.total, 0.0),
                "multiplier": w.total / rounds,
                "energy_saving": np.where(frees, 1 - spent, gated),
                "gain": right
                * np.divide(plain, power, out=np.ones_like(power), where=power > 0)
                / np.where(frees, spent, 1.0),
                "combined_saving": 1 - (1 - saving) / (1 + found["hiding"]),
                "gap": 1 / shares,
                "gap_p95": lottery.gap_quantile(shares, 0.95),
                "credited_rate": shares * w.credited * lottery.TRIALS,
                "false_aborts": w.trials * hit * (1 - right),
                "winners": w.trials * hit,
            }
        columns |= self._quality(len(designs))
        return Prices(
            {name: np.nan_to_num(column, nan=0.0, posinf=1e300) for name, column in columns.items()},
            {"clock": beyond},
        )

    def _jobs(self, designs: Designs, rate: Floats, difficulty: Floats, right: Floats) -> dict[str, Floats]:
        """How long a job lasts, and how busy the cores are between jobs."""
        w, n = self.workload, len(designs)
        reported = lottery.chance(np.maximum(difficulty, self._of(designs, "filter")))
        if w.job == "share":
            with np.errstate(divide="ignore", over="ignore"):
                time = np.minimum(1 / (rate * reported * np.maximum(right, 1e-300)), 1e300)
        else:
            time = np.full(n, w.job_time) if w.job == "fixed" else w.versions * lottery.TRIALS / rate
        wait, depth = np.full(n, w.latency + w.overhead), self._decided(designs, "prefetch", w.prefetch[0])
        random = w.job == "share"
        busy = np.maximum(busy_share(time, wait, depth, exponential=random), 1e-12)
        alone = np.maximum(busy_share(time, wait, np.zeros(n), exponential=random), 1e-12)
        dialogue = random & (depth == 0)
        return {
            "job_time": time,
            "busy": busy,
            "idle_ratio": (1 - busy) / busy,
            "hiding": busy / alone - 1,
            "gap_cv": np.where(dialogue, lottery.gap_cv(time, wait), 1.0),
        }

    def _quality(self, n: int) -> dict[str, Floats]:
        found = self.workload.detector.quality()
        told = getattr(self.workload.detector, "information", None)
        return {
            "auc": np.full(n, found.value),
            "auc_low": np.full(n, found.low),
            "auc_high": np.full(n, found.high),
            "information": np.full(n, told().value if told is not None else 0.0),
        }

    def explain(self, design: Designs) -> Plan:
        design = design.take(slice(0, 1))
        return plan_of_prices(
            self, design, self.price(design), (self.workload.name, self.target.name, "mining"), self.given
        )
