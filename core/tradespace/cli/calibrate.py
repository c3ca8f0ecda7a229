"""`tradespace calibrate`: measure this machine and write it down as a target."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import typer

from tradespace.cli.context import json_wanted, print_json

if TYPE_CHECKING:
    from tradespace.kernels.calibration import Calibration, Change

_WORST = 12


def calibrate(
    quick: bool = typer.Option(False, "--quick", help="About 10 s instead of 60: fewer samples, wider spreads."),
    output: str = typer.Option("local.yaml", help="The target file to write."),
    compare: str = typer.Option(
        None, metavar="FILE", help="Measure, and compare with an earlier file; writes nothing."
    ),
) -> None:
    """Measure this machine (kernels per number format, memory, threads, files) and write a target like any other.

    Then: tradespace search workload=llama-3.2-1b target=local.yaml 'objectives=[latency,loss]'
    """
    from pathlib import Path

    from tradespace.documents import read_document
    from tradespace.kernels import calibration
    from tradespace.reports.files import write_atomic

    path = Path(output)
    if path.suffix not in (".yaml", ".yml"):
        path = path.with_name(f"{path.name}.yaml")
    if compare is not None:
        read_document(Path(compare))  # say that it cannot be read before a minute is over
    else:
        write_atomic(path.with_name(f".{path.name}.try"), "").unlink()  # nor that nothing can be written here
    with _progress() as told:
        found = calibration.calibrate(quick=quick, folder=path.parent, progress=told)
    changes = calibration.compare(found, Path(compare)) if compare is not None else []
    if compare is None:
        write_atomic(path, calibration.target_text(found, path.stem))
    if json_wanted():
        print_json(document(found, None if compare else str(path), changes))
    elif compare is not None:
        _show_changes(found, changes, compare)
    else:
        _show(found, str(path))
    if any(change.verdict == "differs" for change in changes):
        raise typer.Exit(1)


def document(found: Calibration, path: str | None, changes: list[Change]) -> dict[str, Any]:
    """The JSON document of a calibration."""
    from tradespace.kernels.calibration import explained, source_of

    machine = found.machine
    return {
        "machine": {
            "name": machine.name, "system": machine.system, "cores": machine.cores, "cores_from": machine.cores_from,
            "memory": machine.memory, "memory_from": machine.memory_from, "caches": dict(machine.caches),
        },
        "date": found.date,
        "seconds": found.seconds,
        "rounds": found.rounds,
        "load": list(found.load),
        "numbers": [
            {"path": p, "value": r.value, "unit": r.unit, "spread": r.spread, "samples": int(r.samples.size),
             "source": source_of(r, found.date)}
            for p, r in found.readings.items()
        ]
        + [{"path": p, "value": v, "unit": u, "source": s} for p, (v, u, s) in found.facts.items()],
        "not_measured": list(found.missing),
        "compared": [
            {"path": c.path, "unit": c.unit, "before": c.before, "after": c.after, "ratio": c.ratio,
             "spread": c.spread, "verdict": c.verdict}
            for c in changes
        ],
        "explanation": explained(changes),
        "files": {"target": path} if path else {},
    }  # fmt: skip


def _show(found: Calibration, path: str) -> None:
    from tradespace.cli.printing import print_heading, print_pairs, print_table
    from tradespace.kernels.products import WANTED
    from tradespace.units import format as show

    machine, readings = found.machine, found.readings
    print_heading(f"{machine.name}: {machine.cores} cores ({machine.cores_from})")
    memory = f"{show(float(machine.memory), 'B')} ({machine.memory_from})"
    print_pairs([("memory", memory), *((k, _one(found, p)) for k, p in _LINES)])
    print_heading(f"\nproducts with weights, 1 thread and {machine.cores}")
    cells = []
    for precision in WANTED:
        cell = [precision]
        for name in ("stream", "cached", "gemm"):
            for crew in ("one", "all"):
                reading = readings.get(f"devices.cpu.{name}_{crew}.{precision}")
                cell.append("" if reading is None else f"{reading.value / 1e9:.1f}")
        spread = readings.get(f"devices.cpu.stream_one.{precision}")
        cells.append([*cell, "" if spread is None else f"{spread.spread:.0%}"])
    header = ("format", "memory", "GB/s", "cached", "GB/s ", "64 columns", "GFLOP/s", "spread")
    print_table(header, cells, numeric=header[1:])
    ladder = sorted((int(p.split(".")[1]), r.value) for p, r in readings.items() if p.startswith("latency."))
    print_heading("\nlatency of a random read")
    print_pairs([("", ", ".join(f"{show(float(size), 'B')} {show(value, 's', digits=3)}" for size, value in ladder))])
    for text in found.missing:
        print_pairs([("not measured", text)])
    print_pairs([("load", ", ".join(map(str, found.load))), ("took", f"{found.seconds:.1f} s, {found.rounds} rounds")])
    print_pairs([("written to", path), ("use it", f"tradespace search workload=llama-3.2-1b target={path}")])


_LINES = (
    ("read bandwidth", "memories.dram.bandwidth"),
    ("STREAM triad, 1 thread", "devices.cpu.triad_one"),
    ("STREAM triad, all", "devices.cpu.triad_all"),
    ("peak fp32", "devices.cpu.peak.fp32"),
    ("peak fp64", "devices.cpu.peak.fp64"),
    ("peak bf16", "devices.cpu.peak.bf16"),
    ("peak fp16", "devices.cpu.peak.fp16"),
    ("peak int8", "devices.cpu.peak.int8"),
    ("attention, all", "devices.cpu.attention_all"),
    ("kernel call, 1 thread", "devices.cpu.dispatch_one"),
    ("kernel call, all", "devices.cpu.dispatch_all"),
    ("flag between threads", "devices.cpu.pass_flag"),
    ("waking a thread", "devices.cpu.wake_up"),
    ("loopback round trip", "devices.cpu.loopback"),
    ("file, random 4 KB", "storage.random.4096"),
    ("file, sequential 4 KB", "storage.sequential.4096"),
    ("file, random 512 KB", "storage.random.524288"),
    ("file, sequential 512 KB", "storage.sequential.524288"),
)


def _one(found: Calibration, path: str) -> str:
    from tradespace.units import format as show

    reading = found.readings.get(path)
    return "" if reading is None else f"{show(reading.value, reading.unit)}, spread {reading.spread:.0%}"


def _show_changes(found: Calibration, changes: list[Change], earlier: str) -> None:
    from collections import Counter

    from tradespace.cli.printing import print_heading, print_table
    from tradespace.kernels.calibration import explained
    from tradespace.units import format as show

    count = Counter(change.verdict for change in changes)
    told = ", ".join(f"{count[v]} {v}" for v in ("agrees", "spread explains", "differs") if count[v])
    print_heading(f"{len(changes)} numbers beside {earlier}: {told}")
    rows = [
        (c.path, show(c.before, c.unit), show(c.after, c.unit), f"{c.ratio:.3f}", f"{c.spread:.0%}", c.verdict)
        for c in changes
        if c.verdict != "agrees"
    ]
    if len(rows) > 3 * _WORST:
        rows = [row for row in rows if row[-1] == "differs"] or rows[: 3 * _WORST]
    if rows:
        print_table(
            ("number", "before", "now", "ratio", "spreads", "verdict"), rows, numeric=("before", "now", "ratio")
        )
    why = explained(changes)
    if why is not None:
        print_heading(why)
    load = ", ".join(map(str, found.load))
    print_heading(f"agreement within 10 %, or within both spreads together; load of the system {load or 'unknown'}")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """A bar on stderr where a person looks; it disappears at the end."""
    import sys

    if not sys.stderr.isatty():
        yield lambda label, share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(bar_width=24), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task("calibrate", total=1.0)
        yield lambda label, share: bar.update(task, completed=share, description=label)
