"""Parts of the page beside the race: pgsam without each of its parts, and trials.jsonl of what takes minutes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from bench.arena import analysis
from bench.arena.cells import ABLATED, ABLATION_EVALUATIONS, ablations
from bench.arena.instances import Line
from bench.arena.runner import References, Result, quality

LEVEL = 0.05


def parts(results: Iterable[Result], best: Mapping[str, float]) -> str:
    """What each part of pgsam is worth: median paired differences on the eight chains, tested together."""
    scores: dict[tuple[str, str], dict[int, float]] = {}
    for r in results:
        if r.cell.instance in ABLATED and r.cell.evaluations == ABLATION_EVALUATIONS:
            scores.setdefault((r.cell.instance, r.cell.optimizer), {})[r.cell.seed] = (
                r.volumes[-1] / best[r.cell.instance]
            )
    whole = {name: scores[name, "pgsam"] for name in ABLATED if (name, "pgsam") in scores}
    tests = {
        (part, name): analysis.paired(whole[name], scores[name, part])
        for part in ablations()
        for name in whole
        if (name, part) in scores
    }
    if not tests:
        return ""
    chance = dict(zip(tests, analysis.holm([t[1] for t in tests.values()]), strict=True))
    heads = [name for name in whole if any(key[1] == name for key in tests)]
    rows, verdicts = [], []
    for part in dict.fromkeys(part for part, _ in tests):
        mine = {name: tests[part, name][0] for name in heads if (part, name) in tests}
        marks = {name: "\\*" if chance[part, name] < LEVEL else "" for name in mine}
        cells = [f"{mine[n]:+.4f}{marks[n]}" if n in mine else "-" for n in heads]
        label = part.removeprefix("pgsam no ")
        rows.append(f"| {label} | {' | '.join(cells)} | {np.mean(list(mine.values())):+.4f} |")
        helps = sum(bool(marks[n]) and mine[n] > 0 for n in mine)
        harms = sum(bool(marks[n]) and mine[n] < 0 for n in mine)
        verdicts.append(_verdict(label, helps, harms, len(mine)))
    pairs = [t[2] for t in tests.values()]
    if 0.5 ** (max(pairs) - 1) * len(tests) > LEVEL:
        verdicts = [f"So few seeds cannot be significant among {len(tests)} tests: no verdict yet."]
    seeds = f"{min(pairs)}" if min(pairs) == max(pairs) else f"{min(pairs)} to {max(pairs)}"
    head = (
        f"## What each part of pgsam is worth\n\nMedian over {seeds} seeds of the score with all parts less the score"
        f" without one, on black boxes, {ABLATION_EVALUATIONS:,} designs. \\*: significant (Wilcoxon's signed-rank"
        f" test, Holm over all {len(tests)} of the table, level 0.05).\n\n"
    )
    lines = [f"| without | {' | '.join(heads)} | mean |", "| --- |" + " ---: |" * (len(heads) + 1), *rows]
    return head + "\n".join(lines) + "\n\n" + "\n".join(f"- {text}" for text in verdicts)


def _verdict(part: str, helps: int, harms: int, of: int) -> str:
    if not helps and not harms:
        return f"{part}: no significant effect on any of {of}"
    told = [f"helps on {helps}"] if helps else []
    told += [f"harms on {harms}"] if harms else []
    return f"{part}: {' and '.join(told)} of {of}"


def trials(page: Path, line: Line, references: References, best: Mapping[str, float]) -> str:
    """Optimizers that need packages beyond the locked ones or take minutes a run: recorded once with `bench.trials`,
    scored here in the box of the other runs."""
    path = page / "trials.jsonl"
    if not path.exists():
        return ""
    runs = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    rows: dict[tuple[str, str, int], list[Mapping[str, Any]]] = {}
    for run in runs:
        if run["instance"] in best and run["instance"] in line.instances:
            rows.setdefault((run["instance"], run["optimizer"], run["evaluations"]), []).append(run)
    lines = [
        "| instance | optimizer | seeds | designs asked for | priced (least) | score (least) | s of a core (most) |"
    ]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for instance, optimizer, asked in sorted(rows):
        of, box = rows[instance, optimizer, asked], references.bounds(instance)
        scores = [quality(np.asarray(r["front"]).reshape(-1, len(box.ideal)), box) / best[instance] for r in of]
        priced, spent = [r["priced"] for r in of], [r["cpu"] for r in of]
        lines.append(
            f"| {instance} | {optimizer} | {len(of)} | {asked} | {np.median(priced):.0f} ({min(priced)})"
            f" | {np.median(scores):.3f} ({min(scores):.3f}) | {np.median(spent):.1f} ({max(spent):.1f}) |"
        )
    told = _told([run for of in rows.values() for run in of])
    return "\n\n".join([told, "\n".join(lines)]) if rows else ""


def _told(runs: list[Mapping[str, Any]]) -> str:
    """What a reader must know of these runs."""
    text = (
        "## Optimizers that take minutes\n\nThrough our adapters, one thread each, recorded once by `python -m"
        " bench.trials` (trials.jsonl holds their fronts); medians over seeds. Optuna's TPE and NSGA-II, used as their"
        " documentation shows, stand in the table of 500 evaluations. A score of 0: nothing inside the reference box."
    )
    short = [run["limit"] for run in runs if run["priced"] < run["evaluations"]]
    if not short:
        return text
    return text + (
        f" {len(short)} of {len(runs)} runs priced fewer designs than were asked for: a run ends after the batch in"
        f" which it has used {max(short):g} s of a core, and its score is that of what it priced by then. So these"
        " scores tell what is found in that time, not what more designs would give; `random` with as few stands beside."
    )
