"""Block formats: bit for bit ggml's, products equal to decoded weights times decoded activations."""

from __future__ import annotations

import numpy as np
import pytest

from tradespace.kernels import ISAS, Kernel, disagreement, run_tasks
from tradespace.kernels.blocks import BY_FORMAT, Activations, decode_task, quantise_task, quantised
from tradespace.kernels.formats import FORMATS
from tradespace.kernels.memory import zeros
from tradespace.precisions import INT4, INT8

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("name", FORMATS)
def test_decoding_is_that_of_the_gguf_package(name: str) -> None:
    gguf = pytest.importorskip("gguf", reason="the gguf package is a development dependency")
    form = FORMATS[name]
    kind = gguf.GGMLQuantizationType[name.upper()]
    assert gguf.GGML_QUANT_SIZES[kind] == (form.size, form.bytes)
    data = form.random(40, 2048, RNG)
    theirs = gguf.quants.dequantize(data, kind)
    assert np.array_equal(form.decode(data), theirs)
    for isa in ISAS:
        ours = zeros((40, 2048))
        run_tasks([decode_task(form, data, ours, isa)])
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(("name", "precision"), [("q8_0", INT8), ("q4_0", INT4)])
def test_formats_agree_with_the_precisions_of_the_same_name(name, precision) -> None:  # type: ignore[no-untyped-def]
    values = RNG.standard_normal(4096, dtype=np.float32)
    data = precision.encode(values)
    assert np.array_equal(FORMATS[name].decode(data[None])[0], precision.decode(data, 4096))
    assert FORMATS[name].bits == precision.bits_per_element


@pytest.mark.parametrize("group", [32, 256])
@pytest.mark.parametrize("isa", ISAS)
def test_activations_are_quantised_as_the_reference_says(group: int, isa: str) -> None:
    x = RNG.standard_normal((3, 1024), dtype=np.float32) * np.float32(10)
    x[1, :group] = 0
    acts = Activations.empty(1024, group, 3)
    run_tasks([quantise_task(x, acts, isa)], threads=2)
    codes = acts.q.astype(np.float64)
    assert np.array_equal(codes * np.repeat(acts.d.astype(np.float64), group, axis=1), quantised(x, group))
    assert np.abs(acts.q).max() == 127
    assert np.array_equal(acts.sums, codes.reshape(3, -1, 16).sum(axis=2))
    sums = codes.reshape(3, -1, 32).sum(axis=2) * np.repeat(acts.d, max(group // 32, 1), axis=1)
    assert np.allclose(acts.s, sums, rtol=1e-6)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("columns", [1, 3, 4, 9])
@pytest.mark.parametrize("isa", ISAS)
def test_products_of_several_columns(name: str, columns: int, isa: str) -> None:
    kernel: Kernel = BY_FORMAT[name](columns, isa)
    for blocks in (1, 2, 7, 18, 33):
        inputs = BY_FORMAT[name](columns, isa).shaped(5, blocks * FORMATS[name].size, RNG)
        assert disagreement(kernel, inputs) <= kernel.tolerance


def test_the_reference_sees_one_wrong_code() -> None:
    kernel = BY_FORMAT["q4_k"]()
    inputs = dict(kernel.shaped(4, 512, np.random.default_rng(0)))  # its own: a block may have a scale of 0
    right = kernel.run(inputs).copy()
    inputs["w"][2, 100] ^= 1 << 3
    wrong = kernel.reference(inputs)
    assert np.abs(right - wrong).max() > 10 * kernel.tolerance * np.abs(wrong).max()


def test_random_blocks_use_every_code() -> None:
    for form in FORMATS.values():
        values = form.decode(form.random(64, 4096, RNG))
        assert np.isfinite(values).all() and 0.05 < values.std() < 2
        assert len(np.unique(values)) > 100
