"""Built-ins pass the kits that strangers have to pass."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tradespace.plugins import PluginStatus, registry
from tradespace.testing.run import check_name, check_plugin, kind_of

KITS = {"evaluators": "evaluator kit", "optimizers": "optimizer kit", "device_models": "device model kit"}


@pytest.mark.parametrize("plugin", registry().plugins, ids=lambda plugin: plugin.name)
def test_a_built_in_plugin_passes_every_kit(plugin: PluginStatus) -> None:
    if not plugin.names and plugin.error is None:
        pytest.skip(f"the room {plugin.name} is open but brings no names yet")
    for report in check_plugin(plugin, registry()):
        assert report.passed, str(report)


@pytest.mark.parametrize(("group", "name"), [(g, n) for g in KITS for n in registry().names(g)])
def test_a_name_gets_the_kit_of_its_group(group: str, name: str) -> None:
    reports = list(check_name(group, name, registry()))
    assert reports[0].kit == "registration kit"
    assert KITS[group] in [report.kit for report in reports[1:]]


PRICING = """
import sys, numpy as np, tradespace as ts
from tradespace.search.contract import digest_prices
from tradespace.testing.evaluators import EvaluatorSubject
evaluator = ts.bind(ts.Setting("toy-decoder", "laptop", evaluator=sys.argv[1]), ts.registry()).evaluator
subject = EvaluatorSubject(evaluator, 200)
print(digest_prices(subject.price(subject.designs)))
"""


@pytest.mark.parametrize("evaluator", ["qeil", "tables"])
def test_prices_are_the_same_in_another_process(evaluator: str) -> None:
    digests = [
        subprocess.run(
            [sys.executable, "-c", PRICING, evaluator],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert digests[0] == digests[1] and len(digests[0].strip()) == 32


@pytest.mark.parametrize(
    ("group", "kind"), [("optimizers", "optimizers"), ("evaluators", "factories"), ("device_models", "device_models")]
)
def test_objects_are_told_apart_by_their_members(group: str, kind: str) -> None:
    assert {kind_of(registry().load(group, name)) for name in registry().names(group)} == {kind}
