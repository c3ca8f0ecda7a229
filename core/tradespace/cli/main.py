"""The application: which command lives where, and what every command shares (errors, exit codes, interrupts).

Exit codes: 0 all well; 1 something was found wrong; 2 the input cannot be used; 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tradespace.cli.context import CommandContext, print_json, split_globals, using
from tradespace.errors import TradespaceError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "search": ("search", "Find the deployments worth having: a workload, a target, objectives, constraints."),
    "price": ("price", "Price a plan file again."),
    "explain": ("explain", "Say in words what a plan does and what it costs."),
    "diff": ("diff", "Compare two plans."),
    "export": ("export", "Write a plan as another tool's configuration."),
    "verify": ("verify", "Run a plan on this machine: predicted beside measured."),
    "calibrate": ("calibrate", "Measure this machine and write it down as a target."),
    "fit": ("fit", "Refine a target's numbers from your own measurements."),
    "report": ("report", "Write the HTML report of a study."),
    "studies": ("studies", "List the studies of a database."),
    "resume": ("resume", "Go on with an interrupted study."),
    "compare": ("compare", "Compare studies by hypervolume."),
    "dashboard": ("dashboard", "Browse studies in the Optuna dashboard."),
    "reproduce": ("reproduce", "Price the published rows of a system and say which are met."),
    "list": ("list_", "List targets, workloads, metrics, optimizers and other names."),
    "show": ("show", "Show one name with its numbers and their sources."),
    "matrix": ("matrix", "Try every workload on every target: what is priced, and why the rest declines."),
    "inspect": ("inspect", "Show what a model file holds: operators, FLOP, bytes."),
    "plugins": ("plugins", "List the plugins that loaded, and those that failed and why."),
    "new-plugin": ("new_plugin", "Write the skeleton of a plugin package."),
    "check": ("check", "Run the conformance kits on a plugin or one of its classes."),
}
"""Command -> (module of ``tradespace.cli``, one line of help). The help page imports none of the modules."""


class Interrupted(Exception):
    """Ctrl-C in a command that had nothing to keep."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code; prints errors as one paragraph, or as JSON under ``--json``."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    context = CommandContext(json="--json" in arguments)
    try:
        rest, context = split_globals(arguments)
        with using(context):
            return _exit_code(_run(rest or ([] if context.json else ["--help"])))
    except TradespaceError as error:
        return _refuse(context, type(error).__name__, str(error), error)
    except (KeyboardInterrupt, Interrupted):
        return _refuse(context, "Interrupted", "interrupted", code=130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader went away: nothing left to say
        return 1
    except OSError as error:
        return _refuse(context, "OSError", _system_error(error))
    except Exception as error:
        return _unexpected(context, error)


def _run(arguments: list[str]) -> Any:
    """Dispatch through typer, which is imported here: it costs more than the rest of ``--help`` together."""
    from tradespace.cli.app import build

    return build()(arguments, prog_name="tradespace", standalone_mode=False)


def _exit_code(result: Any) -> int:
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _refuse(
    context: CommandContext, kind: str, message: str, error: TradespaceError | None = None, code: int = 2
) -> int:
    sys.stdout.flush()
    if context.json:
        details = {k: getattr(error, k, None) for k in ("rule", "value", "where", "remedy")} if error else {}
        details = {k: v if v is None else str(v)[:500] for k, v in details.items()}
        print_json({"error": {"type": kind, "message": message, **details}})
    else:
        print(message if code == 130 else f"error: {message}", file=sys.stderr)
    return code


def _system_error(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    remedy = {
        errno.ENOSPC: " Free some space or choose another folder with out=FOLDER.",
        errno.EACCES: " Choose a folder you may write to with out=FOLDER.",
        errno.EROFS: " Choose a folder you may write to with out=FOLDER.",
    }
    return f"{place}{error.strerror or error}.{remedy.get(error.errno or 0, '')}"


def _unexpected(context: CommandContext, error: Exception) -> int:
    """Usage errors of the command-line library, else a fault of ours or of a plugin."""
    usage = getattr(error, "format_message", None)
    if usage is not None:
        return _refuse(context, "UsageError", _usage(error, usage()))
    if type(error).__name__ == "Abort":  # the library's word for an interrupt at a prompt
        return _refuse(context, "Interrupted", "interrupted", code=130)
    if os.environ.get("TRADESPACE_DEBUG"):
        raise error
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "tradespace"
    reason = " ".join(str(error).split())[:300]
    return _refuse(
        context,
        type(error).__name__,
        f"unexpected {type(error).__name__} at {place}: {reason}. This is a fault of tradespace or of a plugin, not of "
        "your input; TRADESPACE_DEBUG=1 shows where it came from.",
    )


def _usage(error: Exception, message: str) -> str:
    context = getattr(error, "ctx", None)
    hint = f" See '{context.command_path} --help'." if context is not None else ""
    return f"{' '.join(message.split())}{hint}"
