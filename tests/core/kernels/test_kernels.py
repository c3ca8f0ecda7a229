"""Native kernels equal their references, build failures are told, timings are sane."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tradespace.kernels import Kernel, KernelError, build, disagreement, time_kernel
from tradespace.kernels.probes import GEMV, FMAProbe, Triad

KERNELS: list[Kernel] = [FMAProbe(0), FMAProbe(1), FMAProbe(7), FMAProbe(64), Triad(), GEMV()]


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("size", [1, 5_000, 300_000])
def test_native_equals_reference(kernel: Kernel, size: int) -> None:
    assert disagreement(kernel, kernel.inputs(size, np.random.default_rng(size))) <= kernel.tolerance


def test_disagreement_sees_a_wrong_result() -> None:
    class Broken(GEMV):
        def run(self, inputs):  # type: ignore[no-untyped-def]
            y = super().run(inputs).copy()
            y[-1] += 0.01 * np.abs(y).max()
            return y

    kernel = Broken()
    assert disagreement(kernel, kernel.inputs(5_000, np.random.default_rng(0))) > kernel.tolerance


def test_work_counts_flop_and_bytes() -> None:
    rng = np.random.default_rng(0)
    assert FMAProbe(32).work(FMAProbe(32).inputs(1280, rng)).intensity == pytest.approx(65 / 4)
    assert FMAProbe(0).work(FMAProbe(0).inputs(1280, rng)).intensity == pytest.approx(1 / 32)
    w = GEMV().inputs(10_000, rng)["w"]
    assert GEMV().work({"w": w}).flop == 2 * w.size


def test_more_arithmetic_on_the_same_bytes_takes_longer() -> None:
    inputs = FMAProbe().inputs(400_000, np.random.default_rng(0))
    light, heavy = (time_kernel(FMAProbe(steps), inputs, repetitions=5) for steps in (1, 400))
    assert heavy.median > 10 * light.median  # 400 times the arithmetic; a skipped loop would show 1
    assert heavy.work.bytes == light.work.bytes


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TRADESPACE_CACHE", str(tmp_path / "cache"))
    build.load.cache_clear()
    yield tmp_path
    build.load.cache_clear()


def test_a_library_is_compiled_once_and_again_after_an_edit(fresh_cache: Path) -> None:
    source = fresh_cache / "k.c"
    source.write_text("int f(void) { return 1; }\n")
    assert build.load(source).f() == 1
    build.load.cache_clear()
    assert build.load(source).f() == 1
    assert len(list((fresh_cache / "cache" / "kernels").glob("*.so"))) == 1
    source.write_text("int f(void) { return 2; }\n")
    build.load.cache_clear()
    assert build.load(source).f() == 2


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
