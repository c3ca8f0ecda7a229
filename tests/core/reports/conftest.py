"""A small chain of blocks on three devices in three precisions, priced in closed form, with plans that explain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from tradespace.designs import Choice, Designs, Integer, Space
from tradespace.plans import Plan, PlanRow
from tradespace.problem import Metric, Prices
from tradespace.search import Front, search
from tradespace.settings import Bound, Setting
from tradespace.targets.model import Device, Memory, Sourced, Target

DEVICES = ("cpu", "npu", "dgpu")
PRECISIONS = ("fp16", "int8", "int4")
RATE = np.array([0.5, 1.0, 4.0])  # blocks in fp16 per millisecond
POWER = np.array([20.0, 5.0, 90.0])  # W while busy
SIZE = np.array([1.0, 0.5, 0.25])  # relative to fp16
LOSS = np.array([0.0, 0.002, 0.02])
BLOCK_BYTES = 1e8
LIMITS = {"cpu": 16e9, "npu": 16e9, "dgpu": 5e8}
HANDOVER = 2e-4  # s between devices


@dataclass(frozen=True)
class Chain:
    """latency = sum of block times + hand-overs, energy = busy time x power, loss and memory sum over blocks."""

    blocks: tuple[str, ...] = ("embed", *(str(i) for i in range(8)), "head")
    labels: tuple[str, ...] = PRECISIONS
    substitutes: tuple[Sourced, ...] = (Sourced("model.handover", HANDOVER, "s", "a guess (ours)", "substitute"),)

    @property
    def space(self) -> Space:
        n = len(self.blocks)
        return Space(
            Choice("placement", DEVICES, n, self.blocks),
            Choice("precision", self.labels, n, self.blocks),
            Integer("samples", 1, 4),
        )

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (
            Metric("energy", "J", "min", "energy of one job"),
            Metric("latency", "s", "min", "time of one job"),
            Metric("loss", "1", "min", "quality lost to rounding"),
            Metric("coverage", "1", "max", "chance that a sample is right"),
            *(Metric(f"memory.{d}", "B", "min", f"memory used on {d}") for d in DEVICES),
        )

    def _parts(self, designs: Designs) -> tuple[Any, Any, Any, Any]:
        place, kind = designs["placement"].astype(int), designs["precision"].astype(int)
        k = designs["samples"].astype(float)
        time = SIZE[kind] / RATE[place] * 1e-3
        return place, kind, k, time

    def price(self, designs: Designs) -> Prices:
        place, kind, k, time = self._parts(designs)
        cuts = (place[:, 1:] != place[:, :-1]).sum(axis=1)
        values = {
            "energy": (time * POWER[place]).sum(axis=1) * k,
            "latency": (time.sum(axis=1) + cuts * HANDOVER) * k,
            "loss": LOSS[kind].sum(axis=1),
            "coverage": 1.0 - 0.5**k,
        }
        broken = {}
        for d, name in enumerate(DEVICES):
            used = (SIZE[kind] * BLOCK_BYTES * (place == d)).sum(axis=1)
            values[f"memory.{name}"] = used
            broken[f"capacity.{name}"] = used / LIMITS[name] - 1.0
        return Prices(values, broken)

    def explain(self, designs: Designs) -> Plan:
        place, kind, k, time = (part[0] for part in self._parts(designs))
        prices, design = self.price(designs), designs.show()
        rows = tuple(
            PlanRow(
                name,
                {"placement": DEVICES[place[i]], "precision": self.labels[kind[i]]},
                {"time": float(time[i] * k), "energy": float(time[i] * k * POWER[place[i]])},
            )
            for i, name in enumerate(self.blocks)
        )
        devices = tuple(
            PlanRow(
                name,
                {},
                {
                    "time": float((time * (place == d)).sum() * k),
                    "energy": float((time * (place == d)).sum() * k * POWER[d]),
                    "memory": float(prices[f"memory.{name}"][0]),
                    "capacity": LIMITS[name],
                },
            )
            for d, name in enumerate(DEVICES)
        )
        return Plan(
            designs.ids[0],
            design,
            {m.name: float(prices[m.name][0]) for m in self.metrics},
            {m.name: m.unit for m in self.metrics},
            {name: float(v[0]) for name, v in prices.violations.items()},
            workload="chain",
            target="box",
            rows=rows,
            devices=devices,
            substitutes=tuple(s.path for s in self.substitutes),
        )


class Walk:
    """Random designs, then mutations of those that were on top: enough to fill a front."""

    @dataclass(frozen=True)
    class Options:
        pass

    batch: ClassVar[int] = 256

    def __init__(self, view: Any, options: Any = None) -> None:
        self._view = view
        self._best: Designs | None = None

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        space: Space = self._view.space
        if self._best is None:
            return space.concat([space.homogeneous(), space.sample(n, rng)]).take(slice(0, n))
        rows = rng.integers(0, len(self._best), n)
        return space.mutate(self._best.take(rows), rng)

    def tell(self, designs: Designs, scores: Any, rng: np.random.Generator) -> None:
        order = np.argsort(scores.objectives @ rng.dirichlet(np.ones(scores.objectives.shape[1])) + scores.violation)
        top = designs.take(order[:32])
        self._best = top if self._best is None else self._view.space.concat([self._best, top])


def bind_chain(chain: Any, workload: Any = "chain", target: Any = "box") -> Bound:
    """A bound setting around a chain: its target has one measured and two substitute numbers."""
    sources = (
        Sourced("devices.cpu.bandwidth", 119.5e9, "B/s", "datasheet of the CPU", "datasheet"),
        Sourced("devices.npu.dynamic_power", 5.0, "W", "a guess (ours)", "substitute"),
        Sourced("devices.dgpu.dynamic_power", 90.0, "W", "board power of a similar card", "substitute"),
    )
    memories = {"dram": Memory("dram", 119.5e9, 16e9)}
    devices = tuple(Device(d, "roofline", "dram", (), {"bandwidth": 119.5e9}, {}) for d in DEVICES)
    found = Target("box", devices, memories, (), sources)
    return Bound(Setting(workload, target), None, found, chain, "chain", (), {})


def find_front(chain: Any, objectives: Any = ("energy", "latency", "loss"), constraints: Any = ()) -> Front:
    return search(chain, list(objectives), list(constraints), optimizer=Walk, evaluations=4096, seed=3)


@pytest.fixture(scope="session")
def chain() -> Chain:
    return Chain()


@pytest.fixture(scope="session")
def front(chain: Chain) -> Front:
    return find_front(chain)


@pytest.fixture(scope="session")
def bound(chain: Chain) -> Bound:
    return bind_chain(chain)


@pytest.fixture(scope="session")
def walk() -> type[Walk]:
    return Walk


@pytest.fixture(scope="session")
def make_chain() -> Callable[..., Chain]:
    return Chain


@pytest.fixture(scope="session")
def make_bound() -> Callable[..., Bound]:
    return bind_chain


@pytest.fixture(scope="session")
def make_front() -> Callable[..., Front]:
    return find_front


@pytest.fixture(scope="session")
def plan_of() -> Callable[[Mapping[str, Any]], str]:
    """The text of a plan file with this design."""

    def text(design: Mapping[str, Any]) -> str:
        import yaml

        head = {"format": "tradespace plan 1", "workload": "chain", "target": "box", "design": dict(design)}
        return str(yaml.safe_dump(head, sort_keys=False))

    return text
