"""TFLite-Micro: the size of the tensor arena and the operators to register, for a .tflite file on one chip.

The arena has two ends. At its head lie the activations: what `GreedyMemoryPlanner` places, which is first fit of sizes
rounded up to 16 bytes, large ones first and of equal ones the last tensor first (greedy_memory_planner.cc). Read so,
the head is exact. At its tail lie structures and what kernels keep; that is bounded from above (ours) by their sizes on
a 64-bit machine. Kernels of a vendor (CMSIS-NN, Ethos-U) may ask for scratch memory on top, which nobody knows before.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tradespace.costs.memory_planner import Buffer, plan
from tradespace.errors import InputError
from tradespace.exporters import CannotExport, Export, Subject

ALIGN = 16
"""`MicroArenaBufferAlignment` of TFLite-Micro, B."""
EVAL_TENSOR, NODE, TENSOR, SLACK = 24, 64, 112, 512
"""B on a 64-bit machine: TfLiteEvalTensor; NodeAndRegistration; an input or output with its quantisation; the rest."""
OP_DATA = 112
"""B that a kernel keeps at most besides its per-channel tables (OpDataConv is the largest of the common ones)."""
ALLOCATION, PLANNED = 32, 40
"""B on a 64-bit machine while memory is planned: AllocationInfo of a tensor; what the planner keeps of a buffer."""
PER_CHANNEL = 8
"""B of multiplier and shift of one output channel."""
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
CONTROL = ("WHILE", "IF", "CALL_ONCE", "CALL", "VAR_HANDLE")
MAX_BYTES = 64 << 20
_SIZES: Mapping[int, int] = {0: 4, 1: 2, 2: 4, 3: 1, 4: 8, 6: 1, 7: 2, 8: 8, 9: 1, 10: 8, 12: 8, 15: 4, 16: 2}
"""TensorType of the TFLite schema -> B an element."""


@dataclass(frozen=True)
class Arena:
    """B of a network: `head` exact, `tail` at most, `planning` while the interpreter starts (before the head is used);
    operator types in the order of their first use."""

    head: int
    tail: int
    planning: int
    operators: tuple[str, ...]

    @property
    def total(self) -> int:
        return _aligned(max(self.head, self.planning) + self.tail)


class TFLiteMicro:
    """The tensor arena's size and the operators to register, as C++."""

    name = "TFLite-Micro 90b983c"
    writes = "C++: the tensor arena and the operators to register"
    options: ClassVar[Mapping[str, str]] = {"scratch": "bytes that the vendor's kernels need on top (default 0)"}

    def export(self, subject: Subject, options: Mapping[str, str]) -> Export:
        path = subject.workload_path(".tflite")
        if path is None:
            raise CannotExport(
                "TFLite-Micro runs .tflite files", value=f"workload '{subject.workload.name}'",
                remedy="Search with the file as workload: tradespace search model.tflite target=...",
            )  # fmt: skip
        _check_plan(subject)
        scratch = options.get("scratch", "0")
        if not scratch.isdigit() or len(scratch) > 9:
            raise CannotExport("scratch is a number of bytes", value=scratch, where="--set scratch")
        arena = read_arena(path)
        size = arena.total + _aligned(int(scratch))
        methods = [_method(operator) for operator in arena.operators]
        device = subject.devices[0]
        _check_memory(subject, device, size, path)
        document = {
            "release": self.name, "arena": size, "head": arena.head, "tail_at_most": arena.tail,
            "scratch": int(scratch), "operators": list(arena.operators), "resolver": methods,
        }  # fmt: skip
        notes = (
            "the head of the arena is exact for the reference kernels, the tail an upper bound",
            "kernels of a vendor may need scratch memory on top: --set scratch=BYTES",
        )
        return Export(_source(subject, self.name, size, arena, methods, notes), document, notes)


def _check_plan(subject: Subject) -> None:
    if len(subject.devices) != 1:
        raise CannotExport("TFLite-Micro runs a network on one core", value=", ".join(subject.devices))
    stored = subject.workload.native_precision
    for entry in subject.entries:
        if entry.precision != stored:
            raise CannotExport(
                "TFLite-Micro runs the weights as the file stores them",
                value=f"{entry.precision}, the file holds {stored}", where=f"block '{entry.name}'",
                remedy=f"Search with options.precisions=[{stored}]." if stored else "Quantise the file first.",
            )  # fmt: skip


def _check_memory(subject: Subject, device: str, size: int, path: Path) -> None:
    memories = subject.target.memories
    ram = memories.get("sram", subject.target.memory_of(device))
    if size > ram.capacity:
        raise CannotExport(
            "the tensor arena must fit the memory", value=f"{size} B in {ram.capacity:.0f} B",
            where=f"memory '{ram.name}'",
        )  # fmt: skip
    flash = memories.get("flash")
    if flash is not None and path.stat().st_size > flash.capacity:
        raise CannotExport("the file must fit the flash", value=f"{path.stat().st_size} B", where="memory 'flash'")


def _source(subject: Subject, name: str, size: int, arena: Arena, methods: list[str], notes: tuple[str, ...]) -> str:
    calls = "\n".join(f"  TF_LITE_ENSURE_STATUS(resolver.{method}());" for method in methods)
    remarks = "\n".join(f"// {note}" for note in notes)
    return f"""// {subject.title}, for {name}
{remarks}
#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

constexpr size_t kTensorArenaSize = {size};  // {arena.head} for activations, at most {arena.tail} kept
alignas({ALIGN}) uint8_t tensor_arena[kTensorArenaSize];

using OpResolver = tflite::MicroMutableOpResolver<{len(methods)}>;

TfLiteStatus RegisterOps(OpResolver& resolver) {{
{calls}
  return kTfLiteOk;
}}
"""


@functools.cache
def _methods() -> Mapping[str, str]:
    raw = json.loads((Path(__file__).parent / "data" / "tflite_micro.json").read_text(encoding="utf-8"))
    found: dict[str, str] = raw["methods"]
    return found


def _method(operator: str) -> str:
    found = _methods().get(operator)
    if found is None:
        raise CannotExport(
            "TFLite-Micro has no kernel for this operator", value=operator,
            remedy="Write one and register it with AddCustom, or change the network.",
        )  # fmt: skip
    return found


# -- the file ----------------------------------------------------------------------------------------------------------


def read_arena(path: Path) -> Arena:
    """Arena and operators of a file with one subgraph and fixed shapes.

    Raises:
        CannotExport: control flow, resource variables, shapes that are not known.
        InputError: the package `tflite` is missing, or the file is damaged.
    """
    from tradespace.documents import read_bytes

    try:
        import tflite
        from tflite.utils import BUILTIN_OPCODE2NAME
    except ImportError:
        raise InputError(
            "reading TFLite files needs the package 'tflite'", where=str(path),
            remedy="Install it: pip install tradespace[tflite].",
        ) from None  # fmt: skip
    data = read_bytes(path, MAX_BYTES)
    try:
        model = tflite.Model.GetRootAs(data, 0)
        if model.SubgraphsLength() != 1:
            raise CannotExport(
                "only networks of one subgraph are sized", value=model.SubgraphsLength(), where=str(path)
            )
        return _arena(model, BUILTIN_OPCODE2NAME, str(path), len(data) // 4)
    except (CannotExport, InputError):
        raise
    except Exception as error:  # the flatbuffer classes check nothing: a damaged offset raises anything
        raise InputError("the file is a TFLite network", value=type(error).__name__, where=str(path)) from None


def _arena(model: Any, names: Mapping[int, str], where: str, most: int) -> Arena:
    graph = model.Subgraphs(0)
    tensors, operators = graph.TensorsLength(), graph.OperatorsLength()
    if max(tensors, operators) > most:
        raise InputError("the file is as large as what it lists", value=max(tensors, operators), where=where)
    first, last = [-1] * tensors, [-1] * tensors
    types: list[str] = []
    kept = SLACK + EVAL_TENSOR * tensors + NODE * operators
    for at in range(graph.InputsLength()):
        first[graph.Inputs(at)] = 0
    for step in range(1, operators + 1):
        operator = graph.Operators(step - 1)
        outputs = [operator.Outputs(i) for i in range(operator.OutputsLength())]
        for tensor in outputs:
            first[tensor] = step if first[tensor] < 0 else first[tensor]
            last[tensor] = step
        for tensor in (operator.Inputs(i) for i in range(operator.InputsLength())):
            if tensor >= 0:
                last[tensor] = step
        types.append(_type(model, names, operator.OpcodeIndex()))
        kept += _kept(graph, operator, types[-1], outputs)
    for at in range(graph.OutputsLength()):
        last[graph.Outputs(at)] = operators + 1
    control = next((name for name in types if name in CONTROL), None)
    if control:
        raise CannotExport("networks with control flow or resource variables are not sized", value=control, where=where)
    kept += TENSOR * (graph.InputsLength() + graph.OutputsLength())
    buffers = []
    for tensor in range(tensors):
        size, constant, variable = _tensor(model, graph.Tensors(tensor), where)
        if variable:
            kept += size
        elif not constant and first[tensor] >= 0:
            buffers.append(Buffer(first[tensor], max(first[tensor], last[tensor]), size))
    order = sorted(range(len(buffers)), key=lambda i: (-buffers[i].size, -i))
    planning = ALLOCATION * tensors + PLANNED * len(buffers) + 2 * ALIGN
    return Arena(plan(buffers, order).peak, _aligned(kept), planning, tuple(dict.fromkeys(types)))


def _type(model: Any, names: Mapping[int, str], index: int) -> str:
    code = model.OperatorCodes(index)
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if number == 32:
        return f"CUSTOM {(code.CustomCode() or b'?')[:80].decode('utf-8', 'replace')}"
    return str(names.get(number, f"BUILTIN {number}"))


def _kept(graph: Any, operator: Any, kind: str, outputs: list[int]) -> int:
    """What the kernel keeps at the tail, at most. Convolutions always keep per-channel tables, fully connected layers
    where their weights have several scales."""
    channels = 0
    if kind in CONVOLUTIONS and outputs:
        output = graph.Tensors(outputs[0])
        channels = int(output.Shape(output.ShapeLength() - 1)) if output.ShapeLength() else 1
    elif kind == "FULLY_CONNECTED" and operator.InputsLength() > 1:
        quantization = graph.Tensors(operator.Inputs(1)).Quantization()
        scales = quantization.ScaleLength() if quantization is not None else 0
        channels = scales if scales > 1 else 0
    return OP_DATA + (2 * ALIGN + PER_CHANNEL * channels if channels else 0)


def _tensor(model: Any, tensor: Any, where: str) -> tuple[int, bool, bool]:
    """(aligned bytes, whether the file stores it, whether it is a variable)."""
    shape = [int(tensor.Shape(i)) for i in range(tensor.ShapeLength())]
    constant = model.Buffers(tensor.Buffer()).DataLength() > 0
    kind = int(tensor.Type())
    if not constant and (min(shape, default=1) < 0 or kind not in _SIZES):
        raise CannotExport("every tensor has a known shape and type", value=f"{shape}, type {kind}", where=where)
    size = math.prod(shape) * _SIZES.get(kind, 1)
    return _aligned(size), constant, bool(tensor.IsVariable())


def _aligned(size: int) -> int:
    return -(-size // ALIGN) * ALIGN
