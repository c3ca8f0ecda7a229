"""Plans: round trip through YAML, refusal of hostile files, explanation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tradespace.errors import InputError
from tradespace.plans import Plan, PlanRow, read_plan


def plan() -> Plan:
    rows = tuple(PlanRow(str(i), {"placement": "dgpu" if i < 3 else "npu"}, {"time": 1e-3}) for i in range(5))
    return Plan(
        id="00ff00ff00ff00ff",
        design={"placement": ["dgpu"] * 3 + ["npu"] * 2, "k": 4},
        values={"latency": 0.0412, "energy": 1.5},
        units={"latency": "s", "energy": "J"},
        violations={"memory.dgpu": 0.25},
        workload={"extends": "llama-3.2-1b", "prompt": 256},
        target="laptop",
        evaluator="qeil",
        options={"samples": 4},
        rows=rows,
        substitutes=("devices.npu.peak: a guess",),
    )


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(plan().to_yaml())
    read = read_plan(path)
    assert (read.design, read.workload, read.target) == (plan().design, plan().workload, "laptop")
    assert (read.evaluator, read.options, read.id) == ("qeil", {"samples": 4}, plan().id)


def test_explanation_joins_equal_neighbours_and_names_what_is_broken() -> None:
    text = plan().explain()
    assert "0..2" in text and "3..4" in text and "placement npu" in text
    assert "41.2 ms" in text and "memory.dgpu exceeded by 25.0%" in text and "1 substitute" in text
    assert not plan().feasible
    bare = replace(plan(), rows=()).explain()  # an evaluator that explains nothing
    assert "placement: 3× dgpu, 2× npu" in bare and "k: 4" in bare


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "must hold one mapping"),
        ("format: tradespace plan 9", "starts with 'format"),
        ("format: tradespace plan 1\ndesign: {a: 1}\nworkload: x", "needs 'target'"),
        (
            "format: tradespace plan 1\ndesign: {a: 1}\nworkload: x\ntarget: y\nrun: rm",
            "unknown key of a plan; got run",
        ),
        ("format: tradespace plan 1\ndesign: {a: '${oc.env:HOME}'}\nworkload: x\ntarget: y", "plain values"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("a: &a [x]\nb: {", "not valid YAML"),
        ("a: &a [x, x]\nb: [*a, *a]", "aliases"),
        ("format: tradespace plan 1\ndesign: 7\nworkload: x\ntarget: y", "are mappings"),
    ],
)
def test_strangers_files_are_refused_with_a_reason(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_plan(path)


def test_missing_and_oversized_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a file is needed"):
        read_plan(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(InputError, match="at most"):
        read_plan(tmp_path / "big.yaml")
