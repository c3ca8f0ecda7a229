"""The options of a named release of a tool, so that nothing is written which that release would refuse.

Each file under ``data/`` names release and source. Tests check every exported flag against them, and so does
`checked` when a command line is made.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tradespace.errors import PluginError

_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class OptionList:
    """Attributes: `choices`: option -> values it takes, where the release limits them."""

    tool: str
    release: str
    source: str
    options: frozenset[str]
    choices: Mapping[str, tuple[str, ...]]
    quantize_options: frozenset[str]
    environment: frozenset[str]

    def checked(self, arguments: Sequence[str]) -> list[str]:
        """The arguments, if the release knows every option and value. Raises `PluginError`: a fault of the exporter."""
        for at, word in enumerate(arguments):
            if not word.startswith("-") or word.lstrip("-")[:1].isdigit():
                continue
            if word not in self.options:
                raise PluginError(f"{self.tool} {self.release} has no option '{word}'")
            known = self.choices.get(word)
            if known and arguments[at + 1] not in known:
                raise PluginError(f"{self.tool} {self.release} takes no {word} {arguments[at + 1]}")
        return list(arguments)


@functools.cache
def options_of(name: str) -> OptionList:
    """The list in ``data/<name>.json``."""
    raw = json.loads((_DATA / f"{name}.json").read_text(encoding="utf-8"))
    return OptionList(
        raw["tool"],
        raw["release"],
        raw["source"],
        frozenset(raw["options"]),
        {key: tuple(values) for key, values in raw["choices"].items()},
        frozenset(raw.get("quantize_options", ())),
        frozenset(raw.get("environment", ())),
    )
