"""The precision kit: what a number format must keep, so that its bytes and its error mean what they say."""

from __future__ import annotations

import math

import numpy as np

from tradespace.precisions import Precision
from tradespace.testing.report import Kit, KitReport, fail, not_applicable

SEED = 0x9E37
BLOCKS = 5


def check_precision(precision: Precision, label: str = "") -> KitReport:
    """Run the kit on a `Precision`. A format without a codec has bytes and an error that its source gives."""
    return PRECISION_KIT.run(precision, label or precision.name)


def is_a_precision(precision: Precision) -> None:
    """The name stands for a `tradespace.precisions.Precision`."""
    if not isinstance(precision, Precision):
        fail(f"it is {type(precision).__name__}")


def has_a_source(precision: Precision) -> None:
    """Says where the format is defined."""
    if not precision.source.strip():
        fail("source is empty")


def has_an_error(precision: Precision) -> None:
    """`nmse`, the error that plans are compared by, is a number from 0 to 1."""
    if not (math.isfinite(precision.nmse) and 0 <= precision.nmse <= 1):
        fail(f"nmse is {precision.nmse}")


def encodes_into_the_bytes_it_states(precision: Precision) -> None:
    """`encode` returns exactly `bytes(n)` bytes, for whole and for partial blocks."""
    for n in (1, precision.block, BLOCKS * precision.block, BLOCKS * precision.block + 1):
        data, stated = precision.encode(_values(precision, n)), int(precision.bytes(n))
        if data.dtype != np.uint8 or data.size != stated:
            fail(f"{n} elements became {data.size} of {data.dtype}, {stated} bytes are stated")


def decodes_what_it_encodes(precision: Precision) -> None:
    """`decode` returns n finite float32 values."""
    for n in (1, BLOCKS * precision.block):
        once = precision.decode(precision.encode(_values(precision, n)), n)
        if once.shape != (n,) or once.dtype != np.float32 or not np.isfinite(once).all():
            fail(f"{n} elements came back as {once.shape} of {once.dtype}")


def keeps_zero(precision: Precision) -> None:
    """Zeros come back as zeros, or as something far below the format's step."""
    n = BLOCKS * precision.block
    back = precision.decode(precision.encode(0 * _values(precision, n)), n)
    if not np.abs(back).max() <= 1e-3:
        fail(f"0 came back as {back[np.abs(back).argmax()]}")


def survives_outliers(precision: Precision) -> None:
    """Values far from each other (1e-30, 1e4) become finite values."""
    n = BLOCKS * precision.block
    values = np.where(_values(precision, n) > 0, np.float32(1e-30), np.float32(1e4)).astype(np.float32)
    if not np.isfinite(precision.decode(precision.encode(values), n)).all():
        fail("an outlier came back as inf or nan")


def _values(precision: Precision, n: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    if precision.codec is None:
        not_applicable("the format has no codec")
    rng = np.random.Generator(np.random.Philox(SEED))
    return rng.standard_normal(n, dtype=np.float32)


PRECISION_KIT: Kit[Precision] = Kit(
    "precision kit",
    (
        is_a_precision, has_a_source, has_an_error, encodes_into_the_bytes_it_states, decodes_what_it_encodes,
        keeps_zero, survives_outliers,
    ),
)  # fmt: skip
