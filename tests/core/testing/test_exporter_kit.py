"""The exporter kit passes the built-in exporters and catches each way of breaking the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tradespace.exporters import CannotExport, Export, Subject
from tradespace.plugins import registry
from tradespace.testing import check_exporter

BUILT_IN = registry().names("exporters")


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_exporters_keep_the_contract(name):
    report = check_exporter(registry().load("exporters", name)(), name)
    assert report.passed, str(report)


@dataclass(frozen=True)
class Honest:
    """Writes every decision; takes fp16 and int8 alone."""

    name: str = "honest 1"
    writes: str = "all of it"
    options: Mapping[str, str] = field(default_factory=dict)

    def export(self, subject: Subject, options: Mapping[str, str]) -> Export:
        rows = [[e.name, e.device, e.precision] for e in subject.entries]
        bad = next((r for r in rows if r[2] not in ("fp16", "int8")), None)
        if bad:
            raise CannotExport("honest knows fp16 and int8", value=bad[2], where=f"block '{bad[0]}'")
        kv = str(subject.plan.options.get("kv_precision"))
        return Export(f"{kv} {rows}\n", {"rows": rows, "kv": kv})


def test_an_honest_exporter_passes():
    report = check_exporter(Honest())
    assert report.passed and len(report.checks) == 8, str(report)


def _changed(text: Any = None, document: Any = None, notes: Any = None, error: Exception | None = None):
    @dataclass(frozen=True)
    class Changed(Honest):
        def export(self, subject: Subject, options: Mapping[str, str]) -> Export:
            found = super().export(subject, options)
            if error is not None:
                raise error
            return Export(
                text(subject, found) if text else found.text,
                document(subject, found) if document else found.document,
                found.notes if notes is None else notes,
            )

    return Changed()


COUNTER: list[int] = []


def _counting(subject: Subject, found: Export) -> str:
    COUNTER.append(0)
    return f"{len(COUNTER)}\n"


@pytest.mark.parametrize(
    ("exporter", "check"),
    [
        (Honest(name=""), "describes_itself"),
        (Honest(options={"x": ""}), "describes_itself"),
        (_changed(error=ValueError("bug")), "writes_or_refuses"),
        (_changed(text=lambda s, f: "no end"), "text_is_text"),
        (_changed(text=lambda s, f: "\x1b[31m\n"), "text_is_text"),
        (_changed(notes=["a list"]), "text_is_text"),
        (_changed(document=lambda s, f: {"x": object()}), "document_is_plain_data"),
        (_changed(text=_counting), "is_pure"),
        (_changed(document=lambda s, f: {"devices": [e.device for e in s.entries]}), "nothing_is_ignored"),
        (_changed(document=lambda s, f: {"rows": f.document["rows"]}), "nothing_is_ignored"),
        (_changed(error=CannotExport("no")), "refusals_say_why"),
    ],
)
def test_each_fault_is_caught(exporter, check):
    report = check_exporter(exporter)
    assert check in {c.name for c in report.failures}, str(report)


def test_an_exporter_that_guesses_unknown_formats_is_caught():
    @dataclass(frozen=True)
    class Guessing(Honest):
        def export(self, subject: Subject, options: Mapping[str, str]) -> Export:
            return Export("all fp16\n", {"rows": [[e.name, e.device, e.precision] for e in subject.entries]})

    assert "an_unknown_format_is_refused" in {c.name for c in check_exporter(Guessing()).failures}
