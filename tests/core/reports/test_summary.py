from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tradespace.reports.summary import Certificate, Files, reference_text, summarise

KEYS = (
    *("study", "workload", "target", "optimizer", "seed", "evaluations", "seconds", "objectives", "hypervolume"),
    *("gap", "certificate", "front", "substitutes", "files"),
)


def test_the_json_document_has_exactly_the_promised_keys(front: Any, bound: Any) -> None:
    document = summarise(front, bound, study="s", files=Files("a.db", "r.html", "p.yaml")).to_json()
    assert list(document) == [*KEYS, "stopped"]
    assert document["files"] == {"database": "a.db", "report": "r.html", "plan": "p.yaml"}
    assert [set(plan) for plan in document["front"]] == [{"id", "values", "design", "violations"}] * len(front)
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_numbers_are_those_of_the_front(front: Any, bound: Any) -> None:
    document = summarise(front, bound).to_json()
    assert document["objectives"] == ["energy", "latency", "loss"]
    assert [plan["id"] for plan in document["front"]] == list(front.ids)
    values = np.array([[plan["values"][o] for o in document["objectives"]] for plan in document["front"]])
    np.testing.assert_array_equal(values, front.values)
    assert document["hypervolume"] == front.hypervolume
    for plan in document["front"]:  # a design in the document prices to the values beside it
        again = front.problem.price(front.problem.space.parse(plan["design"]))
        assert float(again["energy"][0]) == plan["values"]["energy"]


def test_a_maximised_objective_keeps_its_natural_sign(make_front: Any, chain: Any, bound: Any) -> None:
    found = make_front(chain, ["energy", "coverage"])
    summary = summarise(found, bound)
    assert [m.direction for m in summary.objectives] == ["min", "max"]
    assert max(r.values["coverage"] for r in summary.rows) == pytest.approx(1 - 0.5**4)


def test_substitutes_of_target_and_evaluator_once_each(front: Any, bound: Any) -> None:
    summary = summarise(front, bound)
    assert [s.path for s in summary.substitutes] == [
        "devices.npu.dynamic_power",
        "devices.dgpu.dynamic_power",
        "model.handover",
    ]
    assert {s.path for s in summary.sources} > {s.path for s in summary.substitutes}


def test_why_there_is_no_bound(front: Any, bound: Any) -> None:
    assert summarise(front, bound).certificate.method == "the evaluator declares no structure"
    document = summarise(front, bound).to_json()
    assert document["gap"] is None and document["certificate"]["epsilon"] is None
    assert document["certificate"]["method"] == "the evaluator declares no structure"
    known = replace(summarise(front, bound), certificate=Certificate(0.01, "label bound", 0.0, 0.9)).to_json()
    assert (known["gap"], known["certificate"]["epsilon"], known["certificate"]["method"]) == (0.01, 0.0, "label bound")


def test_an_infeasible_search_carries_its_diagnosis(make_front: Any, chain: Any, bound: Any) -> None:
    summary = summarise(make_front(chain, constraints=["latency<=1 us"]), bound)
    document = summary.to_json()
    assert document["front"] == []
    assert "latency<=1 us" in document["diagnosis"]
    assert document["nearest"][0]["violations"]["latency<=1 us"] == pytest.approx(624.0)


def test_a_search_without_a_setting(front: Any) -> None:
    summary = summarise(front)
    assert (summary.workload, summary.target, summary.devices) == ("", "", ())
    assert [s.path for s in summary.substitutes] == ["model.handover"]


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("laptop", "laptop"),
        ({"extends": "laptop"}, "laptop"),
        ({"extends": "llama", "phase": "decode"}, "llama with phase=decode"),
        ({"extends": "laptop", **{f"k{i}": i for i in range(9)}}, "laptop with 9 changes"),
    ],
)
def test_references_in_few_words(reference: Any, text: str) -> None:
    assert reference_text(reference) == text


@pytest.mark.parametrize(("noun", "count"), [("blocks", 10), ("tasks", 10), ("entries", 9)])
def test_what_the_decisions_are_about(front: Any, bound: Any, noun: str, count: int) -> None:
    class Workload:
        blocks = ()

    setattr(Workload, noun, tuple(range(count)))
    assert summarise(front, replace(bound, workload=Workload())).entries == noun


def test_what_the_optimizer_says_is_shown(front: Any, bound: Any) -> None:
    said = summarise(replace(front, note="auto: pgsam, because"), bound)
    assert said.to_json()["note"] == "auto: pgsam, because"
