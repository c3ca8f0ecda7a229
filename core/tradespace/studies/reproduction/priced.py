"""One priced plan, as plain data that can be kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tradespace.errors import UnknownName


@dataclass(frozen=True)
class Priced:
    """``values``: every metric, and what the workload itself counts (items, samples, ...), SI.

    Args:
        units: of the metrics.
        design: every decision as a person reads it.
        entries: names of the entries of decisions that have several.
        found: how the design was found; empty if it was written down.
    """

    values: Mapping[str, float]
    units: Mapping[str, str]
    design: Mapping[str, Any]
    entries: Mapping[str, Sequence[str]] = field(default_factory=dict)
    found: str = ""

    def report(self, name: str) -> Any:
        """``design.NAME`` or ``design.NAME.ENTRY``. Raises `UnknownName`."""
        _, _, rest = name.partition(".")
        if rest in self.design:
            return self.design[rest]
        for variable, entries in self.entries.items():
            if rest.startswith(f"{variable}."):
                entry = rest.removeprefix(f"{variable}.")
                if entry not in entries:
                    raise UnknownName(f"entry of {variable}", entry, entries, where="report")
                return self.design[variable][list(entries).index(entry)]
        raise UnknownName("design variable", rest, list(self.design), where="report")
