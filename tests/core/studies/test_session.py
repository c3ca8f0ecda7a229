"""The glue from a request to files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tradespace.errors import TradespaceError
from tradespace.plans import read_plan
from tradespace.plugins import Registry, registry
from tradespace.settings import Setting, bind
from tradespace.studies.log import Store
from tradespace.studies.session import SearchRequest, default_name, default_objectives, prepare, search
from tradespace.studies.spec import StudySpec

SPEC = StudySpec(Setting("toy-decoder", "laptop"), (), optimizer="random", evaluations=150, seed=2)


@pytest.fixture(scope="module")
def names() -> Registry:
    return registry()


@pytest.mark.parametrize(
    ("workload", "target", "name"),
    [
        ("llama-3.2-1b", "laptop", "llama-3.2-1b-laptop-auto-s0"),
        ("models/My Model/config.json", "laptop", "My-Model-laptop-auto-s0"),
        ("x/llama.Q4_K_M.gguf", "my/box.yaml", "llama.Q4_K_M-box-auto-s0"),
        ({"extends": "gpt2", "prompt": 4}, {"extends": "phone", "a.b": 1}, "gpt2-phone-auto-s0"),
        ({"type": "decoder"}, "laptop", "inline-laptop-auto-s0"),
        ("x/" + "m" * 300 + ".gguf", "laptop", "m" * 90),
        ("…/…", "✗", "auto-s0"),
    ],
)
def test_a_study_is_named_after_what_was_asked(workload: object, target: object, name: str) -> None:
    assert default_name(StudySpec(Setting(workload, target), ())) == name


def test_objectives_come_from_the_evaluator_unless_the_user_names_them(names: Registry) -> None:
    class Three:
        metrics = bind(Setting("toy-decoder", "laptop"), names).evaluator.metrics

    assert default_objectives(Three()) == tuple(m.name for m in Three.metrics[:3])  # type: ignore[arg-type]
    Three.default_objectives = ("loss",)  # type: ignore[attr-defined]
    assert default_objectives(Three()) == ("loss",)  # type: ignore[arg-type]
    prepared = prepare(SearchRequest(replace(SPEC, objectives=("energy",))), names)
    assert prepared.spec.objectives == ("energy",) and prepared.problem.names == ("energy",)


def test_the_log_holds_what_the_files_show(names: Registry, tmp_path: Path) -> None:
    summary = search(SearchRequest(SPEC, out=tmp_path), names)
    assert summary.study == "toy-decoder-laptop-random-s2"
    plan = read_plan(tmp_path / summary.study / "plan.yaml")
    assert (plan.workload, plan.target, plan.evaluator) == ("toy-decoder", "laptop", "qeil")
    assert plan.id in {row.id for row in summary.rows}
    with Store.open(tmp_path / "tradespace.db", create=False) as store:
        record = store.load(summary.study)
    assert (record.status, record.evaluations) == ("complete", 150)
    assert set(record.front.ids) == {row.id for row in summary.rows}
    assert record.spec.objectives == tuple(m.name for m in summary.objectives)


def test_the_plan_prices_again_to_what_the_front_says(names: Registry, tmp_path: Path) -> None:
    from tradespace.baseline import bind_plan

    summary = search(SearchRequest(SPEC, out=tmp_path), names)
    assert summary.files.plan is not None
    plan, bound, designs = bind_plan(summary.files.plan, names)
    row = next(row for row in summary.rows if row.id == plan.id)
    assert float(bound.evaluator.price(designs)["energy"][0]) == row.values["energy"]


@pytest.mark.parametrize(
    "change",
    [
        {"objectives": ("enrgy",)},
        {"constraints": ("latency",)},
        {"optimizer": "pgsm"},
        {"optimizer": "pgsam", "optimizer_options": {"momntum": 1}},
        {"setting": None},
        {"setting": Setting("toy-decoder", "laptp")},
        {"setting": Setting("toy-decoder", "laptop", options={"sampels": 1})},
    ],
)
def test_a_request_that_cannot_be_met_leaves_nothing_behind(
    names: Registry, tmp_path: Path, change: dict[str, object]
) -> None:
    with pytest.raises(TradespaceError):
        search(SearchRequest(replace(SPEC, **change), out=tmp_path / "out"), names)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
