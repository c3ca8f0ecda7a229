"""GGUF files that the `gguf` package wrote, read by our own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace.errors import InputError
from tradespace.plugins import registry
from tradespace.workloads import OperatorGraph, load_workload
from tradespace.workloads.gguf_header import TENSOR_TYPES


def read(path: Path, **options: Any) -> OperatorGraph:
    workload = load_workload({"extends": str(path), **options}, registry())
    assert isinstance(workload, OperatorGraph)
    return workload


@pytest.mark.parametrize(
    ("kind", "native", "row_bytes"),
    [("F32", "fp32", 256), ("F16", "fp16", 128), ("BF16", "bf16", 128), ("Q8_0", "int8", 68), ("Q4_0", "int4", 36)],
)
def test_a_llama_is_read_with_its_exact_bytes(ggufs: Any, kind: str, native: str, row_bytes: int) -> None:
    shapes = ggufs.llama()
    model = read(ggufs.write(shapes, kind=kind))
    assert model.parameters == sum(int(np.prod(shape)) for shape in shapes.values())
    assert model.native_precision == native
    rows = sum(int(np.prod(s)) // 64 for s in shapes.values() if len(s) == 2)
    vectors = sum(s[0] * 4 for s in shapes.values() if len(s) == 1)
    assert model.facts["weight_bytes"] == rows * row_bytes + vectors
    assert model.ties and model.facts["title"] == "A toy" and model.name == "toy"
    assert model.facts["kv_heads"] == 2 and model.facts["vocab"] == 320


def test_every_type_of_the_gguf_package_has_its_size() -> None:
    import gguf

    for kind, (block, size) in gguf.constants.GGML_QUANT_SIZES.items():
        if int(kind) in TENSOR_TYPES and kind.name != "Q8_1":  # the package gives the size of an older layout
            assert TENSOR_TYPES[int(kind)] == (kind.name, block, size)


def test_an_own_output_projection_is_not_tied(ggufs: Any) -> None:
    shapes = ggufs.llama()
    model = read(ggufs.write(shapes | {"output.weight": (320, 64), "rope_freqs.weight": (8,)}))
    assert model.ties == () and model.parameters == read(ggufs.write(shapes)).parameters + 320 * 64


def test_qwen2_has_biases_and_gpt2_positions(ggufs: Any) -> None:
    biases = {f"blk.{i}.attn_{x}.bias": (n,) for i in range(2) for x, n in (("q", 64), ("k", 32), ("v", 32))}
    qwen = read(ggufs.write(ggufs.llama() | biases, architecture="qwen2"))
    assert qwen.parameters == read(ggufs.write(ggufs.llama())).parameters + 2 * 128
    shape = {"layers": 2, "hidden": 64, "ffn": 256, "vocab": 320, "context": 512}
    shapes = ggufs.gpt2(**shape)
    gpt2 = read(ggufs.write(shapes, {**shape, "heads": 4}, architecture="gpt2"), generate=1)
    assert gpt2.parameters == sum(int(np.prod(s)) for s in shapes.values())
    assert gpt2.facts["max_context"] == 512


def test_the_graph_equals_the_one_of_the_same_shape_written_by_hand(ggufs: Any) -> None:
    ours = read(ggufs.write(ggufs.llama()), phase="decode", context=30, batch=2)
    options = {"type": "decoder", **ggufs.toy, "tied": True, "phase": "decode", "context": 30, "batch": 2}
    hand = load_workload(options, registry())
    assert isinstance(hand, OperatorGraph)
    for column in ("flop", "weights", "weights_resident", "kv_read", "act_in", "act_out"):
        assert np.array_equal(getattr(ours.operators, column), getattr(hand.operators, column)), column


def test_metadata_alone_is_enough_for_a_shape(ggufs: Any) -> None:
    """Without tensors (as some tools write vocabularies) the family's habits fill in."""
    model = read(ggufs.write({}))
    assert model.native_precision is None and "weight_bytes" not in model.facts
    assert model.facts["vocab"] == 320 and not model.ties


def test_changing_the_shape_leaves_the_file_behind(ggufs: Any) -> None:
    changed = read(ggufs.write(ggufs.llama()), layers=1)
    assert len(changed.blocks) == 3 and "weight_bytes" not in changed.facts


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "bert"}, "deepseek2, falcon-h1.*vocab, hidden, layers"),
        ({"extra": {"llama.expert_count": 8}}, "8 experts, none in the table"),
        ({"extra": {"split.count": 3}}, "gguf-split --merge"),
        ({"extra": {"general.alignment": 48}}, "power of two"),
        ({"extra": {"llama.attention.key_length": 4}}, "what the metadata describes"),  # the tensors have wider heads
    ],
)
def test_models_that_are_not_decoders_of_ours(ggufs: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(ggufs.write(ggufs.llama(), **changes))


def test_a_table_that_contradicts_the_metadata(ggufs: Any) -> None:
    with pytest.raises(InputError, match="what the metadata describes"):
        read(ggufs.write(ggufs.llama() | {"vision.weight": (640, 640)}))
    with pytest.raises(InputError, match="embedding_length"):
        read(ggufs.write(ggufs.llama(), {**ggufs.toy, "hidden": 128}))
