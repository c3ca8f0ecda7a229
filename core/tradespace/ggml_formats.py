"""The block formats of ggml as precisions: exact bytes from the format's own sizes, errors as ggml itself makes them.

`int8` and `int4` are Q8_0 and Q4_0; here they have ggml's names too, so that a plan can name what a GGUF file holds.
Weights are expanded to fp16 on their way into the multiplier, except Q8_0, which multiplies integers (as `int8`).
The two formats for activations (Q8_1, Q8_K), plain integers and F64 are read from files, but are no choice for weights.
"""

from __future__ import annotations

from dataclasses import replace

from tradespace.precisions import INT4, INT8, Precision
from tradespace.workloads.gguf_header import TENSOR_TYPES

SOURCE = (
    "ggml {label}: {width} bytes per {block} weights; error measured with ggml's own quantiser (commit d99724f2, "
    "ggml_quantize_chunk, rows of 4096, IQ1 to IQ3 with equal importance) on the 65,536 normal values of `nmse`"
)
_SIZES = {label: (block, width) for label, block, width in TENSOR_TYPES.values()}


def _format(label: str, error: float, meaning: str) -> Precision:
    block, width = _SIZES[label]
    bits = 8 * width // block
    return Precision(
        label.lower(), bits, block, 8 * width - bits * block, "fp16", 16, meaning,
        SOURCE.format(label=label, width=width, block=block), error=error,
    )  # fmt: skip


Q8_0 = replace(INT8, name="q8_0")
Q4_0 = replace(INT4, name="q4_0")
Q4_1 = _format("Q4_1", 6.139521530938199e-03, "4 bits, scale and minimum per 32")
Q5_0 = _format("Q5_0", 1.832165836112198e-03, "5 bits, scale per 32")
Q5_1 = _format("Q5_1", 1.4413033088890618e-03, "5 bits, scale and minimum per 32")
Q2_K = _format("Q2_K", 8.821963384498899e-02, "2 bits, 4-bit scales and minima per 16")
Q3_K = _format("Q3_K", 2.269115420932212e-02, "3 bits, 6-bit scales per 16")
Q4_K = _format("Q4_K", 5.129212709838657e-03, "4 bits, 6-bit scales and minima per 32")
Q5_K = _format("Q5_K", 1.304426993470319e-03, "5 bits, 6-bit scales and minima per 32")
Q6_K = _format("Q6_K", 3.153402566626712e-04, "6 bits, 8-bit scales per 16")
IQ1_S = _format("IQ1_S", 2.3571449241540024e-01, "codebook of 2048 ternary vectors of 8")
IQ1_M = _format("IQ1_M", 2.0360457463351514e-01, "codebook of 2048 ternary vectors of 8, finer scales")
IQ2_XXS = _format("IQ2_XXS", 1.1835550365940281e-01, "codebook of 256 vectors of 8")
IQ2_XS = _format("IQ2_XS", 9.055435569937301e-02, "codebook of 512 vectors of 8")
IQ2_S = _format("IQ2_S", 6.2261860333445884e-02, "codebook of 1024 vectors of 8")
IQ3_XXS = _format("IQ3_XXS", 3.32184167120799e-02, "codebook of 256 vectors of 4")
IQ3_S = _format("IQ3_S", 1.880606595616494e-02, "codebook of 512 vectors of 4")
IQ4_NL = _format("IQ4_NL", 5.834283031749746e-03, "4 bits on a table of 16 levels, scale per 32")
IQ4_XS = _format("IQ4_XS", 5.925508530664513e-03, "4 bits on a table of 16 levels, 6-bit scales per 32")
TQ1_0 = _format("TQ1_0", 6.563563395213631e-01, "ternary, five in a byte, scale per 256")
TQ2_0 = _format("TQ2_0", 6.563563395213631e-01, "ternary, four in a byte, scale per 256")
MXFP4 = _format("MXFP4", 1.3129963825023594e-02, "4-bit float E2M1, power-of-two scale per 32")
NVFP4 = _format("NVFP4", 9.007182752748259e-03, "4-bit float E2M1, 8-bit float scale per 16")
