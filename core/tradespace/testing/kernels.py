"""What every native kernel must do: compute what its numpy reference computes, and count its work.

from tradespace.testing.kernels import check_kernel
report = check_kernel(MyKernel())
assert report.passed, str(report)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import KernelError
from tradespace.kernels.contract import Arrays, Kernel, disagreement
from tradespace.testing.report import Kit, KitReport, fail, not_applicable

SIZES = (1, 1_000, 100_003)
"""Scales that every kernel is tried at: the smallest, a middle one, and one that no vector width divides."""


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


def check_kernel(kernel: Kernel, label: str | None = None, *, expected: Mapping[str, str] | None = None) -> KitReport:
    """Run the kit on a kernel. `expected`: check -> reason, for known failures (strict)."""
    return KIT.run(KernelSubject(kernel), label or str(getattr(kernel, "name", kernel)), expected)


def _bytes(inputs: Arrays) -> int:
    return sum(array.nbytes for array in inputs.values())


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
            error = disagreement(subject.kernel, inputs)
            if not error <= subject.kernel.tolerance:
                fail(f"size {size}: off by {error:.3g} of the largest magnitude, allowed {subject.kernel.tolerance:g}")


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
        native_result_repeats,
        native_code_leaves_its_inputs,
        work_is_counted,
        bytes_cover_the_inputs,
    ),
)
