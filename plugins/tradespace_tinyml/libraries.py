"""Inference libraries of microcontrollers: how they use memory, and what their code weighs.

How fast a library is on a chip is a constant of the chip (see `mcu`); how it schedules memory is the library's own:

- TFLM and CMSIS-NN inside it: an interpreter, one buffer for input and one for output of each operator, padding before
  strided layers as an operator of its own (so it stands in the published tflite files, which come from PyTorch).
- X-CUBE-AI: compiled, padding fused, two buffers (ours: it publishes no scheduler; this fits its published memory).
- TinyEngine: compiled, padding fused, depthwise convolutions in place (MCUNet, arXiv 2007.10319, section 3.2).

Scratch follows the operators of the TinyEngine repository (MIT, code_generator/operators): a convolution keeps two
columns of 16-bit inputs, once for the whole model; an in-place depthwise convolution keeps one padded channel of 16
bits; a kernel larger than 1x1 is widened to 16 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tradespace.targets.model import Sourced


@dataclass(frozen=True)
class Library:
    """How a library lays out memory.

    Args:
        in_place: depthwise convolutions overwrite their input.
        fused_pads: padding never needs a tensor of its own.
        widened: kernels larger than 1x1 are copied to 16 bits in SRAM.
        code: bytes of Flash that its code takes.
    """

    name: str
    in_place: bool
    fused_pads: bool
    widened: bool
    code: Sourced


def _code(name: str, kilobytes: float, why: str, kind: str) -> Sourced:
    return Sourced(f"libraries.{name}.code", kilobytes * 1000.0, "B", why, kind)


_FIGURE = "MCUNet (arXiv 2007.10319) figure 6, labels partly unreadable"

LIBRARIES: Mapping[str, Library] = {
    library.name: library
    for library in (
        Library("tinyengine", True, True, True, _code("tinyengine", 22, f"{_FIGURE}: MobileNetV2", "substitute")),
        Library("xcube", False, True, False, _code("xcube", 58, "ours: between TinyEngine and CMSIS-NN", "substitute")),
        Library("cmsis", False, False, False, _code("cmsis", 105, f"{_FIGURE}: 100 to 109 kB", "substitute")),
        Library("tflm", False, False, False, _code("tflm", 105, f"{_FIGURE}: 100 to 109 kB", "substitute")),
    )
}
"""The leanest first: that is the order of the decision variable."""
