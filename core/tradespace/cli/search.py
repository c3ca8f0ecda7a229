"""`tradespace search`: a hydra app behind our own front door."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tradespace.cli.context import current, json_wanted, print_json, registry_from_context
from tradespace.errors import TradespaceError

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.reports.profile import Stopwatch
    from tradespace.reports.summary import Summary
    from tradespace.verify.promotion import Promotion

SETTINGS = {"context_settings": {"allow_extra_args": True, "help_option_names": ["-h", "--help"]}}


def search(
    overrides: list[str] = typer.Argument(  # noqa: B008 - typer's way
        None,
        metavar="[PATH] [KEY=VALUE]...",
        help="A model file or folder, then settings. Groups: workload target optimizer budget storage study. "
        "Plain keys: objectives constraints evaluator options.KEY fidelity promote baseline start seed name out batch.",
    ),
    multirun: bool = typer.Option(False, "-m", "--multirun", help="Sweep: KEY=A,B runs every combination."),
    profile: bool = typer.Option(False, "--profile", help="Say where the time went."),
    cfg: bool = typer.Option(False, "--cfg", help="Show the composed configuration and exit."),
) -> int:
    """Find the deployments worth having.

    tradespace search  (Llama-3.2-1B on a laptop)

    tradespace search path/to/config.json target=phone 'constraints=[memory.cpu<=4 GB]'

    tradespace search -m workload=gpt2 target=laptop optimizer=pgsam,nsga2 seed=0,1,2

    tradespace search study=qeil-v2 budget=quick

    tradespace search target=local.yaml 'fidelity=[table,measured]' promote=16
    """
    from tradespace.cli import compose
    from tradespace.cli.overrides import rewrite

    registry = registry_from_context()
    words = list(overrides or [])
    rewritten = rewrite(words, compose.group_names(registry), compose.fits, hint=registry.hint, sweep=multirun)
    task = Task(_absolute(current().plugins), _command(words, multirun), profile, multirun, quiet=json_wanted())
    arguments = compose.plugin_paths(registry, rewritten.arguments)
    with compose.hydra_session(registry, rewritten.files, arguments) as hydra:
        if cfg:
            return _show_config(compose.compose(hydra, arguments, sweep=multirun))
        if not multirun:
            return _finish(compose.run(hydra, arguments, task))
        return _sweep(hydra, arguments, task)


@dataclass(frozen=True)
class Outcome:
    """What a task hands back, plain enough for any launcher. ``error``: the refusal."""

    summary: Summary | None
    profile: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    error: Exception | None = None
    storage: str = ""
    promotion: Promotion | None = None

    def __getstate__(self) -> dict[str, Any]:
        """For another process: errors of any class arrive as our base error, saying the same."""
        state = dict(self.__dict__)
        error = self.error
        if isinstance(error, TradespaceError):
            value = None if error.value is None else str(error.value)
            state["error"] = TradespaceError(error.rule, value=value, where=error.where, remedy=error.remedy)
        elif error is not None:
            state["error"] = TradespaceError(f"{type(error).__name__}: {error}")
        return state


@dataclass
class Task:
    """The function hydra runs. Holds plain values only, so launchers may send it to other processes; there the
    registry is found again."""

    plugins: tuple[str, ...]
    command: str
    profile: bool = False
    sweep: bool = False
    quiet: bool = False
    done: list[Outcome] = field(default_factory=list)

    def __call__(self, config: Any) -> Outcome:
        from tradespace.cli.promotion import check_rungs, promoted
        from tradespace.cli.request import ladder_of, request_of
        from tradespace.studies.session import search as run_search

        watch = self._watch() if self.profile else None
        try:
            registry = self._registry()
            request, steps = request_of(config, registry, self.plugins, self.command), ladder_of(config, registry)
            if steps is not None:
                check_rungs(request, steps, registry)
            summary = run_search(request, registry, watch=watch)
            promotion = promoted(summary, request.database, steps, registry) if steps is not None else None
            outcome = Outcome(summary, *_profile(watch), storage=request.database, promotion=promotion)
        except Exception as error:  # hydra would print something of its own; everything is reported outside
            outcome = Outcome(None, error=error)
        self.done.append(outcome)
        if self.sweep and not self.quiet:
            self._say(outcome)
        if self.sweep and outcome.summary is not None and outcome.summary.interrupted:
            raise KeyboardInterrupt
        return outcome

    def _watch(self) -> Stopwatch:
        """A stopwatch that knows what the process did before: CPU seconds, all there is to know of its start."""
        from tradespace.reports.profile import Stopwatch

        watch = Stopwatch()
        if not self.sweep:
            watch.add("start and compose", time.process_time())
        return watch

    @staticmethod
    def _say(outcome: Outcome) -> None:
        """One line a finished run: a sweep may take long."""
        from tradespace.reports.terminal import headline

        if outcome.summary is not None:
            print(headline(outcome.summary), flush=True)

    def _registry(self) -> Registry:
        if _absolute(current().plugins) == self.plugins:
            return registry_from_context()
        from tradespace.plugins import Registry

        return Registry.discover(self.plugins)


def _profile(watch: Stopwatch | None) -> tuple[tuple[str, ...], Mapping[str, float]]:
    return (tuple(watch.lines()), watch.to_json()) if watch is not None else ((), {})


def _absolute(plugins: tuple[str, ...]) -> tuple[str, ...]:
    """A study remembers its plugin files; it may be resumed from another folder."""
    return tuple(str(Path(plugin).absolute()) for plugin in plugins)


def _command(words: list[str], multirun: bool) -> str:
    return shlex.join(["tradespace", "search", *(["-m"] if multirun else []), *words])


def _show_config(config: Any) -> int:
    from omegaconf import OmegaConf

    plain = {k: v for k, v in OmegaConf.to_container(config, resolve=False).items() if k != "hydra"}
    if json_wanted():
        print_json(plain)
    else:
        print(OmegaConf.to_yaml(OmegaConf.create(plain)).rstrip())
    return 0


def _finish(outcome: Outcome) -> int:
    if outcome.summary is None:
        assert outcome.error is not None
        raise outcome.error
    if json_wanted():
        print_json(_document(outcome))
    else:
        from tradespace.reports.terminal import show

        show(outcome.summary)
        if outcome.promotion is not None:
            from tradespace.cli.promotion import show_promotion

            show_promotion(outcome.promotion)
        for line in outcome.profile:
            print(line)
    return _code(outcome)


def _document(outcome: Outcome) -> dict[str, Any]:
    assert outcome.summary is not None
    found = {**outcome.summary.to_json(), **({"profile": dict(outcome.seconds)} if outcome.seconds else {})}
    return found | ({"promotion": outcome.promotion.to_json()} if outcome.promotion is not None else {})


def _code(outcome: Outcome) -> int:
    if outcome.summary is None:
        return 2
    interrupted = outcome.summary.interrupted or (outcome.promotion is not None and outcome.promotion.interrupted)
    return 130 if interrupted else int(not outcome.summary.rows)


def _sweep(hydra: Any, arguments: tuple[str, ...], task: Task) -> int:
    """All runs of a sweep, then one comparison. A refused run costs only itself."""
    from tradespace.cli import compose

    interrupted = False
    try:
        outcomes = compose.multirun(hydra, arguments, task)
    except KeyboardInterrupt:
        interrupted, outcomes = True, task.done
    errors = [str(o.error) for o in outcomes if o.error is not None]
    codes = [_code(outcome) for outcome in outcomes]
    if len(errors) < len(outcomes):
        if not json_wanted():
            print()
        _compare([o for o in outcomes if o.summary is not None], errors)
    elif json_wanted():
        print_json({"error": {"type": "InputError", "message": errors[0]}, "errors": errors})
    for error in () if json_wanted() else dict.fromkeys(errors):
        print(f"error: {error}", file=sys.stderr)
    return 130 if interrupted else max(codes, default=0)


def _compare(outcomes: list[Outcome], errors: list[str]) -> None:
    from tradespace.cli.sweep import comparisons, show_comparisons

    runs = [(o.summary, o.storage) for o in outcomes if o.summary is not None]
    if json_wanted():
        compared = [{"question": question, **found.document()} for question, found in comparisons(runs)]
        print_json({"runs": [_document(outcome) for outcome in outcomes], "comparisons": compared, "errors": errors})
    else:
        show_comparisons(runs)
