"""The formats of ggml: sizes against the `gguf` package, errors against its codecs where it can encode."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from tradespace.errors import PluginError
from tradespace.plugins import registry
from tradespace.precisions import INT4, INT8, NMSE_SAMPLES, NMSE_SEED, Precision
from tradespace.workloads.gguf_header import TENSOR_TYPES

LABELS = [label for label, _, _ in TENSOR_TYPES.values()]
NO_WEIGHTS = {"Q8_1", "Q8_K", "I8", "I16", "I32", "I64", "F64", "F32", "F16", "BF16", "Q1_0"}


def precision(label: str) -> Precision:
    found = registry().load("precisions", label.lower())
    assert isinstance(found, Precision)
    return found


def test_every_type_of_the_package_is_known_with_its_exact_size() -> None:
    ours = {number: (block, size) for number, (_, block, size) in TENSOR_TYPES.items()}
    theirs = {int(kind): size for kind, size in gguf.constants.GGML_QUANT_SIZES.items()}
    theirs[int(gguf.GGMLQuantizationType.Q8_1)] = (
        32,
        36,
    )  # the package gives an older layout; ggml-common.h has 2 halves
    assert ours == theirs
    assert {number: label for number, (label, _, _) in TENSOR_TYPES.items()} == {
        int(kind): kind.name for kind in gguf.GGMLQuantizationType
    }


@pytest.mark.parametrize("label", sorted(set(LABELS) - NO_WEIGHTS))
def test_every_weight_format_is_a_precision_with_exact_bytes(label: str) -> None:
    found = precision(label)
    _, block, size = next(row for row in TENSOR_TYPES.values() if row[0] == label)
    assert found.bytes(10 * block) == 10 * size and found.bytes(1) == size
    assert found.bits_per_element == 8 * size / block
    assert 0 < found.nmse < 1


def test_formats_are_ordered_as_their_bits() -> None:
    """The error falls with the bits within each series, and never below the bound of rate-distortion theory."""
    for series in (
        ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k"),
        ("iq1_s", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s"),
    ):
        errors = [precision(name).nmse for name in series]
        assert errors == sorted(errors, reverse=True)
    for label in set(LABELS) - NO_WEIGHTS:
        found = precision(label)
        assert found.nmse > 2.0 ** (-2 * found.bits_per_element), label


@pytest.mark.parametrize("label", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0"])
def test_errors_agree_with_the_package_s_own_encoder(label: str) -> None:
    rng = np.random.Generator(np.random.Philox(NMSE_SEED))
    values = rng.standard_normal(NMSE_SAMPLES, dtype=np.float32)
    kind = gguf.GGMLQuantizationType[label]
    back = gguf.quants.dequantize(gguf.quants.quantize(values, kind), kind).astype(np.float64)
    error = np.sum((back - values) ** 2) / np.sum(values.astype(np.float64) ** 2)
    assert precision(label).nmse == pytest.approx(error, rel=1e-3)


def test_names_of_ggml_and_of_the_house_are_the_same_formats() -> None:
    assert precision("Q8_0").nmse == INT8.nmse and precision("Q4_0").nmse == INT4.nmse


def test_a_format_without_a_codec_does_not_encode() -> None:
    with pytest.raises(PluginError, match="codec"):
        precision("Q4_K").encode(np.zeros(256, np.float32))
