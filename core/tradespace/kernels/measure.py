"""What calibration measures: probes that return samples in SI units, each under the path of the number it is about.

A probe is called several times over a calibration, so that what changes slowly on a shared machine shows in the spread
of a number instead of in the difference between two calibrations. Times are by the processor clock (`run_tasks`): what
the system gave to other processes meanwhile is not in them, but what these took of caches and memory is. Barriers are
measured by the wall clock, as `dispatch`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels import threads as pairs
from tradespace.kernels.build import KernelError
from tradespace.kernels.contract import TaskKernel
from tradespace.kernels.decoder import Add, Attention, SiluMul, attention_task, norm_task
from tradespace.kernels.device import LONG, SHORT, SMALL
from tradespace.kernels.machine import Machine
from tradespace.kernels.memory import aligned, zeros
from tradespace.kernels.probes import PEAKS, PointerChase, Read, Triad
from tradespace.kernels.products import WANTED, product_kernel, random_weights
from tradespace.kernels.running import Task, run_tasks
from tradespace.kernels.storage import SIZES, file_reads

Samples = Mapping[str, NDArray[np.float64]]

MATRIX = 4 * 2**20
"""B of weights of one piece of the streaming measurement: a typical matrix of a small model."""
LARGE = 128 * 2**20
"""B of weights that no cache holds, unless four times the last one are more."""
READY = 16_384
"""Activations made ready in one go: enough that the call itself does not count."""
COLUMNS = 64
POSITIONS = 512
"""Positions that one token attends to."""
LADDER = tuple(2**n for n in range(12, 29))
"""B of the latency ladder: 4 KB to 256 MB."""


@dataclass(frozen=True)
class Reading:
    """One measured number.

    Args:
        path: in the target file, or in the report where the file has no place for it.
        unit: SI.
        rounds: the samples of each round, SI.
        how: which kernel, on what.
    """

    path: str
    unit: str
    rounds: tuple[NDArray[np.float64], ...]
    how: str

    @property
    def samples(self) -> NDArray[np.float64]:
        """All of them."""
        return np.concatenate(self.rounds)

    @property
    def value(self) -> float:
        return float(np.median(self.samples))

    @property
    def spread(self) -> float:
        """Quartile range, or the range of the rounds' medians if that is wider, over the median."""
        low, high = np.quantile(self.samples, [0.25, 0.75])
        middles = [float(np.median(samples)) for samples in self.rounds]
        return max(float(high - low), max(middles) - min(middles)) / self.value if self.value else 0.0

    def at(self, path: str, scale: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None) -> Reading:
        """The same under another path, each sample scaled."""
        return replace(self, path=path, rounds=tuple(map(scale, self.rounds)) if scale else self.rounds)


@dataclass(frozen=True)
class Probe:
    """One thing to measure.

    Args:
        label: shown while it runs.
        unit, how: path -> unit and description, for every path `measure` may return.
        measure: returns new samples.
    """

    label: str
    units: Mapping[str, tuple[str, str]]
    measure: Callable[[], Samples]


@dataclass
class Bench:
    """The buffers and numbers that probes share."""

    machine: Machine
    rng: np.random.Generator
    folder: Path
    passes: int
    data: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        wanted = max(LARGE, 4 * self.machine.last_cache)
        self.data = random_weights(min(wanted, self.machine.memory // 4), self.rng)

    @property
    def crews(self) -> tuple[tuple[str, int], ...]:
        """("one", 1) and ("all", every usable core), once where there is but one."""
        return (("one", 1), ("all", self.machine.cores)) if self.machine.cores > 1 else (("one", 1),)


def probes(bench: Bench, *, full: bool) -> list[Probe]:
    """What to measure, in order. The full list adds the latency ladder, all data types and more of storage."""
    found = [_products(bench, name) for name in WANTED if name not in ("int8", "int4")]
    found += [_memory(bench), _small(bench), _dispatch(bench)]
    found += [_peak(bench, form) for form in PEAKS]
    found += [_between_threads(bench), _ladder(bench, LADDER if full else LADDER[::4]), _storage(bench, full)]
    return found


def _run(tasks: Sequence[Task], threads: int = 1, repeat: int = 1) -> NDArray[np.float64]:
    """(repeat, tasks) s by the processor clock."""
    return run_tasks(tasks, threads=threads, repeat=repeat, clock="processor")


# -- products with weights


def _products(bench: Bench, precision: str) -> Probe:
    kernel = product_kernel(precision)
    where = f"{kernel.kernel} ({precision})"
    units = {}
    for crew, threads in bench.crews:
        on = f"{where}, {threads} thread{'s' * (threads > 1)}"
        units[f"stream_{crew}.{precision}"] = ("B/s", f"{on}, matrices of 4 MB out of {len(bench.data) >> 20} MB")
        units[f"short_{crew}.{precision}"] = ("B/s", f"{on}, rows of {SHORT} out of {len(bench.data) >> 20} MB")
        units[f"cached_{crew}.{precision}"] = ("B/s", f"{on}, the same {_cached(bench) >> 10} KB again and again")
        units[f"gemm_{crew}.{precision}"] = ("FLOP/s", f"{on}, {COLUMNS} columns")
        units[f"prepare_{crew}.{precision}"] = ("Hz", f"{on}, activations made ready")
        units[f"small_{crew}.{precision}"] = ("s", f"{on}, {SMALL} x {SMALL} after a norm, one after another")

    def measure() -> Samples:
        out: dict[str, NDArray[np.float64]] = {}
        made = kernel.over(bench.data, 32, _row(bench, READY))
        for crew, threads in bench.crews:
            for name, k in (("stream", LONG), ("short", SHORT)):
                tasks, size = _stream(bench, precision, k)
                seconds = _run(tasks, threads, bench.passes)
                out[f"{name}_{crew}.{precision}"] = (size / seconds).ravel()
            if made.prepare:
                seconds = _run(made.prepare * 40, threads)
                out[f"prepare_{crew}.{precision}"] = (READY / seconds[:, 5:]).ravel()
            out[f"cached_{crew}.{precision}"] = _cached_rate(bench, precision, threads)
            out[f"gemm_{crew}.{precision}"] = _gemm_rate(bench, precision, threads)
            out[f"small_{crew}.{precision}"] = _small_product(bench, precision, threads)
        return out

    return Probe(where, units, measure)


def _row(bench: Bench, k: int) -> NDArray[np.float32]:
    x = zeros((1, k))
    x[...] = bench.rng.standard_normal((1, k), dtype=np.float32)
    return x


def _stream(bench: Bench, precision: str, k: int) -> tuple[list[Task], int]:
    """Products with one matrix after another, and the bytes of one."""
    kernel, x = product_kernel(precision), _row(bench, k)
    rows = max(32, MATRIX // kernel.weight_bytes(32, k) * 32)
    size = kernel.weight_bytes(rows, k)
    first = kernel.over(bench.data, rows, x)
    starts = range(0, len(bench.data) - size, size + 64)
    return [task for at in starts for task in kernel.again(first, bench.data[at : at + size]).multiply], size


def _cached(bench: Bench) -> int:
    """B that stay in the second-level cache of one core."""
    return min(bench.machine.cache(2) or 2**19, 2**20) // 4


def _cached_rate(bench: Bench, precision: str, threads: int) -> NDArray[np.float64]:
    kernel, k = product_kernel(precision), 2048
    rows = max(32, _cached(bench) // kernel.weight_bytes(32, k) * 32)
    product = kernel.over(bench.data, rows, _row(bench, k))
    seconds = _run(product.multiply, threads, 32)[8:]
    return np.asarray(product.weight_bytes / seconds).ravel()


def _small_product(bench: Bench, precision: str, threads: int) -> NDArray[np.float64]:
    """s of small products as a step has them: each reads what a norm made of the one before it."""
    kernel, x = product_kernel(precision), _row(bench, SMALL)
    size = kernel.weight_bytes(SMALL, SMALL)
    first, tasks = kernel.over(bench.data, SMALL, x), list[Task]()
    weight = zeros(SMALL)
    weight[:] = 1e-4  # whatever the weights are, the next product's activations are of order 1
    for at in range(0, min(len(bench.data), 128 * size) - size, size):
        tasks += [norm_task(first.y, weight, x), *kernel.again(first, bench.data[at : at + size]).tasks]
    seconds = _run(tasks, threads, bench.passes).reshape(-1, 1 + len(first.tasks))
    return np.asarray(seconds[:, 1:].sum(axis=1))


def _gemm_rate(bench: Bench, precision: str, threads: int) -> NDArray[np.float64]:
    rows, k = 128, 2048
    x = np.repeat(_row(bench, k), COLUMNS, axis=0)
    product = product_kernel(precision).over(bench.data, rows, x)
    seconds = _run(product.multiply, threads, 14)[2:]
    return np.asarray(2.0 * rows * k * COLUMNS / seconds).ravel()


# -- memory, small operators, threads


def _rates(bench: Bench, kernel: TaskKernel, size: int, repeat: int, key: str) -> Samples:
    inputs = kernel.inputs(size, bench.rng)
    work = kernel.work(inputs)
    amount = work.bytes if key in ("read", "triad") else work.flop
    out = {}
    for crew, threads in bench.crews:
        seconds = _run(kernel.tasks(inputs), threads, 2 + repeat)[2:].sum(axis=1)
        out[f"{key}_{crew}"] = np.asarray(amount / seconds)
    return out


def _memory(bench: Bench) -> Probe:
    """Read bandwidth in pieces, as products read; STREAM triad over the whole buffer."""
    floats = bench.data.view(np.float32)
    size = MATRIX // 4
    units = {
        f"{key}_{crew}": ("B/s", f"{key}, {threads} thread{'s' * (threads > 1)}, {len(bench.data) >> 20} MB")
        for crew, threads in bench.crews
        for key in ("read", "triad")
    }

    def measure() -> Samples:
        pages = [floats[at : at + size].reshape(-1, Read.page) for at in range(0, floats.size - size + 1, size)]
        outs = [zeros(len(page)) for page in pages]
        tasks = [t for x, y in zip(pages, outs, strict=True) for t in Read().tasks({"x": x, "out": y})]
        found = {f"read_{crew}": (MATRIX / _run(tasks, threads, bench.passes)).ravel() for crew, threads in bench.crews}
        third = floats.size // 3 // size * size
        a, b, c = zeros(third), floats[:third], floats[third : 2 * third]
        cuts = range(0, third, size)
        triads = [
            t for i in cuts for t in Triad().tasks({n: v[i : i + size] for n, v in zip("abc", (a, b, c), strict=True)})
        ]
        for crew, threads in bench.crews:
            found[f"triad_{crew}"] = (12.0 * size / _run(triads, threads, bench.passes)).ravel()
        return found

    return Probe("memory bandwidth", units, measure)


def _small(bench: Bench) -> Probe:
    units = {}
    for crew, threads in bench.crews:
        on = f"{threads} thread{'s' * (threads > 1)}"
        units[f"attention_{crew}"] = (
            "FLOP/s",
            f"attention, {on}, {POSITIONS} positions of fp16 caches, 32 heads of 64 on 8",
        )
        units[f"pointwise_{crew}"] = ("FLOP/s", f"silu-mul and add, {on}, 8,192 numbers")

    def measure() -> Samples:
        out: dict[str, NDArray[np.float64]] = {}
        attention, work = _attention(bench)
        gate = {name: aligned(array) for name, array in SiluMul().inputs(3 * 8192, bench.rng).items()}
        add = Add().inputs(3 * 8192, bench.rng)
        both = [*SiluMul().tasks(gate), *Add().tasks(add)]
        flop = SiluMul().work(gate).flop + Add().work(add).flop
        for crew, threads in bench.crews:
            seconds = _run(attention, threads, bench.passes)
            out[f"attention_{crew}"] = (work / seconds).ravel()
            seconds = _run(both, threads, 25)[5:]
            out[f"pointwise_{crew}"] = np.asarray(flop / seconds.sum(axis=1))
        return out

    return Probe("attention and gates", units, measure)


def _attention(bench: Bench) -> tuple[list[Task], float]:
    """One token's attention over one layer's cache after another, as a step meets them: out of memory. And its FLOP."""
    heads, kv_heads, width = 32, 8, 64
    inputs = Attention().shaped(1, heads, kv_heads, width, 1, bench.rng)
    size = kv_heads * POSITIONS * width
    halves = bench.data.view(np.float16)
    caches = halves[: halves.size // size * size].reshape(-1, kv_heads, POSITIONS, width)
    pairs_of = zip(caches[0::2], caches[1::2], strict=False)
    tasks = [attention_task(inputs["q"], k, v, inputs["out"], POSITIONS - 1) for k, v in pairs_of]
    return tasks, heads * POSITIONS * (4.0 * width + 5)


def _dispatch(bench: Bench) -> Probe:
    """A task of one number: what is left is the call and the barrier."""
    units = {
        f"dispatch_{crew}": ("s", f"a kernel over one number, {threads} thread{'s' * (threads > 1)}")
        for crew, threads in bench.crews
    }

    def measure() -> Samples:
        empty = Add().tasks(Add().inputs(3, bench.rng)) * 100
        return {
            f"dispatch_{crew}": run_tasks(empty, threads=threads, repeat=4)[1:].ravel() for crew, threads in bench.crews
        }

    return Probe("kernel calls", units, measure)


def _peak(bench: Bench, form: str) -> Probe:
    kernel = PEAKS[form](steps=256)
    units = {
        f"peak_{crew}.{form}": ("FLOP/s", f"{kernel.name}, {threads} thread{'s' * (threads > 1)}, in registers")
        for crew, threads in bench.crews
    }

    def measure() -> Samples:
        try:
            found = _rates(bench, kernel, 8_192, 12, "peak")
        except KernelError:
            return {}  # the processor has no such instructions
        return {f"{path}.{form}": samples for path, samples in found.items()}

    return Probe(f"peak {form}", units, measure)


def _between_threads(bench: Bench) -> Probe:
    units = {
        "pass_flag": ("s", "a flag between two spinning threads"),
        "wake_up": ("s", "waking a sleeping thread"),
        "loopback": ("s", "64 B there and back over TCP on 127.0.0.1"),
    }

    def measure() -> Samples:
        found: dict[str, NDArray[np.float64]] = {}
        calls: Sequence[tuple[str, Callable[[int], NDArray[np.float64]], int]] = (
            ("pass_flag", pairs.pass_flag, 40), ("wake_up", pairs.wake_up, 40), ("loopback", pairs.loopback, 200)
        )  # fmt: skip
        for name, call, rounds in calls:
            try:
                found[name] = call(rounds)[rounds // 10 :]
            except KernelError:
                continue  # one core, or a network stack that is closed to us
        return found

    return Probe("threads and loopback", units, measure)


def _ladder(bench: Bench, sizes: Sequence[int]) -> Probe:
    units = {f"latency.{size}": ("s", f"pointer-chase over {size // 1024} KB") for size in sizes}

    def measure() -> Samples:
        out = {}
        for size in sizes:
            lines = size // 64
            kernel = PointerChase(max(1, 4096 // lines)) if lines < 4096 else PointerChase()
            inputs = dict(kernel.inputs(size // 4, bench.rng))
            (task,) = kernel.tasks(inputs)
            steps = min(task.rows, 4096)  # a piece of the cycle, a millisecond at most even out of memory
            pieces = [_from(task, inputs, int(start), steps) for start in inputs["order"][:: max(1, lines // 8)][:8]]
            seconds = _run([task, *pieces] if task.rows <= 1 << 16 else pieces)
            out[f"latency.{size}"] = (seconds[0, -len(pieces) :] / steps).ravel()
        return out

    return Probe("latency of caches and memory", units, measure)


def _from(task: Task, inputs: Mapping[str, NDArray[np.generic]], start: int, steps: int) -> Task:
    args = type(task.args).from_buffer_copy(task.args)
    args.start = start
    return Task(task.function, args, steps, steps, tuple(inputs.values()))


def _storage(bench: Bench, full: bool) -> Probe:
    units = {
        f"storage.{pattern}.{size}": ("s", f"{pattern} reads of {size // 1024} KB")
        for size in SIZES
        for pattern in ("random", "sequential")
    }

    def measure() -> Samples:
        try:
            found = file_reads(
                bench.folder, size=(64 if full else 24) << 20, reads=400, limit=0.2 if full else 0.1, rng=bench.rng
            )
        except KernelError:
            return {}
        return {f"storage.{pattern}.{size}": seconds for (pattern, size), seconds in found.seconds.items()}

    return Probe("files", units, measure)
