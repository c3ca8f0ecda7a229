"""A toy system in closed form behind the plugin door, and a file of rows about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tradespace.plugins import Registry
from tradespace.studies.reproduction.document import read_published
from tradespace.studies.reproduction.run import Result, SystemResult, reproduce

PLUGIN = '''
"""Three places, each slow or fast. With f fast ones: latency = (4 - f) * size ms, energy = (1 + 2 f) * batch J."""
from dataclasses import dataclass, field
import numpy as np
from tradespace import Choice, Metric, Prices, Space, Declined, hookimpl

@dataclass(frozen=True)
class Work:
    name: str
    size: float
    kind: str = "toy-work"
    sources: dict = field(default_factory=dict)
    tokens: float = 10.0

def work(options):
    return Work("toy", float(options.get("size", 1)))

class Factory:
    fidelity = 99
    def accepts(self, workload, target):
        return True if getattr(workload, "kind", "") == "toy-work" else Declined("takes toy work")
    def bind(self, workload, target, options, registry):
        return Toy(workload.size, **options)

class Toy:
    default_objectives = ("latency", "energy")
    def __init__(self, size, batch=1, seed=0, noise=0.0, fail=False):
        self.size, self.batch, self.seed, self.noise, self.fail = size, batch, seed, noise, fail
        self.space = Space(
            Choice("place", ("slow", "fast"), length=3, entries=("0.up", "0.down", "1.up")), Choice("mode", ("a", "b"))
        )
        self.metrics = (
            Metric("latency", "s", "min"), Metric("energy", "J", "min"), Metric("rate", "1/s", "max"),
            Metric("heat", "K", "min"),
        )
    def price(self, designs):
        if self.fail:
            raise ValueError("toy broke")
        f = designs["place"].sum(axis=1).astype(float)
        latency = (4 - f) * self.size * 1e-3 * (1 + self.noise * self.seed)
        values = {"latency": latency, "energy": (1 + 2 * f) * self.batch, "rate": self.batch / latency}
        values["heat"] = 300.0 + 10.0 * f
        return Prices(values, {"crowded": np.where((f == 3) & (designs["mode"] == 1), 0.5, -0.5)})

@hookimpl
def tradespace_workloads():
    return {"toy-work": "toy_rows:work"}

@hookimpl
def tradespace_evaluators():
    return {"toy": "toy_rows:Factory"}
'''


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "toy_rows.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture(scope="session")
def registry(plugin: Path) -> Registry:
    found = Registry.discover([plugin])
    assert [s.error for s in found.plugins if s.name == "toy_rows"] == [None]
    return found


SETTING: dict[str, Any] = {"workload": {"type": "toy-work"}, "target": "laptop"}
Run = Callable[..., SystemResult]


@pytest.fixture
def run(registry: Registry, tmp_path: Path) -> Run:
    """Price rows; each is completed with an id, a workload and a target."""

    def price(*rows: dict[str, Any], complete: bool = True) -> SystemResult:
        written = []
        for at, row in enumerate(rows):
            row = {"id": f"R{at}", **row}
            if complete and ("metric" in row or "report" in row):
                row["setting"] = {**SETTING, **row.get("setting", {})}
            written.append(row)
        path = tmp_path / "rows.yaml"
        path.write_text(json.dumps({"system": "toy", "source": "closed form", "rows": written}))  # JSON is YAML
        return reproduce(read_published(path), registry)

    return price


@pytest.fixture
def one(run: Run) -> Callable[..., Result]:
    """The only result of one row."""

    def price(**row: Any) -> Result:
        (result,) = run(row).results
        return result

    return price
