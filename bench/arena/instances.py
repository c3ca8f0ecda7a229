"""What is searched: chains of four kinds, real models on real targets, schedules, networks, and the textbook fronts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.support.chains import KINDS, Chain

from tradespace.designs import Choice, Designs, Real, Space
from tradespace.errors import TradespaceError
from tradespace.problem import Metric, Problem

Array = NDArray[np.float64]

DATA = Path(__file__).parents[3] / "shared" / "data" / "wfinstances"
SEEDS: Mapping[int, int] = {8: 3, 16: 5, 24: 7, 48: 11, 96: 13}
"""Seed of the chain generator by number of operators."""


@dataclass(frozen=True)
class Instance:
    """One problem. ``make`` builds the evaluator; ``front`` its exact front (K, M) where that is known."""

    name: str
    family: str
    make: Callable[[], Any]
    objectives: tuple[str, ...]
    deployment: bool = True  # a discrete deployment question, as against a textbook function
    front: Callable[[], Array] | None = None
    constraints: tuple[str, ...] = ()

    @cached_property
    def evaluator(self) -> Any:
        return self.make()

    @cached_property
    def problem(self) -> Problem:
        return Problem.of(self.evaluator, list(self.objectives), list(self.constraints))

    @property
    def declares(self) -> bool:
        """Whether there is more to know than prices."""
        own = getattr(self.evaluator, "structure", None)
        return hasattr(self.evaluator, "suggest") or (own is not None and own() is not None)

    @cached_property
    def limited(self) -> bool:
        """Whether some designs are refused."""
        return self.problem.score(self.problem.repair(self.problem.space.homogeneous().take([0]))).violations.size > 0

    @cached_property
    def black_box(self) -> Any:
        return BlackBox(self.evaluator)


class BlackBox:
    """An evaluator of which nothing but prices is known (and which repairs designs, where it must)."""

    def __init__(self, inner: Any) -> None:
        self.space, self.metrics, self.price = inner.space, inner.metrics, inner.price
        if hasattr(inner, "repair"):
            self.repair = inner.repair


@dataclass(frozen=True, eq=False)
class Textbook:
    """A function of pymoo's. ``mirrored``: every second variable is turned round, because the fronts of ZDT lie where
    all variables but one are at their lower bounds, which is where some optimizers begin."""

    name: str
    mirrored: bool = True

    @cached_property
    def inner(self) -> Any:
        from pymoo.problems import get_problem

        return get_problem(self.name)

    @cached_property
    def space(self) -> Space:
        if self.name == "zdt5":
            return Space(Choice("x", (0, 1), self.inner.n_var))
        low, high = np.asarray(self.inner.xl, float), np.asarray(self.inner.xu, float)
        return Space(*(Real(f"x{i}", float(a), float(b)) for i, (a, b) in enumerate(zip(low, high, strict=True))))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(Metric(f"f{i}", "1", "min", "as published") for i in range(self.inner.n_obj))

    def price(self, designs: Designs) -> dict[str, Array]:
        codes = self.space.flatten(designs)
        if self.mirrored:
            low, high = self.space.bounds()
            codes[:, 1::2] = (low + high - codes)[:, 1::2]
        values = self.inner.evaluate(codes > 0.5 if self.name == "zdt5" else codes, return_values_of=["F"])
        return {m.name: values[:, i] for i, m in enumerate(self.metrics)}

    def front(self) -> Array:
        from pymoo.util.ref_dirs import get_reference_directions

        if self.name.startswith("dtlz"):
            return np.asarray(self.inner.pareto_front(get_reference_directions("das-dennis", 3, n_partitions=40)))
        return np.asarray(self.inner.pareto_front())


def exact_chain(chain: Chain) -> Array:
    """The exact front of kind sum, by label dynamic programming."""
    from tradespace.search.labels import chain_of, label_front

    structure = chain.structure()
    arrays = chain_of(structure, ("latency", "energy", "loss"))
    span = (arrays.unary.max(axis=1) - arrays.unary.min(axis=1)).sum(axis=0)
    found = label_front(arrays, merge="design", scale=span, budget=30_000)
    assert found.epsilon == 0.0, "the label sets were merged: this front is not exact"
    return found.values


def _chains() -> Iterator[Instance]:
    for kind in KINDS:
        for n, seed in SEEDS.items():
            make = partial(Chain, seed, n, kind=kind)
            exact = partial(_front_of_chain, make) if kind == "sum" and n <= 48 else None
            objectives = ("latency", "energy", "loss")
            yield Instance(f"{kind} {n}", f"chain {kind}", make, objectives, front=exact)


def _front_of_chain(make: Callable[[], Chain]) -> Array:
    return exact_chain(make())


def _bound(workload: Any, target: str, options: Mapping[str, Any] | None = None, evaluator: str | None = None) -> Any:
    from tradespace.plugins import registry
    from tradespace.settings import Setting, bind

    return bind(Setting(str(workload), target, evaluator, options or {}), registry()).evaluator


def _catalogue() -> Iterator[Instance]:
    three = ("energy", "latency", "loss")
    for workload, target in (("llama-3.2-1b", "laptop"), ("qwen2-0.5b", "phone")):
        name = f"{workload} on {target}"
        yield Instance(name, "real chain", partial(_bound, workload, target), three)
    network = partial(_bound, DATA.parent / "mlperf-tiny" / "pretrainedResnet_quant.tflite", "phone")
    yield Instance("resnet.tflite on phone", "real chain", network, three)
    goals = ("energy", "latency", "underutilisation", "coverage")
    repeated = partial(_bound, "llama-3.2-1b", "laptop", {"samples": [1, 2, 4, 8, 16, 32]}, "qeil")
    yield Instance("qeil-v2", "real chain", repeated, goals)
    pipeline = {"schedule": "pipeline"}
    yield Instance("llama-3.2-1b pipeline", "real chain", partial(_bound, "llama-3.2-1b", "laptop", pipeline), three)
    yield Instance("topcuoglu-10", "schedule", partial(_bound, "topcuoglu-10", "three-processors"), ("makespan",))
    yield Instance("job shop ft06", "schedule", partial(_bound, "ft06", "six-machines"), ("makespan",))
    yield Instance("smtwtp-50", "schedule", partial(_bound, "smtwtp-50", "single-machine"), ("tardiness",))
    yield Instance("iot-100", "schedule", partial(_bound, "iot-100", "cloud-fleet"), ("response", "energy", "late"))
    objectives = ("proxy", "latency")
    yield Instance("mcunet on stm32f746", "networks", partial(_bound, "mcunet-vww", "stm32f746"), objectives)
    stems = {"srasearch": "10a-004", "srasearch-40": "40a-005", "montage": "2mass-01d-001"}
    for name, rest in stems.items():
        path = DATA / f"{name.split('-')[0]}-chameleon-{rest}.json.gz"
        yield Instance(name, "workflow", partial(_bound, path, "processors-4"), ("makespan", "energy", "cost"))


def _textbook() -> Iterator[Instance]:
    for name in (*(f"zdt{i}" for i in range(1, 7)), *(f"dtlz{i}" for i in range(1, 5))):
        make = partial(Textbook, name)
        count = 3 if name.startswith("dtlz") else 2
        objectives = tuple(f"f{i}" for i in range(count))
        front = partial(_front_of_textbook, name)
        yield Instance(name, "ZDT" if count == 2 else "DTLZ", make, objectives, False, front)


def _front_of_textbook(name: str) -> Array:
    return Textbook(name).front()


@dataclass(frozen=True)
class Line:
    """The instances that can be built here, and why the others cannot."""

    instances: Mapping[str, Instance]
    skipped: Mapping[str, str] = field(default_factory=dict)


NOT_YET: Mapping[str, str] = {"serving pool sizing": "there is no evaluator of serving pools yet"}
"""Instances that the arena is to have."""


def all_instances(only: Callable[[str], bool] = lambda name: True) -> Line:
    ready: dict[str, Instance] = {}
    skipped = {name: reason for name, reason in NOT_YET.items() if only(name)}
    for instance in (*_chains(), *_catalogue(), *_textbook()):
        if not only(instance.name):
            continue
        try:
            instance.problem  # noqa: B018 - built here, so that what cannot be built is named
        except (TradespaceError, OSError) as error:
            skipped[instance.name] = str(error).splitlines()[0].replace(str(DATA.parent), "shared/data")
            skipped[instance.name] = skipped[instance.name].replace(f"{Path(__file__).parents[2]}/", "")
        else:
            ready[instance.name] = instance
    return Line(ready, skipped)
