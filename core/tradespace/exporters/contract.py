"""What an exporter is: a plan in, another tool's configuration out, or a refusal that says what the tool cannot do.

An exporter never approximates. What the other tool cannot be told is either refused (`CannotExport`, naming block,
format or device) or, where the plan leaves it open, left to the tool and said in `Export.notes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from tradespace.errors import TradespaceError

if TYPE_CHECKING:
    from tradespace.plans import Plan
    from tradespace.plugins import Registry
    from tradespace.precisions import Precision
    from tradespace.targets.model import Target


class CannotExport(TradespaceError):
    """The other tool cannot do what the plan says, or the plan does not say what the tool needs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One unit of a plan: a block or an operator, where it runs and in which format its weights are."""

    name: str
    device: str
    precision: str


@dataclass(frozen=True)
class Subject:
    """What an exporter sees: the priced plan and the objects behind it. Nothing of it may be changed.

    Args:
        plan: with the references (name, path or mapping) of workload and target.
        workload: the loaded workload.
        target: the loaded target.
        registry: where precisions are looked up.
    """

    plan: Plan
    workload: Any
    target: Target
    registry: Registry

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The plan's units in order. Raises `CannotExport` for plans that place nothing."""
        rows = [row for row in self.plan.rows if {"placement", "precision"} <= set(row.choices)]
        if not rows or len(rows) != len(self.plan.rows):
            raise CannotExport(
                "only plans that place blocks or operators on devices can be written for this tool",
                value=f"a plan of evaluator '{self.plan.evaluator}' that decides {', '.join(self.plan.design)}",
                remedy="'--to json' writes any plan.",
            )
        return tuple(Entry(r.name, str(r.choices["placement"]), str(r.choices["precision"])) for r in rows)

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """Devices that the plan uses, in the order of the target."""
        used = {entry.device for entry in self.entries}
        return tuple(device.name for device in self.target.devices if device.name in used)

    def precision(self, name: str) -> Precision:
        found: Precision = self.registry.load("precisions", name)
        return found

    @property
    def title(self) -> str:
        from tradespace.reports.summary import reference_text

        return f"plan {self.plan.id[:8]}: {reference_text(self.plan.workload)} on {reference_text(self.plan.target)}"

    @property
    def facts(self) -> Mapping[str, Any]:
        """Layers, hidden, phase ... of the workload; empty where it has none."""
        found: Mapping[str, Any] = getattr(self.workload, "facts", {})
        return found

    def workload_path(self, suffix: str) -> Path | None:
        """The file behind the workload if it has this suffix (".tflite"), else None."""
        reference = self.plan.workload
        while isinstance(reference, Mapping):
            reference = reference.get("path", reference.get("extends"))
        if isinstance(reference, str | Path) and Path(reference).suffix.lower() == suffix:
            return Path(reference)
        return None


@dataclass(frozen=True)
class Export:
    """What an exporter wrote.

    Args:
        text: the configuration, ready to be used; a comment line may say what it is.
        document: the same as plain data, for ``--json``.
        notes: what the tool decides itself, what must be there before, what was assumed. One sentence each.
    """

    text: str
    document: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())


@runtime_checkable
class Exporter(Protocol):
    """Registered under the hook ``tradespace_exporters`` and built without arguments.

    Attributes:
        name: of the tool, with the release whose options it knows ("llama.cpp b11434").
        writes: one line for people.
        options: what ``--set NAME=VALUE`` takes -> meaning; a name that ends in ``.*`` stands for all with its
            beginning (``device.*``: one for each device).
    """

    name: str
    writes: str
    options: Mapping[str, str]

    def export(self, subject: Subject, options: Mapping[str, str]) -> Export:
        """The configuration. Pure: equal subjects and options give equal text.

        Raises:
            CannotExport: the tool cannot express the plan; the message names the block, format or device.
        """
