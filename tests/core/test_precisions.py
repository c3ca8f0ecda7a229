"""Number formats: exact bytes, codecs that agree with ggml's own, errors of the size theory predicts."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradespace.errors import PluginError
from tradespace.plugins import registry
from tradespace.precisions import BF16, FP16, FP32, INT4, INT8, Codec, Precision

ALL = (FP32, FP16, BF16, INT8, INT4)
GGML = ((FP16, "F16"), (BF16, "BF16"), (INT8, "Q8_0"), (INT4, "Q4_0"))


@pytest.mark.parametrize("precision", ALL, ids=lambda p: p.name)
def test_registry_names_the_constants(precision: Precision) -> None:
    assert registry().load("precisions", precision.name) is precision


@pytest.mark.parametrize(
    ("precision", "elements", "expected"),
    [
        (FP32, 33, 132), (FP16, 33, 66), (BF16, 33, 66),
        (INT8, 32, 34), (INT8, 33, 68), (INT8, 1, 34), (INT8, 0, 0),
        (INT4, 32, 18), (INT4, 64, 36), (INT4, 65, 54),
        (INT4, 1_235_814_400, 695_145_600),
    ],
)  # fmt: skip
def test_bytes_are_exact_and_partial_blocks_cost_whole_ones(precision: Precision, elements: int, expected: int) -> None:
    assert precision.bytes(elements) == expected
    assert precision.bytes(np.array([elements, 0.0])).tolist() == [expected, 0.0]


@pytest.mark.parametrize("precision", ALL, ids=lambda p: p.name)
@pytest.mark.parametrize("size", [1, 31, 32, 33, 100])
def test_encoding_fills_exactly_the_bytes_that_are_charged(precision: Precision, size: int) -> None:
    assert precision.encode(np.linspace(-1, 1, size)).size == precision.bytes(size)


def test_bits_per_element_include_scales() -> None:
    assert [p.bits_per_element for p in ALL] == [32, 16, 16, 8.5, 4.5]


values = st.lists(
    st.floats(-1e4, 1e4, width=32, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-3),
    min_size=1,
    max_size=70,
)


@pytest.mark.parametrize("precision", ALL, ids=lambda p: p.name)
@settings(max_examples=60, deadline=None)
@given(values=values)
def test_encoding_decoded_values_changes_nothing(precision: Precision, values: list[float]) -> None:
    data = precision.encode(np.array(values, np.float32))
    assert np.array_equal(precision.encode(precision.decode(data, len(values))), data)


@pytest.mark.parametrize(("precision", "label"), GGML, ids=lambda x: getattr(x, "name", x))
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([1e-3, 0.02, 1.0, 300.0]))
def test_codecs_agree_with_ggml_bit_for_bit(precision: Precision, label: str, seed: int, spread: float) -> None:
    x = (np.random.default_rng(seed).standard_normal((8, 32)) * spread).astype(np.float32)
    x[0, :4], x[1] = (0.5, -0.5, 1.5, 0), 0
    theirs = gguf.quants.quantize(x, gguf.GGMLQuantizationType[label]).view(np.uint8).reshape(-1)
    ours = precision.encode(x)
    assert np.array_equal(ours, theirs)
    shape = gguf.quants.quantize(x, gguf.GGMLQuantizationType[label])
    back = gguf.quants.dequantize(shape, gguf.GGMLQuantizationType[label]).reshape(-1)
    assert np.array_equal(precision.decode(ours, x.size), back)


def test_half_precision_saturates_instead_of_becoming_infinite() -> None:
    assert np.isfinite(FP16.decode(FP16.encode(np.array([1e6, -1e6])), 2)).all()
    assert np.isfinite(INT8.decode(INT8.encode(np.full(32, 3e38)), 32)).all()


def test_rounding_is_to_nearest_even() -> None:
    one_and_half_ulp = np.array([1 + 2**-8, 1 + 3 * 2**-8], np.float32)  # halfway between bf16 neighbours
    assert BF16.decode(BF16.encode(one_and_half_ulp), 2).tolist() == [1.0, 1 + 2**-6]


def test_errors_have_the_size_theory_predicts() -> None:
    assert FP32.nmse == 0
    assert 0 < FP16.nmse < BF16.nmse < INT8.nmse < INT4.nmse < 0.01
    assert BF16.nmse / FP16.nmse == pytest.approx(4**3, rel=0.05)  # three mantissa bits less
    assert INT4.nmse / INT8.nmse == pytest.approx((127 / 8) ** 2, rel=0.1)  # step over half range: 1/8 and 1/127
    # a uniform step d errs by d^2/12; the mean square of the largest of 32 normals is about 4.9 (simulated)
    peaks = np.abs(np.random.default_rng(1).standard_normal((20_000, 32))).max(axis=1)
    assert INT8.nmse == pytest.approx(float(np.mean(peaks**2)) / 127**2 / 12, rel=0.05)


def test_compute_and_activation_widths() -> None:
    assert [p.compute for p in ALL] == ["fp32", "fp16", "bf16", "int8", "fp16"]
    assert [p.activation_bits for p in ALL] == [32, 16, 16, 16, 16]


def test_a_format_of_a_stranger_is_checked() -> None:
    plain = Precision("fp8", 8, 1, 0, "fp8", 16, "8-bit float", "OCP OFP8")
    assert plain.bytes(3) == 3
    with pytest.raises(PluginError, match="codec"):
        _ = plain.nmse
    with pytest.raises(PluginError, match="whole bytes"):
        Precision("odd", 3, 1, 0, "fp16", 16, "", "")
    with pytest.raises(PluginError, match="at least 1"):
        Precision("none", 0, 1, 8, "fp16", 16, "", "", Codec(FP16.encode, FP16.decode))
