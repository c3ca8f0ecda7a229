"""What every device model must do: turn operators into finite costs, row by row, with the constants it declares.

from tradespace.testing.device_models import check_device_model
report = check_device_model(Roofline)                       # on a made-up device
report = check_device_model(Roofline, devices=target.devices)
assert report.passed, str(report)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tradespace import precisions, units
from tradespace.costs.contract import RESERVED, CostTable, Part, Run
from tradespace.costs.roofline import Roofline
from tradespace.plugins import Registry
from tradespace.precisions import Precision
from tradespace.targets import constants as declarations
from tradespace.targets.constants import ModelFacts
from tradespace.targets.model import ANY_PRECISION, Device
from tradespace.testing.report import Kit, KitReport, fail, not_applicable
from tradespace.workloads.operators import KINDS, Operators

Array = NDArray[Any]
PRECISIONS = (precisions.FP32, precisions.FP16, precisions.BF16, precisions.INT8, precisions.INT4)
TYPICAL: Mapping[str, float] = {
    "FLOP/s": 1e12,
    "B/s": 1e11,
    "Hz": 1e9,
    "s": 1e-5,
    "W": 10.0,
    "J": 1e-9,
    "B": 1e6,
    "J/B": 1e-11,
    "K": 300.0,
    "1": 16.0,
}
"""SI values that a made-up device gives to constants of these units (ours)."""


@dataclass(frozen=True)
class _Only:
    """A registry with one device model in it, for the loader's own checks of a declaration."""

    model: Any

    def load(self, group: str, name: str) -> Any:
        return self.model


@dataclass(frozen=True)
class DeviceModelSubject:
    """A device model class and the devices it is tried on; without any, one is made up from its constants."""

    model: Any
    given: tuple[Device, ...] = ()

    @cached_property
    def facts(self) -> ModelFacts:
        return declarations.model_facts("the model", cast(Registry, _Only(self.model)), "device model kit")

    @cached_property
    def devices(self) -> tuple[Device, ...]:
        return self.given or (example_device(self.facts),)

    @cached_property
    def operators(self) -> Operators:
        found = example_operators(self.facts.runs)
        for column in fields(found):
            if isinstance(array := getattr(found, column.name), np.ndarray):
                array.setflags(write=False)
        return found

    def table(
        self, device: Device, operators: Operators | None = None, formats: Sequence[Precision] = PRECISIONS
    ) -> CostTable:
        """The model's table with every column as (n, P), checked."""
        operators = self.operators if operators is None else operators
        parts = (example_parts(self.facts.parts, formats),) if self.facts.parts else ()
        found = self.model().table(operators, device, formats, *parts)
        if not isinstance(found, CostTable):
            fail(f"table returns {type(found).__name__}")
        return found.dense(len(operators), len(formats), f"on device '{device.name}'")


def check_device_model(
    model: Any,
    label: str | None = None,
    *,
    devices: Sequence[Device] = (),
    expected: Mapping[str, str] | None = None,
) -> KitReport:
    """Run the kit on a device model class. `expected`: check -> reason, for known failures (strict)."""
    subject = DeviceModelSubject(model, tuple(devices))
    return KIT.run(subject, label or str(getattr(model, "__name__", model)), expected)


def example_device(facts: ModelFacts) -> Device:
    """A device whose constants have typical values of their units, and plain engine-common numbers."""
    common = {key: spec.default if spec.default is not None else 1e11 for key, spec in declarations.DEVICE.items()}
    own = {key: _own(spec) for key, spec in facts.constants.items()}
    tables = {key: {ANY_PRECISION: own.pop(key)} for key, spec in facts.constants.items() if spec.by_precision}
    points = {key: _points(own.pop(key)) for key, spec in facts.constants.items() if spec.by_point}
    of = tuple(f"part{index}" for index in range(facts.parts))
    return Device("example", "example", "dram", facts.runs, common | own, tables, points, of)


def _own(spec: declarations.Number) -> float:
    return spec.default if spec.default is not None else _typical(spec.unit)


def _points(value: float) -> dict[tuple[int, ...], float]:
    """A table of products: two matrices, one and 128 columns."""
    sizes = ((256, 256, 1, 1.0), (1024, 512, 1, 4.0), (256, 256, 128, 8.0), (1024, 512, 128, 60.0))
    return {(rows, columns, tokens): value * factor for rows, columns, tokens, factor in sizes}


def example_parts(count: int, formats: Sequence[Precision]) -> tuple[Part, ...]:
    """Devices of different speed that a composite device is made of, each bound by arithmetic or by its memory."""
    return tuple(_example_part(index, formats) for index in range(count))


def _example_part(index: int, formats: Sequence[Precision]) -> Part:
    numbers = {key: spec.default if spec.default is not None else 1e11 for key, spec in declarations.DEVICE.items()}
    tables = {"peak": {ANY_PRECISION: 1e12 * 3.0**index}}
    device = Device(f"part{index}", "roofline", "dram", Roofline.runs, numbers, tables)

    def run(operators: Operators) -> Run:
        table = Roofline().table(operators, device, formats).dense(len(operators), len(formats), device.name)
        elements = operators.weights + operators.act_in + operators.act_out
        moved = np.stack([precision.bytes(elements) for precision in formats], axis=1)
        assert table.unsupported is not None  # dense() fills it in
        work = np.maximum(table.time, moved / device.bandwidth)
        return Run(work, np.zeros_like(work), work * 5.0, moved, table.unsupported)

    return Part(device, 1e-5, run)


def example_operators(kinds: Sequence[str]) -> Operators:
    """A tiny, a middle and a large operator of every kind, then each with twice the rows: (3 + 3) rows a kind."""
    shapes = [(1.0, 1.0, 1.0), (64.0, 256.0, 128.0), (1.0, 4096.0, 4096.0)]
    rows = [(kind, m * twice, k, n) for twice in (1.0, 2.0) for kind in kinds for m, k, n in shapes]
    m, k, n = (np.array([row[i] for row in rows]) for i in (1, 2, 3))
    kind = np.array([row[0] for row in rows])
    shaped = np.isin(kind, ("matmul", "conv", "attention"))
    stored = np.isin(kind, ("matmul", "conv"))
    none = np.zeros(len(rows))
    m, k, n, count = (np.where(shaped, column, 0.0) for column in (m, k, n, np.ones(len(rows))))
    wide = np.array([row[1] * row[3] for row in rows])
    deep = np.array([row[1] * row[2] for row in rows])
    return Operators(
        name=tuple(f"{i}.{row[0]}" for i, row in enumerate(rows)),
        kind=tuple(row[0] for row in rows),
        block=np.zeros(len(rows), np.int32),
        m=m, k=k, n=n, count=count,
        flop=np.where(shaped, 2 * m * k * n, 5 * wide),
        weights=np.where(stored, k * n, 0.0),
        act_in=deep, act_out=wide,
        kv_read=np.where(kind == "attention", deep, 0.0), kv_write=none,
        repeat=np.ones(len(rows)),
        weights_resident=np.where(stored, k * n, 0.0), kv_resident=none,
    )  # fmt: skip


def _typical(unit: str) -> float:
    wanted = units.dimension(unit)
    return next((value for name, value in TYPICAL.items() if units.dimension(name) == wanted), 1.0)


def _scaled(device: Device, constant: str, factor: float) -> Device:
    """The device with one of its model's constants multiplied, in every precision."""
    if constant in device.by_precision:
        table = {key: value * factor for key, value in device.by_precision[constant].items()}
        return replace(device, by_precision={**device.by_precision, constant: table})
    if constant in device.points:
        points = {key: value * factor for key, value in device.points[constant].items()}
        return replace(device, points={**device.points, constant: points})
    return replace(device, numbers={**device.numbers, constant: device.numbers[constant] * factor})


def _columns(table: CostTable) -> dict[str, Array]:
    named = {name: getattr(table, name) for name in RESERVED if getattr(table, name) is not None}
    return {**named, **table.columns}


def _equal(a: CostTable, b: CostTable, why: str) -> None:
    left, right = _columns(a), _columns(b)
    if list(left) != list(right):
        fail(f"{why}: columns are {list(left)} and {list(right)}")
    for name in left:
        if not np.array_equal(left[name], right[name]):
            i, p = (int(x) for x in np.argwhere(left[name] != right[name])[0])
            fail(f"{why}: '{name}' of operator {i} is {left[name][i, p]!r} and {right[name][i, p]!r}")


# -- checks -----------------------------------------------------------------------------------------------------------


def declares_constants_and_kinds(subject: DeviceModelSubject) -> None:
    """`constants` map names to units, `runs` lists operator kinds that exist, and it is built without arguments."""
    unknown = sorted(set(subject.facts.runs) - set(KINDS))
    if unknown:
        fail(f"runs unknown kinds: {', '.join(unknown)}")
    subject.model()


def gives_a_cost_table(subject: DeviceModelSubject) -> None:
    """`table` gives a CostTable with columns of shape (n,) or (n, P), finite and not negative where supported."""
    for device in subject.devices:
        subject.table(device)


def describes_columns_that_it_gives(subject: DeviceModelSubject) -> None:
    """Every column in `columns`, if there are any, is in the table, and so is the one that a mean is weighted by
    (`over`), never 0 where the mean's is above 0."""
    described = getattr(subject.model, "columns", {})
    for device in subject.devices:
        given = subject.table(device).columns
        for name, column in described.items():
            for wanted in (name, column.over):
                if wanted is not None and wanted not in given:
                    fail(f"'{wanted}' is described and not given on '{device.name}'")
            if column.over is not None and ((given[name] > 0) & (given[column.over] == 0)).any():
                fail(f"'{name}' is above 0 where '{column.over}' is 0 on '{device.name}'")


def runs_what_it_declares(subject: DeviceModelSubject) -> None:
    """Every operator of a kind in `runs` can be run on its device in at least one precision."""
    for device in subject.devices:
        unsupported = subject.table(device).unsupported
        assert unsupported is not None  # dense() fills it in
        rows = [i for i, kind in enumerate(subject.operators.kind) if kind in device.runs]
        stuck = [i for i in rows if unsupported[i].all()]
        if stuck:
            fail(f"{subject.operators.name[stuck[0]]} on device '{device.name}' runs in no precision")


def work_takes_time(subject: DeviceModelSubject) -> None:
    """An operator that computes takes time wherever it is supported."""
    for device in subject.devices:
        table = subject.table(device)
        free = (subject.operators.flop[:, None] > 0) & ~cast(Array, table.unsupported) & (table.time <= 0)
        if free.any():
            i, p = (int(x) for x in np.argwhere(free)[0])
            fail(f"{subject.operators.name[i]} takes no time on '{device.name}' in {PRECISIONS[p].name}")


def more_work_is_never_faster(subject: DeviceModelSubject) -> None:
    """Twice the rows of an operator never take less time."""
    half = len(subject.operators) // 2
    for device in subject.devices:
        table = subject.table(device)
        faster = (table.time[half:] < table.time[:half] * (1 - 1e-12)) & ~cast(Array, table.unsupported)[:half]
        if faster.any():
            i, p = (int(x) for x in np.argwhere(faster)[0])
            fail(
                f"{subject.operators.name[i]} on '{device.name}' in {PRECISIONS[p].name}: {table.time[i, p]:.4g} s, "
                f"twice the rows {table.time[half + i, p]:.4g} s"
            )


def faster_parts_never_slow_it(subject: DeviceModelSubject) -> None:
    """Doubling a rate among its constants (FLOP/s, B/s, Hz) never makes an operator slower."""
    rates = [units.dimension(unit) for unit in ("FLOP/s", "B/s", "Hz")]
    names = [key for key, spec in subject.facts.constants.items() if units.dimension(spec.unit) in rates]
    if not names:
        not_applicable("has no constant that is a rate")
    for device in subject.devices:
        before = subject.table(device).time
        for name in names:
            after = subject.table(_scaled(device, name, 2.0)).time
            if (after > before * (1 + 1e-12)).any():
                fail(f"doubling {name} of '{device.name}' slows an operator down")


def constants_are_used(subject: DeviceModelSubject) -> None:
    """Every constant that a file must give changes something in the table; those with a default may be for others."""
    required = [name for name, spec in subject.facts.constants.items() if spec.default is None]
    if not required:
        not_applicable("declares no constant without a default")
    for name in required:
        if not any(_changes(subject, device, name) for device in subject.devices):
            fail(f"'{name}' changes nothing")


def _changes(subject: DeviceModelSubject, device: Device, name: str) -> bool:
    before = _columns(subject.table(device))
    for factor in (2.0, 0.5, 64.0, 1 / 64, 1e6, 1e-6):
        after = _columns(subject.table(_scaled(device, name, factor)))
        if any(not np.array_equal(before[key], after[key]) for key in before):
            return True
    return False


def rows_do_not_meet(subject: DeviceModelSubject) -> None:
    """The cost of an operator does not depend on the other operators in the call, or their order."""
    order = np.random.Generator(np.random.Philox(1)).permutation(len(subject.operators))
    for device in subject.devices:
        whole = _columns(subject.table(device))
        for rows in (order, order[:1], order[: len(order) // 2]):
            part = _columns(subject.table(device, subject.operators.take(rows)))
            for name, column in part.items():
                if not np.array_equal(column, whole[name][rows]):
                    fail(f"'{name}' differs for {len(rows)} of the operators on '{device.name}'")


def precisions_do_not_meet(subject: DeviceModelSubject) -> None:
    """The cost in one precision does not depend on which others are asked for."""
    for device in subject.devices:
        whole = _columns(subject.table(device))
        for p, precision in enumerate(PRECISIONS):
            for name, column in _columns(subject.table(device, formats=(precision,))).items():
                if not np.array_equal(column[:, 0], whole[name][:, p]):
                    fail(f"'{name}' in {precision.name} differs when asked for alone on '{device.name}'")


def is_pure(subject: DeviceModelSubject) -> None:
    """Two calls give the same table, and the operators are not written to (they are read-only here)."""
    for device in subject.devices:
        _equal(subject.table(device), subject.table(device), f"a second call for '{device.name}'")


def copes_with_missing_precisions(subject: DeviceModelSubject) -> None:
    """A device with numbers for one precision only marks the others unsupported, or prices them; it never raises."""
    names = [key for key, spec in subject.facts.constants.items() if spec.by_precision]
    if not names:
        not_applicable("has no constant by precision")
    for device in subject.devices:
        tables = dict(device.by_precision)
        for name in names:
            values = tables[name]
            tables[name] = {"fp16": values.get("fp16", next(iter(values.values())))}
        subject.table(replace(device, by_precision=tables))


KIT: Kit[DeviceModelSubject] = Kit(
    "device model kit",
    (
        declares_constants_and_kinds,
        gives_a_cost_table,
        describes_columns_that_it_gives,
        runs_what_it_declares,
        work_takes_time,
        more_work_is_never_faster,
        faster_parts_never_slow_it,
        constants_are_used,
        rows_do_not_meet,
        precisions_do_not_meet,
        is_pure,
        copes_with_missing_precisions,
    ),
)
