"""What the page of a report is drawn from: one plain document, built from a summary and the explained plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tradespace import units
from tradespace.plans import Plan
from tradespace.reports.breakdown import LIMITED, blocks, codes_of, devices, mapped, round_to, rounded
from tradespace.reports.columns import Column, column
from tradespace.reports.summary import Measure, Summary
from tradespace.reports.terminal import baseline_lines, change_line, gap_line, quantity

HISTORY = 600
"""Points of the hypervolume curve at most; a longer one is thinned."""


def payload(summary: Summary, plans: Mapping[str, Plan], facts: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """Plain data only. ``plans``: explained plans by full id; ``facts``: versions and the like, to reproduce.

    Where nothing is feasible, the page shows the nearest plans in place of the front.
    """
    rows = summary.rows or summary.nearest
    shown = [column(m.name, m.unit, (r.values[m.name] for r in rows)) for m in summary.measures]
    start = next((i for i, r in enumerate(rows) if "knee" in r.why), 0)
    return {
        "title": _title(summary),
        "question": question(summary),
        "notice": _notice(summary),
        "cards": _cards(summary),
        "measures": [_measure(m, c, summary) for m, c in zip(summary.measures, shown, strict=True)],
        "entry": summary.entries.removesuffix("ies") + "y" if summary.entries.endswith("ies") else summary.entries[:-1],
        "counted": f"{len(rows):,}, none better than another in everything" if summary.rows else "that break least",
        "colour": 2 if len(summary.objectives) > 2 else -1,
        "start": start,
        "rows": _rows(summary),
        "decisions": {d.name: {"options": d.options} for d in mapped(summary)},
        "maps": _maps(summary),
        "limits": list(rows[0].violations) if rows else list(summary.constraints),
        "details": {"blocks": blocks(summary, plans), "devices": devices(plans)},
        "deviceLimits": {d.device: {"capacity": d.capacity, "temperature": d.temperature} for d in summary.devices},
        "history": _thin([[e, round(s, 4), round_to(v)] for e, s, v in summary.history]),
        "bound": summary.certificate.hypervolume_bound,
        "search": ". ".join(
            part
            for part in (gap_line(summary), _started(summary), summary.note, f"Ended: {summary.stopped or 'done'}.")
            if part
        ),
        "baseline": _baseline(summary),
        "sources": [
            {"path": s.path, "value": quantity(s), "kind": s.kind, "source": s.source}
            for s in (*summary.substitutes, *(s for s in summary.sources if s.kind != "substitute"))
        ],
        "command": summary.command,
        "facts": _facts(summary, facts),
    }


def _started(summary: Summary) -> str:
    return "" if summary.start is None else f"Started from {summary.start.text}"


def question(summary: Summary) -> str:
    """The question a search answers, in a sentence."""
    names = [d.name for d in summary.decisions]
    several = [d for d in summary.decisions if d.kind == "entries"]
    where = f" of the {len(several[0].entries)} {summary.entries}" if several else ""
    subject = f" of {summary.workload} on {summary.target}" if summary.workload else ""
    goals = [f"{'high' if m.direction == 'max' else 'low'} {m.name}" for m in summary.objectives]
    limits = f", subject to {_and(summary.constraints)}" if summary.constraints else ""
    return f"Which {_and(names)}{where}{subject} are worth having for {_and(goals)}{limits}?"


def _title(summary: Summary) -> str:
    count = len(summary.rows)
    subject = f"{summary.workload} on {summary.target}" if summary.workload else summary.study or "Search"
    if not count:
        return f"{subject}: no plan {'meets the constraints' if summary.diagnosis is not None else 'was found'}"
    return f"{subject}: {count:,} plan{'' if count == 1 else 's'} worth having"


def _notice(summary: Summary) -> str:
    notes = [summary.diagnosis] if summary.diagnosis else []
    if summary.nearest:
        notes.append(f"Shown are the {len(summary.nearest)} plans that break least.")
    if summary.interrupted:
        notes.append("The search was interrupted; this is what it had found.")
    return "\n".join(notes)


def _and(words: Iterable[str]) -> str:
    listed = list(words)
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"


def _cards(summary: Summary) -> list[dict[str, Any]]:
    cards: list[dict[str, Any]] = []
    for m in summary.objectives if summary.rows else ():
        pick = max if m.direction == "max" else min
        best = pick(summary.rows, key=lambda r: r.values[m.name])
        value = units.format(best.values[m.name], "degC" if m.unit == "K" else m.unit)
        cards.append({"label": f"{'highest' if m.direction == 'max' else 'lowest'} {m.name}", "value": value})
        cards[-1]["note"] = f"plan {best.short_id}"
    proof = summary.certificate
    if summary.rows:
        gap = "no bound" if proof.gap is None else f"≤ {max(proof.gap, 0.0) * 100:.2g} %"
        volume = f"{summary.hypervolume:.4f}"
        cards.append({"label": "certified gap", "value": gap, "note": proof.method})
        cards.append({"label": "hypervolume", "value": volume, "note": "in units of the reference box"})
    effort = f"{units.format(summary.seconds, 's', digits=2)}, {summary.optimizer}, seed {summary.seed}"
    cards.append({"label": "designs priced", "value": f"{summary.evaluations:,}", "note": effort})
    count = len(summary.substitutes)
    note = "numbers nobody published" if count else "every number has a source"
    cards.append({"label": "substitutes", "value": str(count), "note": note, "warn": count > 0})
    return cards


def _measure(m: Measure, c: Column, summary: Summary) -> dict[str, Any]:
    return {
        "name": m.name,
        "unit": m.unit,
        "label": c.label.replace("degC", "°C"),
        "factor": c.factor,
        "offset": c.offset,
        "decimals": c.decimals,
        "direction": m.direction,
        "meaning": m.meaning,
        "objective": m.objective,
        **_device(m, summary),
    }


def _device(m: Measure, summary: Summary) -> dict[str, Any]:
    """For a metric like "memory.dgpu" what it is, of which device, and the limit that the target puts on it."""
    what, _, device = m.name.rpartition(".")
    if m.objective or not what or device not in {d.device for d in summary.devices}:
        return {"device": None}
    return {"device": device, "what": "time" if what == "busy" else what, "limit": LIMITED.get(what)}


def _rows(summary: Summary) -> list[dict[str, Any]]:
    drawn = mapped(summary)
    names = [m.name for m in summary.measures]
    rows = summary.rows or summary.nearest
    values = rounded([[r.values[n] for n in names] for r in rows])
    violations = rounded([list(r.violations.values()) for r in rows])
    return [
        {
            "id": r.id,
            "short": r.short_id,
            "why": r.why,
            "text": r.text,
            "values": values[i],
            "violations": violations[i],
            "codes": {d.name: codes_of(d, r.design[d.name]) for d in drawn},
            "command": f"tradespace explain {summary.study}:{r.short_id}" if summary.study and summary.rows else "",
        }
        for i, r in enumerate(rows)
    ]


def _maps(summary: Summary) -> list[dict[str, Any]]:
    """One map for each group of decisions over the same entries: the first as rows, the second as colour."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for d in mapped(summary):
        groups.setdefault(d.entries, []).append(d.name)
    maps = []
    for entries, names in groups.items():
        row = "placement" if "placement" in names else names[0]
        others = [n for n in names if n != row]
        maps.append({"entries": entries, "row": row, "colour": others[0] if others else None, "rest": others[1:]})
    return maps


def _baseline(summary: Summary) -> dict[str, Any] | None:
    b = summary.baseline
    if b is None:
        return None
    direction = {m.name: -1 if m.direction == "max" else 1 for m in summary.objectives}

    def marked(changes: Mapping[str, float]) -> list[list[Any]]:
        return [[n, c, (c < -1e-9) * direction[n] - (c > 1e-9) * direction[n]] for n, c in changes.items()]

    lines: list[dict[str, Any]] = [{"text": text} for text in baseline_lines(b) if not _tells_changes(text, b)]
    lines += [{"text": f"plan {x.short_id}:", "changes": marked(x.changes)} for x in b.better]
    for label, change in (("Best single change", b.entry), ("Best wider change", b.whole)):
        if change is not None:
            trade = "" if change.improves else " (a trade)"
            lines.append({"text": f"{label}{trade}: {change.text}:", "changes": marked(change.changes)})
    return {"name": b.name, "id": b.id, "values": [b.values[m.name] for m in summary.measures], "lines": lines}


def _tells_changes(text: str, b: Any) -> bool:
    """Lines of the terminal that the page draws with colours of its own."""
    changes = [change_line(c) for c in (b.entry, b.whole) if c is not None]
    return any(text.endswith(c) for c in changes) or any(text.startswith(f"{x.short_id}:") for x in b.better)


def _facts(summary: Summary, facts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    own = [
        ("study", summary.study),
        ("workload", summary.workload),
        ("target", summary.target),
        ("optimizer", f"{summary.optimizer}, seed {summary.seed}"),
        ("database", summary.files.database),
        ("plan", summary.files.plan),
    ]
    return [*((k, v) for k, v in own if v), *facts]


def _thin(points: list[Any]) -> list[Any]:
    if len(points) <= HISTORY:
        return points
    step = (len(points) - 1) / (HISTORY - 1)
    return [points[round(i * step)] for i in range(HISTORY)]
