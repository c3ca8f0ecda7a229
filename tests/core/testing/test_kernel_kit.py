"""The kernel kit passes the registered kernels and catches each way of breaking the contract."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from tradespace.kernels.build import KernelError
from tradespace.kernels.contract import Arrays, Work
from tradespace.kernels.decoder import Add
from tradespace.kernels.running import run_tasks
from tradespace.plugins import registry
from tradespace.testing.kernels import check_kernel


class Honest:
    """y = 2 x + 1, 'native' being numpy as well: what the kit looks at is the contract."""

    name: ClassVar[str] = "twice"
    tolerance: ClassVar[float] = 1e-6

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        return {"x": rng.random(max(1, size // 2), dtype=np.float32), "y": np.zeros(max(1, size // 2), np.float32)}

    def reference(self, inputs: Arrays) -> Any:
        return 2 * inputs["x"].astype(np.float64) + 1

    def run(self, inputs: Arrays) -> Any:
        y = self.buffer(inputs["y"])
        np.multiply(inputs["x"], np.float32(2), out=y)
        y += np.float32(1)
        return y

    def work(self, inputs: Arrays) -> Work:
        return Work(2.0 * inputs["x"].size, 8.0 * inputs["x"].size)

    @staticmethod
    def buffer(array: Any) -> Any:
        """Native code does not see numpy's read-only flag."""
        return np.frombuffer((__import__("ctypes").c_char * array.nbytes).from_address(array.ctypes.data), array.dtype)


def test_an_honest_kernel_passes() -> None:
    report = check_kernel(Honest())
    assert report.passed, str(report)
    skipped = {check.name for check in report.checks if check.outcome != "passed"}
    assert skipped == {"awkward_inputs_agree", "every_instruction_set_agrees", "threads_do_not_matter"}  # it has none
    assert len(report.checks) == 13


@pytest.mark.parametrize("name", registry().names("kernels"))
def test_registered_kernels_pass(name: str) -> None:
    report = check_kernel(registry().load("kernels", name)(), name)
    assert report.passed, str(report)


class Nameless(Honest):
    name: ClassVar[str] = " "


class Sloppy(Honest):
    tolerance: ClassVar[float] = 0.5


class OwnRandomness(Honest):
    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        return super().inputs(size, np.random.default_rng())


class Constant(Honest):
    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        return {name: np.ones_like(array) for name, array in super().inputs(size, rng).items()}


class FixedSize(Honest):
    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        return super().inputs(1000, rng)


class Doubles(Honest):
    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        return super().inputs(100 * size, rng)


class Oblivious(Honest):
    def reference(self, inputs: Arrays) -> Any:
        return np.zeros(len(inputs["x"]))


class WritesInReference(Honest):
    def reference(self, inputs: Arrays) -> Any:
        out = super().reference(inputs)
        self.buffer(inputs["x"])[:] = 0
        return out


class ForgetsTail(Honest):
    def run(self, inputs: Arrays) -> Any:
        y = super().run(inputs)
        y[len(y) // 8 * 8 :] = 0
        return y


class OtherShape(Honest):
    def run(self, inputs: Arrays) -> Any:
        return super().run(inputs)[:, None]


class Noisy(Honest):
    runs = 0

    def run(self, inputs: Arrays) -> Any:
        self.runs += 1
        return super().run(inputs) * np.float32(1 + (self.runs % 2) * 3e-7)


class WritesInput(Honest):
    def run(self, inputs: Arrays) -> Any:
        y = super().run(inputs).copy()
        self.buffer(inputs["x"])[:] = 3
        return y


class FailsItsHardCase(Honest):
    def awkward(self, rng: np.random.Generator) -> Any:
        yield "thirteen", self.inputs(26, rng)

    def run(self, inputs: Arrays) -> Any:
        y = super().run(inputs)
        if y.size == 13:
            y[-1] = 0
        return y


@dataclass(frozen=True)
class WrongInPlainC(Add):
    def run(self, inputs: Arrays) -> Any:
        return super().run(inputs) + np.float32(self.isa == "scalar")


class LeavesARow(Add):
    """Its tasks leave the last row to nobody."""

    def tasks(self, inputs: Arrays) -> Any:
        (task,) = super().tasks(inputs)
        return [dataclasses.replace(task, rows=task.rows - 1)]

    def run(self, inputs: Arrays) -> Any:
        run_tasks(super().tasks(inputs))
        return inputs["y"]


class NoWork(Honest):
    def work(self, inputs: Arrays) -> Work:
        return Work(0.0, 8.0 * inputs["x"].size)


class FreeBytes(Honest):
    def work(self, inputs: Arrays) -> Work:
        return Work(2.0 * inputs["x"].size, 0.1 * inputs["x"].size)


MUTANTS = {
    "describes_itself": (Nameless, Sloppy),
    "inputs_come_from_the_generator": (OwnRandomness, Constant),
    "size_scales_the_inputs": (FixedSize, Doubles),
    "reference_is_a_function": (Oblivious,),
    "reference_leaves_its_inputs": (WritesInReference,),
    "native_result_is_the_reference": (ForgetsTail, OtherShape),
    "awkward_inputs_agree": (FailsItsHardCase,),
    "every_instruction_set_agrees": (WrongInPlainC,),
    "threads_do_not_matter": (LeavesARow,),
    "native_result_repeats": (Noisy,),
    "native_code_leaves_its_inputs": (WritesInput,),
    "work_is_counted": (NoWork,),
    "bytes_cover_the_inputs": (FreeBytes,),
}


@pytest.mark.parametrize(
    ("check", "mutant"), [(check, mutant) for check, mutants in MUTANTS.items() for mutant in mutants]
)
def test_a_wrong_kernel_fails(check: str, mutant: Any) -> None:
    report = check_kernel(mutant())
    assert check in [failure.name for failure in report.failures], str(report)


def test_without_a_compiler_the_native_checks_do_not_apply() -> None:
    class Unbuilt(Honest):
        def run(self, inputs: Arrays) -> Any:
            raise KernelError("a C compiler is needed")

    report = check_kernel(Unbuilt())
    assert report.passed and "6 not applicable" in report.summary, str(report)
    assert "cannot be built here: a C compiler is needed" in str(report)
