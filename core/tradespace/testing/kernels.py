"""What every native kernel must do: compute what its numpy reference computes, and count its work.

from tradespace.testing.kernels import check_kernel
report = check_kernel(MyKernel())
assert report.passed, str(report)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import ISAS, KernelError
from tradespace.kernels.contract import Arrays, Kernel, TaskKernel, disagreement
from tradespace.kernels.running import run_tasks
from tradespace.testing.report import Kit, KitReport, fail, not_applicable

SIZES = (1, 1_000, 100_003)
"""Scales that every kernel is tried at: the smallest, a middle one, and one that no vector width divides."""
THREADS = (1, 2, 3)
"""Numbers of threads that must give the same bits."""


@dataclass(frozen=True)
class KernelSubject:
    """A kernel, built without arguments."""

    kernel: Kernel

    def inputs(self, size: int = SIZES[1], seed: int = 0) -> Arrays:
        """Inputs whose arrays are read-only: a kernel that writes to them in numpy raises."""
        found = {
            name: array.copy()
            for name, array in self.kernel.inputs(size, np.random.Generator(np.random.Philox(seed))).items()
        }
        for array in found.values():
            array.setflags(write=False)
        return found

    def run(self, inputs: Arrays) -> NDArray[Any]:
        try:
            return np.array(self.kernel.run(inputs))  # a copy: the kernel may return a buffer it writes to again
        except KernelError as why:
            not_applicable(f"cannot be built here: {why}")

    def awkward(self) -> Iterator[tuple[str, Arrays]]:
        """The kernel's own hard cases, where it names any: ``awkward(rng)`` yields (label, inputs)."""
        cases = getattr(self.kernel, "awkward", None)
        return iter(cases(np.random.Generator(np.random.Philox(2)))) if cases else iter(())

    def variants(self) -> Iterator[tuple[str, Kernel]]:
        """The same kernel for each instruction set, where it has a field ``isa``."""
        kernel: Any = self.kernel
        if is_dataclass(type(kernel)) and "isa" in {field.name for field in fields(kernel)}:
            yield from ((isa, replace(kernel, isa=isa)) for isa in ISAS)


def check_kernel(kernel: Kernel, label: str | None = None, *, expected: Mapping[str, str] | None = None) -> KitReport:
    """Run the kit on a kernel. `expected`: check -> reason, for known failures (strict)."""
    return KIT.run(KernelSubject(kernel), label or str(getattr(kernel, "name", kernel)), expected)


def _bytes(inputs: Arrays) -> int:
    return sum(array.nbytes for array in inputs.values())


def _agree(kernel: Kernel, inputs: Arrays, label: str) -> None:
    error = disagreement(kernel, inputs)
    if not error <= kernel.tolerance:
        fail(f"{label}: off by {error:.3g} of the largest magnitude, allowed {kernel.tolerance:g}")


def describes_itself(subject: KernelSubject) -> None:
    """Has a name, and a relative tolerance above 0 and at most 1 %."""
    name, tolerance = subject.kernel.name, subject.kernel.tolerance
    if not isinstance(name, str) or not name.strip():
        fail(f"name is {name!r}")
    if not 0 < tolerance <= 0.01:
        fail(f"tolerance is {tolerance!r}")


def inputs_come_from_the_generator(subject: KernelSubject) -> None:
    """Equal generators give equal inputs, different ones different inputs."""
    one, same, other = subject.inputs(seed=0), subject.inputs(seed=0), subject.inputs(seed=1)
    if not one or any(not np.array_equal(one[name], same[name]) for name in one):
        fail("two equal generators give different inputs")
    if all(np.array_equal(one[name], other[name]) for name in one):
        fail("the inputs do not depend on the generator")


def size_scales_the_inputs(subject: KernelSubject) -> None:
    """`size` is about the number of float32 read: 4 B each, within a factor of 4 at 100,003."""
    small, large = _bytes(subject.inputs(SIZES[1])), _bytes(subject.inputs(SIZES[2]))
    if not small < large:
        fail(f"size {SIZES[1]} gives {small} B, size {SIZES[2]} gives {large} B")
    if not SIZES[2] <= large <= 16 * SIZES[2]:
        fail(f"size {SIZES[2]} gives {large} B of inputs")


def reference_is_a_function(subject: KernelSubject) -> None:
    """The reference gives the same finite result twice, and another one for other inputs."""
    inputs = subject.inputs()
    one, two = (np.asarray(subject.kernel.reference(inputs)) for _ in range(2))
    if not np.isfinite(one).all() or not np.array_equal(one, two):
        fail("the result is not finite, or differs between two calls")
    if np.array_equal(one, np.asarray(subject.kernel.reference(subject.inputs(seed=1)))):
        fail("the result does not depend on the inputs")


def reference_leaves_its_inputs(subject: KernelSubject) -> None:
    """The reference does not write to its inputs."""
    inputs = subject.inputs()
    before = {name: array.copy() for name, array in inputs.items()}
    subject.kernel.reference(inputs)
    changed = [name for name, array in before.items() if not np.array_equal(array, inputs[name])]
    if changed:
        fail(f"'{changed[0]}' has changed")


def native_result_is_the_reference(subject: KernelSubject) -> None:
    """The native result equals the reference within the tolerance, for the smallest, a middle and an odd size."""
    for size in SIZES:
        for seed in (0, 1):
            inputs = subject.inputs(size, seed)
            subject.run(inputs)
            _agree(subject.kernel, inputs, f"size {size}")


def awkward_inputs_agree(subject: KernelSubject) -> None:
    """The native result equals the reference for the hard cases that the kernel names (``awkward``)."""
    count = 0
    for label, inputs in subject.awkward():
        count += 1
        subject.run(inputs)
        _agree(subject.kernel, inputs, label)
    if not count:
        not_applicable("the kernel names no awkward inputs")


def every_instruction_set_agrees(subject: KernelSubject) -> None:
    """What is compiled for another instruction set equals the reference too, for all sizes and hard cases."""
    tried = []
    for isa, kernel in subject.variants():
        try:
            for size in SIZES:
                _agree(kernel, subject.inputs(size), f"{isa}, size {size}")
            for label, inputs in subject.awkward():
                _agree(kernel, inputs, f"{isa}, {label}")
            tried.append(isa)
        except KernelError:
            continue
    if not tried:
        not_applicable("the kernel has no field 'isa', or none of them can be built here")


def threads_do_not_matter(subject: KernelSubject) -> None:
    """1, 2 and 3 threads give the same bits."""
    kernel = subject.kernel
    if not isinstance(kernel, TaskKernel):
        not_applicable("the kernel is not made of tasks")
    inputs = {name: np.array(array) for name, array in subject.inputs(SIZES[2]).items()}
    first = subject.run(inputs)
    held = [array for array in inputs.values() if np.array_equal(array, first)]
    if not held:
        fail("none of the buffers among the inputs holds the result")
    for threads in THREADS:
        for array in held:
            array[...] = 0
        run_tasks(kernel.tasks(inputs), threads=threads)
        if not any(np.array_equal(array, first) for array in held):
            fail(f"{threads} threads give another result than `run`")


def native_result_repeats(subject: KernelSubject) -> None:
    """Two native runs give the same bits."""
    inputs = subject.inputs()
    if not np.array_equal(subject.run(inputs), subject.run(inputs)):
        fail("two runs differ")


def native_code_leaves_its_inputs(subject: KernelSubject) -> None:
    """The native code writes to nothing that the reference reads; output buffers among the inputs are its own."""
    inputs = subject.inputs()
    before = np.array(subject.kernel.reference(inputs))
    subject.run(inputs)
    if not np.array_equal(before, np.asarray(subject.kernel.reference(inputs))):
        fail("the reference gives another result after a native run")


def work_is_counted(subject: KernelSubject) -> None:
    """`work` gives positive FLOP and bytes that grow with the size."""
    small, large = (subject.kernel.work(subject.inputs(size)) for size in SIZES[1:])
    for key in ("flop", "bytes"):
        a, b = getattr(small, key), getattr(large, key)
        if not (np.isfinite([a, b]).all() and 0 < a < b):
            fail(f"{key} is {a} at size {SIZES[1]} and {b} at size {SIZES[2]}")


def bytes_cover_the_inputs(subject: KernelSubject) -> None:
    """`work.bytes` is between half the inputs' bytes and ten times them: every input crosses about once."""
    inputs = subject.inputs(SIZES[2])
    moved, held = subject.kernel.work(inputs).bytes, _bytes(inputs)
    if not held / 2 <= moved <= 10 * held:
        fail(f"{moved:.4g} B for {held} B of inputs")


KIT: Kit[KernelSubject] = Kit(
    "kernel kit",
    (
        describes_itself,
        inputs_come_from_the_generator,
        size_scales_the_inputs,
        reference_is_a_function,
        reference_leaves_its_inputs,
        native_result_is_the_reference,
        awkward_inputs_agree,
        every_instruction_set_agrees,
        threads_do_not_matter,
        native_result_repeats,
        native_code_leaves_its_inputs,
        work_is_counted,
        bytes_cover_the_inputs,
    ),
)
