"""llama.cpp beside us: tokens/s of exported plans, run and predicted, for several formats and thread counts.

    python bench/llama_cpp.py                        about four minutes; the target is measured here with the probes
    python bench/llama_cpp.py --target local.yaml    predict by a calibrated target instead
    python bench/llama_cpp.py --quick                two formats, one thread

A Llama-shaped model of 222 M random weights is written as GGUF in every format (ggml's own quantiser). Each plan goes
through `tradespace export --to llama.cpp`, its command line through llama.cpp's own parser, and llama.cpp runs at what
the parser understood. The probes run right before and after each run. Rates of llama.cpp differ from run to run, by up
to 10 % at one thread and 30 % at two: the band is the lowest and highest of the repeats. Nothing is fitted to them.

At one thread rates are per second of processor time, which other work on the machine changes little; the wall clock's
median stands behind them. At two threads only the wall clock tells, and a busy machine makes the threads wait for each
other. Prefill is priced at the rate of the format's GEMV, the only native kernel of most formats: llama.cpp's GEMM
reads a weight once for many tokens and is about twice as fast.

Needs the package xllamacpp, which is installed into out/venvs/llama on first use; without it the bench says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from bench.venvs import python_with

from tradespace.exporters import export_plan
from tradespace.plugins import Registry, registry
from tradespace.reports.recall import from_file
from tradespace.settings import Setting, bind

HOME = Path(__file__).parents[1] / "out" / "llama_cpp"
HERE = Path(__file__).parent
PACKAGES = ("xllamacpp==2026.10.11549", "gguf==0.19.0", "numpy")
SHAPE: Mapping[str, Any] = {
    "hidden": 1024, "layers": 12, "ffn": 4096, "vocab": 32000, "heads": 16, "kv_heads": 8, "head_dim": 64,
}  # fmt: skip
FORMATS = ("q8_0", "q6_k", "q4_0", "q4_k", "q2_k")
PROMPT, GENERATE = 64, 32
SECONDS = 150
"""A run that takes longer is given up: two threads on a machine that is busy otherwise wait for each other for ever."""


@dataclass(frozen=True)
class Case:
    """One format at one thread count: predictions made right before and right after the run (two of each)."""

    kind: str
    threads: int
    megabytes: float
    decode: list[float]  # predicted token/s
    prefill: list[float]
    measured: Mapping[str, list[float]]  # decode and prefill token/s of each repeat; empty if the run took too long


def child(python: Path, *words: str) -> Any:
    """The last line that the child prints, as JSON."""
    log = HOME / f"{words[0]}.log"  # what llama.cpp says, and a line for each finished case
    with log.open("w") as errors:
        command = [str(python), str(HERE / "llama_cpp_child.py"), *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=SECONDS)
    if done.returncode:
        raise SystemExit(f"llama_cpp_child.py {words[0]} failed: {log.read_text()[-1500:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def rate(name: str, size: int, threads: int, repeat: int, known: Registry) -> tuple[float, float]:
    """FLOP/s and B/s of a native kernel: per second of processor time at one thread, else by the median of runs."""
    from tradespace.kernels.running import run_tasks

    kernel = known.load("kernels", name)()
    inputs = kernel.inputs(size, np.random.Generator(np.random.Philox(1)))
    tasks, work = kernel.tasks(inputs), kernel.work(inputs)
    run_tasks(tasks, threads=threads, repeat=2)
    start = time.process_time()
    seconds = run_tasks(tasks, threads=threads, repeat=repeat).sum(axis=1)
    one = (time.process_time() - start) / repeat if threads == 1 else float(np.median(seconds))
    return work.flop / one, work.bytes / one


def probed_target(threads: int, kind: str, known: Registry) -> dict[str, Any]:
    """A machine as the native kernels measure it: bandwidth out of cache, arithmetic of the format within it."""
    bandwidth = rate("read", 32 << 20, threads, 9, known)[1]
    peaks = {"fp16": rate("gemv-fp16", 64 << 10, threads, 99, known)[0]}
    peaks[known.load("precisions", kind).compute] = rate(f"gemv-{kind}", 64 << 10, threads, 99, known)[0]
    source = f"measured here with {threads} thread{'s' if threads > 1 else ''}"
    return {
        "source": source,
        "kind": "measured",
        "memories": {"dram": {"bandwidth": f"{bandwidth:.4g} B/s", "capacity": "16 GiB"}},
        "devices": {
            "cpu": {
                "model": "roofline", "memory": "dram",
                "peak": {name: f"{value:.4g} FLOP/s" for name, value in peaks.items()},
            }
        },
    }  # fmt: skip


def predicted(file: Path, kind: str, target: Any, known: Registry) -> tuple[float, float]:
    """Decode and prefill token/s by the tables evaluator."""
    rates = []
    for job in ({"phase": "decode", "context": PROMPT + GENERATE // 2}, {"phase": "prefill", "prompt": PROMPT}):
        setting = Setting({"extends": str(file), **job}, target, "tables", {"precisions": [kind]})
        bound = bind(setting, known)
        values = bound.evaluator.price(bound.evaluator.space.parse({"placement": "cpu"})).columns
        rates.append((PROMPT if job["phase"] == "prefill" else 1) / float(values["latency"][0]))
    return rates[0], rates[1]


def exported(file: Path, kind: str, threads: int, target: Any, known: Registry) -> list[str]:
    """The command line of the plan that runs the whole model on the CPU."""
    import yaml

    job = {"extends": str(file), "phase": "request", "prompt": PROMPT, "generate": GENERATE}
    document = {
        "format": "tradespace plan 1", "id": "", "workload": job, "target": target, "evaluator": "tables",
        "options": {"precisions": [kind]}, "design": {"placement": "cpu"},
    }  # fmt: skip
    path = HOME / "plan.yaml"
    path.write_text(yaml.safe_dump(document))
    options = {"threads": str(threads), "model": str(file)}
    return list(export_plan("llama.cpp", from_file(str(path), known), options, known).document["run"])


def run_case(python: Path, kind: str, threads: int, given: str | None, repeats: int, known: Registry) -> Case:
    """Predict, run, predict again: other work on the machine slows probes and llama.cpp alike."""
    file = HOME / f"{kind}.gguf"
    by_threads = {"extends": given, "devices.cpu.threads": threads} if given else None  # a calibrated target
    first = by_threads or probed_target(threads, kind, known)
    words = exported(file, kind, threads, first, known)
    job = {"arguments": [words], "prompt": PROMPT, "generate": GENERATE, "repeats": repeats}
    (HOME / "run.json").write_text(json.dumps(job))
    try:
        measured = child(python, "run", str(HOME / "run.json"))[0]
    except subprocess.TimeoutExpired:
        measured = {"decode": [], "prefill": []}
    targets = [first, by_threads or probed_target(threads, kind, known)]
    rates = [predicted(file, kind, target, known) for target in targets]
    decode, prefill = ([rate[i] for rate in rates] for i in (0, 1))
    return Case(kind, threads, file.stat().st_size / 1e6, decode, prefill, measured)


def show(case: Case) -> dict[str, float]:
    """Print one line; the errors, predicted / measured - 1, of medians."""
    errors, cells = {}, []
    for phase, ours in (("decode", case.decode), ("prefill", case.prefill)):
        rates = case.measured[phase]
        own = f"{min(ours):6.1f}..{max(ours):<6.1f}"
        if not rates:
            cells.append(f"{own} | took more than {SECONDS} s".ljust(46))
            continue
        low, middle, high = (float(np.quantile(rates, q)) for q in (0, 0.5, 1))
        errors[phase] = float(np.mean(ours)) / middle - 1
        wall = float(np.median(case.measured[f"{phase} wall"]))
        told = f"{own} | {middle:6.1f} [{low:.1f}..{high:.1f}] ({wall:.1f})"
        cells.append(told.ljust(46) + f"{errors[phase]:+7.1%}")
    load = f"load {os.getloadavg()[0]:.1f}"
    print(f"{case.kind:6} {case.threads:3} {case.megabytes:5.0f}  {'  '.join(cells)}  {load}", flush=True)
    return errors


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--target", help="predict by this target (a name or file) instead of the probes")
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options.add_argument("--quick", action="store_true", help="two formats, one thread")
    options.add_argument("--repeats", type=int, default=3)
    chosen = options.parse_args()
    python, reason = python_with("llama", *PACKAGES)
    if python is None:
        print(f"skipped: {reason}")
        return
    HOME.mkdir(parents=True, exist_ok=True)
    known = registry()
    kinds = FORMATS[:2] if chosen.quick else FORMATS
    threads = (1,) if chosen.quick else tuple(chosen.threads)
    (HOME / "shape.json").write_text(json.dumps({**SHAPE, "formats": list(kinds)}))
    child(python, "write", str(HOME), str(HOME / "shape.json"))
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {PACKAGES[0]}, predicted by "
          f"{chosen.target or 'probes'}")  # fmt: skip
    head = "tok/s: ours | llama.cpp [band] (wall)".ljust(39) + "error"
    print(f"format thr   MB  decode {head}  prefill {head}")
    found: dict[str, list[float]] = {"decode": [], "prefill": []}
    for count in threads:
        for kind in kinds:
            for phase, error in show(run_case(python, kind, count, chosen.target, chosen.repeats, known)).items():
                found[phase].append(error)
    for phase, values in found.items():
        size = np.abs(values) if values else np.full(1, np.nan)
        print(f"{phase}: |error| median {np.median(size):.1%}, worst {size.max():.1%} of {len(values)}")


if __name__ == "__main__":
    main()
