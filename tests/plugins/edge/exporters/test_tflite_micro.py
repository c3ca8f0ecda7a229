"""TFLite-Micro: the arena beside what its own interpreter recorded, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("tflite")

from tests.support.plans import exported

from tradespace.errors import InputError
from tradespace.exporters import CannotExport
from tradespace_edge.exporters.tflite_micro import read_arena

DATA = Path(__file__).parents[4] / ".." / "shared" / "data"
RECORDED = {
    "tinyengine/detection": (337024, 386272),
    "tinyengine/vww": (161472, 224976),
    "mlperf-tiny/ad01_int8": (768, 4638),  # 3984 once it runs; planning its memory takes more
    "mlperf-tiny/kws_ref_model": (16000, 24272),
    "mlperf-tiny/pretrainedResnet_quant": (49152, 55984),
    "mlperf-tiny/vww_96_float": (294912, 324800),
    "mlperf-tiny/vww_96_int8": (73728, 103680),
}
"""Head and whole arena, B, as the RecordingMicroAllocator of tflite-micro 0.dev20261023182759 printed them."""


def _file(name: str) -> Path:
    path = DATA / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"shared/data/{name}.tflite is not here")
    return path


@pytest.mark.parametrize("name", RECORDED)
def test_the_head_is_exact_and_the_arena_never_too_small(name):
    arena = read_arena(_file(name))
    head, total = RECORDED[name]
    assert arena.head == head
    assert total <= arena.total <= total * 1.05 + 1024


def _exported(tmp_path: Path, file: Path, precision: str, target: str, **settings: str):
    from tradespace.plugins import registry
    from tradespace.settings import Setting, bind

    options = {"precisions": ["int8", "int4"]}
    bound = bind(Setting(str(file), target, "tables", options), registry())
    count = len(bound.evaluator.binding.entries.names)
    device = bound.target.devices[0].name
    return exported(
        "tflite-micro", tmp_path, [device] * count, [precision] * count, settings, workload=str(file), target=target,
        options=options,
    )  # fmt: skip


def test_operators_are_registered_once_each(tmp_path: Path):
    found = _exported(tmp_path, _file("mlperf-tiny/vww_96_int8"), "int8", "stm32h743")
    calls = re.findall(r"resolver\.(\w+)\(\)", found.text)
    assert calls == found.document["resolver"] and len(calls) == len(set(calls)) == 6
    assert {"AddConv2D", "AddDepthwiseConv2D", "AddSoftmax"} <= set(calls)
    assert f"MicroMutableOpResolver<{len(calls)}>" in found.text
    assert f"kTensorArenaSize = {found.document['arena']};" in found.text


def test_scratch_is_added(tmp_path: Path):
    file = _file("mlperf-tiny/kws_ref_model")
    plain = _exported(tmp_path, file, "int8", "stm32h743").document["arena"]
    assert _exported(tmp_path, file, "int8", "stm32h743", scratch="1000").document["arena"] == plain + 1008


def test_an_arena_that_does_not_fit_is_refused(tmp_path: Path):
    with pytest.raises(CannotExport, match="memory 'sram'"):
        _exported(tmp_path, _file("tinyengine/detection"), "int8", "stm32f746")


def test_another_format_than_the_file_holds_is_refused(tmp_path: Path):
    with pytest.raises(CannotExport, match="the file holds int8"):
        _exported(tmp_path, _file("mlperf-tiny/kws_ref_model"), "int4", "stm32h743")


def test_a_workload_without_a_file_is_refused(tmp_path: Path):
    with pytest.raises(CannotExport, match=r"runs \.tflite files"):
        exported("tflite-micro", tmp_path, ["cpu"] * 18, ["int8"] * 18)


@pytest.mark.parametrize("damage", [b"", b"TFL3" * 8, bytes(range(256)) * 4])
def test_a_damaged_file_is_refused(tmp_path: Path, damage):
    path = tmp_path / "x.tflite"
    path.write_bytes(damage)
    with pytest.raises((InputError, CannotExport)):
        read_arena(path)
