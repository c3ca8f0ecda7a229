"""`tradespace verify`: run a plan on this machine and set measured times beside the predicted ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.verify.measure import Protocol
    from tradespace.verify.report import FrontVerification, Verification

MOST = 16
"""Plans of a front that are run where nothing else is said."""


def verify(
    ref: str = typer.Argument(None, metavar="PLAN", help="plan.yaml, or STUDY:ID (or STUDY:knee)."),
    front: str = typer.Option(None, "--front", metavar="STUDY", help="Run the plans of a study's front and rank them."),
    plans: int = typer.Option(MOST, help="Of a front, run a spread of at most this many.", min=2, max=256),
    seconds: str = typer.Option("1 s", help="Time for each pass of a plan (decode step, prefill chunk)."),
    memory: str = typer.Option(None, help="Use at most this much memory, like '4 GB'. Default: 60 % of what is free."),
    clock: str = typer.Option("wall", help="wall; or processor: what threads ran, for a machine busy otherwise."),
    seed: int = typer.Option(0, help="Of the random weights.", min=0),
    storage: str = typer.Option(None, help="Study database, a path or URL. Default: out/tradespace.db"),
) -> None:
    """Run a plan's operators here with the native kernels: predicted beside measured, per operator class and in total.

    tradespace calibrate, then tradespace search workload=smollm-135m target=local.yaml, then
    tradespace verify out/STUDY/plan.yaml, or tradespace verify --front STUDY

    Errors are predicted / measured - 1. Only plans for this machine can be run: targets that calibrate wrote.
    """
    from tradespace.errors import InputError
    from tradespace.reports.recall import find
    from tradespace.verify.evaluator import read_protocol
    from tradespace.verify.local import local_plan
    from tradespace.verify.report import verify as run

    if (ref is None) == (front is None):
        raise InputError("verify takes a plan, or --front STUDY", remedy="See 'tradespace verify --help'.")
    registry = registry_from_context()
    given = {"seconds": seconds, "seed": seed, "clock": clock}
    protocol = read_protocol(given | ({} if memory is None else {"memory": memory}))
    if front is not None:
        found = _front(front, plans, storage, registry, protocol)
        print_json(found.to_json()) if json_wanted() else _show_front(found)
        return
    recalled = find(ref, registry, storage)
    if recalled.problem is None:
        raise InputError("the plan's evaluator was an object of a program and cannot be rebuilt here", value=ref)
    plan = local_plan(recalled.problem.evaluator, recalled.designs, registry)
    one = run(plan, registry, protocol)
    print_json(one.to_json()) if json_wanted() else _show(one)


def _front(study: str, most: int, storage: str | None, registry: Registry, protocol: Protocol) -> FrontVerification:
    import sys

    from tradespace.verify.front import of_study

    def told(done: int, count: int) -> None:
        if sys.stderr.isatty():
            print(f"\rrunning plan {done + 1} of {count} ", end="" if done + 1 < count else "\n", file=sys.stderr)

    return of_study(study, most, registry, storage, protocol, told)


def _show(found: Verification) -> None:
    from tradespace.cli.printing import print_heading, print_pairs, print_table

    where = f"{found.device} of {found.target}, {found.threads} thread{'s' * (found.threads > 1)}"
    print_heading(f"plan {found.id[:8]}: {found.workload} on {where}")
    header = ("operators", "kernel", "count", "predicted", "measured", "error")
    for one in found.passes:
        name = "decode step" if one.name == "decode" else f"prefill of {one.tokens} tokens"
        print_heading(f"\n{name} at {one.context} positions: {one.runs} runs, whole ones {_time(one.step)}, "
                      f"spread {one.spread:.0%}")  # fmt: skip
        rows = [
            (line.name, line.kernel, str(line.count), _time(line.predicted), _time(line.measured), f"{line.error:+.1%}")
            for line in one.lines
        ]
        rows.append(("total", "", "", _time(one.predicted), _time(one.measured), f"{one.error:+.1%}"))
        print_table(header, rows, numeric=header[2:])
    predicted, measured = found.job
    error = predicted / measured - 1
    print_pairs([("whole job", f"predicted {_time(predicted)}, measured {_time(measured)}, error {error:+.1%}")])
    for note in found.notes:
        print_pairs([("note", note)])


def _show_front(found: FrontVerification) -> None:
    from tradespace.cli.printing import print_heading, print_table

    tau = "undefined: one plan, or all alike" if found.tau is None else f"{found.tau:.3f}"
    print_heading(f"{len(found.plans)} plans of {found.study}: Kendall's tau of predicted and measured jobs {tau}")
    header = ("plan", "threads", "job predicted", "measured", "error", "step predicted", "measured ", "error ")
    rows = []
    for plan in sorted(found.plans, key=lambda plan: plan.job[1]):
        (predicted, measured), step = plan.job, plan.main
        rows.append(
            (plan.id[:8], str(plan.threads), _time(predicted), _time(measured), f"{predicted / measured - 1:+.1%}",
             _time(step.predicted), _time(step.measured), f"{step.error:+.1%}")
        )  # fmt: skip
    print_table(header, rows, numeric=header[1:])
    for note in sorted({note for plan in found.plans for note in plan.notes})[:1]:
        print(f"note: {note}")


def _time(seconds: float) -> str:
    from tradespace.units import format as show

    return show(seconds, "s", digits=4)
