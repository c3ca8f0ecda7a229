"""Open numbers: decisions written into a workload, a target or the options."""

from __future__ import annotations

import numpy as np
import pytest

import tradespace as ts
from tradespace.errors import InputError, TradespaceError
from tradespace.plugins import registry
from tradespace.settings import Setting, bind

WORKLOAD = {"extends": "llama-3.2-1b", "phase": "decode"}
PEAK = "devices.cpu.launch_overhead"


def opened(target: object = None, workload: object = None, **options: object) -> ts.Bound:  # type: ignore[name-defined]
    return bind(Setting(workload or WORKLOAD, target or "laptop", "tables", options), registry())


def test_each_choice_prices_as_the_setting_with_that_number_does() -> None:
    choices = ["1 us", "1 ms"]
    bound = opened({"extends": "laptop", PEAK: {"choices": choices}})
    space = bound.evaluator.space
    assert space.variables[0].name == PEAK
    for text in choices:
        design = space.parse({PEAK: text, "placement": "cpu"})
        plain = opened({"extends": "laptop", PEAK: text}).evaluator
        own = plain.price(plain.space.parse({"placement": "cpu"}))
        got = bound.evaluator.price(bound.evaluator.repair(design))
        assert got["latency"][0] == own["latency"][0]
    both = space.concat([space.parse({PEAK: t, "placement": "cpu"}) for t in choices])
    slow = bound.evaluator.price(both)["latency"]
    assert slow[1] > slow[0] + 1e-3  # one launch of 1 ms at least


@pytest.mark.parametrize("dotted", [False, True])
def test_named_alternatives_set_several_fields(dotted: bool) -> None:
    small = {"bandwidth": "50 GB/s", "capacity": "16 GB"}
    large = {"bandwidth": "100 GB/s"}  # the rest stays as the target has it
    named = {"small": small, "large": large}
    dram = {"memories.dram.choices": named} if dotted else {"memories.dram": {"choices": named}}
    bound = opened({"extends": "laptop", **dram})
    space = bound.evaluator.space
    designs = space.concat([space.parse({"memories.dram": n, "placement": "cpu"}) for n in ("small", "large")])
    latency = bound.evaluator.price(designs)["latency"]
    assert latency[1] < latency[0]


def test_workload_and_options_open_too_and_a_search_decides_them() -> None:
    bound = opened(
        workload={**WORKLOAD, "context": {"choices": [64, 4096]}}, kv_precision={"choices": ["fp16", "int8"]}
    )
    assert [v.name for v in bound.evaluator.space.variables[:2]] == ["context", "kv_precision"]
    front = ts.search(bound.evaluator, ["latency"], evaluations=300, seed=1)
    best = front.best("latency")
    assert best.design["context"] in (64, "64")
    assert best.plan.design["context"] in (64, "64")


def test_prices_do_not_depend_on_the_batch() -> None:
    bound = opened({"extends": "laptop", PEAK: {"choices": ["1 us", "10 us", "1 ms"]}})
    designs = bound.evaluator.repair(bound.evaluator.space.sample(50, np.random.default_rng(0)))
    whole = bound.evaluator.price(designs)
    for i in range(50):
        one = bound.evaluator.price(designs.take(slice(i, i + 1)))
        assert one["latency"][0] == whole["latency"][i]
        assert list(one.violations) == list(whole.violations)


def test_a_choice_that_makes_no_sense_is_a_violation_and_the_others_are_priced() -> None:
    bound = opened({"extends": "laptop", PEAK: {"choices": ["1 us", "3 GB"]}})
    space = bound.evaluator.space
    prices = bound.evaluator.price(space.concat([space.parse({PEAK: t}) for t in ("1 us", "3 GB")]))
    assert prices.violations["open"].tolist() == [-1.0, 1.0]
    assert np.isfinite(prices["latency"]).all()


@pytest.mark.parametrize(
    ("choices", "word"),
    [([], "1 to"), (3, "list"), ({"a": 1}, "mapping of fields"), (list(range(300)), "1 to 256")],
)
def test_choices_out_of_form_are_refused(choices: object, word: str) -> None:
    with pytest.raises(InputError, match=word):
        opened({"extends": "laptop", PEAK: {"choices": choices}})


def test_an_open_number_may_not_change_the_other_decisions() -> None:
    with pytest.raises(TradespaceError, match="other decisions"):
        bound = opened(workload={**WORKLOAD, "layers": {"choices": [2, 4]}})
        bound.evaluator.price(bound.evaluator.space.sample(8, np.random.default_rng(0)))
