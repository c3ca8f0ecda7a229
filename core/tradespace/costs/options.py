"""Options of the tables evaluators, read strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tradespace.costs.option_numbers import check_names, read_choices
from tradespace.errors import ProblemError, UnknownName
from tradespace.plugins import Registry
from tradespace.precisions import Precision

DEFAULT_PRECISIONS = ("fp16", "int8", "int4")
"""Formats worth choosing between: fp32 and bf16 cost at least as much as fp16 and gain nothing measurable in `loss`."""

WORDS: Mapping[str, tuple[str, ...]] = {
    "per": ("block", "operator"),
    "placement": ("free", "contiguous"),
    "schedule": ("chain", "pipeline"),
}
MAX_SAMPLES = 4096


@dataclass(frozen=True)
class TableOptions:
    """How a graph is tabulated.

    Args:
        per: what is placed as one: "block" or "operator"; None takes blocks unless no device runs a whole block.
        placement: "free", or "contiguous": each device takes a run of entries, in the order of the target's devices.
        schedule: "chain" (one job at a time) or "pipeline" (jobs follow each other; the busiest device sets the pace).
        kv_precision: what the KV cache is stored in.
        precisions: formats to choose between, in that order.
        samples: one number, or several to choose between (then `k` is a decision); None takes the workload's.
        dasi, cpq, phi: mechanisms of QEIL, for ablations.
    """

    per: str | None = None
    placement: str = "free"
    schedule: str = "chain"
    kv_precision: str = "fp16"
    precisions: tuple[str, ...] | None = None
    samples: tuple[int, ...] | None = None
    dasi: bool = True
    cpq: bool = True
    phi: bool = True


def read_options(raw: Mapping[str, Any], known: Sequence[str], registry: Registry) -> TableOptions:
    """Checked options. Raises `UnknownName` for unknown keys or names, `ProblemError` for values that do not fit."""
    values: dict[str, Any] = {}
    check_names(raw, known)
    for key, value in raw.items():
        if value is not None:
            values[key] = _READERS[key](key, value, registry)
    return TableOptions(**values)


def load_precisions(names: Sequence[str], registry: Registry) -> tuple[Precision, ...]:
    return tuple(registry.load("precisions", name) for name in names)


def choose_precisions(
    options: TableOptions, native: str | None, registry: Registry
) -> tuple[tuple[Precision, ...], ...]:
    """Formats of the decision, best list first: as asked; else the usual ones that are no wider than the weights are
    shipped in, then all there are. What is shipped in an exact format stays in it: another is a `ProblemError`."""
    known = registry.names("precisions")
    shipped = registry.load("precisions", native) if native in known else None
    if options.precisions is not None:
        asked = load_precisions(options.precisions, registry)
        if any(p.exact or (shipped is not None and shipped.exact) for p in asked if p != shipped):
            rule = f"exact arithmetic stays in its format; this workload's is {native or 'unknown'}"
            raise ProblemError(rule, value=options.precisions, where="option precisions")
        return (asked,)
    if shipped is not None and shipped.exact:
        return ((shipped,),)
    bits = shipped.bits if shipped is not None else 16
    usual = load_precisions([name for name in DEFAULT_PRECISIONS if name in known], registry)
    narrow = tuple(precision for precision in usual if precision.bits <= bits)
    return (narrow or usual[-1:], tuple(found for _, found in registry.each("precisions") if not found.exact))


def _word(key: str, value: Any, registry: Registry) -> str:
    if value not in WORDS[key]:
        raise UnknownName(key, str(value)[:80], WORDS[key], where=f"option {key}")
    return str(value)


def _flag(key: str, value: Any, registry: Registry) -> bool:
    if not isinstance(value, bool):
        raise ProblemError("is true or false", value=value, where=f"option {key}")
    return value


def _precision(key: str, value: Any, registry: Registry) -> str:
    if not isinstance(value, str) or value not in registry.names("precisions"):
        known = registry.names("precisions")
        raise UnknownName("precision", str(value)[:80], known, where=f"option {key}")
    return value


def _precisions(key: str, value: Any, registry: Registry) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not names or len(set(map(str, names))) != len(names):
        raise ProblemError("is a list of different precisions", value=value, where=f"option {key}")
    return tuple(_precision(key, name, registry) for name in names)


def _samples(key: str, value: Any, registry: Registry) -> tuple[int, ...]:
    return tuple(sorted(read_choices(key, value, MAX_SAMPLES)))


_READERS: Mapping[str, Any] = {
    **dict.fromkeys(WORDS, _word),
    **dict.fromkeys(("dasi", "cpq", "phi"), _flag),
    "kv_precision": _precision,
    "precisions": _precisions,
    "samples": _samples,
}
assert set(_READERS) == {f.name for f in fields(TableOptions)}
