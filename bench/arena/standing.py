"""Where `auto` stands against the best peer of each instance, what it loses, and what the runs tell about why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from bench.arena import analysis
from bench.arena.cells import SLOW
from bench.arena.instances import Line
from bench.arena.peers import PEERS
from bench.arena.runner import Result

OURS = "auto"
LEVEL = 0.05
STILL = 0.001
"""A gain below this is none."""


@dataclass(frozen=True)
class Standing:
    """Medians of ours and of the best peer at one budget; ``p`` by Wilcoxon over common seeds, adjusted by Holm over
    the instances of the budget; ``behind`` of ``pairs`` seeds."""

    instance: str
    ours: float
    peer: str
    best: float
    p: float
    behind: int
    pairs: int

    @property
    def gap(self) -> float:
        return self.ours - self.best


def standings(table: analysis.Table) -> dict[str, Standing]:
    """By instance, where ours and a peer ran."""
    found = analysis.deficits(table, OURS, [p for p in PEERS if p not in SLOW], table.instances)
    tests = [analysis.paired(table.scores[i, OURS], table.scores[i, peer]) for i, (_, peer) in found.items()]
    out = {}
    for (instance, (_, peer)), p in zip(found.items(), analysis.holm([t[1] for t in tests]), strict=True):
        ours, theirs = table.scores[instance, OURS], table.scores[instance, peer]
        common = sorted(set(ours) & set(theirs))
        behind = sum(ours[s] < theirs[s] - STILL for s in common)
        medians = table.median(instance, OURS), table.median(instance, peer)
        out[instance] = Standing(instance, medians[0], peer, medians[1], p, behind, len(common))
    return out


def allowed(line: Line, instance: str) -> float:
    """By how much ours may be below the best peer."""
    return 0.01 if line.instances[instance].deployment else 0.02


def section(tables: Sequence[analysis.Table], line: Line) -> str:
    """A row an instance, a column a budget: median of ours less that of the best peer, and who that was."""
    columns = {table.budget: standings(table) for table in tables}
    columns = {budget: rows for budget, rows in columns.items() if rows}
    if not columns:
        return ""
    names = [n for n in line.instances if any(n in rows for rows in columns.values())]
    lines = [f"| instance | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    lines += [f"| {n} | {' | '.join(_cell(rows.get(n), line) for rows in columns.values())} |" for n in names]
    head = (
        "## `auto` (black box) against the best peer\n\nMedian of `auto` less that of the peer that did best on the"
        " instance at that budget, with the peer's name: the strictest comparison, as the peer is chosen afterwards."
        " \\*: significant (Wilcoxon's signed-rank test over common seeds, Holm over the column, level 0.05). Bold:"
        " below by more than 0.01 (0.02 on ZDT and DTLZ).\n\n"
    )
    return head + "\n".join(_counts(budget, rows, line) for budget, rows in columns.items()) + "\n\n" + "\n".join(lines)


def _cell(s: Standing | None, line: Line) -> str:
    if s is None:
        return "-"
    if s.ours == s.best == 0.0:
        return "all at 0"
    gap = round(s.gap, 3) + 0.0  # no minus before a zero
    text = f"{gap:+.3f}" + ("\\*" if s.p < LEVEL else "")
    text = f"**{text}**" if s.gap < -allowed(line, s.instance) else text
    return f"{text} {s.peer.removeprefix('pymoo ').removeprefix('archive ')}"


def _counts(budget: str, rows: Mapping[str, Standing], line: Line) -> str:
    parts = []
    for deployment, what in ((True, "deployment instances"), (False, "of ZDT and DTLZ")):
        mine = [s for s in rows.values() if line.instances[s.instance].deployment == deployment]
        if mine:
            ahead, held = sum(s.gap > 0 for s in mine), sum(s.gap >= -allowed(line, s.instance) for s in mine)
            parts.append(f"ahead on {ahead}, within what is allowed on {held} of {len(mine)} {what}")
    return f"- {budget}: {'; '.join(parts)}"


def losses(tables: Sequence[analysis.Table], results: Iterable[Result], best: Mapping[str, float], line: Line) -> str:
    """What ours loses at which budget, with what the runs themselves tell about it."""
    results, lines = list(results), []
    for table in tables:
        for s in standings(table).values():
            if s.gap < -allowed(line, s.instance):
                why = "; ".join(reasons(s, table, results, best, line))
                lines.append(f"| {table.budget} | {s.instance} | {s.ours:.3f} | {s.peer} {s.best:.3f} | {why} |")
    head = "## Where `auto` loses\n\n"
    if not lines:
        return head + "Nowhere by more than 0.01 (0.02 on ZDT and DTLZ) in the median."
    head += (
        "Median below the best peer by more than 0.01 (0.02 on ZDT and DTLZ). What is said of each is computed from the"
        " runs.\n\n| budget | instance | auto | best peer | what the runs tell |\n| --- | --- | ---: | --- | --- |\n"
    )
    return head + "\n".join(lines)


def reasons(
    s: Standing, table: analysis.Table, results: Sequence[Result], best: Mapping[str, float], line: Line
) -> list[str]:
    """Facts about a loss, the most telling ones first."""
    runs = [
        r for r in results if r.cell.instance == s.instance and r.cell.optimizer == OURS and _budget(r) == table.budget
    ]
    facts = [_chance(s)]
    facts += _chosen(runs)
    single = len(line.instances[s.instance].objectives) == 1
    if not single:
        facts += _still(runs, best[s.instance])
    for other, words in (("pgsam", "pgsam alone reaches"), ("auto declared", "with what is declared it reaches")):
        if (s.instance, other) in table.scores and table.median(s.instance, other) >= s.best - allowed(
            line, s.instance
        ):
            facts.append(f"{words} {table.median(s.instance, other):.3f}")
    low, high = np.quantile(list(table.scores[s.instance, OURS].values()), [0.25, 0.75])
    if high - low > -s.gap:
        facts.append(f"its seeds differ more ({low:.3f} to {high:.3f} between the quartiles) than it from the peer")
    if single:
        facts.append(f"least values {best[s.instance] / s.ours:.4g} and {best[s.instance] / s.best:.4g}"
                     f" (best known {best[s.instance]:.4g})")  # fmt: skip
    elif s.best < 0.5:
        facts.append("all are far from the front")
    return facts


def _budget(r: Result) -> str:
    return f"{r.cell.evaluations:,} evaluations" if r.cell.evaluations else f"{r.cell.seconds:g} s"


def _chance(s: Standing) -> str:
    level = "significant" if s.p < LEVEL else "not significant"
    return f"behind in {s.behind} of {s.pairs} seeds, {level}"


def _chosen(runs: Sequence[Result]) -> list[str]:
    names = Counter(r.note.removeprefix("auto: ").split(",")[0] for r in runs if r.note)
    return [f"it chose {' or '.join(name for name, _ in names.most_common(2))}"] if names else []


def _still(runs: Sequence[Result], best: float) -> list[str]:
    """From when on most runs gained nothing, where that is before half of the budget."""
    ends, budgets = [], []
    for r in runs:
        points = sorted(k for k in r.volumes if k > 0)
        if points and best > 0:
            last = r.volumes[-1] / best
            ends.append(next(k for k in (*points, r.evaluations) if k == r.evaluations or
                             r.volumes[k] / best > last - STILL))  # fmt: skip
            budgets.append(r.evaluations)
    if ends and np.median(ends) <= np.median(budgets) / 2:
        return [f"nothing was gained after {int(np.median(ends)):,} of {int(np.median(budgets)):,} designs"]
    return []
