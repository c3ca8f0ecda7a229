"""Every key and word of ``published.yaml`` with its meaning: the reader accepts them, ``--keys`` prints them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tradespace.errors import InputError, UnknownName

FILE: Mapping[str, str] = {
    "system": "name of the system, equal to its folder",
    "title": "the publication's title",
    "source": "where the rows come from; holds for every row that names none",
    "kind": "kind of the published numbers; holds for every row that names none",
    "question": "what the study asks, for its README",
    "ours": "list of sentences: what is a reconstruction and not the publication's",
    "rows": "list of rows",
}
ROW: Mapping[str, str] = {
    "id": "name of the row, unique in the file",
    "metric": "metric or expression, like items / latency; items, samples, parameters are the workload's",
    "report": "instead of metric: a design variable of the plan, design.NAME or design.NAME.ENTRY",
    "expr": "instead of metric: arithmetic on numbers and row ids (their published values); role identity",
    "unit": "unit of value and band, e.g. ms, %",
    "setting": "what to price, see setting keys",
    "over": "merged onto setting key by key (design is replaced whole): the second setting of a comparison",
    "as": "how setting and over are compared",
    "each": "list of partial settings merged onto setting (before over): one value each, then reduce",
    "seeds": "number of seeds 0, 1, …: search.seed where the design is searched, else options.seed; then reduce",
    "reduce": "how several values become one",
    "sweep": "{dotted.key: [values]}: one value each, compared with values",
    "values": "the published values of a sweep",
    "value": "the published value: a number, '51 ms' or {value, source, kind}; context rows may have none",
    "band": "when ours counts as inside, see bands",
    "role": "what the row may prove",
    "evidence": "how our value comes about",
    "reason": "why a row is fitted, context or not reproducible",
    "reading": "one sentence where the source is ambiguous",
    "note": "a paragraph for the README",
    "source": "where this row stands in the publication",
    "kind": "kind of the published number",
}
SETTING: Mapping[str, str] = {
    "workload": "name, path or {extends: name, key: value}",
    "target": "name, path or {extends: name, dotted.key: value}",
    "evaluator": "name; default: the accepting one of highest fidelity",
    "options": "options of the evaluator",
    "design": "{variable: value or {pattern: value}}, unnamed = first option; or {search: …}; in over also: same",
}
SEARCH: Mapping[str, str] = {
    "best": "which plan of the front: a metric, or knee (default)",
    "objectives": "list of metrics or expressions; default: best if it is a metric, else the evaluator's own",
    "subject_to": "list of constraints, e.g. 'memory.dgpu<=8 GB'",
    "fix": "{variable: value or {pattern: value}}: decisions taken away from the search",
    "optimizer": "name; default: exact where size or structure allow, else pgsam",
    "seed": "default 0",
    "evaluations": "default 10000",
}
AS: Mapping[str, str] = {
    "ratio": "setting / over",
    "speedup": "over / setting",
    "gain": "setting / over - 1",
    "saving": "1 - setting / over",
    "relative_to_first": "value / first value of the sweep",
}
REDUCE: Mapping[str, str] = {
    "mean": "arithmetic mean",
    "geomean": "geometric mean",
    "median": "median",
    "min": "smallest",
    "max": "largest",
}
BAND: Mapping[str, str] = {
    "ratio": "[low, high] of ours / published",
    "plus_minus": "largest difference, in the row's unit",
    "at_most": "ours is at most this",
    "at_least": "ours is at least this",
    "between": "[low, high] of ours",
    "equals": "true (exact) or the largest relative difference",
    "spearman_at_least": "rank correlation of a sweep's values with ours",
    "sign_test": "largest p-value: each and seeds agree with the published sign (one-sided binomial)",
}
ROLE: Mapping[str, str] = {
    "predicted": "counts: inside or outside (default)",
    "fitted": "a constant was fitted on it: shown, counts as outside",
    "identity": "arithmetic of the publication's own numbers: never counts as predicted",
    "context": "shown with its reason; counts as outside if it has a published value and could be priced",
}
EVIDENCE: Mapping[str, str] = {
    "simulated": "a model of tradespace on constants with sources",
    "arithmetic": "arithmetic on published numbers",
    "measured-cpu": "measured on a CPU",
    "measured-gpu": "measured on a GPU",
}
KIND: Mapping[str, str] = {
    "measured": "measured by us",
    "datasheet": "a manufacturer's number",
    "paper": "printed in the publication",
    "derived": "computed from printed numbers",
    "substitute": "stands in for a number nobody printed",
    "fitted": "adjusted to meet rows",
}
TABLES: Mapping[str, Mapping[str, str]] = {
    "file": FILE,
    "row": ROW,
    "setting": SETTING,
    "search": SEARCH,
    "as": AS,
    "reduce": REDUCE,
    "band": BAND,
    "role": ROLE,
    "evidence": EVIDENCE,
    "kind": KIND,
}


def check_keys(mapping: Any, known: Collection[str], where: str) -> dict[str, Any]:
    """The mapping, if all its keys are known. Raises `UnknownName` with the closest key, `InputError` if no mapping."""
    if not isinstance(mapping, Mapping):
        raise InputError(
            "a mapping is needed here", value=repr(mapping)[:80], where=where, remedy=f"Keys: {', '.join(known)}."
        )
    for key in mapping:
        if key not in known:
            raise UnknownName("key", str(key)[:80], known, where=where)
    return dict(mapping)


def check_word(value: Any, known: Mapping[str, str], kind: str, where: str) -> str:
    """One of the words of a table. Raises `UnknownName` with the closest."""
    if not isinstance(value, str) or value not in known:
        raise UnknownName(kind, str(value)[:80], known, where=where)
    return value
