"""studies/optimizers/README.md and its pictures, written from the results file and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from bench.arena import analysis, standing
from bench.arena.appendix import parts, trials
from bench.arena.cells import BUDGETS, FEW, HUGE, HUGE_SEEDS, LONG, SLOW, ablations
from bench.arena.curves import curves
from bench.arena.instances import Line
from bench.arena.peers import PEERS
from bench.arena.runner import References, Result, fresh, load, quality

CURVES = ("coupled 48", "sum 48", "capped 48", "bottleneck 48", "llama-3.2-1b on laptop", "zdt1")
"""Pictures, the first of them at the top of the page."""
DRAWN = ("auto", "auto declared", "pgsam", "archive local search", "pymoo nsga2", "pymoo age_moea2")
COLUMNS = (*(f"{b:,} evaluations" for b in BUDGETS), "1 s", "10 s")
TARGETS: Mapping[str, tuple[float, float]] = {
    "sum 24": (0.97, 0.993),
    "sum 48": (0.93, 0.99),
    "capped 24": (0.90, 0.96),
    "capped 48": (0.75, 0.93),
    "bottleneck 24": (0.94, 0.985),
    "bottleneck 48": (0.87, 0.955),
    "coupled 24": (0.95, 0.99),
    "coupled 48": (0.90, 0.965),
}
"""What the black-box searches are to reach at 2,000 and 10,000 evaluations."""


_ANYTIME = (
    "Lines are medians, bands lie between the quartiles. Each is drawn from the budget with most seeds (the longest of"
    " them): what ours do at 1,000 designs of a run of 10,000 is not what they do with 1,000 in all."
)
_PLAN = (
    "Optimizers whose course does not depend on the budget (random, local search, pymoo's nsga2, nsga3, sms_emoa,"
    " age_moea2) ran once with the longest one, which holds the shorter; ours and RVEA ran at each budget anew."
    f" Planned: 20 seeds, {FEW} of what takes more than {LONG:g} s of a core. Ours, random, local search and nsga2 on"
    " every instance; nsga3, sms_emoa and age_moea2 on all but the chains of 16 and 96; rvea and moead (2,000 designs,"
    f" as it is slow) on chains of 24 and DTLZ; pgsam declared on chains of 24 and 48 and real chains. 50,000 designs:"
    f" {HUGE_SEEDS} seeds on {', '.join(HUGE)}. By the clock: every run pinned to a core of its own on an otherwise"
    " quiet machine, with everything imported and compiled before. What is missing had not finished."
)


def write(folder: Path, page: Path, line: Line, note: str = "") -> Path:
    """The page, from what has finished; returns its path. ``note``: what else a reader must know of these runs."""
    results = list(load(folder / "results.jsonl").values())
    references = References(folder / "references")
    names = [n for n in line.instances if any(r.cell.instance == n for r in results)]
    single = frozenset(n for n in names if len(line.instances[n].objectives) == 1)
    prices = {n: references.prices(n) for n in names}
    results = [r for r in results if r.cell.instance in prices and r.prices == prices[r.cell.instance]]
    stale = _stale(results, prices)
    best = {n: _best(n, references, results, n in single) for n in names}
    race = [r for r in results if r.cell.optimizer not in ablations()]
    tables = analysis.tables(race, best, single)
    page.mkdir(parents=True, exist_ok=True)
    pictures = _pictures(race, best, single, page)
    budgets = [tables[name] for name in sorted(tables, key=_order)]
    first = f"![Share of the best known hypervolume over evaluations]({pictures[0]})" if pictures else ""
    sections = [
        "# Optimizers",
        f"**{note.strip()}**" if note.strip() else "",
        "<!-- Written by `make arena`; edit bench/arena instead. -->\n\n" + _intro(results, names, line, stale),
        _summary(tables, line),
        first,
        standing.section(budgets, line),
        _verdicts(tables, line),
        standing.losses(budgets, race, best, line),
        _targets(tables),
        parts(results, best),
        trials(page, line, references, best),
        *(["## Anytime", _ANYTIME, *(f"![{name}]({name})" for name in pictures[1:])] if pictures[1:] else []),
        *(_full(table, line) for table in budgets),
        _ran(results, line),
        _notes(race),
        _errors(tables),
    ]
    text = "\n\n".join(section for section in sections if section)
    target = page / "README.md"
    target.write_text(text + "\n", encoding="utf-8")
    return target


def _stale(results: Sequence[Result], prices: Mapping[str, str]) -> str:
    """What has changed since it ran, by optimizer."""
    count: dict[str, int] = {}
    for r in results:
        if not fresh(r, prices):
            name = "pgsam without a part" if r.cell.optimizer in ablations() else r.cell.optimizer
            count[name] = count.get(name, 0) + 1
    if not count:
        return "All runs are of the present code."
    told = ", ".join(f"{number:,} of {name}" for name, number in sorted(count.items()))
    return f"{sum(count.values()):,} runs are from an earlier state of their optimizer's code: {told}."


def _best(name: str, references: References, results: Sequence[Result], single: bool) -> float:
    """The best front known, all runs merged: its hypervolume, or the least value."""
    value = quality(references.best(name), references.bounds(name))
    ran = [r.volumes[-1] for r in results if r.cell.instance == name and -1 in r.volumes]
    return min([value, *ran]) if single else max([value, *ran])


def _pictures(results: Sequence[Result], best: Mapping[str, float], single: frozenset[str], page: Path) -> list[str]:
    names = []
    for instance in CURVES:
        if instance not in best or instance in single:
            continue
        lines = {o: analysis.curve(results, instance, o, best[instance]) for o in DRAWN}
        lines = {o: points if len(points) > 1 else [] for o, points in lines.items()}
        if any(lines.values()):
            name = f"{instance.replace(' ', '-').replace('.', '-')}.svg"
            (page / name).write_text(curves(instance, lines), encoding="utf-8")
            names.append(name)
    return names


def _order(budget: str) -> tuple[bool, float]:
    return budget.endswith(" s"), float(budget.split(" ")[0].replace(",", ""))


def _intro(results: Sequence[Result], names: Sequence[str], line: Line, stale: str) -> str:
    seeds, spent = len({r.cell.seed for r in results}), sum(r.cpu or r.seconds for r in results)
    text = (
        f"{len(results):,} runs on {len(names)} instances, up to {seeds} seeds (the section on what was run says how"
        f" many each cell has); the searches alone took {spent / 60:,.0f} minutes of a core. {stale} Scores are"
        " hypervolumes over that of the exact front where it is known (kind sum, ZDT, DTLZ), else"
        " of the best front known: all runs merged, and long runs with other seeds. One objective: best known value"
        " over value. The box is fixed before the first run: nadir + 10 % of the reference front. Everything that an"
        " optimizer priced within its budget counts, whether it kept it or not.\n\n"
        "`auto` and `pgsam` see prices alone; `auto declared`, `pgsam declared` and `chain_exact declared` also what"
        " the evaluator declares (sums, lower bounds, limits, constructive plans). `auto` on black boxes tests whether"
        " prices add up, or are the largest of several sums, and learns them where they do: that is learned structure,"
        " tested, not structure-free search; `pgsam` is. Peers are used as their own documentation shows, with default"
        " settings and populations of 100."
        " In ZDT and DTLZ every second variable is turned round, because their fronts otherwise lie where all but a"
        " few variables are at their lower bounds, and where some optimizers begin."
    )
    if line.skipped:
        text += "\n\nNot built here: " + "; ".join(f"{n} ({reason})" for n, reason in line.skipped.items()) + "."
    return text


def _deployment(table: analysis.Table, line: Line, *, discrete: bool) -> list[str]:
    return [n for n in table.instances if n in line.instances and line.instances[n].deployment == discrete]


def _summary(tables: Mapping[str, analysis.Table], line: Line) -> str:
    """Mean rank and mean score per optimizer and budget over the instances that all listed optimizers ran."""
    blocks = []
    for discrete, title in ((True, "Discrete deployment instances"), (False, "ZDT and DTLZ")):
        rows: dict[str, list[str]] = {}
        heads = []
        for budget in COLUMNS:
            table = tables.get(budget)
            if table is None:
                continue
            instances = _deployment(table, line, discrete=discrete)
            fields = _common(table, instances)
            if not fields[0]:
                continue
            heads.append(f"{budget} ({len(fields[0])} instances)")
            ranks = analysis.mean_ranks(table, *fields)
            for optimizer in fields[1]:
                score = np.mean([table.median(i, optimizer) for i in fields[0]])
                cells = rows.setdefault(optimizer, [])
                cells += ["-"] * (len(heads) - 1 - len(cells))
                rank = f"{ranks[optimizer]:.2f}" if optimizer in ranks else "-"
                cells.append(f"{rank} / {score:.3f}")
        if heads:
            lines = [f"| optimizer | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
            lines += [f"| {o} | {' | '.join(c + ['-'] * (len(heads) - len(c)))} |" for o, c in rows.items()]
            blocks.append(f"**{title}**: mean rank / mean of median scores.\n\n" + "\n".join(lines))
    return "## Summary\n\n" + "\n\n".join(blocks)


def _common(table: analysis.Table, instances: Sequence[str]) -> tuple[list[str], list[str]]:
    """Instances and optimizers that form a full rectangle: optimizers that ran on most of the instances."""
    count = {o: sum((i, o) in table.scores for i in instances) for i in instances for o in table.optimizers(i)}
    most = max(count.values(), default=0)
    chosen = [o for o, k in count.items() if k >= 0.8 * most]
    full = [i for i in instances if all((i, o) in table.scores for o in chosen)]
    return full, chosen


def _targets(tables: Mapping[str, analysis.Table]) -> str:
    lines = [
        "## The eight chains against their targets",
        "Median (least) over seeds, 2,000 / 10,000 evaluations.",
        "| instance | target | pgsam | auto | auto declared | archive local search | pymoo nsga2 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for instance, (low, high) in TARGETS.items():
        cells = [f"{low} / {high}"]
        for optimizer in ("pgsam", "auto", "auto declared", "archive local search", "pymoo nsga2"):
            pair = []
            for budget in ("2,000 evaluations", "10,000 evaluations"):
                runs = tables[budget].scores.get((instance, optimizer)) if budget in tables else None
                pair.append(f"{np.median(list(runs.values())):.3f} ({min(runs.values()):.3f})" if runs else "-")
            cells.append(" / ".join(pair))
        lines.append(f"| {instance} | {' | '.join(cells)} |")
    return "\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:])


def _verdicts(tables: Mapping[str, analysis.Table], line: Line) -> str:
    """One table for deployment instances, one for the textbook's: peers as rows, budgets as columns."""
    blocks = []
    for discrete, title in ((True, "Deployment instances"), (False, "ZDT and DTLZ")):
        rows: dict[str, dict[str, str]] = {}
        for budget in (name for name in COLUMNS if name in tables):
            instances = _deployment(tables[budget], line, discrete=discrete)
            for v in analysis.verdicts(tables[budget], "auto", [p for p in PEERS if p not in SLOW], instances):
                deficit = f", {v.worst:.3f} {v.where}" if v.worst >= 0.001 else ""
                of = v.wins + v.draws + v.losses
                text = f"{v.ahead} of {of}, p {v.overall:.1g}; {v.wins}/{v.draws}/{v.losses}{deficit}"
                rows.setdefault(v.peer, {})[budget] = text
        heads = [name for name in COLUMNS if any(name in row for row in rows.values())]
        if rows:
            lines = [f"| {title} | {' | '.join(heads)} |", "| --- |" + " --- |" * len(heads)]
            lines += [f"| {peer} | {' | '.join(row.get(h, '-') for h in heads)} |" for peer, row in rows.items()]
            blocks.append("\n".join(lines))
    if not blocks:
        return ""
    head = (
        "## `auto` (black box) against each peer\n\nOn how many instances the median of `auto` is ahead, and the p of"
        " Wilcoxon's signed-rank test over the medians of all instances, adjusted by Holm over the peers; then"
        " wins/draws/losses instance by instance by the same test over common seeds, adjusted by Holm over the whole"
        f" column, level 0.05; then the largest median deficit. {_power(tables)}"
    )
    return "\n\n".join([head, *blocks])


def _power(tables: Mapping[str, analysis.Table]) -> str:
    """What so many seeds can show at all, instance by instance."""
    pairs = {b: max((len(r) for (_, o), r in t.scores.items() if o == "auto"), default=0) for b, t in tables.items()}
    least = {b: 0.5 ** (n - 1) for b, n in pairs.items() if n}
    texts = [f"{b} {n} (least p {least[b]:.1g})" for b, n in pairs.items() if n]
    told = f"Most seeds of `auto`, and the least p that so many pairs can have, before Holm: {', '.join(texts)}."
    return told if texts else ""


def _full(table: analysis.Table, line: Line) -> str:
    optimizers = list(dict.fromkeys(o for i in table.instances for o in table.optimizers(i)))
    most = max(len(runs) for runs in table.scores.values())
    lines = [f"| instance | {' | '.join(optimizers)} |", f"| --- |{' ---: |' * len(optimizers)}"]
    for instance in (n for n in line.instances if n in table.instances):
        cells = []
        for optimizer in optimizers:
            runs = list(table.scores.get((instance, optimizer), {}).values())
            if not runs:
                cells.append("-")
                continue
            low, middle, high = np.quantile(runs, [0.25, 0.5, 0.75])
            few = f" ({len(runs)})" if len(runs) < most else ""
            cells.append(f"{middle:.3f} ±{(high - low) / 2:.3f}{few}")
        lines.append(f"| {instance} | {' | '.join(cells)} |")
    text = f"Median ± half of the interquartile range; {most} seeds, or as many as stand in parentheses."
    return f"## {table.budget}\n\n{text}\n\n" + "\n".join(lines)


def _ran(results: Sequence[Result], line: Line) -> str:
    """Number of seeds per instance, budget and optimizer, instances alike together: nothing is left unsaid."""
    count: dict[tuple[str, str], dict[str, int]] = {}
    for r in results:
        budget = f"{r.cell.evaluations:,}" if r.cell.evaluations else f"{r.cell.seconds:g} s"
        row = count.setdefault((budget, r.cell.instance), {})
        name = "pgsam without each part" if r.cell.optimizer in ablations() else r.cell.optimizer
        row[name] = row.get(name, 0) + 1
    alike: dict[tuple[str, str], list[str]] = {}
    places = {name: i for i, name in enumerate(line.instances)}
    for budget, instance in sorted(count, key=lambda key: (_order(f"{key[0]} "), places[key[1]])):
        row = count[budget, instance]
        if "pgsam without each part" in row:
            row["pgsam without each part"] //= len(ablations())
        groups: dict[int, list[str]] = {}
        for optimizer, seeds in row.items():
            groups.setdefault(seeds, []).append(optimizer)
        text = "; ".join(f"{seeds}: {', '.join(sorted(who))}" for seeds, who in sorted(groups.items(), reverse=True))
        alike.setdefault((budget, text), []).append(instance)
    lines = ["| budget | instances | seeds: optimizers |", "| --- | --- | --- |"]
    lines += [f"| {budget} | {', '.join(where)} | {text} |" for (budget, text), where in alike.items()]
    return f"## What was run\n\n{_PLAN}\n\n" + "\n".join(lines)


def _notes(results: Sequence[Result]) -> str:
    """What auto chose where."""
    chosen: dict[str, dict[str, None]] = {}
    for r in results:
        if r.cell.optimizer.startswith("auto") and r.note:
            what = r.note.removeprefix("auto: ").split(";")[0]
            chosen.setdefault(f"{r.cell.optimizer}: {what}", {})[r.cell.instance] = None
    lines = [f"- {what}: {', '.join(where)}" for what, where in sorted(chosen.items())]
    return "## What `auto` chose\n\n" + "\n".join(lines) if lines else ""


def _errors(tables: Mapping[str, analysis.Table]) -> str:
    reasons: dict[str, dict[str, None]] = {}
    for table in tables.values():
        for (instance, optimizer), reason in table.errors.items():
            reasons.setdefault(f"{optimizer}: {reason}", {})[instance] = None
    lines = [f"- {reason} ({', '.join(where)})" for reason, where in reasons.items()]
    return "## Could not run\n\n" + "\n".join(lines) if lines else ""
