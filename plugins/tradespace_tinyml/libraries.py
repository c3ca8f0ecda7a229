"""Inference libraries of microcontrollers: how they use memory, and what their code weighs.

How fast a library is on a chip is a constant of the chip (see `mcu`); how it schedules memory is the library's own:

- TFLM and CMSIS-NN inside it: an interpreter, one buffer for input and one for output of each operator, padding before
  strided layers as an operator of its own (so it stands in the published tflite files, which come from PyTorch). The
  arena also keeps what the interpreter prepares: an int32 multiplier and an int32 shift per output channel
  (kernels/conv_common.cc of the tflite-micro repository) and structures of each operator. CMSIS-NN's im2col buffers
  are planned into the arena for the operator that needs them; TFLM's own kernels need none. Flash holds the file: per
  output channel a bias and a quantisation of weights and of bias (a float scale, a 64-bit zero point each).
- X-CUBE-AI: compiled, padding fused, two buffers (ours: it publishes no scheduler; chosen by its memory of vww1).
- TinyEngine: compiled, padding fused, depthwise convolutions in place (MCUNet, arXiv 2007.10319, section 3.2).

Scratch of TinyEngine follows the operators of its repository (MIT, code_generator/operators): a convolution keeps two
columns of 16-bit inputs, once for the whole model; an in-place depthwise convolution keeps one padded channel of 16
bits; a kernel larger than 1x1 is widened to 16 bits.

The sizes of code and of an operator's structures are fitted on one network of the TinyEngine repository, mcunet-in1,
whose rows are not among those that the study predicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tradespace.targets.model import Sourced

Scratch = Literal["apart", "planned", "none"]


@dataclass(frozen=True)
class Library:
    """How a library lays out memory.

    Args:
        in_place: depthwise convolutions overwrite their input.
        fused_pads: padding never needs a tensor of its own.
        widened: kernels larger than 1x1 are copied to 16 bits in SRAM.
        scratch: im2col buffers are kept apart for the whole run, planned into the arena, or not needed.
        stored: bytes of Flash per output channel besides weights (bias, scales).
        kept: bytes of SRAM per output channel.
        structures: bytes of SRAM per operator.
        code: bytes of Flash that its code takes.
    """

    name: str
    in_place: bool
    fused_pads: bool
    widened: bool
    scratch: Scratch
    stored: int
    kept: int
    structures: Sourced
    code: Sourced

    @property
    def numbers(self) -> tuple[Sourced, ...]:
        """What was measured or fitted, with its source."""
        return tuple(number for number in (self.structures, self.code) if number.value)


_WHERE = "fitted on mcunet-in1 of the TinyEngine repository (STM32H743)"


def _code(name: str, size: float, what: str) -> Sourced:
    return Sourced(f"libraries.{name}.code", size, "B", f"{_WHERE}: {what}", "fitted")


def _structures(name: str) -> Sourced:
    why = f"{_WHERE}: 219 KiB of SRAM less tensors and 8 B a channel, over 56 operators"
    return Sourced(f"libraries.{name}.structures", 258.0, "B", why, "fitted")


def _none(name: str) -> Sourced:
    return Sourced(f"libraries.{name}.structures", 0.0, "B", "compiled: no interpreter", "derived")


LIBRARIES: Mapping[str, Library] = {
    library.name: library
    for library in (
        Library(
            "tinyengine", True, True, True, "apart", 8, 0,
            _none("tinyengine"), _code("tinyengine", 65_168, "727 KiB of Flash less weights, biases and scales"),
        ),
        Library(
            "xcube", False, True, False, "apart", 8, 0,
            _none("xcube"), _code("xcube", 75_408, "737 KiB of Flash less weights, biases and scales"),
        ),
        Library(
            "cmsis", False, False, False, "planned", 28, 8,
            _structures("cmsis"), _code("cmsis", 159_504, "956 KiB of Flash less weights and 28 B a channel"),
        ),
        Library(
            "tflm", False, False, False, "none", 28, 8,
            _structures("tflm"), _code("tflm", 140_048, "937 KiB of Flash less weights and 28 B a channel"),
        ),
    )
}  # fmt: skip
"""The leanest first: that is the order of the decision variable."""
