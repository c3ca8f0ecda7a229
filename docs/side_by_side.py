"""docs/side_by_side.svg: one language model and one vision network on machines of very different kinds.

    python docs/side_by_side.py            # writes docs/side_by_side.svg and prints the numbers

Each machine runs the fastest plan that the search finds; its energy is that of this plan. What binds is found by asking
again with every memory half as fast (if it takes half as long again or more, memory binds) and a hundred times as fast
(if more than half of the time is left, the chip binds). A balanced machine is bound by both.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import tradespace as ts
from tradespace.units import format as show

LLAMA = {"extends": "llama-3.2-1b", "phase": "decode", "context": 256}
FASTER, SLOWER = 100.0, 0.5
"""How much faster or slower every memory is when we ask what binds."""


@dataclass(frozen=True)
class Machine:
    """One row of the picture; ``precisions``: formats allowed on it, the narrowest it has in common with the others."""

    label: str
    target: str
    precisions: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """One workload on several machines; ``each``: of what time and energy are given."""

    title: str
    note: str
    each: str
    workload: Any
    machines: tuple[Machine, ...]


PANELS = (
    Panel(
        "Llama-3.2-1B, decode at 256 tokens of context",
        "16-bit weights, one sequence",
        "token",
        LLAMA,
        (
            Machine("Systolic array (64 x 64, 25.6 GB/s)", "row-array", ("fp16",)),
            Machine("Phone (Snapdragon 8 Gen 3)", "phone", ("fp16",)),
            Machine("Laptop (RTX 4060 8 GB)", "laptop", ("fp16",)),
            Machine("H100", "h100", ("fp16",)),
            Machine("DRAM that multiplies (PIM-GPT)", "pim-gddr6", ("bf16",)),
        ),
    ),
    Panel(
        "MobileNetV2 x 0.35, 144 x 144 pixels",
        "8-bit weights; AKD1000: 4 bits",
        "image",
        "mbv2-w0.35",
        (
            Machine("Microcontroller (STM32H743)", "stm32h743", ("int8",)),
            Machine("Neuromorphic chip (AKD1000)", "akd1000", ("int4",)),
            Machine("Systolic array (64 x 64, 25.6 GB/s)", "row-array", ("int8",)),
            Machine("Phone (Snapdragon 8 Gen 3)", "phone", ("int8",)),
        ),
    ),
)


@dataclass(frozen=True)
class Found:
    """What a machine takes: s and J (0: unknown) for one token or image, what binds, and where it runs."""

    machine: Machine
    seconds: float
    joules: float
    bound: str
    where: str


def fastest(workload: Any, target: Any, machine: Machine) -> Any:
    """The fastest plan; the evaluator of device models and tables, so that all machines are priced alike."""
    registry = ts.registry()
    setting = ts.Setting(workload, target, evaluator="tables", options={"precisions": list(machine.precisions)})
    front = ts.search(ts.bind(setting, registry).evaluator, ["latency"], evaluations=5000, seed=0, registry=registry)
    return front.best("latency")


def with_memory(name: str, factor: float) -> dict[str, Any]:
    """The target with every bandwidth of memories, and of what devices draw from them, ``factor`` times as high."""
    target = ts.load_target(name, ts.registry())
    changed = {f"memories.{m.name}.bandwidth": m.bandwidth * factor for m in target.memories.values()}
    changed |= {f"devices.{d.name}.bandwidth": d.bandwidth * factor for d in target.devices}
    return {"extends": name, **{path: f"{value!r} B/s" for path, value in changed.items()}}


def measure(panel: Panel, machine: Machine) -> Found:
    best = fastest(panel.workload, machine.target, machine)
    seconds, joules = best.values["latency"], best.plan.values.get("energy", 0.0)
    asked = (fastest(panel.workload, with_memory(machine.target, by), machine) for by in (SLOWER, FASTER))
    slow, free = (best.values["latency"] for best in asked)
    memory, chip = slow >= 1.5 * seconds, free > seconds / 2
    bound = "both" if memory and chip else "memory" if memory else "chip"
    used = dict.fromkeys(str(row.choices["placement"]) for row in best.plan.rows)
    return Found(machine, seconds, joules, bound, ", ".join(used))


# -- the picture ------------------------------------------------------------------------------------------------------

WIDTH, ROW, HEAD, FOOT, GAP = 900, 30, 62, 34, 26
COLUMNS = ((250, 545), (610, 860))
"""Where the axes of time and of energy begin and end."""
COLOURS = {"memory": "#e2801e", "both": "#8a5fae", "chip": "#1f6fae"}
MEANING = {"memory": "bound by memory", "both": "by both", "chip": "by the chip itself"}
STYLE = (
    ".page{fill:#fff}.ink{fill:#1b2330}.soft{fill:#5b6675}.grid{stroke:#e3e7ec}.stem{stroke:#c9d0d8}"
    "@media(prefers-color-scheme:dark){.page{fill:#12161c}.ink{fill:#e6eaf0}.soft{fill:#97a3b3}.grid{stroke:#2d3641}"
    ".stem{stroke:#455060}}"
    'text{font:12px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}.head{font-size:15px;font-weight:600}'
)


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis over whole decades."""

    low: int
    high: int
    start: float
    end: float
    unit: str

    @classmethod
    def over(cls, values: Sequence[float], ends: tuple[float, float], unit: str) -> Axis:
        known = [math.log10(value) for value in values if value > 0]
        return cls(math.floor(min(known)), math.ceil(max(known) + 0.35), *ends, unit)  # room for the last label

    def at(self, value: float) -> float:
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        return [(self.at(10.0**e), show(10.0**e, self.unit, digits=1)) for e in range(self.low, self.high + 1)]


def text(x: float, y: float, words: str, kind: str = "ink", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def draw_panel(panel: Panel, found: Sequence[Found], top: float) -> str:
    bottom = top + HEAD + ROW * len(found)
    parts = [text(24, top + 18, panel.title, "head ink"), text(24, top + 36, panel.note, "soft")]
    series = (([f.seconds for f in found], "s", "time"), ([f.joules for f in found], "J", "energy"))
    for (values, unit, what), ends in zip(series, COLUMNS, strict=True):
        axis = Axis.over(values, ends, unit)
        parts.append(text(ends[0], top + 36, f"{what} for one {panel.each}", "soft"))
        for x, label in axis.ticks():
            parts.append(f'<line class="grid" x1="{x:.1f}" y1="{top + HEAD - 16}" x2="{x:.1f}" y2="{bottom}"/>')
            parts.append(text(x, bottom + 17, label, "soft", "middle"))
        for at, (one, value) in enumerate(zip(found, values, strict=True)):
            parts.append(draw_value(axis, value, top + HEAD + ROW * (at + 0.5), COLOURS[one.bound]))
    parts += [text(24, top + HEAD + ROW * (at + 0.5) + 4, f.machine.label) for at, f in enumerate(found)]
    return "\n".join(parts)


def draw_value(axis: Axis, value: float, y: float, colour: str) -> str:
    if value <= 0:
        return text(axis.start + 6, y + 4, "not known", "soft")
    x = axis.at(value)
    return (
        f'<line class="stem" stroke-width="2" x1="{axis.start}" y1="{y:.1f}" x2="{x:.1f}" y2="{y:.1f}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}"/>'
        + text(x + 11, y + 4, show(value, axis.unit, digits=2))
    )


def picture(results: Sequence[tuple[Panel, Sequence[Found]]]) -> str:
    heights = [HEAD + ROW * len(found) + FOOT for _, found in results]
    height = sum(heights) + GAP * len(results) + 26
    parts, top = [], 12.0
    for (panel, found), tall in zip(results, heights, strict=True):
        parts.append(draw_panel(panel, found, top))
        top += tall + GAP
    for at, (bound, colour) in enumerate(COLOURS.items()):
        parts.append(f'<circle cx="{30 + 145 * at}" cy="{height - 22}" r="6" fill="{colour}"/>')
        parts.append(text(42 + 145 * at, height - 18, MEANING[bound], "soft"))
    parts.append(text(WIDTH - 24, height - 18, "the fastest plan on each machine; logarithmic axes", "soft", "end"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Time and energy of two workloads on machines of many kinds"><style>{STYLE}</style>'
        f'<rect class="page" width="{WIDTH}" height="{height}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def main() -> int:
    results = []
    for panel in PANELS:
        found = [measure(panel, machine) for machine in panel.machines]
        results.append((panel, found))
        print(panel.title)
        for one in found:
            energy = show(one.joules, "J", digits=3) if one.joules > 0 else "unknown"
            print(
                f"  {one.machine.label:36} {show(one.seconds, 's', digits=3):>9} {energy:>9}  {one.bound:6} {one.where}"
            )
    out = Path(__file__).with_name("side_by_side.svg")
    out.write_text(picture(results), encoding="utf-8")
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
