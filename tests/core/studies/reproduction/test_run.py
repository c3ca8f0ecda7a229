"""Each key of the grammar once, against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tradespace.studies.reproduction.pricing import breach
from tradespace.studies.reproduction.run import Result, SystemResult
from tradespace.studies.reproduction.show import readme

One = Callable[..., Result]
Run = Callable[..., SystemResult]
FAST = {"design": {"place": "fast"}}
BAND = {"ratio": [0.99, 1.01]}


def test_a_metric_of_the_first_options_in_the_rows_unit(one: One) -> None:
    result = one(metric="latency", unit="ms", value=4, band=BAND)  # nothing fast: (4 - 0) * 1 ms
    assert (result.published, result.ours, result.ratio) == (4.0, pytest.approx(4.0), pytest.approx(1.0))
    assert (result.verdict, result.unit) == ("inside", "ms")


def test_a_value_with_its_own_unit(one: One) -> None:
    assert one(metric="latency", value="4000 us", band=BAND).verdict == "inside"
    assert one(metric="heat", value="26.85 degC", band={"equals": 1e-9}).ours == pytest.approx(26.85)


def test_a_value_with_an_exponent_that_yaml_reads_as_text(one: One) -> None:
    assert one(metric="latency", value="4e-3", band=BAND).verdict == "inside"
    assert one(metric="latency", value="4e3 us", band=BAND).verdict == "inside"


def test_equality_survives_the_unit(one: One) -> None:
    three = {"design": {"place": ["fast", "slow", "slow"]}}
    assert one(metric="latency", unit="us", value=3000, band={"equals": True}, setting=three).verdict == "inside"
    assert one(metric="latency", unit="us", value=3000.001, band={"equals": True}, setting=three).verdict == "outside"


def test_outside_its_band(one: One) -> None:
    result = one(metric="latency", unit="ms", value=5, band=BAND)
    assert (result.verdict, result.ratio) == ("outside", pytest.approx(0.8))


def test_design_by_value_pattern_and_list(one: One) -> None:
    for place, latency in (("fast", 1), ({"*.up": "fast"}, 2), (["fast", "slow", "slow"], 3)):
        row = one(metric="latency", unit="ms", value=latency, band=BAND, setting={"design": {"place": place}})
        assert row.verdict == "inside", (place, row)


def test_an_expression_over_metrics_and_what_the_workload_counts(one: One) -> None:
    assert one(metric="items / latency", value=2500, band=BAND).verdict == "inside"
    assert one(metric="energy * latency", value=0.004, band=BAND).verdict == "inside"


@pytest.mark.parametrize(("how", "expected"), [("ratio", 0.25), ("speedup", 4), ("gain", -0.75), ("saving", 0.75)])
def test_over_is_merged_onto_the_setting_and_compared(one: One, how: str, expected: float) -> None:
    over = {"design": {"place": "slow"}}
    result = one(metric="latency", setting=FAST, over=over, value=expected, band=BAND, **{"as": how})
    assert (result.verdict, result.ours) == ("inside", pytest.approx(expected))


def test_over_replaces_the_design_whole_and_merges_the_rest(one: One) -> None:
    setting = {"design": {"place": "fast", "mode": "b"}, "options": {"batch": 2}}
    broken = one(metric="latency", setting=setting, value=1, band=BAND)
    assert broken.verdict == "error" and "crowded is exceeded by 50.0%" in broken.reason
    over = {"design": {"place": {"0.up": "fast"}}, "options": {"noise": 0.0}}  # mode falls back to its first option
    setting = {"design": {"place": "fast"}, "options": {"batch": 2}}
    result = one(metric="energy", setting=setting, over=over, value=14 / 6, band=BAND, **{"as": "ratio"})
    assert result.verdict == "inside"  # (1 + 2 * 3) * 2 over (1 + 2 * 1) * 2: batch was kept


def test_design_same_keeps_the_plan_that_was_found(one: One) -> None:
    setting = {"design": {"search": {"best": "latency"}}}
    over = {"design": "same", "workload": {"size": 3}}
    assert (
        one(metric="latency", setting=setting, over=over, value=1 / 3, band=BAND, **{"as": "ratio"}).verdict == "inside"
    )


def test_each_and_reduce(one: One) -> None:
    each = [{"workload": {"size": 1}}, {"workload": {"size": 4}}]
    for reduce, value in (("mean", 10), ("geomean", 8), ("median", 10), ("min", 4), ("max", 16)):
        row = one(metric="latency", unit="ms", each=each, reduce=reduce, value=value, band=BAND)
        assert row.verdict == "inside", (reduce, row)
    row = one(
        metric="latency",
        each=each,
        reduce="geomean",
        value=4,
        band=BAND,
        setting=FAST,
        over={"design": {}},
        **{"as": "speedup"},
    )
    assert row.verdict == "inside"


def test_sweep_gives_one_row_a_value(run: Run) -> None:
    row = {"metric": "energy", "sweep": {"options.batch": [1, 2, 4]}, "values": [1, 2, 5], "band": BAND}
    results = run(row).results
    assert [r.id for r in results] == ["R0[1]", "R0[2]", "R0[3]"]
    assert [r.verdict for r in results] == ["inside", "inside", "outside"]
    assert results[1].step == "options.batch 2"


def test_relative_to_first(run: Run) -> None:
    row = {
        "metric": "energy",
        "sweep": {"options.batch": [2, 4, 8]},
        "values": [1, 2, 4],
        "band": BAND,
        "as": "relative_to_first",
    }
    assert [r.ours for r in run(row).results] == [1, 2, 4]


def test_sweep_of_a_target_constant_a_workload_and_a_design(run: Run) -> None:
    sweeps: list[tuple[dict[str, list[Any]], list[float]]] = [
        ({"workload.size": [1, 2]}, [4, 8]),
        ({"design.place": ["slow", "fast"]}, [4, 1]),
        ({"target.devices.dgpu.bandwidth": ["100 GB/s", "200 GB/s"]}, [4, 4]),
        ({"workload.size": [1, 2], "design.place": ["slow", "fast"]}, [4, 2]),
    ]
    for sweep, values in sweeps:
        row = {"metric": "latency", "unit": "ms", "sweep": sweep, "values": values, "band": BAND}
        assert [r.verdict for r in run(row).results] == ["inside"] * len(values), sweep


def test_what_a_sweep_steps_through_need_not_be_in_the_setting(run: Run) -> None:
    row = {"metric": "latency", "unit": "ms", "values": [4, 4], "band": BAND, "sweep": {"target": ["laptop", "phone"]}}
    swept = run({**row, "setting": {"workload": {"type": "toy-work"}}}, complete=False)
    assert [(r.verdict, r.step) for r in swept.results] == [("inside", "target laptop"), ("inside", "target phone")]
    missing = run({**row, "setting": {}}, complete=False)
    assert "setting or sweep name workload and target" in missing.results[0].reason


def test_seeds_reach_options_or_the_search(one: One) -> None:
    row = one(
        metric="latency", unit="ms", value=4.4, seeds=3, reduce="median", setting={"options": {"noise": 0.1}}, band=BAND
    )
    assert row.verdict == "inside"  # seeds 0, 1, 2: 4.0, 4.4, 4.8
    row = one(
        metric="latency",
        unit="ms",
        value=1,
        seeds=2,
        reduce="max",
        setting={"design": {"search": {"best": "latency"}}},
        band=BAND,
    )
    assert row.verdict == "inside"


def test_search_for_a_metric_the_knee_and_under_constraints(one: One) -> None:
    def found(metric: str, value: float, **search: Any) -> str:
        row = one(metric=metric, value=value, band=BAND, setting={"design": {"search": search}})
        return row.verdict if row.verdict != "error" else row.reason

    assert found("latency", 0.001, best="latency") == "inside"
    assert found("energy", 3, best="latency", subject_to=["energy<=4"]) == "inside"
    assert found("energy", 1, best="energy", objectives=["latency", "energy"]) == "inside"
    assert found("rate", 1000, best="rate", objectives=["latency", "energy"]) == "inside"
    assert found("energy", 5, best="latency", fix={"place": {"0.up": "slow"}}) == "inside"
    assert found("energy", 1, best="latency", fix={"place": "slow"}) == "inside"
    assert found("energy", 7, best="latency", optimizer="random", evaluations=200, seed=4) == "inside"
    assert "no feasible plan" in found("energy", 5, best="latency", subject_to=["energy<=0.5"])


def test_an_interrupt_ends_it_and_gives_no_half_answer(one: One, monkeypatch: pytest.MonkeyPatch) -> None:
    from tradespace.search import loop

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        one(metric="latency", value=1, band=BAND, setting={"design": {"search": {"best": "latency"}}})


def test_report_reads_a_decision(one: One) -> None:
    search = {"design": {"search": {"best": "latency", "fix": {"mode": "a"}}}}
    assert one(report="design.place.0.down", setting=search, value="fast", band={"equals": True}).verdict == "inside"
    assert one(report="design.mode", setting=search, value="b", band={"equals": True}).verdict == "outside"
    wrong = one(report="design.plac", setting=search, value="fast", band={"equals": True})
    assert wrong.verdict == "error" and "unknown design variable 'plac'" in wrong.reason


@pytest.mark.parametrize(
    ("band", "inside"),
    [
        ({"ratio": [1.9, 2.1]}, True), ({"ratio": [0.9, 1.1]}, False),
        ({"plus_minus": 2}, True), ({"plus_minus": 1}, False),
        ({"at_most": 4}, True), ({"at_most": 3.9}, False), ({"at_least": 4}, True), ({"at_least": 4.1}, False),
        ({"between": [3, 5]}, True), ({"between": [5, 6]}, False), ({"equals": 1.0}, True), ({"equals": True}, False),
    ],
)  # fmt: skip
def test_bands_in_the_rows_unit(one: One, band: dict[str, Any], inside: bool) -> None:
    assert one(metric="latency", unit="ms", value=2, band=band).verdict == (
        "inside" if inside else "outside"
    )  # ours: 4 ms


def test_rank_correlation_judges_a_whole_sweep(one: One) -> None:
    sweep = {"design.place": ["fast", ["fast", "fast", "slow"], "slow"]}
    row = {"metric": "latency", "sweep": sweep, "band": {"spearman_at_least": 0.9}}
    assert one(**row, values=[1, 5, 6]).verdict == "inside"
    outside = one(**row, values=[6, 5, 1])
    assert outside.verdict == "outside" and "-1" in outside.reason


def test_sign_test_wants_agreement_in_most_cases(one: One) -> None:
    each = [{"workload": {"size": s}} for s in range(1, 7)]
    row = {
        "metric": "latency",
        "each": each,
        "setting": FAST,
        "over": {"design": {}},
        "as": "saving",
        "band": {"sign_test": 0.05},
    }
    assert one(**row, value=0.1).verdict == "inside"  # six of six agree: p = 1/64
    assert one(**row, value=-0.1).verdict == "outside"
    assert one(**{**row, "each": each[:4]}, value=0.1).verdict == "outside"  # four of four: p = 1/16


def test_identities_read_published_values_and_are_not_counted(run: Run) -> None:
    system = run(
        {"id": "Q4", "metric": "items", "unit": "%", "value": 75.6, "band": BAND},
        {"id": "Q5", "value": 0.383, "role": "context", "reason": "nobody can"},
        {
            "id": "I1",
            "role": "identity",
            "expr": "(1 - Q4) / (1 - Q5)",
            "value": 0.395,
            "band": {"ratio": [0.99, 1.01]},
        },
        {"id": "I2", "role": "identity", "expr": "Q4 * 2", "value": 1, "band": {"equals": True}},
    )
    assert [r.verdict for r in system.results] == ["outside", "not reproducible", "identity", "outside"]
    assert (system.inside, system.checkable) == (0, 1)


def test_relabelling_a_row_that_could_be_priced_does_not_help_it(run: Run) -> None:
    row = {"metric": "latency", "unit": "ms", "value": 4, "band": BAND}
    fitted, context = {**row, "role": "fitted", "reason": "on this row"}, {**row, "role": "context", "reason": "ours"}
    system = run(row, fitted, context, {"metric": "energy", "role": "context", "reason": "nothing was published"})
    assert [r.verdict for r in system.results] == ["inside", "fitted", "context", "context"]
    assert (system.inside, system.checkable) == (1, 3)


def test_a_broken_row_costs_only_itself(run: Run) -> None:
    system = run(
        {"metric": "latancy", "value": 1, "band": BAND},
        {"metric": "latency", "value": 1, "band": BAND, "setting": {"target": "laptp"}},
        {"metric": "latency", "value": 1, "band": BAND, "setting": {"options": {"fail": True}}},
        {"metric": "latency", "unit": "ms", "value": 4, "bend": BAND},
        {"metric": "latency", "unit": "ms", "value": 4, "band": BAND},
    )
    assert [r.verdict for r in system.results] == ["error"] * 4 + ["inside"]
    reasons = [r.reason for r in system.results]
    assert "Did you mean 'latency'" in reasons[0] and "Did you mean 'laptop'" in reasons[1]
    assert "ValueError: toy broke" in reasons[2] and "unknown key 'bend'. Did you mean 'band'?" in reasons[3]
    assert system.wrong


def test_a_unit_that_is_not_the_metrics_is_refused(one: One) -> None:
    assert "latency is in s; got J" in one(metric="latency", unit="J", value=1, band=BAND).reason
    over = {"over": {"design": {}}, "as": "ratio"}
    assert (
        "a comparison is a plain number; got ms" in one(metric="latency", unit="ms", value=1, band=BAND, **over).reason
    )


def test_the_value_of_an_open_number_is_compared_as_a_number(one: One) -> None:
    setting = {"options": {"batch": {"choices": [1, 2]}}, "design": {"batch": "2"}}
    assert one(report="design.batch", setting=setting, value=2.1, band={"plus_minus": 0.2}).verdict == "inside"
    assert one(report="design.batch", setting=setting, value=1, band={"plus_minus": 0.2}).verdict == "outside"


def test_a_broken_limit_is_told_as_a_share_and_an_operator_nobody_runs_in_words() -> None:
    assert breach({"memory.dram": 1.25, "temperature.npu": 0.1}) == "memory.dram is exceeded by 125.0%"
    assert "does not run" in breach({"runs": 677.0, "memory.dram": 900.0})
    assert "%" not in breach({"runs": 677.0})


def test_readings_stand_on_the_page_once_each(run: Run) -> None:
    said = "the network is only named; the choice decides"
    row = {"metric": "latency", "unit": "ms", "value": 4, "band": BAND}
    identity = {"role": "identity", "expr": "R0 / 2", "value": 0.002, "band": BAND, "reading": "half of it"}
    page = readme(run({**row, "reading": said}, {**row, "reading": said}, row, identity))
    assert f"## How the publication is read\n\n- **R0, R1**: {said}\n" in page
    assert page.count(said) == 1 and page.count("half of it") == 1  # the table has it already
    off = {**row, "value": 9, "reading": said}
    assert readme(run(off)).count(said) == 1  # as the reason of what lies outside
    noted = readme(run({**off, "note": "why"}))
    assert noted.count(said) == 1 and ". why" in noted
    assert "is read" not in readme(run(row))
