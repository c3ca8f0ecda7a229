"""Any plan as JSON, by the published schema ``plan.schema.json`` beside this file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tradespace.exporters.contract import Export, Subject

FORMAT = "tradespace plan json 1"
SCHEMA = Path(__file__).with_name("plan.schema.json")


class PlainJSON:
    """Any plan as JSON by a published schema; SI units throughout."""

    name = FORMAT
    writes = "the whole plan as JSON, SI units (schema: tradespace/exporters/plan.schema.json)"
    options: ClassVar[Mapping[str, str]] = {}

    def export(self, subject: Subject, options: Mapping[str, str]) -> Export:
        from tradespace.reports.plan import to_json

        document = _plain({"format": FORMAT, **to_json(subject.plan)})
        return Export(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", document)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
