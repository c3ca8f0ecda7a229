"""The targets that ship: each loads, each number has a source, and each machine is physically possible."""

from __future__ import annotations

import math

import pytest

from tradespace.plugins import Registry
from tradespace.targets import Device, load_target, target_names
from tradespace.targets.constants import DEVICE
from tradespace.targets.layers import KINDS

FIRST = ("a100", "h100", "laptop", "mac", "phone", "raspberry-pi-5")


@pytest.fixture(scope="module")
def names(registry: Registry) -> tuple[str, ...]:
    return target_names(registry)


def test_the_first_catalogue_is_there(names: tuple[str, ...]) -> None:
    assert set(FIRST) <= set(names)
    assert list(names) == sorted(names)


@pytest.mark.parametrize("name", FIRST)
def test_every_number_is_stated_with_source_and_kind(name: str, registry: Registry) -> None:
    target = load_target(name, registry)
    assert target.name == name and target.title
    for sourced in target.sources:
        assert sourced.kind in KINDS and len(sourced.source) > 3, sourced
        assert "without a source" not in sourced.source, sourced
        assert "not given" not in sourced.source or sourced.path.startswith("links."), sourced
    stated = {sourced.path for sourced in target.sources}
    assert {f"devices.{device.name}.{key}" for device in target.devices for key in DEVICE} <= stated


def _load_temperature(device: Device) -> tuple[float, float]:
    """(temperature, leakage) of full load: T = ambient + R (idle + dynamic + leakage(T)), by iteration."""
    temperature, leakage = device.ambient, 0.0
    for _ in range(2000):
        leakage = device.leakage_power * math.exp((temperature - device.reference_temperature) / device.leakage_scale)
        power = device.idle_power + device.dynamic_power + leakage
        temperature = device.ambient + device.thermal_resistance * power
    return temperature, leakage


@pytest.mark.parametrize("name", FIRST)
def test_full_load_is_hot_but_stable(name: str, registry: Registry) -> None:
    for device in load_target(name, registry).devices:
        temperature, leakage = _load_temperature(device)
        assert device.ambient < temperature < device.max_temperature, device.name
        assert 0.01 < leakage / device.dynamic_power < 0.2, device.name
        assert device.thermal_resistance * leakage / device.leakage_scale < 0.5, device.name  # far from runaway
        assert device.bandwidth <= load_target(name, registry).memory_of(device.name).bandwidth
        assert device.peak("fp16") and device.peak("int8")


@pytest.mark.parametrize(
    ("target", "device", "watts"),
    [("laptop", "cpu", 28), ("laptop", "dgpu", 115), ("a100", "gpu", 400), ("h100", "gpu", 700)],
)
def test_full_load_meets_the_power_limit_of_the_data_sheet(
    target: str, device: str, watts: float, registry: Registry
) -> None:
    found = load_target(target, registry).device(device)
    assert found.idle_power + found.dynamic_power + _load_temperature(found)[1] == pytest.approx(watts, rel=0.02)


def test_the_laptop_offers_a_real_choice(registry: Registry) -> None:
    """No device is the best at everything: speed, energy and precisions pull apart."""
    laptop = load_target("laptop", registry)
    by_name = {device.name: device for device in laptop.devices}
    assert list(by_name) == ["cpu", "igpu", "npu", "dgpu"]
    joules = {name: (d.idle_power + d.dynamic_power) / d.bandwidth for name, d in by_name.items()}  # per byte
    assert max(by_name, key=lambda name: by_name[name].bandwidth) == "dgpu" == max(joules, key=joules.__getitem__)
    assert min(joules, key=joules.__getitem__) == "npu"
    assert by_name["npu"].peak("fp32") is None and by_name["npu"].peak("bf16") is None
    assert min(by_name, key=lambda name: by_name[name].launch_overhead) == "cpu"
    assert laptop.memories["vram"].capacity < laptop.memories["dram"].capacity
    assert laptop.path("cpu", "dgpu").links == ("pcie",) and laptop.path("cpu", "npu").links == ()


@pytest.mark.parametrize(
    ("target", "path", "value"),
    [
        ("laptop", "memories.dram.bandwidth", 7467e6 * 16),
        ("laptop", "memories.vram.bandwidth", 16e9 * 16),
        ("laptop", "devices.igpu.peak.fp32", 128 * 8 * 2 * 2.25e9),
        ("laptop", "devices.npu.peak.int8", 4096 * 2 * 1.4e9),
        ("laptop", "devices.dgpu.peak.fp32", 3072 * 2 * 2.37e9),
        ("laptop", "devices.dgpu.peak.fp16", 24 * 512 * 2.37e9),
        ("laptop", "links.pcie.bandwidth", 8 * 16e9 * 128 / 130 / 8),
        ("raspberry-pi-5", "memories.dram.bandwidth", 4267e6 * 4),
        ("raspberry-pi-5", "devices.cpu.peak.fp32", 4 * 16 * 2.4e9),
        ("raspberry-pi-5", "devices.gpu.peak.fp32", 16 * 8 * 0.96e9),
        ("a100", "devices.gpu.peak.fp16", 108 * 2048 * 1.41e9),
        ("a100", "memories.hbm.bandwidth", 5120 / 8 * 1593e6 * 2),
        ("h100", "devices.gpu.peak.fp16", 132 * 4096 * 1.83e9),
    ],
)
def test_stated_rates_agree_with_clocks_and_widths(target: str, path: str, value: float, registry: Registry) -> None:
    """An independent route to the number: units x width x clock, within 5 %."""
    stated = {sourced.path: sourced.value for sourced in load_target(target, registry).sources}
    assert stated[path] == pytest.approx(value, rel=0.05)
