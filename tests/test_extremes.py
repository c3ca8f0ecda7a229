"""Every evaluator prices extreme but valid workloads, designs and machines: finite, not negative, without overflow.

Nothing is listed by name: workloads, targets, evaluators and the numbers that can be varied are what the registry and
the catalogue hold. A value that a loader refuses is not valid and not tried; whatever it takes has a price.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tradespace.errors import InputError, ProblemError, TradespaceError
from tradespace.open_numbers import find
from tradespace.plugins import registry
from tradespace.settings import has_open_numbers
from tradespace.targets import Target, load_target
from tradespace.targets.constants import DEVICE
from tradespace.targets.layers import resolve as resolve_target
from tradespace.targets.loader import target_names
from tradespace.workloads import load_workload, workload_names
from tradespace.workloads.load import resolve

LEFT_OUT = {
    "measured": "runs operators on this machine, so sizes are bounded by time",
    "kernel": "encodes real matrices to know their error: seconds each",
}
SLOW = {
    "reservoir": "trains a readout for every design",
    "claims": "draws thousands of samples",
    "colony": "runs an ant colony",
    "agents": "simulates thousands of missions",
    "mcunet-spaces": "builds a network for every design",
    "flow": "integrates over classifiers",
    "group-conv": "prices every size of groups",
}
"""Evaluators of which fewer variants are tried, and no machines but the catalogue's."""
VALUES = (1, 3000, 100_000)
OFTEN = ("batch", "context", "prompt", "generate", "samples", "layers", "sequence", "seed")
"""Keys that workloads often take without naming them in their file."""
TOGETHER: tuple[Mapping[str, Any], ...] = (
    {"layers": 1, "batch": 1, "context": 1, "phase": "decode"},
    {"layers": 1, "batch": 100_000},
    {"layers": 4000, "batch": 100_000},
    {"batch": 100_000, "context": 100_000, "phase": "decode"},
    {"prompt": 100_000, "generate": 1, "phase": "request"},
    {"prompt": 1, "generate": 100_000, "phase": "request"},
)
VARIANTS, FEW = 6, 2
"""Most variants of one workload, and of one on a slow evaluator."""
SCALES = (1e-6, 1e6)
UNSIGNED = ("s", "J", "B", "W", "J/B", "Hz", "FLOP", "K")


def representatives() -> list[str]:
    """One workload for each kind, each set of operator kinds, each way of being made."""
    found: dict[Any, str] = {}
    for name in workload_names(registry()):
        kind = str(resolve(name, registry())[0].get("type", ""))
        if has_open_numbers(name, registry()):
            found.setdefault(("open", kind), name)
            continue
        workload = load_workload(name, registry())
        operators = getattr(workload, "operators", None)
        found.setdefault((workload.kind, kind, tuple(sorted(set(getattr(operators, "kind", ()))))), name)
    return list(found.values())


def numbers(body: Any, path: str = "") -> Iterator[str]:
    """Dotted keys of plain numbers in a document, the outer ones first."""
    if isinstance(body, Mapping):
        inner = [(f"{path}.{key}".lstrip("."), value) for key, value in body.items()]
        yield from (p for p, value in inner if isinstance(value, (int, float)) and not isinstance(value, bool))
        for p, value in inner:
            yield from numbers(value, p) if isinstance(value, Mapping) else ()


def variants(name: str) -> list[tuple[Mapping[str, Any], Any]]:
    """Extreme forms of a workload that its loader takes: together first, then number by number."""
    if has_open_numbers(name, registry()):
        return []
    keys = dict.fromkeys((*OFTEN, *numbers(resolve(name, registry())[0])))
    wanted = [*TOGETHER, *({key: value} for key in keys for value in VALUES)]
    found = []
    for change in wanted:
        try:
            found.append((change, load_workload({"extends": name, **change}, registry())))
        except TradespaceError:
            continue
        if len(found) >= 3 * VARIANTS:
            break
    return (
        [found[at] for at in sorted({round(step) for step in np.linspace(0, len(found) - 1, VARIANTS)})]
        if found
        else []
    )


def factories() -> dict[str, Any]:
    names = [name for name in registry().names("evaluators") if name not in LEFT_OUT]
    return {name: registry().load("evaluators", name)() for name in names}


def machines() -> dict[str, Target]:
    """Every target of the catalogue that leaves no number open."""
    closed = [name for name in target_names(registry()) if not any(find(resolve_target(name, registry())[1], "target"))]
    return {name: load_target(name, registry()) for name in closed}


def broken(factory: Any, workload: Any, target: Target) -> str:
    """What is wrong with the prices of a few designs: random ones, and those that decide everything alike."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            evaluator = factory.bind(workload, target, {}, registry())
            space = evaluator.space
            for designs in (space.sample(2, np.random.Generator(np.random.Philox(1))), space.homogeneous()):
                few = designs.take(np.arange(min(len(designs), 3)))
                prices = evaluator.price(evaluator.repair(few) if hasattr(evaluator, "repair") else few)
                for metric in evaluator.metrics:
                    column = np.asarray(prices[metric.name])
                    if not np.isfinite(column).all() or (metric.unit in UNSIGNED and (column < 0).any()):
                        return f"{metric.name} is {column}"
        except (InputError, ProblemError):
            return ""  # refused by a sentence
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return ""


def test_extreme_workloads_have_prices() -> None:
    wrong, tried = [], dict.fromkeys(factories(), 0)
    targets = machines()
    for name in representatives():
        for at, (change, workload) in enumerate(variants(name)):
            for evaluator, factory in factories().items():
                if evaluator in SLOW and at >= FEW:
                    continue
                able = (target for target in targets.values() if factory.accepts(workload, target) is True)
                target = next(able, None)
                if target is not None:
                    tried[evaluator] += 1
                    problem = broken(factory, workload, target)
                    wrong += [f"{name} with {dict(change)} on {target.name} by {evaluator}: {problem}"] * bool(problem)
    assert not wrong, "\n".join(wrong)
    assert sum(count > 0 for count in tried.values()) >= 7, tried


def test_extreme_machines_have_prices() -> None:
    """Every constant of every device model and every common number, a millionth and a million times the catalogue's."""
    wrong, seen = [], set()
    closed = (name for name in representatives() if not has_open_numbers(name, registry()))
    known = sorted((load_workload(name, registry()) for name in closed), key=size)
    for name, target in machines().items():
        models = {device.name: device.model for device in target.devices}
        takers = {
            evaluator: (factory, workload)
            for evaluator, factory in factories().items()
            for workload in reversed(known)  # the smallest stays
            if evaluator not in SLOW and factory.accepts(workload, target) is True
        }
        for source in target.sources:
            part, _, key = source.path.removeprefix("devices.").partition(".")
            key = key.partition(".")[0]
            fact = ("any" if key in DEVICE else models.get(part, source.path.partition(".")[0]), key)
            if fact in seen or isinstance(source.value, str) or not source.value or not takers:
                continue
            seen.add(fact)
            for scale in SCALES:
                changed = extreme(name, source.path, source.value * scale, source.unit)
                for evaluator, (factory, workload) in takers.items():
                    problem = broken(factory, workload, changed) if changed is not None else ""
                    where = f"{source.path} x {scale:g} of {name}"
                    wrong += [f"{workload.name} on {where} by {evaluator}: {problem}"] * bool(problem)
    assert not wrong, "\n".join(wrong)
    assert len(seen) > 50


def size(workload: Any) -> int:
    return len(getattr(workload, "operators", ()))


def extreme(name: str, path: str, value: float, unit: str) -> Target | None:
    """The target with one other number; None where the loader refuses it."""
    text = f"{value!r} {unit}" if unit not in ("", "1") else repr(value)
    try:
        return load_target({"extends": name, path: text}, registry())
    except TradespaceError:
        return None


def test_what_is_left_out_exists() -> None:
    assert {*LEFT_OUT, *SLOW} <= set(registry().names("evaluators"))
