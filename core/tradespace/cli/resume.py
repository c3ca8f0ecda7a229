"""`tradespace resume`: continue a study that was cut off."""

from __future__ import annotations

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context
from tradespace.cli.studies import STORAGE, STORAGE_HELP


def resume(
    name: str = typer.Argument(metavar="STUDY", help="Name of the study ('tradespace studies' lists them)."),
    storage: str = typer.Option(STORAGE, help=STORAGE_HELP),
    take_over: bool = typer.Option(False, "--take-over", help="Although a process may still write it; that one stops."),
) -> int:
    """Continue an interrupted study to the end of its budget: bit-identical to a search that was never cut off."""
    from tradespace.studies import Store
    from tradespace.studies.publish import publish
    from tradespace.studies.resume import resume as resumed

    with Store.open(storage, create=False) as store:
        front = resumed(store, name, registry_from_context(), take_over=take_over)
        publish(store, name)
        place = store.shown
    document = {
        "study": name,
        "storage": place,
        "optimizer": front.optimizer,
        "seed": front.seed,
        "evaluations": front.evaluations,
        "seconds": front.seconds,
        "hypervolume": front.hypervolume,
        "stopped": front.stopped,
        "plans": len(front),
    }
    if json_wanted():
        print_json(document)
    else:
        typer.echo(
            f"{name}: {len(front)} plans after {front.evaluations:,} evaluations, hypervolume "
            f"{front.hypervolume:.4f} ({front.stopped}). 'tradespace report {name}' shows them."
        )
    return 130 if front.interrupted else 0
