"""The arena in small: two instances, every optimizer, results that survive an interruption, and the page."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.arena import analysis, appendix, code, runner, standing
from bench.arena.cells import STEADY, Cell, ablations, cells, optimizers, timed
from bench.arena.curves import curves
from bench.arena.instances import SEEDS, Chain, Textbook, all_instances, exact_chain
from bench.arena.page import write
from bench.arena.peers import run_peer
from bench.arena.record import Record, Spent
from bench.arena.runner import Bounds, References, Result, fresh, load, quality, run, run_cell

from tradespace.search.contract import rng

NAMES = ("sum 8", "zdt1")


def test_every_kind_of_cell_runs_resumes_and_is_reported(tmp_path: Path) -> None:
    line = all_instances(lambda name: name in (*NAMES, "serving pool sizing"))
    plan = [
        Cell(name, optimizer, 300, None, 0)
        for name in NAMES
        for optimizer in optimizers(line.instances[name])
        if optimizer not in ("pymoo age_moea2", "pymoo rvea")  # the first compiles for seconds
    ]
    plan.append(Cell("sum 8", "pgsam", None, 0.2, 0))
    done, left = run(plan[:3], tmp_path, jobs=1, minutes=1)
    assert (done, left) == (3, 0)
    results = tmp_path / "results.jsonl"
    before = results.read_text(encoding="utf-8")
    with results.open("a", encoding="utf-8") as out:
        out.write('{"key": "cut off in the mid')  # a run that was killed
        out.write("\n")
    done, left = run(plan, tmp_path, jobs=1, minutes=1)
    assert done == len(plan) - 3 and results.read_text(encoding="utf-8").startswith(before)
    found = load(results)
    assert set(found) == {cell.key for cell in plan}
    assert all(not r.error for r in found.values()), [r.error for r in found.values() if r.error]
    assert all(r.evaluations <= 300 for r in found.values() if r.cell.evaluations)
    page = write(tmp_path, tmp_path / "page", line).read_text(encoding="utf-8")
    assert "| 300 | sum 8 | 1: archive local search, auto" in page and "serving pool sizing" in page
    for part in ("Summary", "`auto` (black box) against the best peer", "What was run", "All runs are of the present"):
        assert part in page, part


def test_no_time_runs_nothing(tmp_path: Path) -> None:
    assert run([Cell("sum 8", "random", 100, None, 0)], tmp_path, jobs=1, minutes=0.0) == (0, 1)


def test_the_plan_is_balanced_and_without_repeats() -> None:
    line = all_instances(lambda name: name in (*NAMES, "sum 16", "sum 48", "coupled 24"))
    plan = list(cells(line.instances, 4))
    assert len({cell.key for cell in plan}) == len(plan)
    seeds = [cell.seed for cell in plan]
    assert seeds == sorted(seeds)  # a run that is cut short has done the same everywhere
    assert {c.instance for c in plan if c.evaluations == 50_000} == {"sum 48"}
    assert {c.optimizer for c in plan if c.instance == "sum 48" and c.evaluations == 10_000 and c.seed == 0} & {
        *STEADY
    } == {"pymoo nsga3", "pymoo sms_emoa", "pymoo age_moea2"}  # the others hold it in their longer run
    assert {c.optimizer for c in plan if c.instance == "sum 16"} < {c.optimizer for c in plan if c.instance == "sum 8"}
    assert {c.instance for c in plan if "optuna" in c.optimizer} == {"coupled 24"}


def test_pgsam_loses_each_part_in_turn_on_the_eight_chains() -> None:
    line = all_instances(lambda name: name == "sum 24")
    parts = [c for c in cells(line.instances, 2) if c.optimizer in ablations()]
    assert {c.optimizer for c in parts} == set(ablations()) and len(parts) == 2 * len(ablations()) >= 8
    assert len({code.code_of(c.optimizer) for c in parts} | {code.code_of("pgsam")}) == 1 + len(ablations())
    box = Bounds(np.zeros(3), np.ones(3))
    fronts = [run_cell(Cell("sum 24", name, 900, None, 0), line.instances["sum 24"], box)[1] for name in
              ("pgsam", "pgsam no guidance")]  # fmt: skip
    assert fronts[0].shape != fronts[1].shape or (fronts[0] != fronts[1]).any()


def test_the_phase_by_the_clock_is_small_and_runs_pinned(tmp_path: Path) -> None:
    line = all_instances(lambda name: name == "zdt4")
    clocked = list(timed(line.instances))
    assert {c.seconds for c in clocked} == {1.0, 10.0} and not any(c.evaluations for c in clocked)
    assert sum(c.seconds == 10.0 for c in clocked) == 9 and sum(c.seconds == 1.0 for c in clocked) == 80
    short = [Cell("sum 8", "random", None, 0.1, seed) for seed in range(2)]
    assert run(short, tmp_path, jobs=1, minutes=1, pinned=True) == (2, 0)
    assert all(r.evaluations and r.seconds >= 0.1 and r.cpu > 0 for r in load(tmp_path / "results.jsonl").values())


def test_the_reference_of_a_sum_is_exact() -> None:
    front = exact_chain(Chain(SEEDS[8], 8))
    line = all_instances(lambda name: name == "sum 8")
    problem = line.instances["sum 8"].problem
    random = problem.score(problem.space.sample(3000, rng(0, 0, "probe"))).objectives
    assert all((front <= row + 1e-12).all(axis=1).any() for row in random)


def test_a_record_cuts_what_is_beyond_the_budget() -> None:
    problem = all_instances(lambda name: name == "sum 8").instances["sum 8"].problem
    record = Record(problem, 150)
    designs = problem.space.sample(100, rng(0, 0, "probe"))
    record.price(designs)
    record.price(designs)
    assert record.total == 150 and [len(values) for values, _ in record.batches] == [100, 50]
    with pytest.raises(Spent):
        record.price(designs)
    fronts = record.archives([60, 100, 120, 150, 500])
    assert set(fronts) == {60, 100, 120, 150, -1}
    np.testing.assert_array_equal(fronts[100], fronts[120])  # the second batch repeats the first
    assert fronts[60].shape != fronts[100].shape or (fronts[60] != fronts[100]).any()  # in the middle of the first


@pytest.mark.parametrize("optimizer", [o for o in STEADY if o != "pymoo age_moea2"])  # which compiles for seconds
def test_a_long_run_of_a_steady_optimizer_holds_the_shorter_ones(optimizer: str) -> None:
    instance = all_instances(lambda name: name == "sum 8").instances["sum 8"]
    long, short = Record(instance.problem, 750), Record(instance.problem, 430)
    for record in (long, short):
        run_peer(optimizer, record, 3)
    np.testing.assert_array_equal(long.archives([430])[430], short.archives([])[-1])


def test_a_change_of_code_or_prices_runs_a_cell_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = [Cell("sum 8", "random", 100, None, 0)]
    assert run(cell, tmp_path, jobs=1, minutes=1) == (1, 0)
    assert run(cell, tmp_path, jobs=1, minutes=1) == (0, 0)
    result = load(tmp_path / "results.jsonl")[cell[0].key]
    assert fresh(result, {"sum 8": result.prices}) and not fresh(result, {"sum 8": "others"})
    monkeypatch.setattr(runner, "code_of", lambda optimizer, note: "changed")
    assert not fresh(result, {"sum 8": result.prices})
    assert run(cell, tmp_path, jobs=1, minutes=1)[0] == 1


def test_code_digests_follow_imports_and_ignore_layout() -> None:
    names = code._closure(("tradespace_optimizers.auto",))
    assert {"tradespace_optimizers.pgsam", "tradespace_optimizers.relay", "tradespace.search.archive"} <= names
    assert "tradespace_optimizers.pgsam" not in code._closure(("tradespace_optimizers.random_search",))
    assert '"""' not in code._plain("tradespace_optimizers.random_search").split("class", 1)[0]
    assert len({code.code_of(name) for name in ("auto", "pgsam", "random", "pymoo nsga2")}) == 3  # peers share a file


def test_of_auto_counts_what_it_chose() -> None:
    """A change of one optimizer does not make runs stale that went to another."""
    notes = {name: f"auto: {name}, for a reason" for name in ("nas_evolution", "rl_aco", "pgsam")}
    notes |= {"relay": "auto: pymoo in relay with a local search, real variables, 2 objectives", "": ""}
    assert len({code.code_of("auto", note) for note in notes.values()}) == len(notes)
    assert code.code_of("auto", notes["pgsam"]) == code.code_of("auto", "auto: pgsam, for another reason; more")
    plain = code._closure(("tradespace_optimizers.auto",), code._APART)
    assert "tradespace_optimizers.nas_evolution_pool" not in plain and "tradespace_optimizers.declared_chain" in plain
    assert code._chosen(notes["relay"]) == "tradespace_optimizers.relay"
    assert code._chosen("auto: nothing known") == ""


def test_what_takes_long_gets_few_seeds() -> None:
    kind = [Cell("x", "slow", 500, None, seed) for seed in range(4)]
    clock = runner.Clock([Result(cell, {}, 500, 6.0, 1) for cell in kind[:3]])
    assert clock.long(kind[3]) and not clock.long(kind[2]) and not clock.long(Cell("x", "slow", None, 10.0, 9))


def test_an_optimizer_that_fails_is_a_result_with_its_reason() -> None:
    instance = all_instances(lambda name: name == "zdt1").instances["zdt1"]
    bounds = Bounds(np.zeros(2), np.ones(2))
    result, front = run_cell(Cell("zdt1", "chain_exact declared", 100, None, 0), instance, bounds)
    assert "chain_exact needs" in result.error and len(front) == 0 and result.evaluations == 0


def test_quality_by_hand() -> None:
    bounds = Bounds(np.zeros(2), np.ones(2))
    assert quality(np.array([[0.0, 0.0]]), bounds) == pytest.approx(1.21)
    assert quality(np.array([[0.1, 0.6], [0.6, 0.1]]), bounds) == pytest.approx(1.0 * 0.5 * 2 - 0.25)
    assert quality(np.empty((0, 2)), bounds) == 0.0
    assert quality(np.array([[3.0], [2.0]]), bounds) == 2.0


def test_mirrored_textbook_functions_have_the_same_front() -> None:
    plain, turned = Textbook("zdt1", mirrored=False), Textbook("zdt1")
    codes = plain.space.flatten(plain.space.sample(50, rng(0, 0, "probe")))
    other = codes.copy()
    other[:, 1::2] = 1.0 - codes[:, 1::2]
    a, b = plain.price(plain.space.unflatten(codes)), turned.price(turned.space.unflatten(other))
    np.testing.assert_allclose(a["f1"], b["f1"])
    assert plain.price(plain.space.homogeneous())["f1"][0] == pytest.approx(1.0)  # on the front already
    assert turned.price(turned.space.homogeneous())["f1"][0] > 3.0


# -- statistics -------------------------------------------------------------------------------------------------------


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(analysis.holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(analysis.holm([0.5, 0.9, 0.001]), [1.0, 1.0, 0.003])
    assert analysis.holm([]) == []


def test_paired_agrees_with_scipy_and_refuses_few_pairs() -> None:
    from scipy.stats import wilcoxon

    draws = rng(0, 0, "probe").normal(0.3, 1.0, 20)
    a, b = {i: float(d) for i, d in enumerate(draws)}, dict.fromkeys(range(20), 0.0)
    median, p, pairs = analysis.paired(a, b)
    assert p == pytest.approx(float(wilcoxon(draws).pvalue)) and median == pytest.approx(float(np.median(draws)))
    assert pairs == 20
    assert analysis.paired({0: 1.0, 1: 1.0}, {0: 0.0, 1: 0.0}) == (1.0, 1.0, 2)
    assert analysis.paired(b, b)[1] == 1.0


def _table(**scores: list[float]) -> analysis.Table:
    return analysis.Table("2,000 evaluations", {("x", o): dict(enumerate(v)) for o, v in scores.items()})


def test_ranks_share_ties_and_use_common_seeds() -> None:
    table = _table(a=[1.0, 0.5, 0.9], b=[1.0, 0.6], c=[0.2, 0.4])
    assert analysis.mean_ranks(table, ["x"], ["a", "b", "c"]) == {"a": 1.75, "b": 1.25, "c": 3.0}


def test_verdicts_count_significant_wins_and_tell_the_worst_deficit() -> None:
    table = _table(
        auto=[0.9] * 12, worse=[0.5 + 0.001 * i for i in range(12)], better=[0.95 + 0.001 * i for i in range(12)]
    )
    by_peer = {v.peer: v for v in analysis.verdicts(table, "auto", ["worse", "better"], ["x"])}
    assert (by_peer["worse"].wins, by_peer["worse"].losses, by_peer["worse"].worst) == (1, 0, 0.0)
    assert (by_peer["better"].wins, by_peer["better"].losses, by_peer["better"].where) == (0, 1, "x")
    assert analysis.deficits(table, "auto", ["worse", "better"], ["x"])["x"][1] == "better"


def test_a_loss_is_told_with_what_the_runs_say() -> None:
    """Ours stops at 200 designs on most seeds while pgsam alone goes on: all of it comes from the results."""
    line = all_instances(lambda name: name == "sum 8")
    runs = []
    for seed in range(8):
        for name, end in (("auto", 0.5 + 0.01 * seed), ("pgsam", 0.95), ("pymoo nsga2", 0.9)):
            cell = Cell("sum 8", name, 2000, None, seed)
            volumes = {200: end if name == "auto" else end / 2, 1000: end, 2000: end, -1: end}
            runs.append(Result(cell, volumes, 2000, 1.0, 5, "auto: learned_chain, because" if name == "auto" else ""))
    table = analysis.tables(runs, {"sum 8": 1.0}, frozenset())["2,000 evaluations"]
    standing_ = standing.standings(table)["sum 8"]
    assert standing_.peer == "pymoo nsga2" and standing_.behind == 8 and standing_.p < 0.05
    text = standing.losses([table], runs, {"sum 8": 1.0}, line)
    for part in ("behind in 8 of 8 seeds, significant", "it chose learned_chain", "pgsam alone reaches 0.950",
                 "nothing was gained after 200 of 2,000 designs"):  # fmt: skip
        assert part in text, part
    assert "**-0.365\\*** nsga2" in standing.section([table], line)
    ahead = [r for r in runs if r.cell.optimizer != "pgsam"]
    better = analysis.tables([Result(r.cell, {-1: 1.0 - r.volumes[-1]}, 2000, 1.0, 5) for r in ahead], {"sum 8": 1.0},
                             frozenset())["2,000 evaluations"]  # fmt: skip
    assert "Nowhere by more than" in standing.losses([better], runs, {"sum 8": 1.0}, line)


def test_parts_of_pgsam_are_tested_together() -> None:
    harmless, useful = list(ablations())[:2]
    runs = []
    for seed in range(12):
        for name, score in (("pgsam", 0.9), (harmless, 0.9), (useful, 0.8 - 0.001 * seed)):
            runs.append(Result(Cell("sum 24", name, 2000, None, seed), {-1: score}, 2000, 1.0, 5))
    text = appendix.parts(runs, {"sum 24": 1.0})
    assert f"{harmless.removeprefix('pgsam no ')}: no significant effect on any of 1" in text
    assert f"{useful.removeprefix('pgsam no ')}: helps on 1 of 1" in text and "Median over 12 seeds" in text
    assert appendix.parts(runs[:1], {"sum 24": 1.0}) == ""


def test_a_curve_is_drawn_from_the_budget_with_most_seeds() -> None:
    def of(optimizer: str, budget: int, seed: int) -> Result:
        volumes = {k: k / 100_000 for k in (500, 2000, 10_000, 50_000) if k <= budget}
        return Result(Cell("x", optimizer, budget, None, seed), {**volumes, -1: 1.0}, budget, 1.0, 5)

    ours = [of("auto", budget, seed) for budget in (2000, 10_000) for seed in range(4)] + [of("auto", 50_000, 0)]
    assert [point[0] for point in analysis.curve(ours, "x", "auto", 1.0)] == [500, 2000, 10_000]
    steady = [of("random", 50_000, 0), *(of("random", 10_000, seed) for seed in (1, 2))]
    assert [point[0] for point in analysis.curve(steady, "x", "random", 1.0)] == [500, 2000, 10_000]


def test_curves_are_well_formed() -> None:
    from xml.etree import ElementTree

    text = curves("sum <8>", {"a": [(100, 0.1, 0.2, 0.3), (1000, 0.5, 0.6, 0.7)], "b": [(100, 0.0, 0.6, 0.7)]})
    root = ElementTree.fromstring(text)
    assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == 2


def test_results_are_plain_json(tmp_path: Path) -> None:
    instance = all_instances(lambda name: name == "sum 8").instances["sum 8"]
    references = References(tmp_path)
    references.ensure(instance)
    box = references.bounds("sum 8")
    result, front = run_cell(Cell("sum 8", "random", 200, None, 1), instance, box)
    assert json.loads(result.line())["cell"]["seed"] == 1
    references.merge("sum 8", [front - 1.0])
    assert len(references.best("sum 8")) <= len(front)
    np.testing.assert_array_equal(references.bounds("sum 8").ideal, box.ideal)  # the box never changes
