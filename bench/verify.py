"""The bars of `tradespace verify`: decode token time predicted by a fresh calibration, beside what a step takes here.

    python bench/verify.py                       calibrate, 18 cells, one front: about four minutes on a quiet machine
    python bench/verify.py --target local.yaml   predict by an earlier calibration
    python bench/verify.py --quick               a quick calibration, half the time a cell, no front
    python bench/verify.py --clock processor     time that threads ran instead of wall clock: for a busy machine

Cells: {SmolLM-135M, Qwen2-0.5B, Llama-3.2-1B} x {Q8_0, Q4_0, 2-bit T-MAC} x {1, 2 threads}, a step at 576 positions.
Bars: |predicted / measured - 1| at most 15 % in the median and 30 % at worst; Kendall's tau over a front at least 0.8.
`measured` is the sum of the operators' medians, `step` the median of whole steps by the wall clock: on a quiet machine
they agree, and the error of both is shown. The front is found on the tables and promoted by `tradespace search`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tradespace.kernels.running import usable_cpus
from tradespace.plugins import Registry, registry
from tradespace.settings import Setting, bind
from tradespace.verify.local import local_plan
from tradespace.verify.measure import Protocol
from tradespace.verify.report import Verification, verify

CLI = (sys.executable, "-c", "import sys; from tradespace.cli.main import main; sys.exit(main())")
MODELS = ("smollm-135m", "qwen2-0.5b", "llama-3.2-1b")
FORMATS = ("q8_0", "q4_0", "int2")
CONTEXT = 576
MEDIAN, WORST, TAU = 0.15, 0.30, 0.8


def cell(model: str, form: str, threads: int, target: str, seconds: float, clock: Any, known: Registry) -> Verification:
    """One plan: the whole model in one format."""
    workload = {"extends": model, "phase": "decode", "context": CONTEXT}
    setting = Setting(workload, {"extends": target, "devices.cpu.threads": threads}, "tables", {"precisions": [form]})
    evaluator = bind(setting, known).evaluator
    plan = local_plan(evaluator, evaluator.space.homogeneous().take(slice(0, 1)), known)
    return verify(plan, known, Protocol(seconds, clock=clock))


def front(target: str, folder: Path, clock: str) -> dict[str, Any]:
    """A front of SmolLM-135M over formats and threads, promoted to the measured rung by the command line."""
    command = [
        *CLI, "search", "smollm-135m", f"target={target}",
        f"target.devices.cpu.threads={{choices:[{','.join(map(str, crews()))}]}}", "objectives=[latency,loss,memory]",
        "options.precisions=[q8_0,q4_0,int3,int2]", "budget=quick", f"out={folder}",
        "fidelity=[table,measured]", "promote=16", f"options.clock={clock}", "--json",
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the search failed: {done.stdout[-1500:]}")
    return dict(json.loads(done.stdout)["promotion"])


def crews() -> tuple[int, ...]:
    """One thread, and two where there are two processors."""
    return (1, 2) if len(usable_cpus()) > 1 else (1,)


def calibrated(folder: Path, quick: bool) -> str:
    path = folder / "local.yaml"
    command = [*CLI, "calibrate", "--output", str(path), *["--quick"] * quick]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return str(path)


def cells(target: str, seconds: float, clock: str) -> list[dict[str, Any]]:
    """All cells, printed as they come."""
    known, found = registry(), []
    print(
        f"{'model':14}{'format':8}thr {'predicted':>10} {'measured':>10} {'error':>8} {'step':>10} {'error':>8} spread"
    )
    for model in MODELS:
        for form in FORMATS:
            for threads in crews():
                one = cell(model, form, threads, target, seconds, clock, known).main
                whole = one.predicted / one.step - 1
                found.append(
                    {"model": model, "format": form, "threads": threads, "predicted": one.predicted,
                     "measured": one.measured, "error": one.error, "step": one.step, "step_error": whole,
                     "spread": one.spread}
                )  # fmt: skip
                print(
                    f"{model:14}{form:8}{threads:3} {one.predicted * 1e3:7.2f} ms {one.measured * 1e3:7.2f} ms "
                    f"{one.error:+8.1%} {one.step * 1e3:7.2f} ms {whole:+8.1%} {one.spread:6.1%}",
                    flush=True,
                )
    return found


def verdict(label: str, errors: list[float]) -> None:
    size = np.abs(errors)
    middle, worst = float(np.median(size)), float(size.max())
    held = middle <= MEDIAN and worst <= WORST
    print(f"{label}: |error| median {middle:.1%} (bar {MEDIAN:.0%}), worst {worst:.1%} (bar {WORST:.0%}): "
          f"{'met' if held else 'NOT met'}")  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--target", help="a calibrated target file; default: calibrate now")
    options.add_argument("--quick", action="store_true", help="a quick calibration, half the time, no front")
    options.add_argument("--clock", choices=("wall", "processor"), default="wall")
    options.add_argument("--json", type=Path, help="also write everything to this file")
    chosen = options.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print(f"load average {os.getloadavg()[0]:.1f} on {len(usable_cpus())} processors")
        target = chosen.target or calibrated(folder, chosen.quick)
        print(f"target ready after {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}")
        found = cells(target, 0.5 if chosen.quick else 1.0, chosen.clock)
        verdict("decode, operators added up", [one["error"] for one in found])
        verdict("decode, whole steps", [one["step_error"] for one in found])
        promotion = None if chosen.quick else front(target, folder, chosen.clock)
    if promotion is not None:
        apart = promotion["disagreement"]["latency"]
        held = apart["tau"] is not None and apart["tau"] >= TAU
        print(f"front: {len(promotion['plans'])} plans of smollm-135m, Kendall's tau {apart['tau']:.3f} (bar {TAU}): "
              f"{'met' if held else 'NOT met'}; measured / predicted {apart['ratio']:.3f}")  # fmt: skip
    if chosen.json:
        chosen.json.write_text(json.dumps({"cells": found, "promotion": promotion}, indent=1))
    print(f"{time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
