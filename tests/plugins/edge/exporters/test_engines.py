"""vLLM and SGLang: every flag is one of a named release, and a plan they cannot run is refused with the reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.plans import blocks, exported

from tradespace.exporters import CannotExport
from tradespace_edge.exporters.option_lists import options_of

ENGINES = ("vllm", "sglang")
W4 = ["fp16", *blocks(("int4", 16)), "fp16"]
TWO = {
    "memories": {f"hbm{i}": {"bandwidth": "2 TB/s", "capacity": "80 GiB"} for i in (0, 1)},
    "devices": {
        f"gpu{i}": {"model": "roofline", "memory": f"hbm{i}", "capacity": "60 GiB",
                    "peak": {"value": "300 TFLOPS", "source": "an NVIDIA GPU"}}
        for i in (0, 1)
    },
    "links": {"nvlink": {"between": ["hbm0", "hbm1"], "bandwidth": "300 GB/s"}},
}  # fmt: skip


def _value(words, flag):
    return words[words.index(flag) + 1]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_flag_and_value_is_one_of_the_release(tmp_path: Path, engine):
    lists = options_of(engine)
    assert re.fullmatch(r"[\d.]+", lists.release) and lists.release in lists.source
    for precision in (blocks(("fp16", 18)), W4):
        words = exported(engine, tmp_path, blocks(("gpu", 18)), precision, target="a100").document["arguments"]
        flags = [w for w in words if w.startswith("-")]
        assert flags and set(flags) <= lists.options
        for flag in flags:
            assert _value(words, flag) in lists.choices.get(flag, (_value(words, flag),))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_flag_that_the_release_lacks_is_a_fault(engine):
    from tradespace.errors import PluginError

    with pytest.raises(PluginError, match="no option '--threads'"):
        options_of(engine).checked(["--threads", "2"])
    with pytest.raises(PluginError, match="takes no --dtype int3"):
        options_of(engine).checked(["--dtype", "int3"])


@pytest.mark.parametrize("engine", ENGINES)
def test_int4_in_blocks_of_32_is_gptq_with_groups_of_32(tmp_path: Path, engine):
    found = exported(engine, tmp_path, blocks(("gpu", 18)), W4, target="a100").document
    config = found["quantization_config"]
    assert (config["bits"], config["group_size"], config["sym"], config["lm_head"]) == (4, 32, True, False)
    assert _value(found["arguments"], "--dtype") == "float16"


def test_other_formats_of_single_layers_stand_in_the_dynamic_table(tmp_path: Path):
    precision = ["fp16", *blocks(("int4", 12), ("int8", 3), ("fp16", 1)), "fp16"]
    found = exported("vllm", tmp_path, blocks(("gpu", 18)), precision, target="a100")
    dynamic = found.document["quantization_config"]["dynamic"]
    for layer in range(16):
        name = f"model.layers.{layer}.mlp.down_proj"
        hits = [(key, value) for key, value in dynamic.items() if re.match(key[2:], name)]
        want = {"int4": [], "int8": [("+", {"bits": 8})], "fp16": [("-", {})]}[precision[layer + 1]]
        assert [(key[0], value) for key, value in hits] == want
    assert any("16 bits" in note for note in found.notes)


@pytest.mark.parametrize(("engine", "flag"), [("vllm", "--pipeline-parallel-size"), ("sglang", "--pp-size")])
def test_two_gpus_are_pipeline_stages(tmp_path: Path, engine, flag):
    placement = blocks(("gpu0", 5), ("gpu1", 13))
    found = exported(engine, tmp_path, placement, blocks(("fp16", 18)), target=TWO).document
    assert _value(found["arguments"], flag) == "2"
    assert list(found["environment"].values()) == ["4,12"]
    memory = {"vllm": "--gpu-memory-utilization", "sglang": "--mem-fraction-static"}[engine]
    assert _value(found["arguments"], memory) == "0.750"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("target", "placement", "precision", "options", "says"),
    [
        ("laptop", blocks(("cpu", 4), ("dgpu", 14)), blocks(("fp16", 18)), {}, "4 blocks on 'cpu'"),
        ("mac", blocks(("gpu", 18)), blocks(("fp16", 18)), {}, "'gpu' (apple)"),
        ("a100", blocks(("gpu", 18)), blocks(("int8", 18)), {}, "block 'embed'"),
        ("a100", blocks(("gpu", 18)), ["fp16", *blocks(("int4", 17))], {}, "block 'head'"),
        ("a100", blocks(("gpu", 18)), ["fp16", "bf16", *blocks(("fp16", 16))], {}, "block '0'"),
        ("a100", blocks(("gpu", 18)), blocks(("fp16", 18)), {"kv_precision": "int8"}, "kv_precision"),
        (TWO, blocks(("gpu0", 5), ("gpu1", 5), ("gpu0", 8)), blocks(("fp16", 18)), {}, "one run of layers"),
        (TWO, blocks(("gpu0", 17), ("gpu1", 1)), blocks(("fp16", 18)), {}, "block 'head'"),
    ],
)
def test_what_the_engines_cannot_do_is_refused(tmp_path: Path, engine, target, placement, precision, options, says):
    options = {"precisions": ["fp16", "bf16", "int8", "int4"], **options}
    with pytest.raises(CannotExport, match=re.escape(says)):
        exported(engine, tmp_path, placement, precision, target=target, options=options)
