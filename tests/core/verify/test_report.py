"""`tradespace verify`: what it reports adds up, what it refuses it explains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tradespace.cli.main import main
from tradespace.errors import ProblemError, TradespaceError
from tradespace.plugins import registry
from tradespace.settings import Setting, bind
from tradespace.verify import local as local_module
from tradespace.verify.evaluator import read_protocol
from tradespace.verify.local import local_plan
from tradespace.verify.measure import Protocol
from tradespace.verify.report import DISTURBED, PassReport, verify, verify_front

FAST = Protocol(seconds=0.01)


def bound(small: Any, target: Any, **options: Any) -> Any:
    return bind(
        Setting(small, target, "tables", {"precisions": ["int8", "int4", "int2"]} | options), registry()
    ).evaluator


def plan_of(local: Path, small: Any, design: Any = None, **options: Any) -> Any:
    evaluator = bound(small, str(local), **options)
    return local_plan(evaluator, evaluator.space.parse(design or {}), registry())


def test_a_report_adds_up(local: Path, small: Any) -> None:
    plan = plan_of(local, small, {"precision": ["int8"] + ["int4"] * 4 + ["int2"]})
    found = verify(plan, registry(), FAST)
    document = found.to_json()
    assert [p["name"] for p in document["passes"]] == ["prefill", "decode"]
    for one in found.passes:
        assert sum(line.measured for line in one.lines) == pytest.approx(one.measured)
        assert sum(line.predicted for line in one.lines) == pytest.approx(one.predicted)
        assert one.measured > 0 and one.step > 0
    decode = [line for line in document["operators"] if line["pass"] == "decode"]
    assert {line["name"] for line in decode} >= {"matmul int4", "matmul int2", "attention", "norm", "elementwise"}
    assert {line["kernel"] for line in decode} >= {"gemv-q4_0", "tmac", "attention", "rms-norm"}
    assert document["error"] == pytest.approx(document["predicted"] / document["measured"] - 1)
    assert document["memory"]["distinct"] == document["memory"]["wanted"]


def test_predictions_are_those_of_the_tables(local: Path, small: Any) -> None:
    """A decode step's operators, added up, are what the evaluator says of a job of one step."""
    plan = plan_of(local, {**small, "phase": "decode", "context": 100})
    (run,) = plan.passes()
    assert float(run.times @ plan.times(run, registry())) == pytest.approx(plan.predicted, rel=1e-9)


def test_slower_numbers_predict_more(local: Path, small: Any) -> None:
    rates = dict.fromkeys(("int8", "int4", "int2"), "1 GB/s")
    slow = {"extends": str(local), "devices.cpu.stream_one": rates, "devices.cpu.short_one": rates}
    totals = []
    for target in (str(local), slow):
        evaluator = bound(small, target)
        plan = local_plan(evaluator, evaluator.space.homogeneous().take(slice(0, 1)), registry())
        totals.append(float(plan.times(plan.passes()[-1], registry()).sum()))
    assert totals[1] > 3 * totals[0]


def test_threads_of_open_numbers_are_the_plans(local: Path, small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_module, "usable_cpus", lambda: (0, 1))
    target = {"extends": str(local), "devices.cpu.threads": {"choices": [1, 2]}}
    evaluator = bind(Setting(small, target, "tables", {"precisions": ["int8"]}), registry()).evaluator
    designs = evaluator.space.homogeneous()
    threads = {designs.show(i)["devices.cpu.threads"]: local_plan(evaluator, designs.take([i]), registry()).threads
               for i in range(len(designs))}  # fmt: skip
    assert {str(k): v for k, v in threads.items()} == {"1": 1, "2": 2}
    monkeypatch.setattr(local_module, "usable_cpus", lambda: (0,))
    with pytest.raises(ProblemError, match="2 threads, 1 processors"):
        for i in range(len(designs)):
            local_plan(evaluator, designs.take([i]), registry())


def test_a_target_of_another_machine_is_refused(local: Path, small: Any) -> None:
    with pytest.raises(ProblemError, match="this machine is not device 'cpu' of target 'laptop'"):
        evaluator = bind(Setting(small, "laptop", "tables", {}), registry()).evaluator
        local_plan(evaluator, evaluator.space.homogeneous().take(slice(0, 1)), registry())
    body = yaml.safe_load(local.read_text())
    body["local"]["title"] = "Other 9000, 1 usable cores, measured 2026-01-01 00:00 UTC"
    local.write_text(yaml.safe_dump(body))
    with pytest.raises(ProblemError, match="got Other 9000, this is"):
        plan_of(local, small)


def test_disturbed_passes_are_told() -> None:
    calm = PassReport("decode", 1, 10, 1.0, 1.0, 1.01, 0.1, 5, ())
    assert not calm.disturbed
    assert PassReport("decode", 1, 10, 1.0, 1.0, DISTURBED + 0.1, 0.1, 5, ()).disturbed


def test_protocols_are_read_strictly() -> None:
    found = read_protocol({"seconds": "20 ms", "seed": 3, "memory": "1 GB", "clock": "processor"})
    assert found == Protocol(0.02, 3, 10**9, "processor")
    for bad in ({"clock": "sun"}, {"seconds": "1 J"}, {"seed": -1}, {"sed": 1}, {"memory": "1 W"}):
        with pytest.raises(TradespaceError):
            read_protocol(bad)


def test_a_front_is_ranked(local: Path, small: Any) -> None:
    plans = [verify(plan_of(local, small, {"precision": form}), registry(), FAST) for form in ("int8", "int4")]
    found = verify_front("s", plans)
    assert found.tau in (-1.0, 1.0) and len(found.to_json()["plans"]) == 2
    assert verify_front("s", plans[:1]).tau is None


def test_the_command(local: Path, small: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump({
        "format": "tradespace plan 1", "workload": dict(small), "target": str(local), "evaluator": "tables",
        "options": {"precisions": ["int4"]}, "design": {"placement": "cpu", "precision": "int4"},
    }))  # fmt: skip
    assert main(["verify", str(plan), "--seconds", "10 ms"]) == 0
    shown = capsys.readouterr().out
    assert "decode step at 40 positions" in shown and "matmul int4" in shown and "whole job" in shown
    assert main(["verify", str(plan), "--seconds", "10 ms", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"predicted", "measured", "error", "operators"} <= document.keys()
    for words, message in (
        ([], "verify takes a plan"),
        ([str(plan), "--memory", "1 kB"], "needs memory"),
        (["--front", "s", "--storage", str(tmp_path / "none.db")], "none.db"),
    ):
        assert main(["verify", *words]) == 2
        assert message in capsys.readouterr().err
    assert np.isfinite(document["error"])
