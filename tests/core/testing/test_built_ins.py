"""Built-ins pass the kits that strangers have to pass."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tradespace.plugins import GROUPS, PluginStatus, registry
from tradespace.testing.run import check_catalogue, check_name, kind_of

KITS = {"evaluators": "evaluator kit", "optimizers": "optimizer kit", "device_models": "device model kit"}


@pytest.mark.parametrize("plugin", registry().plugins, ids=lambda plugin: plugin.name)
def test_the_catalogue_of_a_built_in_plugin_passes(plugin: PluginStatus) -> None:
    assert plugin.error is None and plugin.names
    for report in check_catalogue(plugin.name, registry()):
        assert report.passed, str(report)


@pytest.mark.parametrize(("group", "name"), [(g, n) for g in GROUPS for n in registry().names(g)])
def test_every_built_in_name_passes_the_kit_of_its_group(group: str, name: str) -> None:
    reports = list(check_name(group, name, registry()))
    for report in reports:
        assert report.passed, str(report)
    assert reports[0].kit == "registration kit"
    assert KITS.get(group, "registration kit") in [report.kit for report in reports]


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
