"""The target kit passes the catalogue and catches each way of breaking the contract."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tradespace.plugins import registry
from tradespace.targets import Target, TransferPath, load_target, target_names
from tradespace.testing.targets import check_target


def laptop() -> Target:
    return load_target("laptop", registry())


@pytest.mark.parametrize("name", target_names(registry()))
def test_the_catalogue_passes(name: str) -> None:
    report = check_target(lambda: load_target(name, registry()), name, models=registry().names("device_models"))
    assert report.passed and len(report.checks) == 9, str(report)
    assert all(check.outcome == "passed" for check in report.checks)


def device(target: Target, **values: Any) -> Target:
    return replace(target, devices=(replace(target.devices[0], **values), *target.devices[1:]))


def number(target: Target, key: str, value: float) -> Target:
    return device(target, numbers={**target.devices[0].numbers, key: value})


def source(target: Target, **values: Any) -> Target:
    return replace(target, sources=(replace(target.sources[0], **values), *target.sources[1:]))


class OneWay(Target):
    def path(self, a: str, b: str) -> TransferPath:
        path = super().path(a, b)
        return path if a < b else replace(path, latency=path.latency + 1.0)


class HidesSubstitutes(Target):
    @property
    def substitutes(self) -> Any:
        return ()


def as_class(kind: type) -> Target:
    target = laptop()
    return kind(target.name, target.devices, target.memories, target.links, target.sources, target.title)  # type: ignore[no-any-return]


def memory_renamed(target: Target) -> Target:
    first, *rest = target.memories.items()
    return replace(target, memories=dict([(first[0], replace(first[1], name="other")), *rest]))


MUTANTS: dict[str, tuple[Callable[[], Target], ...]] = {
    "says_what_it_is": (
        lambda: replace(laptop(), title=" "),
        lambda: replace(laptop(), name=""),
        lambda: replace(laptop(), devices=()),
    ),
    "names_are_names": (
        lambda: device(laptop(), name="My CPU"),
        lambda: device(laptop(), name=laptop().devices[1].name),
        lambda: device(laptop(), name=next(iter(laptop().memories))),
        lambda: memory_renamed(laptop()),
    ),
    "numbers_are_physical": (
        lambda: number(laptop(), "ambient", 25.0 - 23.0),
        lambda: number(laptop(), "bandwidth", 0.1195),
        lambda: number(laptop(), "dynamic_power", float("inf")),
        lambda: number(laptop(), "launch_overhead", -1e-6),
        lambda: device(laptop(), by_precision={"peak": {"fp16": 2.0}}),
    ),
    "devices_fit_their_memory": (
        lambda: device(laptop(), memory="nowhere"),
        lambda: number(laptop(), "capacity", 1e15),
        lambda: number(laptop(), "max_temperature", 270.0),
    ),
    "devices_can_run_something": (
        lambda: device(laptop(), model="rooflin"),
        lambda: device(laptop(), runs=()),
    ),
    "everything_is_connected": (lambda: replace(laptop(), links=()), lambda: as_class(OneWay)),
    "every_number_has_a_source": (
        lambda: replace(laptop(), sources=laptop().sources[1:]),
        lambda: source(laptop(), source=""),
        lambda: source(laptop(), kind="guess"),
        lambda: source(laptop(), value=1.0),
        lambda: replace(laptop(), sources=(*laptop().sources, laptop().sources[0])),
    ),
    "substitutes_are_told": (lambda: as_class(HidesSubstitutes),),
}


@pytest.mark.parametrize(("check", "load"), [(check, load) for check, loads in MUTANTS.items() for load in loads])
def test_a_wrong_target_fails(check: str, load: Callable[[], Target]) -> None:
    report = check_target(load, models=("roofline",))
    assert check in [failure.name for failure in report.failures], str(report)


def test_a_target_that_changes_fails() -> None:
    counter = itertools.count(1)
    report = check_target(lambda: number(laptop(), "launch_overhead", next(counter) * 1e-6))
    assert "loads_twice_equal" in [failure.name for failure in report.failures]
