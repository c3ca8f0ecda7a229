"""What a file of rows may not say, and how it is told so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tradespace.errors import TradespaceError
from tradespace.studies.reproduction.document import BrokenRow, parse_row, read_published

ROW: dict[str, Any] = {
    "id": "R1", "metric": "latency", "setting": {"workload": "w", "target": "t"}, "value": 1, "band": {"at_most": 2},
}  # fmt: skip


def test_a_row_that_is_complete_is_read() -> None:
    row = parse_row(
        {**ROW, "value": {"value": "51 ms", "source": "table 3", "kind": "measured"}}, {"source": "file"}, "x"
    )
    assert (row.published, row.source, row.kind, row.scale.unit) == ((0.051,), "table 3", "measured", "ms")


def test_source_and_kind_hold_for_everything_below() -> None:
    row = parse_row(ROW, {"source": "arXiv", "kind": "derived"}, "x")
    assert (row.source, row.kind) == ("arXiv", "derived")
    row = parse_row({**ROW, "source": "table 1"}, {"source": "arXiv"}, "x")
    assert (row.source, row.kind) == ("table 1", "paper")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrik": "x"}, "unknown key 'metrik'. Did you mean 'metric'?"),
        ({"id": "4 a"}, "starts with a letter"),
        ({"role": "fited", "reason": "x"}, "unknown role 'fited'. Did you mean 'fitted'?"),
        ({"role": "fitted"}, "says why in 'reason'"),
        ({"evidence": "simulation"}, "Did you mean 'simulated'?"),
        ({"kind": "datashet"}, "Did you mean 'datasheet'?"),
        ({"setting": {"workload": "w", "taget": "t"}}, "x.setting: unknown key 'taget'"),
        ({"setting": {"workload": "w"}}, "setting or sweep name workload and target"),
        ({"setting": {"workload": 3, "target": "t"}}, "a workload is a name, a path or a mapping"),
        ({"setting": {"workload": "w", "target": "t", "design": {"search": {"bst": "knee"}}}}, "Did you mean 'best'?"),
        ({"setting": {"workload": "w", "target": "t", "design": {"search": {"seed": -1}}}}, "'seed' is a whole number"),
        ({"setting": {"workload": "w", "target": "t", "design": "same"}}, "a design is a mapping"),
        ({"band": {"rato": [1, 2]}}, "Did you mean 'ratio'?"),
        ({"band": {"ratio": [1, 2], "at_most": 3}}, "exactly one key"),
        ({"band": {"ratio": 2}}, "[low, high]"),
        ({"band": {"at_most": "fast"}}, "fast"),
        ({"band": None}, "needs a 'band'"),
        ({"value": None}, "needs 'value'"),
        ({"value": "fast"}, "the value of a metric is a number"),
        ({"value": True}, "a number is needed"),
        ({"value": float("inf")}, "finite"),
        ({"value": "3 W", "unit": "ms"}, "'3 W' is W, needs ms"),
        ({"as": "ratio"}, "'over' and 'as' belong together"),
        ({"over": {"design": {}}}, "'over' and 'as' belong together"),
        ({"over": {"design": {}}, "as": "quotient"}, "unknown 'as' 'quotient'"),
        ({"as": "relative_to_first"}, "compares the steps of a sweep"),
        ({"seeds": 0}, "'seeds' is a number"),
        ({"seeds": 3}, "give several values"),
        ({"each": []}, "'each' is a list"),
        ({"each": [{}] * 100, "seeds": 500, "reduce": "mean"}, "at most 10000 prices"),
        ({"each": [{}, {}], "reduce": "avg"}, "unknown 'reduce' 'avg'"),
        ({"sweep": {"options.batch": [1, 2]}}, "needs 'values'"),
        ({"sweep": {"options.batch": [1, 2]}, "values": [1]}, "as many steps as 'values'"),
        ({"sweep": {"option.batch": [1]}, "values": [1]}, "Did you mean 'options'?"),
        ({"sweep": {"options": [1]}, "values": [1]}, "dotted key"),
        ({"band": {"spearman_at_least": 0.9}}, "judges several values"),
        ({"report": "design.x"}, "one of metric, report and expr"),
        ({"metric": None, "report": "x"}, "a report is design.NAME"),
        ({"metric": None}, "needs 'metric' and 'setting'"),
        ({"metric": None, "expr": "1 + 1"}, "role identity and 'expr' belong together"),
    ],
)
def test_a_wrong_row_says_which_key_or_word_it_does_not_know(change: dict[str, Any], message: str) -> None:
    row = {k: v for k, v in {**ROW, **change}.items() if v is not None}
    with pytest.raises(TradespaceError) as caught:
        parse_row(row, {}, "x")
    assert message in str(caught.value)


def _write(folder: Path, text: str) -> Path:
    path = folder / "rows.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows: 3", "'rows' is a list"),
        ("rows: []", "'rows' is a list"),
        ("row: []", "unknown key 'row'"),
        ("- a", "must hold one mapping"),
        ("rows: [{id: a, value: '${oc.env:HOME}'}]", "plain values"),
        ("rows: [&a {id: a}, *a]", "aliases"),
        ("rows: [!!python/object/apply:os.system [ls]]", "not valid YAML"),
        ("ours: text\nrows: [{id: a}]", "'ours' is a list"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TradespaceError) as caught:
        read_published(_write(tmp_path, text))
    assert message in str(caught.value)


def test_an_id_that_stands_twice_breaks_the_second_row(tmp_path: Path) -> None:
    rows = "rows:\n- {id: A, value: 1, role: context, reason: x}\n- {id: A, value: 2, role: context, reason: x}\n- 7\n"
    first, second, third = read_published(_write(tmp_path, rows)).rows
    assert not isinstance(first, BrokenRow)
    assert isinstance(second, BrokenRow) and "stands twice" in second.error
    assert isinstance(third, BrokenRow) and "a mapping is needed" in third.error
