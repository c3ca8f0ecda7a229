"""`tradespace dashboard`: the Optuna view of a study, made anew, and the dashboard that shows it."""

from __future__ import annotations

import typer

from tradespace.cli.context import json_wanted, print_json
from tradespace.cli.studies import STORAGE, STORAGE_HELP


def dashboard(
    names: list[str] = typer.Argument(None, metavar="[STUDY]...", help="Studies to publish; default: all of them."),  # noqa: B008 - typer's way
    storage: str = typer.Option(STORAGE, help=STORAGE_HELP),
    publish_only: bool = typer.Option(False, "--publish-only", help="Start nothing (nor does --json)."),
    limit: int = typer.Option(200, min=1, max=10_000, help="Most plans a study shows."),
    port: int = typer.Option(8080, min=1, max=65_535, help="Port on 127.0.0.1."),
) -> int:
    """Publish studies as Optuna studies in the same database and browse them with optuna-dashboard."""
    from tradespace.studies import Store
    from tradespace.studies.publish import publish

    with Store.open(storage, create=False) as store:
        done = [publish(store, name, limit=limit) for name in store.matching(names or ["*"])]
        url = store.url
    rows = [{"study": d.study, "added": d.added, "removed": d.removed, "trials": d.total} for d in done]
    if json_wanted():
        print_json({"storage": done[0].url if done else storage, "published": rows})
    else:
        for row in rows:
            typer.echo(f"{row['study']}: {row['trials']} trials, {row['added']} new")
    return 0 if publish_only or json_wanted() else _serve(url, port)


_ADDRESS = "TRADESPACE_DASHBOARD"
_PROGRAM = f"""
import os, sys
from importlib.metadata import entry_points
(script,) = entry_points(group="console_scripts", name="optuna-dashboard")
sys.argv = ["optuna-dashboard", os.environ.pop("{_ADDRESS}"), *sys.argv[1:]]
try:
    script.load()()
except KeyboardInterrupt:
    pass
"""
"""The database's address goes by the environment: it may hold a password, and everybody sees arguments."""


def _serve(url: str, port: int) -> int:
    """Run optuna-dashboard on the loopback interface until Ctrl-C."""
    import os
    import subprocess
    import sys
    from importlib.util import find_spec

    from tradespace.errors import StudyError

    if find_spec("optuna_dashboard") is None:
        raise StudyError(
            "optuna-dashboard is not installed",
            remedy="pip install 'tradespace[dashboard]', or use --publish-only and any Optuna tool.",
        )
    _check_free(port)
    typer.echo(f"http://127.0.0.1:{port}/ (Ctrl-C ends it)")
    command = [sys.executable, "-c", _PROGRAM, "--host", "127.0.0.1", "--port", str(port), "--quiet"]
    try:
        return subprocess.run(command, check=False, env={**os.environ, _ADDRESS: url}).returncode
    except KeyboardInterrupt:
        return 0


def _check_free(port: int) -> None:
    import socket

    from tradespace.errors import StudyError

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StudyError(
                "the dashboard needs a free port", value=f"{port}: {error.strerror}", remedy="Choose one with --port."
            ) from None
