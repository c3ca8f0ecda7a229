"""ONNX Runtime, Olive, Kubernetes and plain JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from tests.support.plans import blocks, exported

from tradespace.exporters import CannotExport
from tradespace.exporters.plain import SCHEMA

W4 = ["fp16", *blocks(("int4", 16)), "fp16"]
SPLIT = blocks(("cpu", 12), ("dgpu", 6))


# -- ONNX Runtime ------------------------------------------------------------------------------------------------------


def test_each_node_is_assigned_where_its_block_is(tmp_path: Path):
    found = exported("onnxruntime", tmp_path, SPLIT, blocks(("fp16", 18))).document
    assert [name for name, _ in found["providers"]] == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    rules = {}
    for rule in found["session_options"]["session.name_based_layer_assignment"].split(";"):
        designator, _, patterns = rule.rstrip(")").partition("(")
        rules |= dict.fromkeys(patterns.split(","), designator)
    for layer in range(16):
        node = f"/model/layers.{layer}/mlp/down_proj/MatMul"
        hits = [pattern for pattern in rules if pattern in node]
        assert len(hits) == 1
        assert rules[hits[0]] == {"cpu": "cpu", "dgpu": "cuda"}[SPLIT[layer + 1]]
    assert rules["/embed_tokens/"] == "cpu" and rules["/lm_head/"] == "cuda"


def test_a_plan_without_the_cpu_forbids_falling_back_to_it(tmp_path: Path):
    plans = {"dgpu": "1", "cpu": "0"}
    for device, expected in plans.items():
        options = exported("onnxruntime", tmp_path, [device] * 18, blocks(("fp16", 18))).document["session_options"]
        assert options["session.disable_cpu_ep_fallback"] == expected


def test_the_block_quantiser_gets_the_plans_format(tmp_path: Path):
    found = exported("onnxruntime", tmp_path, blocks(("cpu", 18)), W4).document["quantization"]
    assert (found["bits"], found["block_size"], found["is_symmetric"]) == (4, 32, True)
    assert found["op_types_to_quantize"] == ["MatMul"] and "/lm_head/MatMul" in found["nodes_to_exclude"]
    assert exported("onnxruntime", tmp_path, blocks(("cpu", 18)), blocks(("fp16", 18))).document["quantization"] is None


@pytest.mark.parametrize(
    ("placement", "precision", "settings", "says"),
    [
        (blocks(("cpu", 18)), ["fp16", *blocks(("int4", 8), ("int8", 8)), "fp16"], {}, "block '8'"),
        (blocks(("cpu", 18)), ["int8", *blocks(("int4", 16)), "fp16"], {}, "block 'embed'"),
        (blocks(("cpu", 18)), blocks(("int8", 18)), {}, "4 bits only"),
        (blocks(("igpu", 9), ("npu", 9)), blocks(("fp16", 18)), {}, "two devices use OpenVINO"),
        (blocks(("cpu", 18)), W4, {"device.cpu": "NoSuchProvider"}, "no such execution provider"),
        (blocks(("cpu", 18)), W4, {"threads": "0"}, "threads"),
    ],
)
def test_what_onnxruntime_cannot_do_is_refused(tmp_path: Path, placement, precision, settings, says):
    with pytest.raises(CannotExport, match=re.escape(says)):
        exported("onnxruntime", tmp_path, placement, precision, settings)


# -- Olive -------------------------------------------------------------------------------------------------------------


def test_olive_builds_int4_with_blocks_of_32(tmp_path: Path):
    found = exported("olive", tmp_path, blocks(("gpu", 18)), W4, {"model": "./m"}, target="a100").document
    builder = found["passes"]["builder"]
    assert builder["precision"] == "int4" and builder["int4_block_size"] == 32
    assert found["input_model"]["model_path"] == "./m"
    assert found["systems"]["target"]["accelerators"][0]["execution_providers"] == ["CUDAExecutionProvider"]


def test_olive_refuses_two_devices(tmp_path: Path):
    with pytest.raises(CannotExport, match="12 blocks on cpu, 6 blocks on dgpu"):
        exported("olive", tmp_path, SPLIT, blocks(("fp16", 18)))


# -- Kubernetes --------------------------------------------------------------------------------------------------------


def test_a_pod_asks_for_the_plans_memory_and_devices(tmp_path: Path):
    found = exported("kubernetes", tmp_path, SPLIT, blocks(("int8", 18)), {"image": "r/i:1", "overhead": "0"})
    pod = yaml.safe_load(found.text)
    assert pod == found.document and re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", pod["metadata"]["name"])
    own = pod["spec"]["containers"][0]["resources"]
    assert own["limits"]["nvidia.com/gpu"] == own["requests"]["nvidia.com/gpu"] == "1"
    assert own["limits"]["memory"] == own["requests"]["memory"]
    whole = exported("kubernetes", tmp_path, blocks(("cpu", 18)), blocks(("int8", 18)), {"image": "i", "overhead": "0"})
    mib = int(whole.document["spec"]["containers"][0]["resources"]["limits"]["memory"].removesuffix("Mi"))
    assert 1.2e9 < mib * 2**20 < 1.5e9  # 1.24 G weights in 8.5 bits, and a little cache


@pytest.mark.parametrize(("settings", "says"), [({}, "image"), ({"image": "a b"}, "image"),
                                                ({"image": "i", "cpus": "0"}, "processors")])  # fmt: skip
def test_a_pod_without_what_it_needs_is_refused(tmp_path: Path, settings, says):
    with pytest.raises(CannotExport, match=says):
        exported("kubernetes", tmp_path, blocks(("cpu", 18)), blocks(("int8", 18)), settings)


# -- JSON --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["laptop", "mac", "raspberry-pi-5"])
def test_plain_json_fits_its_schema(tmp_path: Path, target):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    found = exported("json", tmp_path, blocks(("cpu", 18)), blocks(("int8", 18)), target=target)
    document = json.loads(found.text)
    jsonschema.validate(document, schema)
    assert len(document["rows"]) == 18 and document["rows"][3]["choices"]["placement"] == "cpu"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "extra": 1}, schema)


def test_an_infeasible_plan_is_not_exported(tmp_path: Path):
    with pytest.raises(CannotExport, match="exceeded"):
        exported("json", tmp_path, blocks(("dgpu", 34)), blocks(("fp16", 34)), workload="llama-3.1-8b")
