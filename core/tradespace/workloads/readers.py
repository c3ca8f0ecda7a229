"""What a file reader is. Readers are registered under the hook `tradespace_readers` and built without arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Workload(Protocol):
    """What every kind of workload has; evaluators accept the kinds that they know (`OperatorGraph` is one)."""

    @property
    def name(self) -> str:
        """As the user knows it."""

    @property
    def kind(self) -> str:
        """Kind of workload: "operator-graph", ..."""

    @property
    def sources(self) -> Mapping[str, str]:
        """What -> where it comes from."""


@runtime_checkable
class Reader(Protocol):
    """Turns a file or folder into a workload. Files are hostile: sizes, counts and depth are bounded.

    Attributes:
        name: registry name.
        reads: one line for people that says what is looked for ("config.json of a Hugging Face model").
        priority: optional whole number, 0 if missing. Readers are asked highest first, so a reader that knows its
            content by a sure sign (a magic number, a required key) stands before one that takes a whole suffix.
    """

    name: str
    reads: str

    def recognises(self, path: Path) -> bool:
        """Whether this reader is the one for `path`, which exists. Cheap: looks at a few bytes of the content, as
        one suffix (.json, .csv) belongs to many formats. Never raises."""

    def read(self, path: Path, options: Mapping[str, Any]) -> Workload:
        """The workload. `options` are what the user set (phase, batch ...); unknown ones are refused.

        Raises:
            InputError, UnknownName: for anything wrong in the file or the options; never another error.
        """


def priority(reader: object) -> int:
    """A reader's `priority`, 0 for one that states none (or no whole number)."""
    found = getattr(reader, "priority", 0)
    return found if isinstance(found, int) else 0
