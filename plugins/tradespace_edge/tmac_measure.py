"""Measure one design of the evaluator `kernel`: every distinct product once, timed and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tradespace.kernels.blocks import BY_FORMAT
from tradespace.kernels.build import KernelError
from tradespace.kernels.contract import Arrays, TaskKernel
from tradespace.kernels.formats import FORMATS
from tradespace.kernels.running import run_tasks
from tradespace.kernels.tmac import Lookup
from tradespace_edge.tmac_quality import Quality, of_blocks, of_lookup, sample

if TYPE_CHECKING:
    from tradespace_edge.tmac_kernels import Shape

BLOCKS: Mapping[int, str] = {4: "q4_0", 3: "q3_k", 2: "q2_k", 1: "q2_k"}
"""Bits -> format of llama.cpp b2794; it has none of 1 bit, 2 bits stand in (arXiv 2407.00088, section 5.2)."""
FASTEST = 0.1
"""The time of a run is this quantile of the repetitions: what the machine does when nobody else disturbs it."""


@dataclass(frozen=True)
class Protocol:
    """Runs before timing, timed runs, and the seed of weights and activations."""

    warmup: int
    repetitions: int
    seed: int


@dataclass(frozen=True)
class Measured:
    """The metrics of one design; `nmse` and `error` are means over the products weighted by their weights."""

    latency: float
    nmse: float
    error: float
    memory: float
    spread: float


def measure(
    shapes: Sequence[Shape], design: Mapping[str, Any], aggregation: Mapping[str, int], protocol: Protocol
) -> Measured:
    """Raises `KernelError` for combinations that this machine or the kernel does not have."""
    latency = memory = spread = nmse = error = weights = 0.0
    for shape in shapes:
        kernel, inputs = _kernel(shape, design, aggregation, _generator(protocol, shape, "bits"))
        time, middle = _time(kernel, inputs, int(design["threads"]), protocol)
        quality = _quality(shape, design, kernel, _generator(protocol, shape, "values"))
        share = float(shape.m * shape.k)
        latency += time * shape.times
        spread += (middle - time) * shape.times
        memory += _stored(kernel, inputs)
        nmse, error, weights = nmse + share * quality.nmse, error + share * quality.error, weights + share
    return Measured(latency, nmse / weights, error / weights, memory, spread / latency)


def _generator(protocol: Protocol, shape: Shape, role: Literal["bits", "values"]) -> np.random.Generator:
    """The same for every design, so that designs are compared on the same weights and activations."""
    seed = np.random.SeedSequence((protocol.seed, shape.m, shape.k, ("bits", "values").index(role)))
    return np.random.Generator(np.random.Philox(seed))


def _time(kernel: TaskKernel, inputs: Arrays, threads: int, protocol: Protocol) -> tuple[float, float]:
    """(fastest tenth, median) of the repetitions, s."""
    tasks = kernel.tasks(inputs)
    seconds = run_tasks(tasks, threads=threads, repeat=protocol.warmup + protocol.repetitions)[protocol.warmup :]
    fast, middle = np.quantile(seconds.sum(axis=1), [FASTEST, 0.5])
    return float(fast), float(middle)


def lookup(design: Mapping[str, Any], aggregation: Mapping[str, int], batch: int) -> Lookup:
    """The kernel of a design."""
    return Lookup(
        bits=design["bits"],
        weight_group=design["group"],
        table_group=design["table_group"],
        fast=aggregation[design["aggregation"]],
        rows=design["rows"],
        k_tile=design["k_tile"],
        layout=design["layout"],
        tables=design["tables"],
        batch=batch,
        isa=design["isa"],
    )


def _kernel(
    shape: Shape, design: Mapping[str, Any], aggregation: Mapping[str, int], rng: np.random.Generator
) -> tuple[TaskKernel, Arrays]:
    if design["kernel"] == "tmac":
        kernel = lookup(design, aggregation, shape.n)
        return kernel, kernel.shaped(shape.m, shape.k, rng)
    form = FORMATS[BLOCKS[design["bits"]]]
    if shape.k % form.size:
        raise KernelError(f"{form.name} has blocks of {form.size} columns", value=shape.k, where="evaluator kernel")
    blocks = BY_FORMAT[form.name](shape.n, design["isa"])
    return blocks, blocks.shaped(shape.m, shape.k, rng)


def _quality(shape: Shape, design: Mapping[str, Any], kernel: TaskKernel, rng: np.random.Generator) -> Quality:
    weights, x = sample(shape.m, shape.k, rng)
    if isinstance(kernel, Lookup):
        return of_lookup(kernel, weights, x)
    return of_blocks(BLOCKS[design["bits"]], weights, x)


def _stored(kernel: TaskKernel, inputs: Arrays) -> float:
    names = ("planes", "scales") if isinstance(kernel, Lookup) else ("w",)
    return float(sum(inputs[name].nbytes for name in names))
