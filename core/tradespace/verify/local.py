"""A plan as this machine would run it: which operators, in which formats, on how many threads; or why not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tradespace.costs.bind import operator_times
from tradespace.costs.evaluator import TablesEvaluator
from tradespace.costs.samples import with_samples
from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.kernels.machine import this_machine
from tradespace.kernels.running import usable_cpus
from tradespace.open_numbers import OpenEvaluator
from tradespace.targets.model import Device, Target
from tradespace.verify.passes import Floats, Pass, passes_of
from tradespace.workloads.operators import OperatorGraph

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.precisions import Precision

_MEASURED = re.compile(r"(.+), \d+ usable cores, measured ")
"""Title of a target that `tradespace calibrate` wrote."""
_HERE = "Write this machine down with 'tradespace calibrate' and search with target=local.yaml."


@dataclass(frozen=True, eq=False)
class LocalPlan:
    """One design on a device that is this machine.

    Args:
        precision: format of each operator of the graph.
        predicted: s of a whole job, by the evaluator's tables.
    """

    id: str
    graph: OperatorGraph
    target: Target
    device: Device
    precision: tuple[Precision, ...]
    kv: Precision
    threads: int
    predicted: float

    def formats(self, run: Pass) -> tuple[str, ...]:
        """The format's name of each row of a pass."""
        return tuple(self.precision[row].name for row in run.rows.tolist())

    def times(self, run: Pass, registry: Registry) -> Floats:
        """(r,) predicted s of one execution of each row of a pass."""
        kinds = list(dict.fromkeys(self.precision))
        table = operator_times(run.operators, self.device, self.target, kinds, self.kv, registry)
        column = np.array([kinds.index(self.precision[row]) for row in run.rows.tolist()])
        return np.asarray(table[np.arange(len(column)), column])

    def passes(self) -> tuple[Pass, ...]:
        """What is run. Raises `ProblemError` as `passes_of`."""
        return passes_of(self.graph)


def tables_of(evaluator: Any, design: Designs) -> tuple[TablesEvaluator, Designs]:
    """The tables that price a design, through open numbers and measured rungs.

    Raises:
        ProblemError: an evaluator of another kind.
    """
    if isinstance(evaluator, OpenEvaluator):
        return tables_of(*evaluator.inner(design))
    tables = getattr(evaluator, "tables", evaluator)
    if not isinstance(tables, TablesEvaluator):
        raise ProblemError(
            "plans are verified that place operators of a model on devices",
            value=f"one of {type(evaluator).__name__}",
            remedy="Search a language model with evaluator=tables.",
        )
    return tables, Designs(tables.space, design.columns)


def local_plan(evaluator: Any, design: Designs, registry: Registry) -> LocalPlan:
    """The first design of `design`, as it would run here.

    Raises:
        ProblemError: it uses a device that is not this machine, or threads that this machine does not have.
    """
    tables, inner = tables_of(evaluator, design.take(slice(0, 1)))
    binding = tables.binding
    placement, precision, variant = binding.codes(inner)
    device = local_device(binding.target, sorted(set(placement[0].tolist())))
    owner = binding.entries.owner
    return LocalPlan(
        id=design.ids[0],
        graph=with_samples(binding.graph, binding.samples[int(variant[0])]),
        target=binding.target,
        device=device,
        precision=tuple(binding.precisions[int(precision[0, entry])] for entry in owner),
        kv=registry.load("precisions", binding.options.kv_precision),
        threads=threads_of(device),
        predicted=float(tables.price(inner)["latency"][0]),
    )


def local_device(target: Target, used: Sequence[int]) -> Device:
    """The one device among those used, which is this machine. Raises `ProblemError` naming the others."""
    devices = [target.devices[i] for i in used]
    strange = [device.name for device in devices if not device.numbers.get("here")]
    if strange:
        raise ProblemError(
            f"a plan is run on the machine it is for; this machine is not {_these(strange)} of target '{target.name}'",
            value=target.title or target.name,
            remedy=_HERE,
        )
    told = _MEASURED.match(target.title)
    if told is not None and told[1] != this_machine().name:
        raise ProblemError(
            f"a plan is run on the machine that target '{target.name}' was measured on",
            value=f"{told[1]}, this is {this_machine().name}",
            remedy=_HERE,
        )
    if len(devices) > 1:
        names = [device.name for device in devices]
        raise ProblemError("a plan is run on one device of this machine", value=", ".join(names))
    return devices[0]


def _these(names: Sequence[str]) -> str:
    return f"device{'s' * (len(names) > 1)} {', '.join(repr(name) for name in names)}"


def threads_of(device: Device) -> int:
    """Threads of a device that is this machine. Raises `ProblemError` for more than there are."""
    threads, usable = int(device.numbers.get("threads", 1)), len(usable_cpus())
    if usable and threads > usable:
        raise ProblemError(
            "a plan uses as many threads as this machine has processors for at most",
            value=f"{threads} threads, {usable} processors",
            where=f"device '{device.name}'",
            remedy=f"The target was measured elsewhere, or in a larger container. {_HERE}",
        )
    return threads
