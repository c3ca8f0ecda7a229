"""Searching Holmes' hybrid environment finds a layout at least as good as the published one."""

from __future__ import annotations

from typing import Any

from tradespace import search
from tradespace.plugins import registry
from tradespace.settings import Setting, bind


def test_the_front_contains_or_beats_the_published_layout() -> None:
    """16 layers on InfiniBand, 14 on RoCE, one stage each."""
    setting = Setting("gpt-3.6b-train", "a100-ib-roce", None, {"micro_batches": [4], "chunks": [1]})
    evaluator: Any = bind(setting, registry()).evaluator
    front = search(evaluator, ["rate", "crossing"], evaluations=1500)
    published = evaluator.price(evaluator.space.parse({"stages": [1, 1], "layers": [16, 14], "micro_batch": 4}))
    rate, crossing = float(published["rate"][0]), float(published["crossing"][0])
    assert any(value[0] >= rate and value[1] <= crossing for value in front.values)
