"""Labelled tables and what a classifier may claim from them: accuracy and AUC with bounds, leaks, null tests.

System: "Speaking to Silicon", arXiv 2601.12032, section 14. A table is a published file or simulated windows of shares.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace import units
from tradespace.costs.option_numbers import Bounded, read_numbers
from tradespace.costs.plain_work import plain_work
from tradespace.costs.quality import auc, information, share, spearman
from tradespace.costs.readouts import Perceptron, logistic
from tradespace.data_files import find_data
from tradespace.designs import Choice, Designs, Space
from tradespace.errors import InputError, UnknownName
from tradespace.plans import Plan, plan_of_prices
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric, Prices
from tradespace.targets.model import Device, Sourced, Target
from tradespace.testing.null_tests import null_classification
from tradespace.workloads.options import check_keys, integer, text

Floats = NDArray[np.float64]

MAX_ROWS = 1_000_000
SIMULATED = ("window_shares", "jitter_mean", "jitter_std")
METRICS = (
    Metric("accuracy", "1", "max", "share of the test rows that are told right"),
    Metric("energy", "J", "min", "of one decision"),
    Metric("latency", "s", "min", "of one decision"),
    Metric("accuracy_low", "1", "max", "its 95 % interval"),
    Metric("accuracy_high", "1", "max", "its 95 % interval"),
    Metric("base_rate", "1", "max", "share of the commoner class in the test rows: what a constant tells right"),
    Metric("skill", "1", "max", "accuracy less base rate"),
    Metric("auc", "1", "max", "of the learner on the test rows"),
    Metric("auc_low", "1", "max", "its 95 % interval"),
    Metric("auc_high", "1", "max", "its 95 % interval"),
    Metric("auc_shuffled", "1", "max", "of the same learner after learning shuffled labels"),
    Metric("beats_nulls", "1", "max", "1 if the AUC beats shuffled labels, a constant and the best single feature"),
    Metric("raw_auc", "1", "max", "of the first feature itself over all rows"),
    Metric("raw_auc_low", "1", "max", "its 95 % interval"),
    Metric("raw_auc_high", "1", "max", "its 95 % interval"),
    Metric("information", "1", "max", "bit that the first feature tells of the label, all rows"),
    Metric("information_high", "1", "max", "the most that the rows leave possible (95 %)"),
    Metric("rank_correlation", "1", "max", "of the first feature and the column the label is made from (Spearman)"),
    Metric("agreement", "1", "max", "share of all rows whose label is 'the first feature is above 0': 1 is a leak"),
    Metric("median", "1", "max", "of the column the label is made from"),
    Metric("rows", "1", "max", "all rows"),
    Metric("positives", "1", "max", "share of positive rows"),
)
LEARNERS = ("threshold", "logistic", "mlp", "constant")
_OPTIONS = {"seed": Bounded(0, 0, 2**31, whole=True), "train": Bounded(0.8, 0.05, 0.95)}


@dataclass(frozen=True)
class LabelledTable:
    """A workload of kind "labelled-table".

    Args:
        features: columns that a classifier sees, in order; () leaves nothing to learn from.
        label: column, rule ("above", "top") and number: above a value, or among the top share.
        lag: features of so many rows earlier: predicting instead of describing.
        windows, width, gap: simulated windows of ``width`` s with shares every ``gap`` s; windows 0: a file.
    """

    name: str
    file: tuple[str, str, str]
    features: tuple[str, ...]
    label: tuple[str, str, float]
    lag: int
    windows: int
    width: float
    gap: float
    sources: Mapping[str, str] = field(compare=False)
    facts: Mapping[str, float | str] = field(default_factory=dict, compare=False)
    kind: ClassVar[str] = "labelled-table"

    def table(self, rng: np.random.Generator) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """((n, p) features, (n,) column of the label, (n,) label).

        Raises:
            MissingData: the published file is not on this machine.
            InputError, UnknownName: no such column, or cells that are no numbers.
        """
        columns = _simulate(self, rng) if self.windows else _read(self)
        for name in (*self.features, self.label[0]):
            if name not in columns:
                raise UnknownName("column", name, columns, where=f"workload {self.name}")
        column, (_, rule, number) = columns[self.label[0]], self.label
        n = len(column)
        if not self.lag < n - 20:
            raise InputError("a table has 20 rows or more, behind the lag", value=n, where=f"workload {self.name}")
        rows = [columns[name][: n - self.lag] for name in self.features]
        x = np.column_stack(rows) if rows else np.zeros((n - self.lag, 0))
        column = column[self.lag :]
        labels = column > (number if rule == "above" else np.quantile(column, 1 - number))
        return x, column, labels


def _simulate(table: LabelledTable, rng: np.random.Generator) -> dict[str, Floats]:
    """Poisson shares in windows; the jitter of a reply is drawn without regard to anything (ours)."""
    shares = rng.poisson(table.width / table.gap, table.windows)
    columns = np.zeros((3, table.windows))
    for i, count in enumerate(shares):
        jitter = rng.lognormal(-2.0, 1.0, count)
        columns[:, i] = (count, jitter.mean() if count else 0.0, jitter.std() if count else 0.0)
    return {**dict(zip(SIMULATED, columns, strict=True)), "label": (shares > 0).astype(np.float64)}


def _read(table: LabelledTable) -> dict[str, Floats]:
    where = f"workload {table.name}"
    content = find_data(*table.file, where=where).decode("utf-8", "replace")
    rows = list(csv.reader(io.StringIO(content)))[: MAX_ROWS + 1]
    wanted = [name for name in (*table.features, table.label[0]) if rows and name in rows[0]]
    columns: dict[str, Floats] = {}
    for name in wanted:
        at = rows[0].index(name)
        try:
            columns[name] = np.array([float(row[at]) for row in rows[1:] if row], np.float64)
        except (ValueError, IndexError):
            raise InputError("cells of features and label are numbers", value=name, where=where) from None
        if not np.isfinite(columns[name]).all():
            raise InputError("cells are finite", value=name, where=where)
    return columns or {name: np.zeros(0) for name in (rows[0] if rows else ())}


def build(options: Mapping[str, Any]) -> LabelledTable:
    """The workload type `labelled_table`: ``file``, ``sha256``, ``origin``, or ``windows``, ``width``, ``gap``;
    ``features``, ``label: {column, above | top}``, ``lag``.

    Raises:
        InputError, UnitError, UnknownName: keys or values that do not fit.
    """
    name = text(options, "name", "workload", default="table")
    where = f"workload {name}"
    keys = ("name", "title", "source", "kind", "file", "sha256", "origin", "windows", "width", "gap", "features", "label", "lag")  # fmt: skip  # noqa: E501
    check_keys(options, keys, where)
    windows = integer(options, "windows", where, low=0, high=MAX_ROWS, default=0)
    if (windows > 0) == (options.get("file") is not None):
        raise InputError("a table has either a 'file' or simulated 'windows'", where=where)
    features, label = options.get("features", list(SIMULATED)), options.get("label", {"column": "label", "above": 0.5})
    if not isinstance(features, list) or len(features) > 256 or not all(isinstance(f, str) for f in features):
        raise InputError("'features' is a list of at most 256 columns", value=repr(features)[:80], where=where)
    rules = [rule for rule in ("above", "top") if isinstance(label, Mapping) and rule in label]
    if len(rules) != 1 or set(label) != {"column", *rules}:
        raise InputError("'label' is {column: NAME, above: NUMBER} or {column: NAME, top: SHARE}", value=repr(label)[:80], where=where)  # fmt: skip  # noqa: E501
    number = units.parse(label[rules[0]], "1", where=f"{where}.label")
    if rules[0] == "top" and not 0 < number < 1:
        raise InputError("'top' is a share between 0 and 1", value=number, where=f"{where}.label")
    width, gap = (
        units.parse(options.get(key, 1.0), "s", where=f"{where}.{key}", positive=True) for key in ("width", "gap")
    )
    if not 1e-6 <= width / gap <= 1e4:
        raise InputError("a window expects 1e-6 to 1e4 shares", value=width / gap, where=where)
    file = tuple(text(options, key, where, default="") for key in ("file", "sha256", "origin"))
    return LabelledTable(
        name, (file[0], file[1], file[2]), tuple(features), (str(label["column"]), rules[0], number),
        integer(options, "lag", where, low=0, high=MAX_ROWS, default=0), windows, width, gap,
        {
            "shape": text(options, "source", where, default="given by the user"),
            "kind": text(options, "kind", where, default="measured"),
        },
        {"title": text(options, "title", where, default=name)},
    )  # fmt: skip


class ClaimsFactory:
    """Takes labelled tables on targets with a device that computes.

    Options: ``seed`` of the split, of simulated windows and of the learner; ``train`` (0.8), the share learned from.
    """

    fidelity = 20

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        if not isinstance(workload, LabelledTable):
            kind = getattr(workload, "kind", type(workload).__name__)
            return Declined(f"judges classifiers of labelled tables, not {kind}", other_kind=True)
        if not able(target):
            return Declined(f"no device of {target.name} does plain arithmetic ('aggregate')")
        return True

    def bind(self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry) -> ClaimsEvaluator:
        """Raises `UnknownName`, `UnitError`, `ProblemError`, or what reading the table raises."""
        read = read_numbers(options, _OPTIONS)
        return ClaimsEvaluator(workload, target, int(read["seed"]), read["train"], registry, dict(options))


def able(target: Target) -> tuple[Device, ...]:
    return tuple(device for device in target.devices if not device.of and "aggregate" in device.runs)


@dataclass(frozen=True, eq=False)
class ClaimsEvaluator:
    """Prices learners of a table. Pure: the seed is an option."""

    workload: LabelledTable
    target: Target
    seed: int
    train: float
    registry: Registry
    given: Mapping[str, Any] = field(default_factory=dict)

    metrics = METRICS
    default_objectives = ("accuracy", "energy")

    @cached_property
    def space(self) -> Space:
        return Space(Choice("learner", LEARNERS), Choice("device", tuple(d.name for d in able(self.target))))

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        return self.target.substitutes

    def price(self, designs: Designs) -> Prices:
        columns = {metric.name: np.empty(len(designs)) for metric in METRICS}
        for row in range(len(designs)):
            design = designs.show(row)
            found, flop = judged(self.workload, self.seed, self.train, str(design["learner"]))
            device = self.target.device(str(design["device"]))
            joule, second = plain_work("aggregate", flop, device, self.registry, ("fp32", "fp16"))
            for name, value in {**found, "energy": joule, "latency": second}.items():
                columns[name][row] = value
        return Prices(columns)

    def explain(self, design: Designs) -> Plan:
        design = design.take(slice(0, 1))
        return plan_of_prices(
            self, design, self.price(design), (self.workload.name, self.target.name, "claims"), self.given
        )


@functools.lru_cache(maxsize=64)
def judged(workload: LabelledTable, seed: int, train: float, learner: str) -> tuple[dict[str, float], float]:
    """(metrics, FLOP of one decision)."""
    rng = np.random.Generator(np.random.Philox(seed))
    x, column, labels = workload.table(rng)
    order = rng.permutation(len(labels))
    x, column, labels = x[order], column[order], labels[order]
    half = round(train * len(labels))
    report = null_classification(x, labels, train=half, rng=rng, fit=lambda *parts: _scores(learner, seed, *parts))
    scores = _scores(learner, seed, x[:half], labels[:half].astype(np.float64), x[half:])
    truth, most = labels[half:], labels[:half].mean() > 0.5
    told = (scores > 0) if np.ptp(scores) > 0 or learner != "constant" else np.full(len(truth), most)
    hits, common = int((told == truth).sum()), max(int(truth.sum()), int((~truth).sum()))
    right, found = share(hits, len(truth)), auc(scores, truth)
    first = x[:, 0] if x.shape[1] else np.zeros(len(labels))
    raw, bit = auc(first, labels), information(first, labels)
    p = x.shape[1]
    flop = {"threshold": 1.0, "constant": 1.0, "logistic": 2.0 * (p + 1), "mlp": 2.0 * (16 * (p + 1) + 17)}[learner]
    return {
        "accuracy": right.value, "accuracy_low": right.low, "accuracy_high": right.high,
        "base_rate": common / len(truth), "skill": (hits - common) / len(truth),
        "auc": found.value, "auc_low": found.low, "auc_high": found.high,
        "auc_shuffled": report.nulls["shuffled"], "beats_nulls": float(report.passed), "raw_auc": raw.value,
        "raw_auc_low": raw.low, "raw_auc_high": raw.high, "information": bit.value, "information_high": bit.high,
        "rank_correlation": spearman(first, column).value, "agreement": float(((first > 0) == labels).mean()),
        "median": float(np.median(column)), "rows": float(len(labels)), "positives": float(labels.mean()),
    }, flop  # fmt: skip


def _scores(learner: str, seed: int, x: Floats, y: Floats, other: Floats) -> Floats:
    """Log odds, or distance from a threshold; above 0 is told positive."""
    labels = y > 0.5
    if learner == "constant" or not x.shape[1] or labels.all() or not labels.any():
        return np.full(len(other), labels.mean() - 0.5)
    if learner == "threshold":
        return _threshold(x, labels, other)
    middle, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    near, far = (x - middle) / spread, (other - middle) / spread
    if learner == "logistic":
        return logistic(near, labels, penalty=1e-3, steps=200)(far)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, 7))))
    return Perceptron(epochs=max(2, min(400, 200_000 // len(near))), batch=32).fit(near, labels, rng)(far)


def _threshold(x: Floats, labels: NDArray[np.bool_], other: Floats) -> Floats:
    """The column, cut and direction that tell most training rows right."""
    best, found = -1.0, (0, 0.0, 1.0)
    for j, column in enumerate(x.T):
        values = np.unique(column)
        cuts = np.concatenate([[values[0] - 1], (values[:-1] + values[1:]) / 2])[:: max(1, len(values) // 512)]
        for sign in (1.0, -1.0):
            right = [float((((column - cut) * sign > 0) == labels).mean()) for cut in cuts]
            if max(right) > best:
                best, found = max(right), (j, float(cuts[int(np.argmax(right))]), sign)
    j, cut, sign = found
    return np.asarray(sign * (other[:, j] - cut))
