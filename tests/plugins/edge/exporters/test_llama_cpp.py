"""llama.cpp: what it can be told is told exactly, what it cannot is refused with the block and the reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.plans import blocks, exported

from tradespace.exporters import CannotExport
from tradespace_edge.exporters.option_lists import options_of


def _words(found):
    return found.document["run"], found.document["quantize"]


def _value(words, flag):
    return words[words.index(flag) + 1]


def test_the_last_layers_and_the_head_are_offloaded(tmp_path: Path):
    placement = blocks(("cpu", 5), ("dgpu", 13))  # embed and layers 0-3 | layers 4-15 and the head
    run, quantize = _words(exported("llama.cpp", tmp_path, placement, blocks(("int8", 18))))
    assert _value(run, "-ngl") == "13"
    assert _value(run, "-dev") == "CUDA0"
    assert "-ot" not in run and "-ts" not in run
    assert _value(run, "-fit") == "off"  # else llama.cpp would move layers to fit
    assert quantize[-1] == "Q8_0" and "--tensor-type" not in quantize


def test_a_cpu_plan_uses_no_gpu_that_happens_to_be_there(tmp_path: Path):
    run, _ = _words(exported("llama.cpp", tmp_path, blocks(("cpu", 18)), blocks(("int4", 18))))
    assert _value(run, "-ngl") == "0" and _value(run, "-dev") == "none"


def test_an_embedding_on_the_gpu_is_an_override(tmp_path: Path):
    run, _ = _words(exported("llama.cpp", tmp_path, blocks(("dgpu", 18)), blocks(("int4", 18))))
    assert _value(run, "-ngl") == "17"
    assert _value(run, "-ot") == r"^token_embd\.weight=CUDA0"


def test_two_gpus_split_by_layers_as_the_sources_count_them(tmp_path: Path):
    placement = blocks(("cpu", 3), ("igpu", 6), ("dgpu", 9))
    names = {"device.igpu": "Vulkan0"}
    run, _ = _words(exported("llama.cpp", tmp_path, placement, blocks(("int8", 18)), names))
    assert _value(run, "-dev") == "Vulkan0,CUDA0"
    counts = [int(c) for c in _value(run, "-ts").split(",")]
    assert int(_value(run, "-ngl")) == sum(counts)
    # src/llama-model.cpp: layer j of the offloaded ones is on the first device whose cumulated share exceeds j / all
    shares = [sum(counts[: i + 1]) / sum(counts) for i in range(len(counts))]
    homes = [next(d for d, share in enumerate(shares) if share > j / sum(counts)) for j in range(sum(counts))]
    assert ["igpu", "dgpu"][homes[0]] == "igpu"
    assert [["igpu", "dgpu"][h] for h in homes] == placement[3:]


def test_formats_of_single_layers_are_patterns_that_match_them_alone(tmp_path: Path):
    precision = ["int8", *blocks(("int4", 9), ("int8", 7)), "int8"]
    _, quantize = _words(exported("llama.cpp", tmp_path, blocks(("cpu", 18)), precision))
    assert quantize[-1] == "Q4_0" and _value(quantize, "--token-embedding-type") == "q8_0"
    pattern, _, kind = _value(quantize, "--tensor-type").rpartition("=")
    assert kind == "q8_0"
    for layer in range(16):
        hit = re.search(pattern, f"blk.{layer}.ffn_down.weight") is not None
        assert hit == (precision[layer + 1] == "int8")
    assert re.search(pattern, "blk.109.ffn_down.weight") is None


def test_single_operators_of_a_layer(tmp_path: Path):
    from tradespace.plugins import registry
    from tradespace.settings import Setting, bind

    bound = bind(Setting("toy-decoder", "laptop", "tables", {"per": "operator"}), registry())
    names = bound.evaluator.binding.entries.names
    down = [name.endswith(".down") for name in names]
    placement = ["cpu" if name in ("embed",) or d else "dgpu" for name, d in zip(names, down, strict=True)]
    precision = ["int8" if d else "int4" for d in down]
    found = exported("llama.cpp", tmp_path, placement, precision, workload="toy-decoder", options={"per": "operator"})
    run, quantize = _words(found)
    layers = int(bound.workload.facts["layers"])
    overrides = _value(run, "-ot")
    assert overrides.endswith("=CPU")
    for layer in range(layers):
        assert re.search(overrides.removesuffix("=CPU"), f"blk.{layer}.ffn_down.weight")
        assert not re.search(overrides.removesuffix("=CPU"), f"blk.{layer}.ffn_up.weight")
    pattern, _, kind = _value(quantize, "--tensor-type").rpartition("=")
    assert (
        kind == "q8_0" and re.search(pattern, "blk.0.ffn_down.weight") and not re.search(pattern, "blk.0.ffn_up.weight")
    )


@pytest.mark.parametrize(
    ("placement", "precision", "options", "settings", "says"),
    [
        (blocks(("dgpu", 5), ("cpu", 12), ("dgpu", 1)), blocks(("int8", 18)), {}, {}, "block 4 on cpu after block 0"),
        (blocks(("igpu", 5), ("dgpu", 5), ("igpu", 8)), blocks(("int8", 18)), {}, {"device.igpu": "Vulkan0"}, "igpu"),
        (blocks(("cpu", 9), ("npu", 9)), blocks(("int8", 18)), {}, {}, "device 'npu'"),
        (blocks(("cpu", 18)), ["int8", *blocks(("int4", 17))], {}, {}, "tied table"),
        (blocks(("cpu", 18)), blocks(("int8", 18)), {}, {"threads": "many"}, "threads"),
        (["dgpu", *blocks(("cpu", 17))], blocks(("int8", 18)), {}, {}, "tied table"),
    ],
)
def test_what_llama_cpp_cannot_do_is_refused(tmp_path: Path, placement, precision, options, settings, says):
    with pytest.raises(CannotExport, match=re.escape(says)):
        exported("llama.cpp", tmp_path, placement, precision, settings, options=options)


def test_a_quantised_v_cache_needs_flash_attention(tmp_path: Path):
    options = {"kv_precision": "int8"}
    fused, unfused = ({"extends": "llama-3.2-1b", "attention": kind} for kind in ("fused", "unfused"))
    plain = (blocks(("cpu", 18)), blocks(("int8", 18)))
    run, _ = _words(exported("llama.cpp", tmp_path, *plain, workload=fused, options=options))
    assert _value(run, "-ctk") == _value(run, "-ctv") == "q8_0" and _value(run, "-fa") == "on"
    with pytest.raises(CannotExport, match="flash attention"):
        exported("llama.cpp", tmp_path, *plain, workload=unfused, options=options)
    run, _ = _words(exported("llama.cpp", tmp_path, *plain, workload=unfused))
    assert _value(run, "-fa") == "off"


def test_a_network_that_is_no_language_model_is_refused(tmp_path: Path):
    from tests.support.plans import write_plan

    from tradespace.exporters import export_plan
    from tradespace.plugins import registry
    from tradespace.reports.recall import from_file

    file = write_plan(tmp_path / "p.yaml", {"library": "tinyengine"}, workload="mobilenet-v2", target="stm32h743",
                      evaluator="mcunet")  # fmt: skip
    try:
        recalled = from_file(str(file), registry())
    except Exception as error:  # the chip is too small for it
        pytest.skip(str(error))
    with pytest.raises(CannotExport):
        export_plan("llama.cpp", recalled, {}, registry())


def test_batches_run_in_the_server(tmp_path: Path):
    job = {"extends": "llama-3.2-1b", "batch": 4, "prompt": 100, "generate": 28}
    run, _ = _words(exported("llama.cpp", tmp_path, blocks(("cpu", 18)), blocks(("int8", 18)), workload=job))
    assert run[0] == "llama-server" and _value(run, "-np") == "4"
    assert _value(run, "-c") == str(4 * 128) and _value(run, "-ub") == str(4 * 100)


def test_every_flag_is_one_of_the_release(tmp_path: Path):
    lists = options_of("llama_cpp")
    settings = {"threads": "2", "device.igpu": "SYCL0"}
    placement = ["igpu", *blocks(("cpu", 2), ("igpu", 6), ("dgpu", 8)), "igpu"]
    found = exported("llama.cpp", tmp_path, placement, blocks(("int8", 18)), settings)
    run, quantize = _words(found)
    assert {w for w in run if w.startswith("-")} <= lists.options
    assert {w for w in quantize if w.startswith("-")} <= lists.quantize_options
    assert {"-t", "-tb", "-ot", "-ts"} <= set(run)
