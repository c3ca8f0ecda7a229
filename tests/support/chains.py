"""A chain of operators on a few devices and precisions: an evaluator with known exact fronts, for tests and benches.

Operator i runs on device d at precision p; moving activations between devices costs time and energy. Kinds:
  sum         latency, energy and quality loss add up along the chain
  capped      the same with a memory capacity per device
  bottleneck  latency is the period of a pipeline: the largest busy time of a device
  coupled     time and energy of a device grow with its memory pressure: not additive, the sum is a minorant
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Choice, Designs, Space
from tradespace.problem import ChainTerm, MaxTerm, Metric, Prices, Structure

KINDS = ("sum", "capped", "bottleneck", "coupled")
_DEVICES, _PRECISIONS = ("cpu", "gpu", "npu", "dsp"), ("fp16", "int8", "int4", "int3", "int2")


@dataclass(frozen=True)
class Chain:
    """``n`` operators, ``m`` devices, ``p`` precisions; numbers are drawn from ``seed``."""

    seed: int
    n: int
    m: int = 3
    p: int = 3
    kind: str = "sum"

    @cached_property
    def space(self) -> Space:
        return Space(Choice("device", _DEVICES[: self.m], self.n), Choice("precision", _PRECISIONS[: self.p], self.n))

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        memory = tuple(
            Metric(f"mem{k}", "1", "min", f"memory of device {k}, share of its capacity") for k in range(self.m)
        )
        return (
            Metric("latency", "s", "min", "time of one step"),
            Metric("energy", "J", "min", "energy of one step"),
            Metric("loss", "1", "min", "quality lost to the precisions"),
            *memory,
        )

    @cached_property
    def tables(self) -> dict[str, NDArray[np.float64]]:
        """t, e, q, w (n, m, p); tt, te (n - 1, m, m); cap (m,)."""
        r = np.random.default_rng(self.seed)
        n, m, p = self.n, self.m, self.p
        flop, weight = r.lognormal(0, 0.6, n) * 2e9, r.lognormal(0, 0.5, n) * 4e7
        act, intensity = r.lognormal(0, 0.4, n) * 2e6, r.uniform(0.2, 8, n)
        kind = np.arange(m) % 3
        rates = np.array([1, 1.7, 2.2, 2.3, 2.4])[:p]
        peak = np.outer(np.array([1.5e12, 5e12, 1.1e13])[kind], rates) * r.uniform(0.7, 1.3, (m, p))
        bandwidth = np.array([5e10, 9e10, 6e10])[kind] * r.uniform(0.8, 1.2, m)
        power = np.array([28.0, 35.0, 7.0])[kind] * r.uniform(0.8, 1.2, m)
        affinity = r.uniform(0.35, 1.0, (n, m))
        size = weight[:, None] * np.array([16, 8, 4, 3, 2])[:p] / 16
        compute = (flop * intensity)[:, None, None] / (peak[None] * affinity[:, :, None])
        t = np.maximum(compute, size[:, None, :] / bandwidth[None, :, None]) + 2e-5
        loss = np.stack([np.zeros(n), *(r.lognormal(mu, 1, n) for mu in (-5, -3, -2, -1))], 1)[:, :p]
        link = r.uniform(6e9, 1.6e10, (m, m))
        tt = np.where(np.eye(m, dtype=bool), 0, act[1:, None, None] / ((link + link.T) / 2)[None] + 3e-5)
        ones = np.ones((1, m, 1))
        return {
            "t": t,
            "e": t * power[None, :, None] * r.uniform(0.9, 1.1, (n, m, 1)),
            "q": loss[:, None, :] * ones,
            "w": size[:, None, :] * ones,
            "tt": tt,
            "te": tt * 4.0,
            "cap": size[:, 0].sum() * np.array([0.9, 0.35, 0.25])[kind] * 3 / m,
        }

    def price(self, designs: Designs) -> Prices:
        a, i = self.tables, np.arange(self.n)
        d, p = designs["device"].astype(np.intp), designs["precision"].astype(np.intp)
        t, e, q, w = (a[k][i, d, p] for k in ("t", "e", "q", "w"))
        tt, te = (a[k][i[:-1], d[:, :-1], d[:, 1:]] for k in ("tt", "te"))
        memory = np.stack([(w * (d == k)).sum(1) for k in range(self.m)], 1) / a["cap"]
        latency, energy = t.sum(1) + tt.sum(1), e.sum(1) + te.sum(1)
        if self.kind == "bottleneck":
            busy = [(t * (d == k)).sum(1) + (tt * (d[:, 1:] == k)).sum(1) for k in range(self.m)]
            latency = np.max(busy, axis=0)
        if self.kind == "coupled":
            pressure = np.take_along_axis(1 + 2 * np.maximum(0, memory - 0.5) ** 2, d, 1)
            latency = (t * pressure).sum(1) + tt.sum(1)
            energy = (e * pressure**1.5).sum(1) + te.sum(1)
        values = {"latency": latency, "energy": energy, "loss": q.sum(1)}
        shares = {f"mem{k}": memory[:, k] for k in range(self.m)}
        capped = self.kind == "capped"
        return Prices(values | shares, {f"full{k}": memory[:, k] - 1.0 for k in range(self.m)} if capped else {})

    def structure(self) -> Structure:
        a, states = self.tables, self.m * self.p

        def pair(name: str) -> NDArray[np.float64]:
            return np.repeat(np.repeat(a[name], self.p, axis=1), self.p, axis=2)

        exact = self.kind != "coupled"
        maxima: dict[str, MaxTerm] = {}
        latency = ChainTerm(a["t"].reshape(self.n, states), pair("tt"), exact)
        if self.kind == "bottleneck":  # the busiest device is at least as busy as the mean
            on = np.arange(states) // self.p
            busy = (ChainTerm(latency.unary * (on == k), pair("tt") * (on == k)[None, None, :]) for k in range(self.m))
            maxima["latency"] = MaxTerm(tuple(busy))
            latency = ChainTerm(latency.unary / self.m, pair("tt") / self.m, False)
        terms = {
            "latency": latency,
            "energy": ChainTerm(a["e"].reshape(self.n, states), pair("te"), exact),
            "loss": ChainTerm(a["q"].reshape(self.n, states)),
        }
        limits: dict[str, Any] = {}
        if self.kind == "capped":
            on = np.arange(states) // self.p
            size = a["w"].reshape(self.n, states)
            limits = {f"full{k}": (size * (on == k), float(a["cap"][k])) for k in range(self.m)}
        return Structure(("device", "precision"), terms, limits, maxima)
