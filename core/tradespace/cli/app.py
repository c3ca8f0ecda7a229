"""The typer application: a group that loads a command's module when the command is used."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

from tradespace.cli.main import COMMANDS, Interrupted
from tradespace.errors import PluginError, UnknownName

_EPILOG = "Every command takes --json (one JSON document) and --plugin PATH (a plugin file; repeatable)."


class LazyGroup(TyperGroup):
    """Commands by name only; `get_command` imports the one that is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return load(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UnknownName("command", args[0], COMMANDS, where="tradespace")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def build() -> Callable[..., Any]:
    """The command-line application, ready to be called with arguments."""
    app = typer.Typer(
        cls=LazyGroup,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        epilog=_EPILOG,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(tradespace)
    return typer.main.get_command(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tradespace {version('tradespace')}")
        raise typer.Exit


def tradespace(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_show_version, help="Show the version and exit."
    ),
) -> None:
    """Given this workload and this hardware, which deployments are worth having?"""


def load(name: str) -> Any:
    """Import a command and make it a typer command that also accepts ``--json``."""
    module = importlib.import_module(f"tradespace.cli.{COMMANDS[name][0]}")
    single = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    single.command(name, epilog=_EPILOG, **getattr(module, "SETTINGS", {}))(_interruptible(_function(module, name)))
    command = typer.main.get_command(single)
    if not any("--json" in option.opts for option in command.params):
        command.params.append(_json_option())
    return command


def _json_option() -> Any:
    """The option as typer makes it, taken from a function that has nothing else."""
    probe = typer.Typer(add_completion=False, rich_markup_mode=None)
    probe.command()(_with_json)
    option = next(p for p in typer.main.get_command(probe).params if "--json" in p.opts)
    option.expose_value = False
    return option


def _with_json(json: bool = typer.Option(False, "--json", help="Print one JSON document.")) -> None: ...


def _interruptible(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with Ctrl-C kept from typer, which would end without a word."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except KeyboardInterrupt:
            raise Interrupted from None

    return call


def _function(module: Any, name: str) -> Callable[..., Any]:
    """The function behind a command: ``command``, or the one named like it."""
    plain = name.replace("-", "_")
    for attribute in ("command", plain, f"{plain}_", "run"):
        found = getattr(module, attribute, None)
        if callable(found):
            return found  # type: ignore[no-any-return]
    raise PluginError(f"{module.__name__} has no function 'command' or '{plain}'")
