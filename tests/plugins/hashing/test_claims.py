"""Labelled tables: a leak is seen as one, a table without it teaches nothing, a missing file is said to be missing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace.data_files import MissingData
from tradespace.errors import TradespaceError
from tradespace.plugins import registry
from tradespace.settings import Bound, Setting, bind
from tradespace.studies.reproduction.document import Published, Row, read_published
from tradespace.studies.reproduction.run import reproduce
from tradespace.targets.loader import load_target
from tradespace.testing import check_evaluator, check_factory, check_workload
from tradespace.workloads import load_workload
from tradespace_hashing.claims import ClaimsFactory, judged


def bound(workload: Any = "share-windows", **options: Any) -> Bound:
    return bind(Setting(workload, "laptop", "claims", options), registry())


def price(workload: Any = "share-windows", learner: str = "threshold", **options: Any) -> dict[str, float]:
    evaluator = bound(workload, **options).evaluator
    return {k: float(v[0]) for k, v in evaluator.price(evaluator.space.parse({"learner": learner})).items()}


@pytest.mark.parametrize("learner", ["threshold", "mlp"])
def test_the_label_is_an_input(learner: str) -> None:
    found = price(learner=learner)
    assert found["accuracy"] == 1.0
    assert found["agreement"] == 1.0
    assert found["beats_nulls"] == 0.0  # one feature alone is as good: a leak


def test_a_constant_tells_the_base_rate() -> None:
    found = price(learner="constant")
    assert found["accuracy"] == found["base_rate"]
    assert found["skill"] == 0.0


@pytest.mark.parametrize("learner", ["threshold", "logistic", "mlp"])
def test_without_the_leak_nothing_is_left(learner: str) -> None:
    windows = {"extends": "share-windows", "windows": 3000, "lag": 1}
    found = price(windows, learner)
    assert found["skill"] <= 0.01
    assert found["auc_low"] < 0.5 < found["auc_high"]
    assert found["information_high"] < 0.01


def _file(folder: Path, signal: float, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1500, 2))
    y = signal * (x[:, 0] * 1.0 + x[:, 1]) + rng.standard_normal(1500)
    text = "a,b,found,note\n" + "".join(f"{p},{q},{r},x\n" for (p, q), r in zip(x, y, strict=True))
    (folder / "table.csv").write_text(text)
    monkeypatch.setenv("TRADESPACE_DATA", str(folder))
    return {
        "type": "labelled_table", "file": "table.csv", "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "features": ["a", "b"], "label": {"column": "found", "top": 0.1},
    }  # fmt: skip


def test_a_file_with_a_signal_beats_the_nulls_and_one_without_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = price(_file(tmp_path, 2.0, monkeypatch), "logistic")
    assert found["beats_nulls"] == 1.0
    assert found["raw_auc_low"] > 0.5
    assert found["positives"] == pytest.approx(0.1, abs=0.001)
    none = price(_file(tmp_path, 0.0, monkeypatch), "logistic")
    assert none["beats_nulls"] == 0.0
    assert none["raw_auc_low"] < 0.5 < none["raw_auc_high"]


def test_a_row_without_its_file_is_not_reproducible_and_not_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = json.dumps(_file(tmp_path, 1.0, monkeypatch))
    setting = f"{{workload: {workload}, target: laptop}}"
    row = f"{{id: A, metric: rows, setting: {setting}, value: 1500, band: {{equals: true}}}}"
    (tmp_path / "published.yaml").write_text(f"source: here\nrows:\n- {row}\n")
    rows = read_published(tmp_path / "published.yaml")
    assert reproduce(rows, registry()).results[0].verdict == "inside"
    (tmp_path / "table.csv").unlink()
    judged.cache_clear()
    found = reproduce(rows, registry()).results[0]
    assert found.verdict == "not reproducible"
    assert "TRADESPACE_DATA" in found.reason
    assert not found.checkable


ROWS = read_published(Path(__file__).parents[3] / "studies" / "speaking-to-silicon" / "published.yaml").rows
FILES = [row for row in ROWS if isinstance(row, Row) and "sha256" in str(row.setting)]


@pytest.mark.parametrize("row", FILES, ids=lambda row: row.id)
def test_the_published_files(row: Row) -> None:
    """Where the authors' files are in a folder of $TRADESPACE_DATA, all rows on them lie inside their bands."""
    (result,) = reproduce(Published("x", Path("x"), "", "", "", (), (row,)), registry()).results
    if result.verdict == "not reproducible":
        pytest.skip(result.reason)
    assert result.verdict == "inside", result


def test_another_file_of_that_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = _file(tmp_path, 1.0, monkeypatch)
    (tmp_path / "table.csv").write_text("a,b,found\n1,2,3\n")
    with pytest.raises(TradespaceError, match="is the published one"):
        price(table)


def test_a_missing_file_says_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {**_file(tmp_path, 1.0, monkeypatch), "origin": "example.org/data"}
    (tmp_path / "table.csv").unlink()
    with pytest.raises(MissingData, match=r"example\.org/data"):
        price(table)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": ["c"]}, "unknown column 'c'"),
        ({"features": ["note"]}, "numbers"),
        ({"features": "a"}, "list"),
        ({"label": {"column": "found"}}, "label"),
        ({"label": {"column": "found", "top": 2}}, "share"),
        ({"file": "../table.csv"}, "plain name"),
        ({"sha256": "abc"}, "digest"),
        ({"lag": 1490}, "20 rows"),
        ({"windows": 10}, "either"),
    ],
)
def test_tables_that_make_no_sense_are_refused(
    change: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TradespaceError, match=words):
        price({**_file(tmp_path, 1.0, monkeypatch), **change})


def test_conformance() -> None:
    pairs = [(load_workload("share-windows", registry()), load_target("laptop", registry()), {})]
    for report in (
        check_factory(ClaimsFactory(), pairs),
        check_workload(lambda: load_workload("share-windows", registry())),
        check_evaluator(bound().evaluator),
    ):
        assert report.passed, str(report)
