"""Requests to a served language model: when each arrives, how long its prompt and its answer are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import InputError

Floats = NDArray[np.float64]

MAX_REQUESTS = 1_000_000
MAX_TOKENS = 100_000_000
QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, eq=False)
class RequestTrace:
    """A workload of kind "request_trace". Build with `request_trace`, which checks and sorts it.

    Args:
        arrival: (n,) s after the first request, rising.
        prompt, generate: (n,) tokens of the input and of the answer.
    """

    name: str
    arrival: Floats
    prompt: Floats
    generate: Floats
    sources: Mapping[str, str]
    facts: Mapping[str, float | str] = field(default_factory=dict)
    kind: ClassVar[str] = "request_trace"

    def __len__(self) -> int:
        return len(self.arrival)

    @property
    def duration(self) -> float:
        """s from the first to the last arrival."""
        return float(self.arrival[-1])

    @cached_property
    def gaps(self) -> Floats:
        """(n - 1,) s between arrivals."""
        return np.diff(self.arrival)


def request_trace(
    name: str,
    arrival: Any,
    prompt: Any,
    generate: Any,
    *,
    sources: Mapping[str, str],
    facts: Mapping[str, float | str] | None = None,
) -> RequestTrace:
    """A checked trace, sorted by arrival (stable), the first request at 0.

    Raises:
        InputError: no requests or too many, columns of different lengths, numbers that cannot be.
    """
    where = f"workload {name}"
    columns = [np.asarray(column, np.float64) for column in (arrival, prompt, generate)]
    count = len(columns[0])
    if not 1 <= count <= MAX_REQUESTS or any(column.shape != (count,) for column in columns):
        raise InputError(f"a trace has 1 to {MAX_REQUESTS} requests", value=count, where=where)
    if not np.isfinite(columns[0]).all() or np.abs(columns[0]).max() > 1e15:
        raise InputError("arrivals are times", where=where)
    for key, tokens in zip(("prompt", "generate"), columns[1:], strict=True):
        good = (tokens >= 0) & (tokens <= MAX_TOKENS)
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            value = f"{tokens[row]} at request {row + 1}"
            raise InputError(f"'{key}' counts 0 to {MAX_TOKENS} tokens", value=value, where=where)
    order = np.argsort(columns[0], kind="stable")
    moved = int((order != np.arange(count)).sum())
    more: dict[str, float | str] = {"note": f"{moved} requests were not in the order of arrival"} if moved else {}
    first = columns[0][order[0]]
    times = columns[0][order] - first
    return RequestTrace(name, times, columns[1][order], columns[2][order], dict(sources), {**(facts or {}), **more})


def describe_requests(trace: RequestTrace) -> dict[str, Any]:
    """Counts, rates, distributions of tokens and burstiness, as `inspect` shows them.

    Burstiness (ours): `gap_variation` is the coefficient of variation of the gaps (1: Poisson); `peak_to_mean` is the
    largest number of arrivals in one of the trace's whole windows of a minute (of a hundredth of a short trace) over
    their mean; `dispersion` is the variance of those numbers over their mean (1: Poisson).
    """
    duration = trace.duration
    per_second = 1 / duration if duration > 0 else None
    totals = {"requests": len(trace), "prompt_tokens": float(trace.prompt.sum())}
    totals["generated_tokens"] = float(trace.generate.sum())
    rates = {key: None if per_second is None else amount * per_second for key, amount in totals.items()}
    return {
        "counts": totals,
        "duration": duration,
        "rates": rates,
        "tokens": {"prompt": _distribution(trace.prompt), "generated": _distribution(trace.generate)},
        "burstiness": _burstiness(trace),
    }


def _distribution(values: Floats) -> dict[str, float]:
    quantiles = np.quantile(values, QUANTILES)
    shown = {f"p{round(100 * q)}": float(value) for q, value in zip(QUANTILES, quantiles, strict=True)}
    return {"mean": float(values.mean()), "min": float(values.min()), **shown, "max": float(values.max())}


def _burstiness(trace: RequestTrace) -> dict[str, float | None]:
    duration = trace.duration
    if len(trace) < 3 or duration <= 0:
        return {"gap_variation": None, "window": None, "peak_to_mean": None, "dispersion": None}
    window = min(60.0, duration / 100)
    whole = int(duration / window)
    inside = trace.arrival[trace.arrival < whole * window]
    counts = np.bincount((inside / window).astype(np.int64), minlength=whole)[:whole]
    mean = float(counts.mean())
    gap = float(trace.gaps.mean())
    return {
        "gap_variation": float(trace.gaps.std() / gap) if gap > 0 else None,
        "window": window,
        "peak_to_mean": float(counts.max()) / mean if mean else None,
        "dispersion": float(counts.var()) / mean if mean else None,
    }
