"""A front as one small picture, for a page that runs no script: two objectives as axes, a third as colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tradespace.reports.columns import Column, column
from tradespace.reports.summary import Measure, Row, Summary

WIDTH, HEIGHT = 860, 470
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 28, 74, 54
_MOST = 900  # dots; a larger front is thinned evenly
_COLOURS = ("#1f4fae", "#2379a8", "#1f9c94", "#74a854", "#c2a12f", "#e2801e")
_STYLE = (
    ".page{fill:#fff}.ink{fill:#1b2330}.soft{fill:#5b6675}.grid{stroke:#e3e7ec}.mark{stroke:#1b2330}"
    ".halo{stroke:#fff}"
    "@media(prefers-color-scheme:dark){.page{fill:#12161c}.ink{fill:#e6eaf0}.soft{fill:#97a3b3}.grid{stroke:#2d3641}"
    ".mark{stroke:#e6eaf0}.halo{stroke:#12161c}}"
    'text{font:12px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}.head{font-size:16px;font-weight:600}'
    ".halo{paint-order:stroke;stroke-width:4px}"
)


@dataclass(frozen=True)
class _Axis:
    """Maps shown values to pixels: ``start`` for ``low``, ``end`` for ``high``."""

    column: Column
    low: float
    high: float
    start: float
    end: float

    @classmethod
    def of(cls, measure: Measure, rows: Sequence[Row], start: float, end: float) -> _Axis:
        shown = column(measure.name, measure.unit, (r.values[measure.name] for r in rows))
        values = [shown.value(r.values[measure.name]) for r in rows]
        pad = (max(values) - min(values)) * 0.05 or 1.0
        return cls(shown, min(values) - pad, max(values) + pad, start, end)

    def at(self, row: Row) -> float:
        return self.pixel(self.column.value(row.values[self.column.name]))

    def pixel(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Four to eight round numbers."""
        raw = (self.high - self.low) / 6
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(s * power for s in (1, 2, 5, 10) if s * power >= raw)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step) + 1)]


def picture(summary: Summary) -> str:
    """An SVG of the front: every plan a dot, the best ones and the knee named. Needs two objectives and one plan."""
    rows = summary.rows
    across, up, *rest = summary.objectives
    x = _Axis.of(across, rows, _LEFT, WIDTH - _RIGHT)
    y = _Axis.of(up, rows, HEIGHT - _BOTTOM, _TOP)
    shade = _shades(rows, rest[0]) if rest else {}
    parts = [*_frame(_head(summary), x, y)]
    step = max(1, -(-len(rows) // _MOST))
    for colour, group in enumerate(_COLOURS):
        dots = "".join(
            f"M{x.at(r):.0f} {y.at(r):.0f}h0" for r in rows[::step] if shade.get(r.id, 0) == colour
        )  # dots of one colour are one path of points with round caps
        if dots:
            parts.append(f'<path d="{dots}" stroke="{group}" stroke-width="5" stroke-linecap="round" fill="none"/>')
    parts += _names([r for r in rows if r.why and r.why != "spread"], x, y, shade)
    if rest:
        parts += _legend(rows, rest[0])
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    return "\n".join([f'{head} aria-label="{escape(_head(summary))}">', f"<style>{_STYLE}</style>", *parts, "</svg>\n"])


def _head(summary: Summary) -> str:
    subject = f"{summary.workload} on {summary.target}: " if summary.workload else ""
    return f"{subject}{len(summary.rows):,} plans worth having"


def _text(x: float, y: float, text: str, css: str = "soft", more: str = "") -> str:
    return f'<text class="{css}" x="{x:.0f}" y="{y:.0f}"{more}>{escape(text)}</text>'


def _frame(head: str, x: _Axis, y: _Axis) -> list[str]:
    middle = ' text-anchor="middle"'
    parts = [f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="8"/>', _text(_LEFT, 28, head, "ink head")]
    for t in x.ticks:
        parts.append(f'<path class="grid" d="M{x.pixel(t):.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>')
        parts.append(_text(x.pixel(t), HEIGHT - _BOTTOM + 18, f"{t:g}", more=middle))
    for t in y.ticks:
        parts.append(f'<path class="grid" d="M{_LEFT} {y.pixel(t):.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(_text(_LEFT - 8, y.pixel(t) + 4, f"{t:g}", more=' text-anchor="end"'))
    parts.append(_text((WIDTH - _RIGHT + _LEFT) / 2, HEIGHT - 14, x.column.title, "ink", middle))
    place = f' transform="rotate(-90 20 {(HEIGHT - _BOTTOM + _TOP) // 2})"{middle}'
    return [*parts, _text(20, (HEIGHT - _BOTTOM + _TOP) / 2, y.column.title, "ink", place)]


def _shades(rows: Sequence[Row], measure: Measure) -> dict[str, int]:
    """Equally full colour classes by rank: a skewed objective still shows."""
    order = sorted(rows, key=lambda r: r.values[measure.name])
    return {r.id: i * len(_COLOURS) // len(order) for i, r in enumerate(order)}


def _names(rows: Sequence[Row], x: _Axis, y: _Axis, shade: dict[str, int]) -> list[str]:
    """Marks with a label each, on the side with more room, moved down where two would overlap."""
    parts: list[str] = []
    taken: list[tuple[float, bool]] = []
    for r in sorted(rows, key=lambda r: y.at(r)):
        px, py = x.at(r), y.at(r)
        right = px < (x.start + x.end) / 2
        while any(abs(py - other) < 15 for other, side in taken if side == right):
            py += 15
        taken.append((py, right))
        parts.append(
            f'<circle class="mark" cx="{px:.0f}" cy="{y.at(r):.0f}" r="6" stroke-width="1.6" '
            f'fill="{_COLOURS[shade.get(r.id, 0)]}"/>'
        )
        anchor = "" if right else ' text-anchor="end"'
        text = f"{r.why}: {r.text.replace(' | ', ', ')}"
        parts.append(_text(px + (11 if right else -11), py + 4, _cut(text), "ink halo", anchor))
    return parts


def _cut(text: str, most: int = 52) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _legend(rows: Sequence[Row], measure: Measure) -> list[str]:
    """The colour classes of the third objective with its least and greatest value."""
    shown = column(measure.name, measure.unit, (r.values[measure.name] for r in rows))
    values = sorted(r.values[measure.name] for r in rows)
    left = f"{shown.title} {shown.text(values[0])}"
    start = _LEFT + 7 * len(left) + 8
    squares = [
        f'<rect x="{start + 18 * i}" y="44" width="18" height="10" fill="{colour}"/>'
        for i, colour in enumerate(_COLOURS)
    ]
    end = start + 18 * len(_COLOURS) + 8
    return [_text(_LEFT, 53, left), *squares, _text(end, 53, shown.text(values[-1]))]
