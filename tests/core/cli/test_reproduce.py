"""`tradespace reproduce` as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tradespace.cli.main import main

Call = Callable[..., tuple[int, str, str]]
ROWS = """
system: mine
source: our own measurements
question: What does a small model cost on a phone?
ours: [everything]
rows:
- {id: G1, metric: layers, setting: {workload: toy-decoder, target: phone}, value: LAYERS, band: {equals: true}}
- {id: G2, metric: energy, as: saving, value: 3, band: {at_least: 2}, note: Nothing saves more than all.,
   setting: {workload: toy-decoder, target: phone, design: {search: {best: energy, evaluations: 300}}},
   over: {design: {}}}
- {id: G3, metric: enrgy, setting: {workload: toy-decoder, target: phone}, value: 1 J, band: {equals: true}}
- {id: G4, value: 12 W, role: context, reason: "nobody can measure it, here"}
- {id: G5, metric: loss, role: context, reason: beside, sweep: {design.precision: [fp16, int4]},
   setting: {workload: toy-decoder, target: phone}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["reproduce", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def _write(path: Path, layers: int = 4, rows: str = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(rows.replace("LAYERS", str(layers)))
    return path


def test_rows_of_ones_own_as_text_and_as_one_document(call: Call, folder: Path) -> None:
    path = _write(folder / "rows.yaml")
    code, out, _ = call("--rows", str(path), "--json")
    assert code == 1
    (system,) = json.loads(out)["systems"]
    assert (system["system"], system["inside"], system["checkable"]) == ("mine", 1, 3)
    keys = {"id", "role", "published", "ours", "ratio", "band", "verdict", "reason"}
    assert all(set(row) >= keys for row in system["rows"])
    rows = {row["id"]: row for row in system["rows"]}
    assert [rows[f"G{i}"]["verdict"] for i in (1, 2, 3, 4)] == ["inside", "outside", "error", "not reproducible"]
    assert rows["G1"]["ours"] == rows["G1"]["published"] == 4 and rows["G1"]["ratio"] == 1
    assert (
        rows["G1"]["band"] == {"equals": True} and rows["G2"]["band"] == {"at_least": 2} and rows["G4"]["band"] is None
    )
    assert "Did you mean 'energy'?" in rows["G3"]["reason"]
    assert rows["G5[1]"]["ours"] < rows["G5[2]"]["ours"] and rows["G5[1]"]["published"] is None
    code, out, _ = call("--rows", str(path))
    assert code == 1 and "mine: 1 of 3 checkable rows inside their bands" in out
    assert "G4 not reproducible: nobody can measure it, here" in out and "G5 beside: beside" in out


def test_a_decision_of_many_layers_leaves_room_for_the_table(call: Call, folder: Path) -> None:
    setting = "{workload: toy-decoder, target: phone, options: {per: operator}, design: {placement: cpu}}"
    rows = f"rows:\n- {{id: P1, report: design.placement, setting: {setting}, value: cpu, band: {{equals: true}}}}\n"
    path = _write(folder / "rows.yaml", rows=rows)
    (line,) = (line for line in call("--rows", str(path))[1].splitlines() if line.startswith("P1 "))
    assert "× cpu" in line and "design.placement" in line and line.rstrip().endswith("outside")
    (row,) = json.loads(call("--rows", str(path), "--json")[1])["systems"][0]["rows"]
    assert len(row["ours"]) > 30 and set(row["ours"]) == {"cpu"}


def test_all_inside_exits_0(call: Call, folder: Path) -> None:
    path = _write(folder / "rows.yaml", rows="".join(ROWS.splitlines(keepends=True)[:7]))
    assert call("--rows", str(path))[0] == 0
    assert call("--rows", str(_write(path, layers=5, rows="".join(ROWS.splitlines(keepends=True)[:7]))))[0] == 1


def test_a_system_is_a_folder_and_its_readme_is_written_from_its_rows(call: Call, folder: Path) -> None:
    _write(folder / "studies" / "mine" / "published.yaml")
    assert call("mine", "--write")[0] == 1
    text = (folder / "studies" / "mine" / "README.md").read_text()
    assert "**mine: 1 of 3 checkable rows inside their bands.**" in text
    assert "- **G2**: published 3, ours" in text and "Nothing saves more than all." in text
    assert "- **G4 (12 W)**: nobody can measure it, here" in text and "- everything" in text
    assert call("mine", "--write")[0] == 1
    assert (folder / "studies" / "mine" / "README.md").read_text() == text  # the same rows give the same page


def test_keys_show_the_grammar_and_the_names_of_the_settings(call: Call, folder: Path) -> None:
    code, out, _ = call("--keys")
    assert code == 0 and "spearman_at_least" in out and "relative_to_first" in out
    code, out, _ = call("--keys", "--json", "--rows", str(_write(folder / "rows.yaml")))
    document = json.loads(out)
    assert code == 0 and set(document["row"]) >= {"each", "seeds", "over", "reading"}
    assert "energy (J)" in document["names"][0]["metrics"] and "int4" in document["names"][0]["design"]["precision"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name a system, --all or --rows FILE"),
        (("qeil-v3",), "unknown system 'qeil-v3'. Did you mean 'qeil-v2'?"),
        (("--rows", "missing.yaml"), "missing.yaml"),
        (("--rows", "bad.yaml"), "unknown key 'roes'. Did you mean 'rows'?"),
    ],
)
def test_what_cannot_be_used_is_refused(call: Call, folder: Path, words: tuple[str, ...], message: str) -> None:
    (folder / "bad.yaml").write_text("roes: []\n")
    code, out, err = call(*words)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1
