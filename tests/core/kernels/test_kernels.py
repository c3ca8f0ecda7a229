"""Building, running and timing native kernels: caches, compilers, threads, probes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tradespace.kernels import (
    Kernel,
    KernelError,
    Task,
    build,
    disagreement,
    load_shipped,
    run_tasks,
    task_function,
    time_kernel,
)
from tradespace.kernels.decoder import Add
from tradespace.kernels.dense import Gemv
from tradespace.kernels.probes import PEAKS, DotProbe, FMAProbe, PointerChase, Read, Triad

KERNELS: list[Kernel] = [FMAProbe(1), FMAProbe(7), FMAProbe(64), DotProbe(3), Read(), Triad(), PointerChase(2), Gemv()]


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("size", [1, 5_000, 300_000])
def test_native_equals_reference(kernel: Kernel, size: int) -> None:
    assert disagreement(kernel, kernel.inputs(size, np.random.default_rng(size))) <= kernel.tolerance


def test_disagreement_sees_a_wrong_result() -> None:
    class Broken(Gemv):
        def run(self, inputs):  # type: ignore[no-untyped-def]
            y = super().run(inputs).copy()
            y[..., -1] += 0.01 * np.abs(y).max()
            return y

    kernel = Broken()
    assert disagreement(kernel, kernel.inputs(5_000, np.random.default_rng(0))) > kernel.tolerance


def test_work_counts_flop_and_bytes() -> None:
    rng = np.random.default_rng(0)
    assert FMAProbe(32).work(FMAProbe(32).inputs(1280, rng)).intensity == pytest.approx(65 / 4, rel=0.01)
    assert Read().work(Read().inputs(8192, rng)).intensity == pytest.approx(1 / 4, rel=0.01)
    inputs = Gemv().inputs(10_000, rng)
    assert Gemv().work(inputs).flop == 2 * inputs["w"].size


@pytest.mark.parametrize("form", ["fp32", "fp64", "int8"])
def test_more_arithmetic_on_the_same_bytes_takes_longer(form: str) -> None:
    inputs = PEAKS[form]().inputs(100_000, np.random.default_rng(0))
    light, heavy = (time_kernel(PEAKS[form](steps), inputs, repetitions=5) for steps in (1, 800))
    assert heavy.median > 10 * light.median  # 800 times the arithmetic; a skipped loop would show 1
    assert heavy.work.bytes == light.work.bytes


def test_lines_in_random_order_are_slower_than_in_turn() -> None:
    kernel, rng = PointerChase(), np.random.default_rng(0)
    inputs = dict(kernel.inputs(8_000_000, rng))  # 32 MB
    ordered = {**inputs, "next": inputs["next"].copy()}
    ordered["next"][:, 0] = np.roll(np.arange(len(ordered["next"])), -1)
    times = [run_tasks(kernel.tasks(case), repeat=3).min() for case in (inputs, ordered)]
    assert times[0] > 2 * times[1]


# -- tasks and threads


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_each_row_is_computed_once(threads: int) -> None:
    for rows, grain in ((1, 1), (5, 1), (1000, 64), (1001, 64), (63, 64)):
        a, y = np.ones(rows, np.float32), np.zeros(rows, np.float32)
        kernel = Add()
        (task,) = kernel.tasks({"a": y, "b": a, "y": y})  # y += 1: a row computed twice would show 2
        task = Task(task.function, task.args, rows, grain, task.keep)
        seconds = run_tasks([task, task], threads=threads, repeat=5)
        assert (y == 10).all()
        assert seconds.shape == (5, 2) and (seconds > 0).all()


def test_a_later_task_sees_what_an_earlier_one_wrote() -> None:
    n = 10_000
    a, b, c = (np.full(n, value, np.float32) for value in (1, 2, 0))
    first = Add().tasks({"a": a, "b": b, "y": c})[0]
    second = Add().tasks({"a": c[::-1].copy(), "b": b, "y": a})[0]
    pair = type(first.args)(c.ctypes.data, c.ctypes.data, b.ctypes.data)
    doubled = Task(first.function, pair, n, 64)  # b = c + c reads what other threads wrote
    run_tasks([first, doubled], threads=2)
    assert (b == 6).all() and second.rows == n


def test_the_processor_clock_does_not_count_waiting() -> None:
    n = 1 << 20
    a, y = np.ones(n, np.float32), np.zeros(n, np.float32)
    (task,) = Add().tasks({"a": a, "b": a, "y": y})
    alone = Task(task.function, task.args, n, n, task.keep)  # one grain: the second thread has nothing to do
    busy = run_tasks([alone, task], threads=2, repeat=9, clock="processor")
    wall = run_tasks([alone, task], threads=2, repeat=9)
    assert busy.shape == wall.shape == (9, 2) and (busy > 0).all()
    assert np.median(busy[:, 0]) > 1.2 * np.median(busy[:, 1])  # all of it, against the larger half
    assert np.median(busy[:, 0]) < 2 * np.median(wall[:, 0])


def test_threads_have_limits() -> None:
    with pytest.raises(KernelError, match="threads are 1 to 256; got 0"):
        run_tasks([], threads=0)


def test_a_kernel_without_tasks_runs_on_one_thread_only() -> None:
    class Plain:
        name, tolerance = "plain", 1e-6
        inputs, reference, work = Add().inputs, Add().reference, Add().work

        def run(self, inputs):  # type: ignore[no-untyped-def]
            return inputs["a"] + inputs["b"]

    inputs = Plain.inputs(1000, np.random.default_rng(0))
    assert time_kernel(Plain(), inputs).median > 0  # type: ignore[arg-type]
    with pytest.raises(KernelError, match="only kernels made of tasks"):
        time_kernel(Plain(), inputs, threads=2)  # type: ignore[arg-type]


def test_a_timing_stands_on_its_roofline() -> None:
    timing = time_kernel(Triad(), Triad().inputs(300_000, np.random.default_rng(0)), threads=2)
    assert timing.threads == 2
    assert timing.roofline(1e30, timing.bandwidth) == pytest.approx(1)
    assert timing.roofline(timing.flops / 2, 1e30) == pytest.approx(2)


# -- building


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TRADESPACE_CACHE", str(tmp_path / "cache"))
    build.load.cache_clear()
    yield tmp_path
    build.load.cache_clear()


def test_a_library_is_compiled_once_and_again_after_an_edit(fresh_cache: Path) -> None:
    source, header = fresh_cache / "k.c", fresh_cache / "k.h"
    header.write_text("#define ANSWER 1\n")
    source.write_text('#include "k.h"\nint f(void) { return ANSWER; }\n')
    assert build.load(source).f() == 1
    build.load.cache_clear()
    assert build.load(source).f() == 1
    assert len(list((fresh_cache / "cache" / "kernels").glob("*.so"))) == 1
    header.write_text("#define ANSWER 2\n")
    build.load.cache_clear()
    assert build.load(source).f() == 2


def test_each_instruction_set_has_a_library_of_its_own(fresh_cache: Path) -> None:
    source = fresh_cache / "k.c"
    source.write_text("#ifdef TRADESPACE_SCALAR\nint f(void) { return 1; }\n#else\nint f(void) { return 2; }\n#endif\n")
    assert [build.load(source, isa).f() for isa in ("scalar", "native")] == [1, 2]
    with pytest.raises(KernelError, match="must know the instruction set, one of native, avx2, scalar; got neon"):
        build.load(source, "neon")


def test_errors_of_the_compiler_are_told(fresh_cache: Path) -> None:
    source = fresh_cache / "bad.c"
    source.write_text("int f( {")
    with pytest.raises(KernelError, match=r"bad.c: the kernel must compile; got .*error"):
        build.load(source)


def test_a_missing_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    build.compiler.cache_clear()
    try:
        with pytest.raises(KernelError, match=r"\$CC must name a compiler.*no-such-compiler"):
            build.compiler()
        monkeypatch.delenv("CC")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(KernelError, match="Install gcc or clang"):
            build.compiler()
    finally:
        build.compiler.cache_clear()


def test_an_unwritable_cache_is_told(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh_cache / "file").write_text("")
    monkeypatch.setenv("TRADESPACE_CACHE", str(fresh_cache / "file"))
    source = fresh_cache / "k.c"
    source.write_text("int f(void) { return 1; }\n")
    with pytest.raises(KernelError, match=r"cache folder must be writable.*TRADESPACE_CACHE"):
        build.load(source)


@pytest.mark.parametrize("isa", ["native", "avx2", "scalar"])
def test_half_floats_convert_as_ieee_754_says(fresh_cache: Path, isa: str) -> None:
    source = fresh_cache / "half.c"
    (fresh_cache / "task.h").write_bytes((Path(build.__file__).parent / "c" / "task.h").read_bytes())
    source.write_text(
        '#include "task.h"\nstruct s { const uint16_t *h; float *f; uint16_t *back; };\n'
        "void halves(const void *a, int64_t b, int64_t e) { const struct s *p = a;\n"
        "for (; b < e; b++) p->f[b] = from_half(p->h[b]), p->back[b] = to_half(p->f[b]); }\n"
        "void round_all(const void *a, int64_t b, int64_t e) { const struct s *p = a;\n"
        "for (; b < e; b++) p->back[b] = to_half(p->f[b]); }\n"
    )

    class Args(ctypes.Structure):
        _fields_ = (("h", ctypes.c_void_p), ("f", ctypes.c_void_p), ("back", ctypes.c_void_p))

    library = build.load(source, isa)
    every = np.arange(65536, dtype=np.uint16)
    floats, back = np.zeros(65536, np.float32), np.zeros(65536, np.uint16)
    run_tasks([Task(task_function(library, "halves"), Args(*(a.ctypes.data for a in (every, floats, back))), 65536)])
    number = ~np.isnan(every.view(np.float16))
    assert np.array_equal(floats[number], every.view(np.float16).astype(np.float32)[number])
    assert np.array_equal(back[number], every[number])
    rng = np.random.default_rng(0)
    odd = (rng.standard_normal(65536) * 10.0 ** rng.integers(-9, 5, 65536)).clip(-65504, 65504).astype(np.float32)
    run_tasks([Task(task_function(library, "round_all"), Args(0, odd.ctypes.data, back.ctypes.data), 65536)])
    assert np.array_equal(back, odd.astype(np.float16).view(np.uint16))


def test_shipped_sources_compile_without_a_warning(tmp_path: Path) -> None:
    import subprocess

    folder = Path(build.__file__).parent / "c"
    for source in ("runner", "threads", "blocks", "dense", "decoder", "probes"):
        flags = [*build.flags_for(), "-Wall", "-Wextra", "-Wno-psabi", str(folder / f"{source}.c"), "-lm"]
        done = subprocess.run([*build.compiler(), *flags, "-o", str(tmp_path / "x.so")], capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done.stderr
    assert load_shipped("runner") is load_shipped("runner")
