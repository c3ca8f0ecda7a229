"""Calibration: a target that loads, prices a decode step as written down here by hand, and compares with itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from tradespace.cli.main import main
from tradespace.errors import InputError
from tradespace.kernels import calibration, measure
from tradespace.kernels.calibration import Calibration, Change, compare, explained, target_text
from tradespace.kernels.device import CPUKernels, between, product_time, weight_rate
from tradespace.kernels.machine import Machine
from tradespace.kernels.measure import Bench, Reading, probes
from tradespace.kernels.products import WANTED, product_kernel, random_weights
from tradespace.kernels.running import run_tasks
from tradespace.plugins import registry
from tradespace.settings import Setting, bind
from tradespace.targets import load_target
from tradespace.testing.device_models import check_device_model
from tradespace.testing.run import check_target_name
from tradespace.workloads import load_workload

MACHINE = Machine("Test 9000", "Linux", 2, "affinity", 8 * 10**9, "MemAvailable", ((1, 32768), (2, 2**20), (3, 2**22)))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    """One real round with small buffers: about a second. What it measures is not judged."""
    patch = pytest.MonkeyPatch()
    patch.setattr(calibration, "SECONDS", {"quick": (0.0, 1, 1), "full": (0.0, 1, 1)})
    patch.setattr(calibration, "this_machine", lambda: MACHINE)
    patch.setattr(measure, "MATRIX", 2**18)
    patch.setattr(measure, "LARGE", 2**22)
    patch.setattr(measure, "LADDER", (4096, 65536, 2**20))
    try:
        return calibration.calibrate(quick=True, folder=tmp_path_factory.mktemp("storage"))
    finally:
        patch.undo()


def test_every_number_is_measured_with_kernel_spread_and_date(found: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "local.yaml"
    path.write_text(target_text(found, "local"))
    target = load_target(path, registry())
    report = check_target_name(str(path), registry())
    assert report.passed, str(report)
    named = {number.path: number for number in target.sources}
    stream = named["devices.cpu.stream_one.q4_0"]
    assert stream.kind == "measured"
    assert stream.source.startswith("gemv-q4_0 (q4_0), 1 thread, matrices of 4 MB out of")
    assert "samples, spread" in stream.source and stream.source.endswith(found.date)
    given = [number for number in target.sources if not number.source.startswith(("not given", "that of memory"))]
    assert {number.kind for number in given} == {"measured"}
    for precision in WANTED:
        for constant in ("stream", "short", "cached", "gemm"):
            assert {f"devices.cpu.{constant}_{n}.{precision}" for n in ("one", "all")} <= set(named)
    assert target.memories["storage"].bandwidth > 0 and target.path("storage", "cpu").latency > 0
    assert found.missing  # power at least, on a machine without counters, or the fp16 peak; each with its reason
    assert all(": " in text for text in found.missing)


def test_a_calibration_agrees_with_itself_and_not_with_half_its_rates(found: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "local.yaml"
    path.write_text(target_text(found, "local"))
    same = compare(found, path)
    assert len(same) > 150 and {change.verdict for change in same} == {"agrees"}
    key = "devices.cpu.stream_one.q8_0"
    tight = Reading(key, "B/s", (np.full(9, found.readings[key].value * 2),), "")
    other = compare(replace(found, readings={key: tight}), path)
    assert other[0].ratio == pytest.approx(2, rel=1e-3) and other[0].path == key
    assert Change("x", "s", 1.0, 1.3, 0.35).verdict == "spread explains"
    assert Change("x", "s", 1.0, 1.3, 0.2).verdict == "differs"
    assert Change("x", "s", 0.0, 0.0, 0.0).verdict == "agrees"
    path.write_text(yaml.safe_dump({"local": {"devices": {"cpu": {"model": "roofline"}}}}))
    with pytest.raises(InputError, match="must hold numbers that `tradespace calibrate` measures"):
        compare(found, path)


def test_rounds_that_differ_widen_the_spread() -> None:
    calm = Reading("x", "s", (np.array([1.0, 1.01, 0.99]), np.array([1.0, 1.01, 0.99])), "")
    drifting = Reading("x", "s", (np.array([1.0, 1.0, 1.0, 1.0, 1.0]), np.array([1.5])), "")
    assert calm.spread == pytest.approx(0.015, abs=0.01) and drifting.spread == pytest.approx(0.5)
    assert drifting.value == 1.0


def test_processors_that_share_a_core_explain_what_threads_lost() -> None:
    def flag(before: float, after: float) -> list[Change]:
        return [Change("devices.cpu.pass_flag", "s", before, after, 0.1)]

    told = explained(flag(165e-9, 45e-9))
    assert told is not None and "took 165 ns and takes 45 ns: now the two processors seem to have shared a core" in told
    assert explained(flag(165e-9, 150e-9)) is None and explained([]) is None


# -- the device model, with round numbers

BODY = """
local:
  kind: measured
  source: a test
  memories: {dram: {bandwidth: 1 TB/s, capacity: 8 GB}}
  devices:
    cpu:
      model: cpu-kernels
      memory: dram
      threads: 1
      cores: 4
      stream_one: {q8_0: 10 GB/s, fp16: 10 GB/s}
      stream_all: {q8_0: 20 GB/s, fp16: 20 GB/s}
      cached_one: {q8_0: 20 GB/s, fp16: 20 GB/s}
      cached_all: {q8_0: 80 GB/s, fp16: 80 GB/s}
      gemm_one: {q8_0: 100 GFLOP/s, fp16: 100 GFLOP/s}
      gemm_all: {q8_0: 400 GFLOP/s, fp16: 400 GFLOP/s}
      prepare_one: {q8_0: 1 GHz}
      prepare_all: {q8_0: 4 GHz}
      short_one: {q8_0: 8 GB/s, fp16: 10 GB/s}  # a row of 512 takes 68 ns instead of 54.4
      short_all: {q8_0: 16 GB/s, fp16: 21 GB/s}  # 34 ns instead of 27.2
      attention_one: 10 GFLOP/s
      attention_all: 40 GFLOP/s
      pointwise_one: 1 GFLOP/s
      pointwise_all: 4 GFLOP/s
      dispatch_one: 100 ns
      dispatch_all: 400 ns
      cache: 32 MB
      peak: 1 TFLOP/s
"""


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "local.yaml"
    path.write_text(BODY)
    return path


def _device(path: Path, **numbers: object):  # type: ignore[no-untyped-def]
    changes = {f"devices.cpu.{key}": value for key, value in numbers.items()}
    return load_target({"extends": str(path), **changes}, registry()).device("cpu")


def test_a_decode_step_costs_what_its_parts_cost(local: Path) -> None:
    graph = load_workload({"extends": "llama-3.2-1b", "phase": "decode", "context": 256}, registry())
    ops, q8, fp16 = graph.operators, *(registry().load("precisions", name) for name in ("q8_0", "fp16"))
    table = CPUKernels().table(ops, _device(local), [q8, fp16]).dense(len(ops), 2, "test")
    row = ops.name.index("0.q_proj") if "0.q_proj" in ops.name else ops.kind.index("matmul")
    k, n = ops.k[row], ops.n[row]
    assert k == 2048
    assert table.time[row, 0] == pytest.approx(n * k * 34 / 32 / 10e9 + k / 1e9)
    assert table.time[row, 1] == pytest.approx(k * n * 2 / 10e9)
    assert table.overhead is not None
    assert table.overhead[row].tolist() == pytest.approx([200e-9, 100e-9])  # quantising is a kernel of its own
    row = ops.kind.index("attention")
    assert table.time[row, 0] == pytest.approx(ops.flop[row] / 10e9)
    row = ops.kind.index("norm")
    assert table.time[row, 0] == pytest.approx(ops.flop[row] / 1e9)


def test_columns_in_fours_share_the_decoding(local: Path) -> None:
    q8 = registry().load("precisions", "q8_0")

    def time(tokens: int) -> float:
        graph = load_workload({"extends": "llama-3.2-1b", "phase": "prefill", "prompt": tokens}, registry())
        ops = graph.operators
        row = ops.kind.index("matmul")
        size = ops.k[row] * ops.n[row]
        bare = product_time(ops, _device(local), q8)[row] - tokens * ops.k[row] / 1e9
        return float(bare / size)

    byte = 34 / 32
    assert time(1) == pytest.approx(byte / 10e9)
    assert time(2) == pytest.approx(max(time(1), 2 * byte / 20e9))
    assert time(3) == pytest.approx(3 * byte / 20e9)
    assert time(16) == pytest.approx(2 * 16 / 100e9)
    assert time(18) == pytest.approx(2 * 16 / 100e9 + 2 * byte / 20e9)


def test_bytes_of_short_rows_take_longer(local: Path) -> None:
    q8 = registry().load("precisions", "q8_0")
    graph = load_workload({"extends": "smollm-135m", "phase": "decode"}, registry())
    rows = [graph.operators.name.index(name) for name in ("0.gate", "0.down")]
    times = product_time(graph.operators, _device(local), q8)[rows]
    each = [(t - k / 1e9) / (576 * 1536 * 34 / 32) for t, k in zip(times, (576, 1536), strict=True)]
    assert each == pytest.approx([1 / 10e9 + s * (1 / 8e9 - 1 / 10e9) for s in ((512 / 576 - 0.25) / 0.75, 1 / 9)])


def test_a_product_within_a_step_takes_longer_than_its_parts(local: Path) -> None:
    q8 = registry().load("precisions", "q8_0")
    graph = load_workload({"extends": "llama-3.2-1b", "phase": "decode"}, registry())
    row = graph.operators.kind.index("matmul")
    bare = product_time(graph.operators, _device(local), q8)[row]
    slow = _device(local, start_one={"q8_0": "2 us"}, start_all={"q8_0": "8 us"})
    assert product_time(graph.operators, slow, q8)[row] - bare == pytest.approx(2e-6)
    assert between(
        _device(local, threads=2, start_one={"q8_0": "2 us"}, start_all={"q8_0": "8 us"}), "start", "q8_0"
    ) == (pytest.approx(4e-6))


def test_the_thread_with_most_heads_sets_the_pace(local: Path) -> None:
    graph = load_workload({"extends": "smollm-135m", "phase": "decode", "context": 256}, registry())
    row = graph.operators.kind.index("attention")

    fp16 = registry().load("precisions", "fp16")
    one, four = (
        float(CPUKernels().table(graph.operators, _device(local, threads=t), [fp16]).time[row, 0]) for t in (1, 4)
    )
    assert one / four == pytest.approx(4 * 9 / 12)  # 9 heads: one of four threads has three of them


def test_rates_between_one_thread_and_all(local: Path) -> None:
    rates = [between(_device(local, threads=t), "stream", "q8_0") for t in (1, 2, 3, 4, 9)]
    contention = (4 * 10 / 20 - 1) / 3
    expected = [t * 10e9 / (1 + contention * (t - 1)) for t in (1, 2, 3, 4)]
    assert rates == pytest.approx([*expected, expected[-1]])
    assert between(_device(local, threads=4, stream_all="0 B/s"), "stream", "q8_0") == 10e9
    assert between(_device(local, threads=2), "dispatch") == pytest.approx(200e-9)
    assert between(_device(local, threads=2), "gemm", "q8_0") == pytest.approx(200e9)


def test_a_working_set_that_fits_is_read_from_the_cache(local: Path) -> None:
    sizes = ("0 B", "16 MB", "32 MB", "64 MB", "1 GB")
    rates = [weight_rate(_device(local, working_set=size), "q8_0") for size in sizes]
    assert rates == pytest.approx([10e9, 20e9, 1 / (0.5 / 10e9 + 0.5 / 20e9), 10e9, 10e9])


def test_a_format_without_a_rate_is_not_offered(local: Path) -> None:
    graph = load_workload({"extends": "llama-3.2-1b", "phase": "decode"}, registry())
    q4 = registry().load("precisions", "q4_k")
    table = CPUKernels().table(graph.operators, _device(local), [q4]).dense(len(graph.operators), 1, "test")
    assert table.unsupported is not None
    assert table.unsupported[np.array(graph.operators.kind) == "matmul"].all()


def test_threads_can_be_a_decision(local: Path) -> None:
    target = {"extends": str(local), "devices.cpu.threads": {"choices": [1, 2, 4]}}
    workload = {"extends": "llama-3.2-1b", "phase": "decode"}
    bound = bind(Setting(workload, target, "tables", {"precisions": ["q8_0"]}), registry())
    designs = bound.evaluator.space.sample(64, np.random.default_rng(0))
    (name,) = [variable.name for variable in bound.evaluator.space.variables if "threads" in variable.name]
    prices = bound.evaluator.price(designs)
    latency = {int(t): set(np.round(prices["latency"][designs[name].ravel() == t], 12)) for t in (0, 1, 2)}
    assert all(len(values) == 1 for values in latency.values())
    assert min(latency[0]) > min(latency[1]) > min(latency[2])


def test_the_device_model_keeps_its_contract() -> None:
    report = check_device_model(CPUKernels, "cpu-kernels")
    assert report.passed, str(report)


# -- kernels by precision


@pytest.mark.parametrize("precision", WANTED)
def test_the_kernel_of_a_precision_reads_what_the_precision_says(precision: str) -> None:
    kernel, form = product_kernel(precision), registry().load("precisions", precision)
    assert kernel.weight_bytes(64, 768) == form.bytes(64 * 768)
    data = random_weights(kernel.weight_bytes(64, 768), np.random.default_rng(0))
    x = np.ones((3, 768), np.float32)
    product = kernel.over(data, 64, x)
    run_tasks(product.tasks, threads=2)
    assert product.y.shape == (3, 64) and np.isfinite(product.y).all() and np.abs(product.y).max() > 0
    assert np.array_equal(product.y[0], product.y[1])


def test_random_weights_are_normal_numbers_of_every_float_format() -> None:
    data = random_weights(1 << 16, np.random.default_rng(0))
    half, single = data.view(np.float16), data.view(np.float32)
    assert np.isfinite(half).all() and (np.abs(half) >= np.finfo(np.float16).tiny).all()
    assert np.isfinite(single).all() and (np.abs(single) >= np.finfo(np.float32).tiny).all()


def test_probes_state_a_unit_and_a_kernel_for_all_they_measure(tmp_path: Path) -> None:
    bench = Bench(replace(MACHINE, memory=64 << 20), np.random.default_rng(0), tmp_path, 1)
    labels = [probe.label for probe in probes(bench, full=True)]
    assert len(set(labels)) == len(labels) >= 20
    assert len(bench.data) <= 16 << 20  # a quarter of what may be used


# -- the command


def test_the_command_refuses_before_it_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--compare", str(tmp_path / "none.yaml"), "--json"]) == 2
    assert "none.yaml" in json.loads(capsys.readouterr().out)["error"]["message"]
    (tmp_path / "file").write_text("")
    assert main(["calibrate", "--quick", "--output", str(tmp_path / "file" / "x.yaml")]) == 2
    assert "error:" in capsys.readouterr().err


def test_the_command_writes_and_prints(
    found: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "calibrate", lambda **_: found)
    path = tmp_path / "here.yaml"
    assert main(["calibrate", "--output", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["files"] == {"target": str(path)} and len(document["numbers"]) > 150
    assert {"path", "value", "unit", "spread", "source", "samples"} <= set(document["numbers"][0])
    assert main(["calibrate", "--compare", str(path), "--output", str(path)]) == 0
    assert "agrees" in capsys.readouterr().out
    assert main(["calibrate", "--output", str(path)]) == 0
    assert "q4_0" in capsys.readouterr().out
