"""`tradespace price`: price a plan file again, and find the best single change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context

if TYPE_CHECKING:
    from tradespace.baseline import Baseline
    from tradespace.plugins import Registry
    from tradespace.reports.recall import Recalled
    from tradespace.search import Front

_OBJECTIVE = typer.Option(None, "--objective", help="What counts as better (repeatable). Default: the evaluator's own.")
_CONSTRAINT = typer.Option(None, "--constraint", help="A limit like 'memory.dgpu<=8 GB' (repeatable).")


def price(
    path: str = typer.Argument(metavar="PLAN.yaml", help="A plan file."),
    objective: list[str] = _OBJECTIVE,
    constraint: list[str] = _CONSTRAINT,
    study: str = typer.Option(None, help="Set the plan beside the front of this study."),
    storage: str = typer.Option(None, help="Study database, a path or URL. Default: out/tradespace.db"),
) -> None:
    """Price a plan file again; say which single change would improve it most."""
    from tradespace.baseline import compare
    from tradespace.reports.plan import to_json

    registry = registry_from_context()
    found, front = _read(path, objective or [], constraint or [], study, storage, registry)
    assert found.problem is not None
    baseline = compare(found.problem, found.designs, name=path, front=front)
    if json_wanted():
        print_json(to_json(found.plan) | {"baseline": baseline.to_json()})
    else:
        _show(found, baseline)


def _read(
    path: str, objectives: list[str], limits: list[str], study: str | None, storage: str | None, registry: Registry
) -> tuple[Recalled, Front | None]:
    """The plan, in the problem of a study if one is named, and that study's front."""
    from dataclasses import replace

    from tradespace.baseline import parse_design
    from tradespace.errors import TradespaceError
    from tradespace.plans import read_plan
    from tradespace.reports.recall import Recalled, from_file, front_of_study, open_store, readable

    if study is None:
        return from_file(path, registry, objectives, limits), None
    if objectives or limits:
        raise TradespaceError("a study has its own objectives and constraints", where="--study")
    plan = read_plan(path)
    with open_store(storage) as store:
        record = store.load(study)
    front, bound = front_of_study(record, registry)
    designs = parse_design(plan, bound, path)
    priced = readable(front.problem, bound, designs)
    return Recalled(replace(priced), designs, front.problem, bound), front


def _show(found: Recalled, baseline: Baseline) -> None:
    from tradespace.reports.plan import show_plan
    from tradespace.reports.terminal import baseline_lines, is_unicode, make_console, safe

    console = make_console()
    show_plan(found.plan, console)
    console.print()
    for line in baseline_lines(baseline)[1:]:
        console.print(safe(line, is_unicode(console)))
