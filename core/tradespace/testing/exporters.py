"""What every exporter must do: write all of a plan or refuse it, and never the same for two plans that differ.

from tradespace.testing import check_exporter
report = check_exporter(MyExporter())
assert report.passed, str(report)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tradespace import plugins
from tradespace.errors import TradespaceError
from tradespace.exporters.contract import CannotExport, Export, Subject
from tradespace.plugins import Registry
from tradespace.testing.report import Kit, KitReport, fail, not_applicable

SETTINGS: Mapping[str, str] = {"image": "registry.example/model:1", "model": "model"}
"""Given to exporters that take them: what no plan says."""


@dataclass(frozen=True)
class ExporterSubject:
    """An exporter, and plans of the catalogue as it would see them."""

    exporter: Any
    registry: Registry
    more: tuple[Subject, ...] = ()

    @cached_property
    def plans(self) -> tuple[Subject, ...]:
        return (*self.more, *_catalogue_plans(self.registry))

    @property
    def settings(self) -> dict[str, str]:
        return {key: value for key, value in SETTINGS.items() if key in self.exporter.options}

    def written(self) -> list[tuple[Subject, Export]]:
        """The plans it writes, with what it wrote. Fails on anything but an `Export` or a refusal."""
        found = []
        for plan in self.plans:
            try:
                export = self.exporter.export(plan, self.settings)
            except CannotExport:
                continue
            except Exception as error:
                fail(f"{plan.title}: raises {type(error).__name__}: {error}")
            if not isinstance(export, Export):
                fail(f"{plan.title}: returns {type(export).__name__}")
            found.append((plan, export))
        return found

    def some(self) -> list[tuple[Subject, Export]]:
        found = self.written()
        if not found:
            not_applicable("it refuses all plans that are tried")
        return found


def check_exporter(
    exporter: Any,
    label: str | None = None,
    *,
    subjects: Sequence[Subject] = (),
    registry: Registry | None = None,
    expected: Mapping[str, str] | None = None,
) -> KitReport:
    """Run the kit on an exporter. `subjects`: further plans. `expected`: check -> reason, for known failures."""
    subject = ExporterSubject(exporter, registry or plugins.registry(), tuple(subjects))
    return KIT.run(subject, label or str(getattr(exporter, "name", exporter)), expected)


def _catalogue_plans(registry: Registry) -> tuple[Subject, ...]:
    """Plans that differ in one thing each: device, one block's device, format, one block's format, KV format."""
    from tradespace.settings import Setting, bind

    found = []
    for target, devices in (("laptop", ("cpu", "dgpu")), ("a100", ("gpu",))):
        for kv in ("fp16", "int8"):
            options = {"precisions": ["fp16", "bf16", "int8", "int4"], "kv_precision": kv}
            try:
                bound = bind(Setting("toy-decoder", target, "tables", options), registry)
            except TradespaceError:
                continue
            count = len(bound.evaluator.binding.entries.names)  # type: ignore[attr-defined]
            for placement, precision in _designs(devices, count):
                space = bound.evaluator.space
                design = space.parse({"placement": placement, "precision": precision})
                plan = bound.evaluator.explain(design)  # type: ignore[attr-defined]
                plan = replace(plan, id="0" * 16, workload="toy-decoder", target=target, options=options)
                found.append(Subject(plan, bound.workload, bound.target, registry))
    return tuple(found)


def _designs(devices: Sequence[str], count: int) -> list[tuple[list[str], list[str]]]:
    first, last = devices[0], devices[-1]
    places = [[first] * count, [last] * count, [first] * 2 + [last] * (count - 2), [first] * 3 + [last] * (count - 3)]
    inner = count - 2
    formats = [[kind] * count for kind in ("fp16", "bf16", "int8", "int4")]
    formats += [["fp16", *[kind] * inner, "fp16"] for kind in ("int8", "int4")]
    formats.append(["fp16", "int8", *["int4"] * (inner - 1), "fp16"])
    return [(place, kind) for place in places for kind in formats]


def describes_itself(subject: ExporterSubject) -> None:
    """Has a name, a line on what it writes, and options, each with a meaning."""
    exporter = subject.exporter
    for attribute in ("name", "writes"):
        value = getattr(exporter, attribute, None)
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            fail(f"{attribute} is {value!r}")
    options = exporter.options
    if not isinstance(options, Mapping) or not all(isinstance(v, str) and v.strip() for v in options.values()):
        fail(f"options are {options!r}")


def writes_or_refuses(subject: ExporterSubject) -> None:
    """Every plan ends in an `Export` or in `CannotExport`."""
    subject.written()


def text_is_text(subject: ExporterSubject) -> None:
    """What it writes is printable text that ends with a line break; notes are sentences."""
    for plan, export in subject.some():
        if not isinstance(export.text, str) or not export.text.strip() or not export.text.endswith("\n"):
            fail(f"{plan.title}: the text is {export.text[-40:]!r}")
        if any(not c.isprintable() and c not in "\n\t" for c in export.text):
            fail(f"{plan.title}: the text has control characters")
        if not isinstance(export.notes, tuple) or not all(isinstance(n, str) and n.strip() for n in export.notes):
            fail(f"{plan.title}: notes are {export.notes!r}")


def document_is_plain_data(subject: ExporterSubject) -> None:
    """The document is what JSON can hold."""
    for plan, export in subject.some():
        try:
            json.dumps(dict(export.document), allow_nan=False)
        except (TypeError, ValueError) as error:
            fail(f"{plan.title}: {error}")


def is_pure(subject: ExporterSubject) -> None:
    """Equal plans give equal texts, and the plan is as it was."""
    for plan, export in subject.some():
        before = plan.plan.to_yaml()
        again = subject.exporter.export(plan, subject.settings)
        if again.text != export.text:
            fail(f"{plan.title}: two calls differ")
        if plan.plan.to_yaml() != before:
            fail(f"{plan.title}: the plan has changed")


def nothing_is_ignored(subject: ExporterSubject) -> None:
    """Two plans that differ in a device, a weight format or the KV format give different texts, or one is refused."""
    seen: dict[str, Subject] = {}
    for plan, export in subject.some():
        body = f"{plan.plan.target} {json.dumps(dict(export.document), sort_keys=True)}"
        other = seen.setdefault(body, plan)
        if _decisions(other) != _decisions(plan):
            fail(f"the same for {_decisions(other)} and {_decisions(plan)}")


def _decisions(subject: Subject) -> str:
    rows = [f"{e.device} {e.precision}" for e in subject.entries]
    return f"KV {subject.plan.options.get('kv_precision')}: {', '.join(rows)}"


def an_unknown_format_is_refused(subject: ExporterSubject) -> None:
    """A format that the tool cannot know is refused, unless the text names it."""
    for plan, _ in subject.some()[:2]:
        rows = tuple(replace(r, choices={**r.choices, "precision": "int3"}) for r in plan.plan.rows)
        strange = replace(plan, plan=replace(plan.plan, rows=rows, design={**plan.plan.design, "precision": "int3"}))
        try:
            export = subject.exporter.export(strange, subject.settings)
        except CannotExport:
            continue
        except Exception as error:
            fail(f"raises {type(error).__name__}: {error}")
        if "int3" not in export.text:
            fail(f"writes a plan in int3 without a word of it: {export.text[:200]!r}")


def refusals_say_why(subject: ExporterSubject) -> None:
    """A refusal gives what was found, where, or what to do."""
    for plan in subject.plans:
        try:
            subject.exporter.export(plan, subject.settings)
        except CannotExport as refusal:
            if refusal.value is None and not refusal.where and not refusal.remedy:
                fail(f"{plan.title}: only says '{refusal}'")
        except Exception:  # told by writes_or_refuses
            continue


KIT: Kit[ExporterSubject] = Kit(
    "exporter kit",
    (
        describes_itself,
        writes_or_refuses,
        text_is_text,
        document_is_plain_data,
        is_pure,
        nothing_is_ignored,
        an_unknown_format_is_refused,
        refusals_say_why,
    ),
)
