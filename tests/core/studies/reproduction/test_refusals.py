"""A row that is mistyped or hostile says so: file, row, key, and what would be allowed; it never ends the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradespace.plugins import registry
from tradespace.studies.reproduction.document import read_published
from tradespace.studies.reproduction.run import reproduce

SETTING = "setting: {workload: smollm-135m, target: laptop}"
GOOD = f"id: A, metric: latency, unit: ms, value: 1, band: {{ratio: [0.5, 2]}}, {SETTING}"
IDENTITY = "id: A, role: identity, expr: '1 + 1', value: 2, band: {equals: true}"
TARGET = "target: laptop"
CASES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    # what is wrong: (row, part of it, put in its place, what the message must name)
    "key": (GOOD, "id: A", "id: A, rolle: fitted", ("rolle", "role")),
    "role": (GOOD, "id: A", "id: A, role: predictd", ("role", "predicted")),
    "id": (GOOD, "id: A, ", "", ("id", "starts with a letter")),
    "context": (GOOD, "band: {ratio: [0.5, 2]}", "role: context", ("reason",)),
    "no band": (GOOD, "band: {ratio: [0.5, 2]}, ", "", ("band",)),
    "band key": (GOOD, "ratio:", "ration:", ("band", "ration", "ratio")),
    "band text": (GOOD, "[0.5, 2]", "[0.5, two]", ("band.ratio", "two", "plain number")),
    "band order": (GOOD, "[0.5, 2]", "[2, 0.5]", ("band.ratio", "low to high")),
    "band nan": (GOOD, "[0.5, 2]", "[.nan, 2]", ("band.ratio", "finite")),
    "band infinite": (GOOD, "ratio: [0.5, 2]", "at_most: .inf", ("band.at_most", "finite")),
    "band negative": (GOOD, "ratio: [0.5, 2]", "plus_minus: -1", ("band.plus_minus", "0 or above")),
    "equals negative": (GOOD, "ratio: [0.5, 2]", "equals: -0.1", ("band.equals", "0 or above")),
    "unit unknown": (GOOD, "unit: ms", "unit: parsec", ("unit", "parsec", " s;")),
    "unit of another": (GOOD, "unit: ms", "unit: GB", ("unit", "GB", " s;")),
    "value text": (GOOD, "value: 1", "value: fast", ("value", "number", "fast")),
    "value nan": (GOOD, "value: 1", "value: .nan", ("value", "finite")),
    "value infinite": (GOOD, "value: 1", "value: .inf", ("value", "finite")),
    "value list": (GOOD, "value: 1", "value: [1]", ("value", "number")),
    "metric": (GOOD, "latency", "latencyy", ("metric", "latencyy", "latency")),
    "code": (GOOD, "latency", "__import__('os')", ("metric", "__import__")),
    "workload": (GOOD, "smollm-135m", "smollm", ("workload", "smollm-135m")),
    "workload key": (GOOD, "smollm-135m", "{extends: smollm-135m, bach: 2}", ("workload", "bach", "batch")),
    "workload zero": (GOOD, "smollm-135m", "{extends: smollm-135m, batch: 0}", ("batch", "1")),
    "target": (GOOD, TARGET, "target: laptp", ("target", "laptop")),
    "target key": (GOOD, TARGET, "target: {extends: laptop, devices.cpu.peek: 1}", ("devices.cpu.peek", "peak")),
    "target zero": (
        GOOD, TARGET, "target: {extends: laptop, memories.dram.bandwidth: 0 GB/s}",
        ("memories.dram.bandwidth", "above 0 B/s"),
    ),
    "setting key": (GOOD, TARGET, "targett: laptop", ("setting", "targett", "target")),
    "evaluator": (GOOD, TARGET, "target: laptop, evaluator: tabels", ("evaluator", "tables")),
    "option": (GOOD, TARGET, "target: laptop, options: {precision: [fp16]}", ("option", "precisions")),
    "option value": (GOOD, TARGET, "target: laptop, options: {precisions: [fp15]}", ("precisions", "fp16")),
    "variable": (GOOD, TARGET, "target: laptop, design: {placment: cpu}", ("design", "placement")),
    "choice": (GOOD, TARGET, "target: laptop, design: {placement: cpv}", ("placement", "cpv", "cpu")),
    "search key": (GOOD, TARGET, "target: laptop, design: {search: {bst: latency}}", ("search", "bst", "best")),
    "search metric": (GOOD, TARGET, "target: laptop, design: {search: {best: latencyy}}", ("metric", "latency")),
    "optimizer": (
        GOOD, TARGET, "target: laptop, design: {search: {best: latency, optimizer: pgsan}}", ("optimizer", "pgsam")
    ),
    "as": (GOOD, "id: A", "id: A, as: speedupp", ("as", "speedup")),
    "as alone": (GOOD, "id: A", "id: A, as: speedup", ("over", "as")),
    "reduce": (GOOD, "id: A", "id: A, each: [{workload: {batch: 2}}], reduce: avg", ("reduce", "geomean")),
    "evidence": (GOOD, "id: A", "id: A, evidence: guessed", ("evidence", "simulated")),
    "kind": (GOOD, "id: A", "id: A, kind: rumour", ("kind", "datasheet")),
    "seeds": (GOOD, "id: A", "id: A, seeds: 1000000000", ("seeds", "1 to 1000")),
    "sweep length": (GOOD, "value: 1", "values: [1, 2], sweep: {workload.batch: [1]}", ("sweep", "values")),
    "sweep key": (GOOD, "value: 1", "values: [1, 2], sweep: {wrkload.batch: [1, 2]}", ("sweep", "wrkload", "workload")),
    "expr by zero": (IDENTITY, "1 + 1", "1 / 0", ("expr", "finite")),
    "expr name": (IDENTITY, "1 + 1", "B + 1", ("row", "'B'")),
    "expr power": (IDENTITY, "1 + 1", "9**9**9", ("number", "9**9**9")),
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def write(file: Path, *rows: str) -> None:
    file.write_text("system: mine\nsource: a test\nkind: paper\nrows:\n" + "".join(f"  - {{{row}}}\n" for row in rows))


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named_and_the_next_row_is_priced(case: str, file: Path) -> None:
    row, part, instead, said = CASES[case]
    assert part in row
    write(file, row.replace(part, instead, 1), IDENTITY.replace("id: A", "id: next"))
    broken, fine = reproduce(read_published(file), registry()).results
    assert broken.verdict == "error" and fine.verdict == "identity"
    assert "mine.yaml" in broken.reason and (case == "id" or "A" in broken.reason)
    assert all(word in broken.reason for word in said), broken.reason
    assert "Traceback" not in broken.reason


@pytest.mark.parametrize("row", [GOOD, IDENTITY])
def test_the_rows_without_a_mistake_have_a_price(row: str, file: Path) -> None:
    write(file, row)
    (result,) = reproduce(read_published(file), registry()).results
    assert result.verdict in ("inside", "outside", "identity"), result.reason
