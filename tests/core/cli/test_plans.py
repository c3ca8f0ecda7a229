"""explain, price, diff and report on a real study of the catalogue."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tradespace.cli.main import main
from tradespace.plugins import registry
from tradespace.settings import Setting
from tradespace.studies.log import Store
from tradespace.studies.session import SearchRequest, search
from tradespace.studies.spec import StudySpec

WORKLOAD = {"extends": "llama-3.2-1b", "phase": "decode", "context": 128}
LIMIT = "memory.dgpu<=2 GB"


@pytest.fixture(scope="module")
def place(tmp_path_factory: Any) -> Iterator[Path]:
    folder = Path(tmp_path_factory.mktemp("studies"))
    spec = StudySpec(
        Setting(WORKLOAD, "laptop"), ("energy", "latency", "loss"), (LIMIT,), "random", evaluations=600, seed=5
    )
    search(SearchRequest(spec, name="s1", out=folder / "out"), registry())
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def inside(place: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(place)


def said(capsys: Any, *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


def document(capsys: Any, *words: str) -> Any:
    code, out, err = said(capsys, *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.fixture(scope="module")
def ids(place: Path) -> list[str]:
    with Store.open(place / "out" / "tradespace.db", create=False) as store:
        front = store.load("s1").front
    return [front.ids[i] for i in front.values[:, 0].argsort()]


def test_a_plan_of_a_study_by_the_beginning_of_its_id(capsys: Any, ids: list[str]) -> None:
    plan = document(capsys, "explain", f"s1:{ids[0][:12]}")
    assert plan["id"] == ids[0]
    assert plan["workload"] == WORKLOAD and plan["target"] == "laptop"
    assert len(plan["rows"]) == len(plan["design"]["placement"])
    assert plan["violations"][LIMIT] <= 0
    code, text, _ = said(capsys, "explain", f"s1:{ids[0]}")
    assert code == 0 and f"plan {ids[0][:8]}: llama-3.2-1b with phase=decode, context=128 on laptop" in text


def test_plans_by_what_they_are_best_in(capsys: Any, ids: list[str]) -> None:
    assert document(capsys, "explain", "s1:energy")["id"] == ids[0]
    assert document(capsys, "explain", "s1:knee")["id"] in ids


def test_a_written_plan_prices_to_the_same_values(capsys: Any, ids: list[str], tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    first = document(capsys, "explain", f"s1:{ids[-1]}", "--output", str(path))
    again = document(capsys, "explain", str(path))
    priced = document(capsys, "price", str(path), "--constraint", LIMIT)
    beside = document(capsys, "price", str(path), "--study", "s1")
    for other in (again, priced, beside):
        assert other["id"] == first["id"] and other["values"] == first["values"]
    assert beside["baseline"]["on_front"] and beside["baseline"]["dominated_by"] == 0
    assert priced["baseline"]["dominated_by"] is None
    assert document(capsys, "diff", str(path), f"s1:{ids[-1]}")["design"] == []


def test_a_poor_plan_beside_the_front(capsys: Any, tmp_path: Path) -> None:
    import yaml

    path = tmp_path / "mine.yaml"
    mine = {"workload": WORKLOAD, "target": "laptop", "design": {"placement": "cpu", "precision": "fp16"}}
    path.write_text(yaml.safe_dump({"format": "tradespace plan 1", **mine}))
    baseline = document(capsys, "price", str(path), "--study", "s1")["baseline"]
    change = baseline["single_change"]
    assert not baseline["on_front"]
    assert min(change["changes"].values()) < 0
    code, text, _ = said(capsys, "price", str(path), "--study", "s1")
    assert code == 0 and f"best single change: {change['text']}" in text


def test_two_plans_side_by_side(capsys: Any, ids: list[str]) -> None:
    a, b = f"s1:{ids[0]}", f"s1:{ids[1]}"
    found = document(capsys, "diff", a, b)
    left, right = document(capsys, "explain", a), document(capsys, "explain", b)
    values = found["values"]["energy"]
    assert (values["a"], values["b"]) == (left["values"]["energy"], right["values"]["energy"])
    assert values["change"] == pytest.approx(values["b"] / values["a"] - 1)
    design = {name: list(choices) for name, choices in left["design"].items()}
    names = [row["name"] for row in left["rows"]]
    for step in found["design"]:  # doing what the difference says turns a into b
        first, _, last = step["entries"].partition("..")
        for i in range(names.index(first), names.index(last or first) + 1):
            assert design[step["variable"]][i] == step["a"]
            design[step["variable"]][i] = step["b"]
    assert design == right["design"]
    assert document(capsys, "diff", b, b)["design"] == []


def test_a_report_is_rebuilt_as_the_search_wrote_it(capsys: Any, tmp_path: Path) -> None:
    path = tmp_path / "again.html"
    rebuilt = document(capsys, "report", "s1", "--output", str(path))
    assert rebuilt["files"]["report"] == str(path) and path.stat().st_size > 1_000_000
    assert rebuilt["evaluations"] == 600 and rebuilt["seed"] == 5 and rebuilt["optimizer"] == "random"
    with Store.open("out/tradespace.db", create=False) as store:
        record = store.load("s1")
    assert {p["id"] for p in rebuilt["front"]} == set(record.front.ids)
    assert rebuilt["hypervolume"] == pytest.approx(record.hypervolume)
    code, text, _ = said(capsys, "report", "s1")
    assert code == 0 and "out/s1/report.html" in text


def test_the_command_in_a_report_asks_for_the_same_search(capsys: Any) -> None:
    import shlex

    from tradespace.reports.recall import command_of

    with Store.open("out/tradespace.db", create=False) as store:
        words = shlex.split(command_of(store.load("s1").spec))
    again = document(capsys, *words[1:], "out=again")
    assert again["front"] == document(capsys, "report", "s1")["front"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["explain", "s1:zz"], "unknown plan 'zz'"),
        (["explain", "s1:"], "unknown plan ''"),
        (["explain", "nope:7f"], "unknown study 'nope'"),
        (["explain", "nothing.yaml"], "a plan is a file or STUDY:ID"),
        (["explain", "s1"], "a plan is a file or STUDY:ID"),
        (["explain", "s1:knee", "--storage", "no/such.db"], "no/such.db"),
        (["explain", "s1:knee", "--output", "out/tradespace.db/plan.yaml"], "results must be written"),
        (["report", "s2"], "unknown study 's2'"),
        (["price", "nothing.yaml", "--study", "s1"], "a file is needed"),
        (["diff", "s1:knee", "s1:kneee"], "Did you mean 'knee'?"),
    ],
)
def test_bad_references_get_one_paragraph(capsys: Any, words: list[str], message: str) -> None:
    code, out, err = said(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err and "Traceback" not in err and err.count("\n") == 1


BOMB = "[&a [x, x, x, x, x, x, x, x], " + ", ".join(
    f"&{new} [{', '.join([f'*{old}'] * 8)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("key", ["workload", "target", "options", "design"])
def test_a_small_file_that_unfolds_to_billions_of_values(capsys: Any, tmp_path: Path, key: str) -> None:
    inner = {"workload": "context", "target": "title", "options": "precisions", "design": "placement"}[key]
    parts = {"workload": "{extends: llama-3.2-1b", "target": "{extends: laptop", "options": "{", "design": "{"}
    text = "format: tradespace plan 1\n"
    for name, start in parts.items():
        more = f"{inner}: {BOMB}]" if name == key else "placement: cpu" if name == "design" else ""
        text += f"{name}: {start}{', ' if more and start != '{' else ''}{more}}}\n"
    (tmp_path / "bomb.yaml").write_text(text)
    for words in (["explain"], ["price"], ["price", "--study", "s1"]):
        code, out, err = said(capsys, words[0], str(tmp_path / "bomb.yaml"), *words[1:])
        assert (code, out) == (2, "") and "bomb.yaml" in err and "aliases" in err


def test_an_ambiguous_id_lists_what_it_fits(capsys: Any, ids: list[str]) -> None:
    first = max("0123456789abcdef", key=lambda digit: sum(i.startswith(digit) for i in ids))
    fitting = [i for i in ids if i.startswith(first)]
    assert len(fitting) > 1
    code, _, err = said(capsys, "explain", f"s1:{first}")
    assert code == 2 and f"It fits {len(fitting)}" in err
    shown = re.findall(r"\b[0-9a-f]{2,16}\b", err.partition(f"It fits {len(fitting)}:")[2])
    assert len(shown) == min(len(fitting), 8)
    assert all(sum(i.startswith(part) for i in fitting) == 1 for part in shown)
