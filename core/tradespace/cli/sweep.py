"""The comparison at the end of a sweep: one for each question (workload and objectives) that the runs answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradespace.reports.summary import Summary
    from tradespace.studies.compare import Comparison

Run = tuple["Summary", str]
"""A finished run and the database that holds its study."""


def comparisons(runs: Sequence[Run]) -> list[tuple[str, Comparison]]:
    """(what was asked, the studies that answered it), in the order the runs came."""
    from tradespace.studies.compare import compare
    from tradespace.studies.log import Store

    questions: dict[tuple[str, str, tuple[str, ...]], list[Summary]] = {}
    for summary, url in runs:
        key = (url, summary.workload, tuple(f"{m.direction}:{m.name}" for m in summary.objectives))
        questions.setdefault(key, []).append(summary)
    found = []
    for (url, workload, objectives), summaries in questions.items():
        with Store.open(url, create=False) as store:
            records = [store.load(summary.study) for summary in summaries if summary.study is not None]
        found.append((f"{workload}: {', '.join(objectives)}", compare(records)))
    return found


def show_comparisons(runs: Sequence[Run]) -> None:
    """Print every comparison, titled where there are several."""
    from tradespace.cli.compare import show_comparison

    found = comparisons(runs)
    for at, (question, comparison) in enumerate(found):
        if len(found) > 1:
            print(f"{'' if at == 0 else chr(10)}{question}")
        show_comparison(comparison)
