"""Building one file on another: what is inherited, what loses its source, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tradespace.errors import InputError, UnknownName
from tradespace.plugins import Registry
from tradespace.targets import Sourced, load_target
from tradespace.targets.layers import annotate


def _sources(ref: Any, registry: Registry) -> dict[str, Sourced]:
    return {sourced.path: sourced for sourced in load_target(ref, registry).sources}


def test_source_and_kind_hold_for_everything_below(toy: Path, registry: Registry) -> None:
    found = _sources(toy, registry)
    origin = {path: (sourced.source, sourced.kind) for path, sourced in found.items()}
    assert origin["devices.array.clock"] == ("SCALE-Sim v2 test folder", "datasheet")  # no kind: datasheet
    assert origin["memories.dram.bandwidth"] == ("SCALE-Sim v2 test folder", "substitute")  # kind set below source
    assert origin["devices.vector.peak.fp16"] == ("a data sheet", "measured")  # for this number alone
    assert origin["devices.vector.peak.int8"] == ("SCALE-Sim v2 test folder", "datasheet")


def test_an_overridden_number_loses_its_source(toy: Path, registry: Registry) -> None:
    found = _sources({"extends": str(toy), "devices.array.clock": "2 GHz"}, registry)
    clock = found["devices.array.clock"]
    assert (clock.value, clock.unit, clock.kind) == (2e9, "Hz", "substitute")
    assert clock.source == "stated without a source in target override"
    assert found["devices.array.rows"].source == "SCALE-Sim v2 test folder"


def test_an_override_states_its_own_source(toy: Path, registry: Registry) -> None:
    ref = {
        "extends": str(toy),
        "source": "our stopwatch",
        "kind": "measured",
        "devices.array.clock": "2 GHz",
        "devices.array.rows": {"value": 64, "source": "a photograph"},
        "devices": {"array": {"cols": 16}},
    }
    found = _sources(ref, registry)
    assert (found["devices.array.clock"].source, found["devices.array.clock"].kind) == ("our stopwatch", "measured")
    assert (found["devices.array.rows"].source, found["devices.array.rows"].kind) == ("a photograph", "measured")
    assert (found["devices.array.cols"].value, found["devices.array.cols"].source) == (16.0, "our stopwatch")


def test_files_extend_files_beside_them(tmp_path: Path, toy: Path, registry: Registry) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "fast.yaml").write_text("fast: {extends: ./toy.yaml, devices.array.clock: 2 GHz, title: Fast toy}\n")
    (tmp_path / "sub" / "big.yaml").write_text("big: {extends: ../fast.yaml, devices: {array: {rows: 128}}}\n")
    target = load_target(tmp_path / "sub" / "big.yaml", registry)
    array = target.device("array")
    assert (target.name, target.title) == ("big", "Fast toy")
    assert (array.rows, array.clock, array.cols) == (128.0, 2e9, 32.0)


def test_catalogue_names_are_extended(registry: Registry) -> None:
    base = load_target("laptop", registry)
    target = load_target({"extends": "laptop", "devices.cpu.dynamic_power": "20 W"}, registry)
    assert target.name == "laptop"
    assert (target.device("cpu").dynamic_power, base.device("cpu").dynamic_power) == (20.0, 23.0)
    assert target.device("dgpu") == base.device("dgpu")


def test_null_removes_a_device_and_its_link(registry: Registry) -> None:
    ref = {"extends": "laptop", "devices.dgpu": None, "links.pcie": None, "memories.vram": None}
    target = load_target(ref, registry)
    assert [device.name for device in target.devices] == ["cpu", "igpu", "npu"]
    assert not any("dgpu" in sourced.path or "vram" in sourced.path for sourced in target.sources)
    with pytest.raises(UnknownName, match="unknown memory or device 'vram'"):
        load_target({"extends": "laptop", "devices.dgpu": None, "memories.vram": None}, registry)


def test_circles_are_named(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "a.yaml").write_text("a: {extends: ./b.yaml}\n")
    (tmp_path / "b.yaml").write_text("b: {extends: ./a.yaml}\n")
    with pytest.raises(InputError, match="targets extend each other in a circle; got a -> b -> a"):
        load_target(tmp_path / "a.yaml", registry)


def test_chains_end(tmp_path: Path, toy: Path, registry: Registry) -> None:
    (tmp_path / "t0.yaml").write_text("t0: {extends: ./toy.yaml}\n")
    for step in range(1, 12):
        (tmp_path / f"t{step}.yaml").write_text(f"t{step}: {{extends: ./t{step - 1}.yaml}}\n")
    assert load_target(tmp_path / "t6.yaml", registry).device("array").rows == 32.0
    with pytest.raises(InputError, match="at most 8 targets extend each other"):
        load_target(tmp_path / "t11.yaml", registry)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ({"extends": "laptop", "devices.cpuu.idle_power": 1}, "unknown key 'cpuu'. Did you mean"),
        ({"extends": "laptop", "devices.cpu.idle_power.fp16": 1}, "unknown key 'idle_power'"),
        ({"extends": "laptap"}, "unknown target 'laptap'. Did you mean 'laptop'"),
        ({"extends": ["laptop"]}, "'extends' takes the name or path of one target; got ['laptop']"),
        ({"extends": "laptop", "devices.cpuu": None}, "'cpuu' has no value, and there is no inherited one to delete"),
        ({"devises": {}, "x": 1}, "a target file holds one target; got keys 'devises', 'x'"),
        ({3: 4}, "a key is printable text of at most 200 characters; got 3"),
        ({"extends": "laptop", "a\nb": 4}, "a key is printable text"),
        ({"extends": "laptop", "source": "x" * 201}, "'source' is printable text of at most 200 characters"),
        ({"extends": "laptop", "devices.cpu.": 4}, "unknown key ''"),
        ({}, "a target file holds one target"),
    ],
)
def test_overrides_that_name_nothing_are_refused(ref: Any, message: str, registry: Registry) -> None:
    with pytest.raises((InputError, UnknownName)) as caught:
        load_target(ref, registry)
    assert message in str(caught.value)


def test_annotate_does_not_touch_what_it_reads() -> None:
    body = {"source": "s", "a": {"value": 1, "kind": "measured"}, "b": {"kind": "paper", "c": [1, 2]}}
    before = repr(body)
    tree = annotate(body, "f")
    assert repr(body) == before
    assert tree["a"].origin() == ("s", "measured")  # type: ignore[union-attr]
    assert tree["b"]["c"].origin() == ("s", "paper")  # type: ignore[index,union-attr]


def test_two_plugins_with_one_name_are_a_conflict(tmp_path: Path, registry: Registry) -> None:
    class Twice(Registry):
        def catalogue_files(self, kind: str) -> tuple[tuple[str, Path], ...]:
            return (("one", tmp_path / "one" / "toy.yaml"), ("two", tmp_path / "two" / "toy.yaml"))

    twice = Twice(registry.plugins, registry.claims)
    with pytest.raises(InputError, match=r"target 'toy' comes from plugin 'one'.* and plugin 'two'"):
        load_target("toy", twice)
