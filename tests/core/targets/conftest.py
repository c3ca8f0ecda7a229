"""A registry with two device models of its own beside the installed plugins, and a small target built on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradespace.plugins import Registry

PLUGIN = """
from tradespace.hookspecs import hookimpl

class WeightStationary:
    constants = {"rows": "1", "cols": "1", "clock": "Hz", "stall": "s or zero", "settle": "delta K"}
    defaults = {"stall": 0.0, "settle": 5.0}
    runs = ("matmul", "conv")

class Vector:
    constants = {"peak": "FLOP/s by precision", "boost": "1 or zero by precision"}
    defaults = {"boost": 0.0}
    runs = ("norm", "softmax")

class NoRuns:
    constants = {}

class BadUnit:
    constants = {"speed": "parsec"}
    runs = ("norm",)

class Reserved:
    constants = {"bandwidth": "B/s"}
    runs = ("norm",)

class StrayDefault:
    constants = {}
    defaults = {"speed": 1.0}
    runs = ("norm",)

@hookimpl
def tradespace_device_models():
    names = {"own-array": "WeightStationary", "vector": "Vector", "no-runs": "NoRuns", "bad-unit": "BadUnit"}
    names |= {"reserved": "Reserved", "stray-default": "StrayDefault"}
    return {name: f"array_models:{attribute}" for name, attribute in names.items()}
"""

TOY = """
# A weight-stationary array beside a vector unit.
toy:
  title: Toy array
  source: SCALE-Sim v2 test folder
  memories:
    dram: {bandwidth: 25.6 GB/s, capacity: 4 GB, kind: substitute}
  devices:
    array: {model: own-array, memory: dram, rows: 32, cols: 32, clock: 1 GHz, idle_power: 1 W}
    vector:
      model: vector
      memory: dram
      peak: {fp16: {value: 25.6 GFLOPS, source: a data sheet, kind: measured}, int8: 51.2 GOPS}
"""


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    plugin = tmp_path_factory.mktemp("plugin") / "array_models.py"
    plugin.write_text(PLUGIN)
    found = Registry.discover([plugin])
    assert [status.error for status in found.plugins if status.name == "array_models"] == [None]
    return found


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    file = tmp_path / "toy.yaml"
    file.write_text(TOY)
    return file
