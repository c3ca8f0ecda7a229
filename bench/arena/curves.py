"""Score over evaluations as one small picture: medians as lines, quartiles as bands, evaluations on a log axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

Point = tuple[int, float, float, float]  # evaluations, lower quartile, median, upper quartile

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 330, 52, 190, 34, 40
_COLOURS = ("#1f4fae", "#1f9c94", "#74a854", "#c2a12f", "#e2801e", "#a8327a")
_STYLE = (
    ".page{fill:#fff}.ink{fill:#1b2330}.soft{fill:#5b6675}.grid{stroke:#e3e7ec}"
    "@media(prefers-color-scheme:dark){.page{fill:#12161c}.ink{fill:#e6eaf0}.soft{fill:#97a3b3}.grid{stroke:#2d3641}}"
    "text{font:12px system-ui,sans-serif}.head{font-size:14px;font-weight:600}"
)


def curves(title: str, lines: Mapping[str, Sequence[Point]]) -> str:
    """An SVG document; ``lines`` by optimizer. One without points keeps its colour free for the same one elsewhere."""
    low = math.log10(min(p[0] for points in lines.values() for p in points))
    high = math.log10(max(p[0] for points in lines.values() for p in points))

    def x(evaluations: float) -> float:
        return _LEFT + (math.log10(evaluations) - low) / (high - low or 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def y(score: float) -> float:
        return _HEIGHT - _BOTTOM - min(max(score, 0.0), 1.0) * (_HEIGHT - _TOP - _BOTTOM)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}: share of the best known hypervolume over evaluations</title><style>{_STYLE}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<text class="ink head" x="{_LEFT}" y="20">{escape(title)}: share of the best known hypervolume</text>',
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        out.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        out.append(f'<text class="soft" x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in (100, 1000, 10_000, 100_000):
        if low - 1e-9 <= math.log10(tick) <= high + 1e-9:
            out.append(f'<text class="soft" x="{x(tick):.1f}" y="{_HEIGHT - 20}" text-anchor="middle">{tick:,}</text>')
    out.append(f'<text class="soft" x="{_LEFT}" y="{_HEIGHT - 5}">evaluations</text>')
    drawn = [(name, points, colour) for (name, points), colour in zip(lines.items(), _COLOURS, strict=False) if points]
    place = -math.inf
    for name, points, colour in sorted(drawn, key=lambda line: -line[1][-1][2]):
        band = [f"{x(p[0]):.1f},{y(p[3]):.1f}" for p in points] + [
            f"{x(p[0]):.1f},{y(p[1]):.1f}" for p in reversed(points)
        ]
        out.append(f'<polygon points="{" ".join(band)}" fill="{colour}" opacity="0.15"/>')
        path = " ".join(f"{x(p[0]):.1f},{y(p[2]):.1f}" for p in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        place = max(y(points[-1][2]) + 4, place + 14)
        label = f"{name} {points[-1][2]:.3f}"
        out.append(f'<text x="{_WIDTH - _RIGHT + 8}" y="{place:.1f}" fill="{colour}">{escape(label)}</text>')
    return "\n".join([*out, "</svg>", ""])
