"""The second rung of a search with ``fidelity=[table,measured]``: checked before, run after, shown beside the first."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.reports.summary import Summary
    from tradespace.studies.session import SearchRequest
    from tradespace.verify.promotion import Ladder, Promotion


def check_rungs(request: SearchRequest, steps: Ladder, registry: Registry) -> None:
    """Refuse before the search what the second rung would refuse after it."""
    from dataclasses import replace

    from tradespace.settings import bind
    from tradespace.studies.session import default_objectives
    from tradespace.verify.promotion import true_problem

    spec = request.spec
    assert spec.setting is not None
    if not spec.objectives:
        spec = replace(spec, objectives=default_objectives(bind(spec.setting, registry).evaluator))
    true_problem(spec, steps, registry)


def promoted(summary: Summary, database: str, steps: Ladder, registry: Registry) -> Promotion | None:
    """Measure the front of a finished search; None where it found none or was interrupted."""
    from tradespace.studies.log import Store
    from tradespace.verify.promotion import promote_front

    if summary.interrupted or not summary.rows or summary.study is None:
        return None

    def told(done: int, count: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{steps.true}: {done} of {count} plans ", end="" if done < count else "\n", file=sys.stderr)

    with Store.open(database) as store:
        return promote_front(store, summary.study, steps, registry, told)


def show_promotion(found: Promotion) -> None:
    """A table of both rungs, and how far they differ."""
    from tradespace.cli.printing import print_heading, print_pairs, print_table
    from tradespace.units import format as show

    cheap, true = found.rungs
    print_heading(f"\n{len(found.plans)} plans promoted from {cheap} to {true} (* on the front of {true})")
    names = [name for name in found.objectives if name in found.units]
    header = ["plan", *(f"{name} {rung}" for name in names for rung in found.rungs)]
    rows = []
    for plan in sorted(found.plans, key=lambda plan: plan.true[names[0]] if names else 0.0):
        cells = [f"{plan.short_id}{' *' if plan.front else ''}{'' if plan.feasible else ' (cannot run)'}"]
        for name in names:
            cells += [show(values[name], found.units[name], digits=4) for values in (plan.cheap, plan.true)]
        rows.append(tuple(cells))
    print_table(tuple(header), rows, numeric=tuple(header[1:]))
    for name in names:
        apart = found.disagreement.get(name)
        if apart is not None and apart.tau is not None and (apart.ratio != 1.0 or apart.spread):
            text = f"{true} / {cheap} {apart.ratio:.3f} (median), 90 % within {apart.spread:.1%}; "
            print_pairs([(name, f"{text}Kendall's tau {apart.tau:.3f}, Spearman {apart.rank:.3f}")])
    if found.dropped:
        print_pairs([("not known there", ", ".join(found.dropped))])
    print_pairs([("logged as", f"{found.study} (tradespace resume goes on; nothing is measured twice)")])
