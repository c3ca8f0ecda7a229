"""The measured rung: over the same space, logged, never measured twice, and compared with the tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace.cli.main import main
from tradespace.errors import ProblemError, TradespaceError, UnknownName
from tradespace.kernels.build import KernelError
from tradespace.plugins import registry
from tradespace.search.promotion import kendall
from tradespace.settings import Setting, bind
from tradespace.studies.log import Store
from tradespace.studies.resume import resume
from tradespace.verify import evaluator, measure
from tradespace.verify.evaluator import MeasuredFactory
from tradespace.verify.promotion import ladder

WORDS = ("workload.hidden=256", "workload.head_dim=32", "workload.ffn=512", "objectives=[latency,loss]",
         "options.precisions=[int8,int4,int2]", "budget.evaluations=60", "promote=4")  # fmt: skip


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Plans that were run, by id; each takes 10 ms."""
    runs: list[str] = []
    real = measure.measure

    def quick(plan: Any, protocol: Any) -> Any:
        runs.append(plan.id)
        return real(plan, replace(protocol, seconds=0.01))

    monkeypatch.setattr(evaluator, "measure", quick)
    return runs


def searched(local: Path, folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    arguments = [
        "search",
        "toy-decoder",
        f"target={local}",
        *WORDS,
        f"out={folder}",
        "fidelity=[table,measured]",
        *words,
    ]
    assert main([*arguments, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_a_front_is_promoted(
    local: Path, tmp_path: Path, counted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = searched(local, tmp_path / "out", capsys, "name=s", "options.clock=processor")
    promotion = found["promotion"]
    assert promotion["study"] == "s-measured" and promotion["rungs"] == ["tables", "measured"]
    assert len(promotion["plans"]) == len(counted) == 4
    for plan in promotion["plans"]:
        assert plan["tables"]["loss"] == plan["measured"]["loss"]
        assert plan["tables"]["latency"] != plan["measured"]["latency"] > 0
        assert plan["id"] in {row["id"] for row in found["plans"]} if "plans" in found else True
    assert {"latency", "loss"} <= promotion["disagreement"].keys()
    assert any(plan["front"] for plan in promotion["plans"])


def test_nothing_is_measured_twice(
    local: Path, tmp_path: Path, counted: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promotion that is interrupted behind its second plan goes on with the third."""
    real = getattr(evaluator, "measure")  # noqa: B009 - as `counted` has set it

    def interrupted(plan: Any, protocol: Any) -> Any:
        if len(counted) == 2:
            raise KeyboardInterrupt
        return real(plan, protocol)

    monkeypatch.setattr(evaluator, "measure", interrupted)
    words = [
        "search",
        "toy-decoder",
        f"target={local}",
        *WORDS,
        f"out={tmp_path}",
        "fidelity=[table,measured]",
        "name=s",
    ]
    assert main([*words, "--json"]) == 130
    document = json.loads(capsys.readouterr().out)
    assert document["promotion"]["interrupted"] and len(document["promotion"]["plans"]) == 2
    monkeypatch.setattr(evaluator, "measure", real)
    with Store.open(str(tmp_path / "tradespace.db"), create=False) as store:
        front = resume(store, "s-measured", registry())
    assert len(counted) == len(set(counted)) == 4
    assert front.evaluations == 4 and not front.interrupted


def test_metrics_are_a_subset_of_the_tables(local: Path, small: Any) -> None:
    cheap: Any
    true: Any
    cheap, true = (bind(Setting(small, str(local), name, {}), registry()).evaluator for name in ("tables", "measured"))
    assert true.deterministic is False and true.space == cheap.space
    known = {m.name: m for m in cheap.metrics}
    for metric in true.metrics:
        assert metric.name == "spread" or (metric.unit, metric.direction) == (
            known[metric.name].unit,
            known[metric.name].direction,
        )
    assert "energy" not in {m.name for m in true.metrics}


def test_no_search_measures_unasked(local: Path, small: Any) -> None:
    assert bind(Setting(small, str(local)), registry()).evaluator_name != "measured"


def test_what_cannot_be_run_is_a_violation(local: Path, small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(plan: Any, protocol: Any) -> Any:
        raise KernelError("no")

    monkeypatch.setattr(evaluator, "measure", refused)
    true: Any = bind(Setting(small, str(local), "measured", {}), registry()).evaluator
    prices = true.price(true.space.homogeneous())
    assert (prices.violations["kernel"] > 0).all()
    assert np.isfinite(prices["latency"]).all()


def test_other_machines_and_models_are_declined(local: Path, small: Any) -> None:
    factory, known = MeasuredFactory(), registry()
    from tradespace.targets import load_target
    from tradespace.workloads import load_workload

    here = load_target(str(local), known)
    assert factory.accepts(load_workload(small, known), here) is True
    for workload, target, words in (
        (small, "laptop", "here: 1"), ("gemv-4096", str(local), "decoder"),
    ):  # fmt: skip
        answer = factory.accepts(load_workload(workload, known), load_target(target, known))
        assert answer is not True and words in answer.reason


def test_ladders_are_read_strictly() -> None:
    known = ("tables", "measured", "qeil")
    assert ladder(["table", "measured"], 3, known).rungs == ("tables", "measured")
    for names, most, kind in (
        (["table"], 3, ProblemError), (["table", "tables"], 3, ProblemError), (["table", "x"], 3, UnknownName),
        (["table", "qeil", "measured"], 3, ProblemError), (["table", "measured"], 0, ProblemError),
    ):  # fmt: skip
        with pytest.raises(TradespaceError) as error:
            ladder(names, most, known)
        assert error.type is kind


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["target=laptop"], "no device of the target has 'here: 1'"),
        (["fidelity=[table,mesured]"], "unknown rung 'mesured'"),
        (["objectives=[energy]"], "knows one of the objectives"),
        (["evaluator=qeil", "fidelity=[tables,measured]"], "'evaluator' is the first rung"),
    ],
)
def test_refused_before_the_search(
    local: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["search", "toy-decoder", f"target={local}", *WORDS, "fidelity=[table,measured]", f"out={tmp_path / 'out'}"]
    kept = [word for word in base if not any(word.split("=")[0] == other.split("=")[0] for other in words)]
    assert main([*kept, *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_kendall_counts_pairs() -> None:
    assert kendall(np.arange(5.0), np.arange(5.0) ** 2) == 1.0
    assert kendall(np.arange(5.0), -np.arange(5.0)) == -1.0
    assert kendall(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])) == pytest.approx(4 / 6)
    assert kendall(np.array([1.0, 1, 2]), np.array([1.0, 2, 3])) == pytest.approx(2 / np.sqrt(2 * 3))
    assert kendall(np.ones(3), np.arange(3.0)) is None
