"""Loading: numbers in SI with their sources, defaults, and a helpful refusal for every way a file can be wrong."""

from __future__ import annotations

import copy
import math
import pickle
from pathlib import Path
from typing import Any

import pytest

from tradespace.errors import InputError, PluginError, TradespaceError, UnitError, UnknownName
from tradespace.plugins import Registry
from tradespace.targets import Target, load_target


def test_numbers_arrive_in_si(toy: Path, registry: Registry) -> None:
    target = load_target(toy, registry)
    array, vector = target.device("array"), target.device("vector")
    assert (target.name, target.title) == ("toy", "Toy array")
    assert (array.rows, array.cols, array.clock) == (32.0, 32.0, 1e9)
    assert array.runs == ("matmul", "conv") and array.idle_power == 1.0
    assert (vector.peak("fp16"), vector.peak("int8"), vector.peak("fp32")) == (25.6e9, 51.2e9, None)
    assert target.memory_of("array").bandwidth == 25.6e9 and target.memories["dram"].capacity == 4e9


def test_defaults_fill_in_and_are_listed_as_substitutes(toy: Path, registry: Registry) -> None:
    target = load_target(toy, registry)
    array = target.device("array")
    assert (array.bandwidth, array.capacity) == (25.6e9, 4e9)  # the memory's
    assert (array.dynamic_power, array.launch_overhead, array.leakage_power) == (0.0, 0.0, 0.0)
    assert (array.ambient, array.max_temperature, array.leakage_scale) == (298.15, 373.15, 30.0)
    assert (array.stall, array.settle) == (0.0, 5.0)  # the model's
    by_path = {sourced.path: sourced for sourced in target.sources}
    assert by_path["devices.array.stall"].source == "not given: default of device model 'own-array'"
    assert by_path["devices.array.bandwidth"].kind == "derived"
    assert {s.path for s in target.substitutes} >= {"devices.array.dynamic_power", "memories.dram.handoff"}
    assert "devices.array.clock" not in {s.path for s in target.substitutes}


def test_every_number_has_one_source(toy: Path, registry: Registry) -> None:
    target = load_target(toy, registry)
    numbers = {f"devices.{d.name}.{key}": value for d in target.devices for key, value in d.numbers.items()}
    for device in target.devices:
        for key, table in device.by_precision.items():
            numbers |= {f"devices.{device.name}.{key}{'.' * (p != '*')}{p.strip('*')}": v for p, v in table.items()}
    numbers |= {f"memories.dram.{k}": getattr(target.memories["dram"], k) for k in ("bandwidth", "capacity", "handoff")}
    numbers["memories.dram.energy_per_byte"] = 0.0
    assert {s.path: s.value for s in target.sources} == numbers
    assert len(target.sources) == len(numbers)


def test_a_device_draws_no_more_than_its_memory_gives(toy: Path, registry: Registry) -> None:
    ref = {"extends": str(toy), "devices.array.bandwidth": "1 TB/s", "devices.vector.capacity": "1 GB"}
    target = load_target(ref, registry)
    assert target.device("array").bandwidth == 25.6e9
    assert target.device("vector").capacity == 1e9
    slower = load_target({**ref, "memories.dram.bandwidth": "1 GB/s"}, registry)
    assert slower.device("array").bandwidth == 1e9


def test_one_number_stands_for_all_precisions(toy: Path, registry: Registry) -> None:
    target = load_target({"extends": str(toy), "devices.vector.peak": "25.6 GFLOPS"}, registry)
    vector = target.device("vector")
    assert vector.peak("fp16") == vector.peak("anything") == 25.6e9
    assert vector.at("boost", "fp16") == 0.0
    assert target.device("array").peak("fp16") is None


def test_runs_are_narrowed_by_the_file(toy: Path, registry: Registry) -> None:
    assert load_target({"extends": str(toy), "devices.vector.runs": ["norm"]}, registry).device("vector").runs == (
        "norm",
    )


def test_devices_survive_copy_and_pickle(toy: Path, registry: Registry) -> None:
    target = load_target(toy, registry)
    assert copy.deepcopy(target) == target and pickle.loads(pickle.dumps(target)) == target  # a worker process
    with pytest.raises(AttributeError, match=r"device 'array' has no constant 'rowz'. Did you mean 'rows'"):
        _ = target.device("array").rowz


def test_bare_bodies_take_the_name_of_the_file(tmp_path: Path, registry: Registry) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(
        "memories: {m: {bandwidth: 1 GB/s, capacity: 1 MB}}\ndevices: {d: {model: vector, memory: m, peak: 1 MOPS}}\n"
    )
    target = load_target(str(file), registry)
    assert target.name == "tiny"
    assert {s.kind for s in target.sources if "default" not in s.source} == {"substitute", "derived"}
    assert target.sources[0].source == "stated without a source in tiny.yaml"
    inline = load_target({"memories": {"m": {"bandwidth": 1, "capacity": 1}}, "devices": {"d": {"model": "vector",
        "memory": "m", "peak": 1}}}, registry)  # fmt: skip
    assert inline.name == "custom" and inline.device("d").peak("fp16") == 1.0


WRONG: list[tuple[dict[str, Any], type[TradespaceError], str]] = [
    (
        {"devices.array.clock": "1 GB"},
        UnitError,
        "devices.array.clock: '1 GB' is B, needs Hz. Write for example '1 GHz'.",
    ),
    ({"memories.dram.bandwidth": "119 GB"}, UnitError, "memories.dram.bandwidth: '119 GB' is B, needs B/s."),
    ({"memories.dram.bandwidth": 0}, UnitError, "memories.dram.bandwidth: must be above 0 B/s; got 0"),
    ({"memories.dram.capacity": "-4 GB"}, UnitError, "memories.dram.capacity: must be above 0 B; got '-4 GB'"),
    ({"memories.dram.handoff": "-1 us"}, UnitError, "must be 0 s or above; got '-1 us'"),
    ({"devices.array.idle_power": "-3 W"}, UnitError, "devices.array.idle_power: must be 0 W or above; got '-3 W'"),
    ({"devices.array.ambient": "-300 degC"}, UnitError, "devices.array.ambient: must be above 0 K"),
    ({"devices.array.leakage_scale": "30 degC"}, UnitError, "is a temperature, needs a difference in K"),
    ({"devices.array.settle": "5 degC"}, UnitError, "is a temperature, needs a difference in K"),
    ({"devices.array.rows": True}, UnitError, "devices.array.rows: a plain number is needed; got True"),
    ({"devices.array.rows": 0}, UnitError, "devices.array.rows: must be above 0; got 0"),
    ({"devices.array.stall": "-1 s"}, UnitError, "must be 0 s or above"),
    (
        {"devices.vector.peak.fp16": math.inf},
        UnitError,
        "peak.fp16: the number must be finite, in FLOP/s; got inf",
    ),
    ({"devices.vector.peak.fp16": 0}, UnitError, "devices.vector.peak.fp16: must be above 0 FLOP/s"),
    ({"devices.array.clok": "1 GHz"}, UnknownName, "devices.array.clok: unknown key 'clok'. Did you mean 'clock'?"),
    ({"devices.arrya.clock": "1 GHz"}, UnknownName, "devices.arrya.clock: unknown key 'arrya'. Did you mean 'array'?"),
    ({"memory": {}}, UnknownName, "memory: unknown key 'memory'. Did you mean 'memories'?"),
    ({"memories.dram.speed": 3}, UnknownName, "memories.dram.speed: unknown key 'speed'. Known: bandwidth, capacity"),
    ({"devices.array.clock": None}, InputError, "toy: devices.array: 'clock' is missing. Give 'clock' in Hz."),
    ({"devices.vector.peak": None}, InputError, "'peak' is missing. Give 'peak' in FLOP/s (one number, or one a"),
    ({"memories.dram.capacity": None}, InputError, "toy: memories.dram: 'capacity' is missing. Give 'capacity' in B."),
    ({"devices.array.title": None}, InputError, "'title' has no value, and there is no inherited one to delete"),
    (
        {"devices.array.model": "weight-stationery"},
        UnknownName,
        "unknown device model 'weight-stationery'. Did you mean",
    ),
    ({"devices.array.model": None}, InputError, "devices.array.model: 'model' is missing"),
    ({"devices.array.model": 3}, InputError, "devices.array.model: 'model' is text of at most 200 characters; got 3"),
    (
        {"devices.array.memory": "dramm"},
        UnknownName,
        "devices.array.memory: unknown memory 'dramm'. Did you mean 'dram'?",
    ),
    ({"devices.array.runs": ["norm"]}, UnknownName, "unknown operator kind for model 'own-array': 'norm'"),
    ({"devices.array.runs": "matmul"}, InputError, "'runs' is a list of operator kinds; got 'matmul'"),
    ({"devices.vector.peak.fp61": 3}, UnknownName, "devices.vector.peak.fp61: unknown precision 'fp61'. Did you mean"),
    ({"devices.vector.peak": {"fp16": {"a": 1}}}, InputError, "one number a precision"),
    ({"devices.array.clock": {"fast": 3}}, InputError, "'clock' is one number; got keys 'fast'"),
    ({"devices.array.clock": {"value": 3, "kind": "guess"}}, UnknownName, "unknown kind of number 'guess'. Known:"),
    ({"devices.array.clock": {"value": 3, "sauce": "x"}}, InputError, "a number is {value, source, kind}"),
    ({"devices.array.clock": {"value": 3, "source": 4}}, InputError, "'source' is printable text of at most 200"),
    ({"devices.array.max_temperature": "20 degC"}, InputError, "max_temperature must be above ambient; got 20.0 degC"),
    ({"devices.Array": {}}, InputError, "a name is a letter, then at most 31 letters, digits and underscores"),
    ({"devices.x": 3}, InputError, "devices.x: a mapping of keys is needed; got 3"),
    ({"devices": None}, InputError, "a target has at least one device"),
    ({"devices": 3}, InputError, "'devices' is a mapping of names; got 3"),
    ({"devices.dram": {"model": "vector", "memory": "dram", "peak": 1}}, InputError, "different names; got ['dram']"),
    (
        {"memories.b": {"bandwidth": 1, "capacity": 1}},
        InputError,
        "no route leads from memory 'dram' to memory 'b'. Under",
    ),
    (
        {"links": {"l": {"between": ["dram"], "bandwidth": 1}}},
        InputError,
        "links.l.between: a link has two different ends",
    ),
    ({"links": {"l": {"between": ["dram", "ram"], "bandwidth": 1}}}, UnknownName, "unknown memory or device 'ram'"),
    ({"links": {"l": {"between": ["dram", "array"]}}}, InputError, "links.l: 'bandwidth' is missing"),
    ({"title": ["a"]}, InputError, "title: 'title' is text of at most 200 characters"),
    ({"devices.array.model": "no-runs"}, PluginError, "device model 'no-runs': 'runs' is a tuple of operator kinds"),
    (
        {"devices.array.model": "bad-unit"},
        PluginError,
        "constant 'speed' declares a unit: the unit 'parsec' is unknown",
    ),
    (
        {"devices.array.model": "reserved"},
        PluginError,
        "a constant has a name that no device number has; got bandwidth",
    ),
    ({"devices.array.model": "stray-default"}, PluginError, "'defaults' names only constants; got ['speed']"),
]


@pytest.mark.parametrize(("override", "error", "message"), WRONG)
def test_refusals_name_key_value_and_remedy(
    override: dict[str, Any], error: type[TradespaceError], message: str, toy: Path, registry: Registry
) -> None:
    with pytest.raises(error) as caught:
        load_target({"extends": str(toy), **override}, registry)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1 GHz", "1 GB", "toy.yaml: devices.array.clock: '1 GB' is B, needs Hz"),
        ("clock: 1 GHz", "clock: null", "toy.yaml: devices.array.clock: 'clock' has no value"),
        ("rows: 32", "rows: 32, rowz: 3", "toy.yaml: devices.array.rowz: unknown key 'rowz'. Did you mean"),
    ],
)
def test_refusals_name_the_file(old: str, new: str, message: str, toy: Path, registry: Registry) -> None:
    toy.write_text(toy.read_text().replace(old, new))
    with pytest.raises(TradespaceError) as caught:
        load_target(toy, registry)
    assert message in str(caught.value)


def test_unknown_targets_get_suggestions(registry: Registry) -> None:
    with pytest.raises(UnknownName, match=r"unknown target 'laptap'. Did you mean 'laptop'"):
        load_target("laptap", registry)
    with pytest.raises(InputError, match=r"nowhere.yaml: a file is needed"):
        load_target("nowhere.yaml", registry)
    with pytest.raises(InputError, match="a target is a name, a path or a mapping; got 3"):
        load_target(3, registry)  # type: ignore[arg-type]


def test_a_missing_device_is_named(toy: Path, registry: Registry) -> None:
    target: Target = load_target(toy, registry)
    with pytest.raises(UnknownName, match=r"target 'toy': unknown device 'dgpu'. Known: array, vector"):
        target.device("dgpu")
