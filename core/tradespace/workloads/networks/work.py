"""What an operator costs in arithmetic, by the name of what it does; the same for every file format.

Counting rules (ours where no source is named), in FLOP per output element unless said otherwise: an addition, a
comparison or a ReLU 1; exponentials, roots and sigmoids 4; SiLU 5, GELU 8; batch normalisation at inference 2 (scale
and shift), layer normalisation 7, RMS 4; softmax 5; a pool one per input of its window; a reduction, sort or selection
one per input element. Moving data costs no FLOP, only its bytes; a view (reshape, squeeze) costs nothing at all. An
operator that nobody here knows is an aggregate of one FLOP per element that it reads or writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ONE = _words(
    """add sub mul div neg abs min max minimum maximum relu relu6 relun1to1 relu0to1 prelu leakyrelu clip
    thresholdedrelu floor ceil round sign square not and or xor equal greater less greaterequal greaterorequal lessequal
    lessorequal notequal logicaland logicalor logicalnot where select selectv2 mod floormod floordiv isnan isinf
    bitwiseand bitwiseor bitwisexor bitwisenot bitshift rightshift addn cast reciprocal shrink bucketize addv2
    qlinearadd qlinearmul qlinearleakyrelu fakequant squareddifference"""
)
_FOUR = _words(
    """sigmoid logistic tanh exp log sqrt rsqrt sin cos tan asin acos atan sinh cosh asinh acosh atanh erf softplus
    softsign elu selu celu pow atan2 qlinearsigmoid hardsigmoid hardswish complexabs real imag random randomuniform
    randomnormal multinomial bernoulli randomuniformlike randomnormallike"""
)

POINTWISE: Mapping[str, float] = {
    **dict.fromkeys(_ONE, 1.0), **dict.fromkeys(_FOUR, 4.0),
    "quantize": 2.0, "quantizelinear": 2.0, "dequantize": 2.0, "dequantizelinear": 2.0, "dynamicquantizelinear": 4.0,
    "silu": 5.0, "swish": 5.0, "quickgelu": 5.0, "mish": 8.0, "gelu": 8.0, "fastgelu": 8.0, "biasgelu": 9.0,
    "rotaryembedding": 3.0, "blackmanwindow": 4.0, "hannwindow": 4.0, "hammingwindow": 4.0, "biasadd": 1.0,
}  # fmt: skip

NORMS: Mapping[str, float] = {
    "batchnormalization": 2.0, "layernormalization": 7.0, "instancenormalization": 7.0, "groupnormalization": 7.0,
    "groupnorm": 7.0, "meanvariancenormalization": 7.0, "skiplayernormalization": 8.0, "embedlayernormalization": 9.0,
    "rmsnormalization": 4.0, "simplifiedlayernormalization": 4.0, "skipsimplifiedlayernormalization": 5.0,
    "lpnormalization": 4.0, "l2normalization": 4.0, "lrn": 8.0, "localresponsenormalization": 8.0,
}  # fmt: skip

SOFTMAX = ("softmax", "logsoftmax", "hardmax", "qlinearsoftmax")

REDUCES = _words(
    """reducemax reducemin reduceprod reducesum reducemean reducel1 reducel2 reducelogsum reducelogsumexp
    reducesumsquare reduceany reduceall argmax argmin cumsum cumprod topk topkv2 nonmaxsuppression nonmaxsuppressionv4
    nonmaxsuppressionv5 globalaveragepool globalmaxpool globallppool qlinearglobalaveragepool qlinearreducemean unique
    nonzero segmentsum unsortedsegmentsum unsortedsegmentmax unsortedsegmentmin unsortedsegmentprod det roialign
    maxroipool affinegrid"""
)
"""One FLOP per input element."""

POOLS = _words(
    """averagepool maxpool lppool averagepool2d maxpool2d l2pool2d qlinearaveragepool nhwcmaxpool maxunpool
    reducewindow"""
)

VIEWS = _words("""reshape squeeze unsqueeze flatten identity dropout expanddims optional optionalgetelement bitcast""")
"""The same bytes under another shape: no data moves."""

READS_PART = _words(
    """slice stridedslice gather gathernd gatherelements embeddinglookup dynamicslice compress unpack
    split splitv splittosequence sequenceat"""
)
"""Moves that read only what they write."""

MOVES = (
    *READS_PART,
    *_words(
        """transpose concat concatenation scatter scatternd scatterelements pad padv2 mirrorpad tile expand broadcastto
    depthtospace spacetodepth spacetobatchnd batchtospacend pack reverse reversev2 reversesequence onehot range fill
    constantofshape trilu eyelike channelshuffle dynamicupdateslice zeroslike densify sparsetodense centercroppad
    sequenceconstruct concatfromsequence qlinearconcat col2im readvariable assignvariable tensorscatter
    matrixdiag matrixsetdiag hashtablelookup varhandle callonce shape size rank stft"""
    ),
)

RESIZES: Mapping[str, float] = {
    "resize": 4.0, "upsample": 4.0, "resizebilinear": 7.0, "resizenearestneighbor": 0.0, "gridsample": 7.0,
}  # fmt: skip


def plain(name: str) -> str:
    """ "LEAKY_RELU" and "LeakyRelu" are one operator."""
    return name.replace("_", "").lower()


def simple(name: str, read: float, written: float, window: float = 1.0, inputs: int = 1) -> tuple[str, float] | None:
    """(kind, FLOP) of an operator that is no product, by its plain name; None if nobody here knows it.

    Args:
        read, written: elements.
        window: elements under the window of a pool.
        inputs: how many tensors an n-ary sum adds.
    """
    if name in POINTWISE:
        return "elementwise", POINTWISE[name] * written
    if name in NORMS:
        return "norm", NORMS[name] * written
    if name in SOFTMAX:
        return "softmax", 5.0 * written
    if name in POOLS:
        return "aggregate", window * written
    if name in REDUCES:
        return "aggregate", read
    if name in MOVES or name in VIEWS:
        return "elementwise", 0.0
    if name in RESIZES:
        return "elementwise", RESIZES[name] * written
    if name in ("sum", "mean"):  # ONNX's, of several tensors; a reduction of one tensor has another name there
        return "elementwise", max(inputs - 1.0, 1.0) * written
    return None


def elements(shape: tuple[int, ...]) -> float:
    return float(prod(shape))
