"""The public API: names load lazily, and `ts.search` takes any object with space, metrics and price."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest

import tradespace as ts


class TwoDevices:
    """24 layers on device a (fast, hungry) or b (slow, frugal), in fp16 or int4; prices are a plain dict."""

    space = ts.Space(
        ts.Choice("device", options=("a", "b"), length=24), ts.Choice("precision", options=("fp16", "int4"), length=24)
    )
    metrics = (
        ts.Metric("latency", "s", "min", "time of one step"),
        ts.Metric("energy", "J", "min", "energy of one step"),
        ts.Metric("loss", "1", "min", "quality given up"),
        ts.Metric("mem0", "1", "min", "share of the memory of a"),
    )

    def price(self, designs: ts.Designs) -> Mapping[str, np.ndarray]:
        on_b, int4 = designs["device"] == 1, designs["precision"] == 1
        weight = np.linspace(0.5, 1.5, 24)
        time = (np.where(on_b, 2.0, 1.0) * np.where(int4, 0.4, 1.0)).sum(axis=1)
        hops = (on_b[:, 1:] != on_b[:, :-1]).sum(axis=1)
        return {
            "latency": 1e-3 * (time + 0.5 * hops),
            "energy": (np.where(on_b, 1.0, 4.0) * np.where(int4, 0.5, 1.0)).sum(axis=1) + 0.2 * hops,
            "loss": (int4 * weight).sum(axis=1),
            "mem0": (~on_b * np.where(int4, 0.25, 1.0)).sum(axis=1) / 12,
        }


def test_the_example_of_the_readme() -> None:
    import tradespace.search  # noqa: F401 - importing the package must not hide the function

    objectives = ["latency", "energy", "loss"]
    front = ts.search(
        TwoDevices(), objectives=objectives, constraints=["mem0<=1"], optimizer="pgsam", evaluations=2000, seed=0
    )
    assert front.values.dtype == np.float64 and front.values.shape == (len(front.designs), 3)
    assert front.designs["device"].shape == (len(front.designs), 24)
    prices = TwoDevices().price(front.designs)
    assert np.array_equal(front.values, np.stack([prices[o] for o in objectives], axis=1))
    assert (prices["mem0"] <= 1).all()
    dominated = (front.minimised[:, None] <= front.minimised[None]).all(2) & (
        front.minimised[:, None] < front.minimised[None]
    ).any(2)
    assert not dominated.any()
    text = front.best("knee").plan.explain()
    assert "latency" in text and "device" in text
    assert front.best("latency").values["latency"] == front.values[:, 0].min()
    again = ts.search(
        TwoDevices(), objectives=objectives, constraints=["mem0<=1"], optimizer="pgsam", evaluations=2000, seed=0
    )
    assert again.ids == front.ids and np.array_equal(again.values, front.values)


def test_every_public_name_loads() -> None:
    for name in ts.__all__:
        assert getattr(ts, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        ts.serch  # noqa: B018


def test_importing_does_not_load_the_heavy_libraries() -> None:
    heavy = ["numpy", "sqlalchemy", "numba", "hydra", "optuna", "pymoo", "plotly", "rich", "typer", "yaml"]
    code = f"import sys, tradespace; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert out == "[]"
