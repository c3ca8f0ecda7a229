"""Agents under an orchestrator: the recorded session, closed forms, mechanisms, faults, kernel, bad input."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace.costs.timeline import Resource, TaskTable, events
from tradespace.costs.timeline_twin import events_twin
from tradespace.errors import InputError, ProblemError, TradespaceError, UnitError, UnknownName
from tradespace.plugins import registry
from tradespace.search.api import search
from tradespace.settings import Setting, bind
from tradespace.studies.reproduction.document import read_published
from tradespace.targets import load_target
from tradespace.testing.device_models import check_device_model
from tradespace.testing.evaluators import check_evaluator
from tradespace.testing.factories import check_factory
from tradespace.testing.kernels import check_kernel
from tradespace.testing.targets import check_target
from tradespace.testing.workloads import check_workload
from tradespace.workloads import load_workload
from tradespace_fleet.ufo3 import AgentsFactory
from tradespace_fleet.ufo3_config import read_config
from tradespace_fleet.ufo3_host import AgentHost, hosts_of
from tradespace_fleet.ufo3_kernel import AgentSessions, pack, reference_sessions
from tradespace_fleet.ufo3_sessions import Mode, Policy, limits_of, simulate

ROOT = Path(__file__).parents[3]
IDEAL = {"dispatch": 0, "detect": 0, "sync": 0}
WORKLOADS = ("task-32", "agent-burst", "agent-overlap", "nebula-55", "agent-pipeline")


def bound(workload: Any, target: Any = "device-fleet", **options: Any) -> Any:
    return bind(Setting(workload, target, None, options), registry()).evaluator


def price(workload: Any, design: Any = None, target: Any = "device-fleet", **options: Any) -> dict[str, float]:
    evaluator = bound(workload, target, **options)
    return {k: float(v[0]) for k, v in evaluator.price(evaluator.space.parse(design or {})).items()}


def burst(copies: int, **over: Any) -> dict[str, Any]:
    return {"extends": "agent-burst", "stars.star.copies": copies, **over}


def nebula(**over: Any) -> dict[str, Any]:
    return {"extends": "nebula-55", **over}


# -- the recorded session and closed forms ----------------------------------------------------------------------------


def test_the_recorded_session() -> None:
    found = price("task-32", pause="5 s")
    assert found["work"] == pytest.approx(674.548)
    assert found["critical_path"] == pytest.approx(638.157)
    assert (found["edits"], found["calls"], found["width"]) == (4.0, 5.0, 4.0)
    facts = load_workload("task-32", registry()).facts
    assert (facts["stars"], facts["lines"], facts["depth"]) == (5.0, 4.0, 2.0)
    assert found["span"] == pytest.approx(269.110 + 16.52 + 5.0 + 369.047, abs=0.1)
    assert found["makespan"] == pytest.approx(
        15.80 + found["span"] + 16.52, abs=0.1
    )  # nothing is assigned after the last edit


@pytest.mark.parametrize(("copies", "batching", "edits"), [(3, False, 3), (3, True, 1), (5, False, 5), (5, True, 1)])
def test_edits_of_stars_that_end_together(copies: int, batching: bool, edits: int) -> None:
    found = price(burst(copies), target="agent-host", batching=batching, concurrency=64, **IDEAL)
    assert found["edits"] == edits
    assert found["editing"] == pytest.approx(0.2 * edits)


@pytest.mark.parametrize("copies", [1, 2, 3, 5, 10, 40])
def test_throughput_is_the_documented_formula(copies: int) -> None:
    found = price(burst(copies), target="agent-host", batching=False, concurrency=64, **IDEAL)
    assert found["throughput"] == pytest.approx(copies * 0.2 / (1 + (copies - 1) * 0.2 / 5))


def test_without_overheads_sessions_are_work_and_critical_path() -> None:
    """Exactly, draw by draw: unlimited machines give L, one star at a time W."""
    free = {
        "extends": "device-fleet",
        "devices.windows.latency": 0,
        "devices.linux.latency": 0,
        "devices.gpu.latency": 0,
    }
    evaluator = bound(
        nebula(creation=0), free, unlimited=True, edits=False, concurrency=[4096, 1], replications=8, **IDEAL
    )
    prices = evaluator.price(evaluator.space.concat([evaluator.space.parse({"concurrency": c}) for c in (4096, 1)]))
    assert prices["makespan"][0] == pytest.approx(prices["critical_path"][0], rel=1e-12)
    assert prices["makespan"][1] == pytest.approx(prices["work"][1], rel=1e-12)
    assert prices["width"][1] == 1


def test_sequential_sessions_add_up() -> None:
    """First call, every star with its messages, an edit after each."""
    hosts = hosts_of(load_target("device-fleet", registry()))
    found = price("task-32", {"concurrency": 1})
    messages = 5 * (0.010 + 0.005) + 2 * sum(hosts.latency[j] for j in (0, 1, 2, 3, 4))
    assert found["makespan"] == pytest.approx(15.80 + 674.548 + messages + 5 * (16.52 + 0.0255))


def test_the_published_width_is_met() -> None:
    for width in (1.3, 1.72, 2.4):
        assert price(nebula(width=width))["parallelism"] == pytest.approx(width, rel=0.03)


def test_every_published_row_is_inside_its_band_or_explained() -> None:
    from tradespace.studies.reproduction.run import reproduce

    published = read_published(ROOT / "studies/ufo3/published.yaml")
    rows = tuple(row for row in published.rows if row.id not in ("U12b", "U12c"))  # slow, and nothing is published
    scored = reproduce(type(published)(**{**vars(published), "rows": rows}), registry())
    verdicts = {r.id: r.verdict for r in scored.results if r.verdict not in ("inside", "identity", "context", "beside")}
    assert verdicts == {"U1": "not reproducible", "U2": "not reproducible", "U3": "fitted"}


def test_no_published_number_is_in_the_code() -> None:
    text = "\n".join(file.read_text() for file in (ROOT / "plugins/tradespace_fleet").glob("ufo3*.py"))
    numbers = set(re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", text))
    assert not numbers & {
        "1.72",
        "0.833",
        "0.709",
        "0.31",
        "15.80",
        "15.8",
        "16.52",
        "16.5",
        "674.55",
        "659.98",
        "134.91",
    }


# -- what each mechanism does -----------------------------------------------------------------------------------------


def test_side_by_side_saves_what_the_abstract_says_and_the_lock_costs() -> None:
    sequential = price(nebula(), {"concurrency": 1})["makespan"]
    saving = {
        key: 1 - price(nebula(), **{key: False})["makespan"] / sequential for key in ("lock", "batching", "overlap")
    }
    saving["all"] = 1 - price(nebula())["makespan"] / sequential
    assert 0.25 < saving["all"] < 0.37
    assert saving["lock"] > saving["all"] + 0.03
    assert saving["overlap"] < saving["all"] - 0.005
    assert saving["batching"] <= saving["all"]


def test_a_window_saves_calls_and_costs_time() -> None:
    short, long = (price(nebula(), {"window": w}, window=["0 s", "20 s"]) for w in (0, 20))
    assert long["calls"] < short["calls"]
    assert long["makespan"] > short["makespan"]


def test_retries_and_replicas_buy_success() -> None:
    plain, retry, twin = (price("agent-pipeline", d, replications=200) for d in ({}, {"retries": 1}, {"replicas": 2}))
    assert plain["completion"] == pytest.approx(0.833, abs=0.02)
    assert retry["completion"] == pytest.approx(1 - (1 - 0.833) ** 2, abs=0.01)
    assert retry["calls"] > plain["calls"]
    assert twin["success"] > plain["success"] + 0.1
    assert twin["energy"] > plain["energy"]


def test_replicas_end_with_the_first_that_succeeds() -> None:
    stars = {"s": {"duration": 100.0, "spread": 0.5}}
    one, two = (
        price({"type": "agent_dag", "stars": stars}, {"replicas": r}, replications=4000)["span"] for r in (1, 2)
    )
    assert one == pytest.approx(100 * np.exp(0.125), rel=0.03)
    # mean of the smaller of two: 2 exp(s^2 / 2) Phi(-s / sqrt 2)
    assert two == pytest.approx(2 * 100 * np.exp(0.125) * 0.36184, rel=0.03)


def test_independent_successes_multiply_and_correlated_ones_do_not() -> None:
    two = price(nebula(success=0.833, required=2), replications=300)
    assert two["success"] == pytest.approx(0.833**2, abs=0.02)
    assert two["completion"] == pytest.approx(0.833, abs=0.01)
    tied = price(nebula(success=0.833, correlation=1.0), replications=300)
    assert tied["success"] == pytest.approx(0.833, abs=0.02)


def test_lines_cancel_what_follows_a_failure_only_where_they_say_so() -> None:
    def chain(kind: str, **line: Any) -> dict[str, float]:
        after = [{"star": "a", "kind": kind, **line}]
        stars = {"a": {"duration": 10, "success": 0.5}, "b": {"duration": 10, "after": after}}
        return price({"type": "agent_dag", "stars": stars}, replications=2000)

    assert chain("completion")["completion"] == pytest.approx(0.75, abs=0.02)
    assert chain("success")["completion"] == pytest.approx(0.5, abs=0.03)
    half = chain("conditional", holds=0.5)
    assert half["success"] == pytest.approx(0.5, abs=0.03)  # a branch that is not taken fails nobody
    assert half["span"] == pytest.approx(10 + 2.5, rel=0.05)


def test_priority_decides_who_gets_the_machine() -> None:
    stars = {"slow": {"duration": 50}, "first": {"duration": 10}, "next": {"duration": 60, "after": ["first"]}}
    one = {"type": "agent_dag", "stars": stars}
    given = price(one, target="agent-host", concurrency=1)
    # all on one slot: who goes first does not change the sum; two machines' worth of order does
    slots = {"extends": "agent-host", "devices.host.slots": 1}
    urgent = price(one, {"priority": {"first": "critical"}}, target=slots)
    assert given["makespan"] == pytest.approx(120, abs=0.2)
    assert urgent["makespan"] == pytest.approx(120, abs=0.2)
    plan = bound(one, slots).explain(bound(one, slots).space.parse({"priority": {"first": "critical"}}))
    assert {row.name: row.costs["start"] for row in plan.rows}["first"] == pytest.approx(0.0, abs=0.01)


def test_list_schedulers_are_plans_and_heft_is_not_worse_than_turns() -> None:
    evaluator = bound(nebula())
    plans = evaluator.suggest()
    assert {"planner", "sequential", "heft", "peft"} <= set(plans)
    times = {name: float(evaluator.price(plan)["makespan"][0]) for name, plan in plans.items()}
    assert times["heft"] < times["planner"] < times["sequential"]
    assert bound(nebula(), plan="scheduler").space["scheduler"].options[:2] == ("planner", "sequential")


# -- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lasts", ["60 s", "forever"])
@pytest.mark.parametrize("recovery", ["migrate", "wait"])
def test_a_dead_machine_costs_only_stars_without_another(lasts: str, recovery: str) -> None:
    for host in ("windows", "linux_1", "gpu"):
        found = price(nebula(), {"recovery": recovery}, faults=[{"host": host, "at": "60 s", "lasts": lasts}])
        assert found["completion"] >= 1 - found["stranded"] - 1e-9
        assert 0 < found["recovery"] <= 30 + 1 + 2 + 4 + 8 + 16
        assert found["completion"] == 1.0 or (host != "linux_1" and lasts == "forever")


def test_a_lost_star_runs_again_elsewhere_after_the_heartbeat() -> None:
    stars = {"s": {"duration": 100, "hosts": ["linux"]}}
    fault = [{"host": "linux_0", "at": "40 s"}]
    found = price({"type": "agent_dag", "stars": stars}, faults=fault, edits=False, **IDEAL)
    assert found["makespan"] == pytest.approx(40 + 30 + 100, abs=0.01)
    wait = price({"type": "agent_dag", "stars": stars}, {"recovery": "wait"}, faults=fault, edits=False, **IDEAL)
    assert wait["makespan"] == pytest.approx(40 + 61 + 100, abs=0.01)
    edited = price({"type": "agent_dag", "edit": 16, "stars": stars}, faults=fault, **IDEAL)
    assert edited["makespan"] == pytest.approx(40 + 30 + 16 + 100 + 16, abs=0.01)
    assert edited["edits"] == 2


def test_reconnections_follow_the_documented_waits() -> None:
    config = read_config({}, ())
    assert config.reconnect_times.tolist() == [1, 3, 7, 15, 31]
    assert config.budget == 31
    lasts = np.array([5.0, 30.0, 30.5, 34.0, 60.0, 61.5, np.inf])
    assert config.back(lasts).tolist() == [5.0, 30.0, 31.0, 37.0, 61.0, np.inf, np.inf]
    assert read_config({"backoff": 2, "reconnects": 3}, ()).reconnect_times.tolist() == [2, 6, 14]
    assert read_config({"reconnects": 8}, ()).reconnect_times.tolist() == [1, 3, 7, 15, 31, 63, 123, 183]


def test_hosts_that_fail_by_themselves_cost_time() -> None:
    frail = {"extends": "device-fleet", "devices.linux.mtbf": 600, "devices.linux.repair": 120}
    assert price(nebula(), target=frail)["makespan"] > 1.02 * price(nebula())["makespan"]


# -- the engine -------------------------------------------------------------------------------------------------------


def test_sessions_with_everything_equal_the_plain_twin() -> None:
    """Retries, replicas, faults, windows, lock: the event loop and its plain twin tell the same story, exactly."""
    faults = [
        {"host": "linux_0", "at": 100, "lasts": 60},
        {"host": "gpu", "at": 150},
        {"host": "linux_1", "at": 90, "lasts": 5},
    ]
    evaluator = bound("agent-pipeline", faults=faults, replications=6, window=[2])
    fates = np.zeros(3, int)
    for mode in (Mode(3, 2), Mode(2, 1), Mode(1, 3)):
        layout, draws, outcome = evaluator._layout(0, mode), evaluator._draws[0], evaluator._outcome(0, mode)
        designs = evaluator.repair(evaluator.space.sample(3, np.random.default_rng(1)))
        span = slice(0, len(draws.request.stars))
        policy = Policy(np.array([6, 2, 3]), np.array([2.0, 0.0, 5.0]), np.array([False, True, False]))
        s = simulate(layout, draws, outcome, policy, evaluator._places(designs, span), np.zeros((3, span.stop)))
        limits = limits_of(layout, policy, draws.reps)
        for row in range(0, len(s.host), 2):
            pairs = zip(layout.table.resources, limits.servers[row], limits.window[row], strict=True)
            resources = tuple(replace(r, servers=int(k), window=float(w)) for r, k, w in pairs)
            patience = float(limits.patience[row])
            table = replace(layout.table, outages=s.inputs.outages[row], resources=resources, patience=patience)
            away = list(zip(s.inputs.other[row].tolist(), s.inputs.other_work[row].tolist(), strict=True))
            told = events_twin(table, s.inputs.work[row].tolist(), s.inputs.resource[row].tolist(),
                               s.inputs.priority[row].tolist(), away)  # fmt: skip
            assert s.times.finish[row].tolist() == told.finish
            assert s.times.fate[row].tolist() == told.fate
            fates += np.bincount(told.fate, minlength=3)
    assert fates.min() > 5


def test_no_plan_beats_the_critical_path_or_the_limits() -> None:
    evaluator = bound(nebula(requests=12, success=0.833), replications=6)
    designs = evaluator.repair(evaluator.space.sample(60, np.random.default_rng(2)))
    found = evaluator.price(designs)
    assert (found["span"] >= found["critical_path"] - 1e-9).all()
    assert (found["makespan"] >= found["span"] + 15.80 - 1e-9).all()
    limit = np.array(evaluator.space["concurrency"].options)[designs["concurrency"]]
    assert (found["width"] <= limit + 1e-9).all()
    assert (found["edits"] <= 3 * 294 / 55 * 2).all()


def test_an_edit_that_takes_too_long_is_given_up() -> None:
    slow = {"extends": "task-32", "edit": 5000}
    assert price(slow)["editing"] == pytest.approx(price(slow)["edits"] * 600)
    assert price(slow, edit_timeout=100)["editing"] == pytest.approx(price(slow, edit_timeout=100)["edits"] * 100)


# -- kernel -----------------------------------------------------------------------------------------------------------


def test_kernel_kit() -> None:
    report = check_kernel(AgentSessions())
    assert report.passed, str(report)


@pytest.mark.parametrize("ties", [False, True])
def test_kernel_reference_and_engine_tell_the_same_story(ties: bool) -> None:
    """Planner, lock, crew, hosts, priorities: every start and finish equal."""
    rng = np.random.default_rng(3)
    for trial in range(60):
        rules = {
            "crew": int(rng.integers(1, 5)),
            "batching": trial % 3 > 0,
            "lock": trial % 4 > 0,
            "edits": trial % 5 > 0,
        }
        inputs = AgentSessions().shaped(1, 10, rng, ties=ties, hosts=3, **rules)
        plain = reference_sessions(inputs)
        found = engine(inputs, rules)
        assert np.array_equal(AgentSessions().run(inputs), plain)
        assert np.array_equal(found[:2], plain[:2])
        if rules["edits"]:
            assert np.array_equal(found[2], plain[2])


def engine(inputs: Any, rules: Any) -> np.ndarray:
    """(3, n) start and finish of stars, start of edits, by the timeline engine."""
    n = len(inputs["work"])
    dest = inputs["successor"]
    source = np.repeat(np.arange(n), np.diff(inputs["next"]))
    lines = [(a + 1, b + 1) for a, b in zip(source.tolist(), dest.tolist(), strict=True)]
    roots = [(0, i + 1) for i in range(n) if not inputs["waits"][i]]
    edits = [(i + 1, i + 1 + n) for i in range(n)]
    gate = "planner" if rules["lock"] else None
    hosts = (Resource(f"h{j}", int(k), gate=gate) for j, k in enumerate(inputs["slots"]))
    table = TaskTable(2 * n + 1, [*lines, *roots, *edits],
                      (Resource("planner", 1, rules["batching"]), Resource("crew", rules["crew"]), *hosts),

                      lock=[-1] + [1] * n + [-1] * n)  # fmt: skip
    work = np.concatenate([inputs["creation"], inputs["work"], inputs["edit"] if rules["edits"] else np.zeros(n)])
    planner = np.full(n, 0 if rules["edits"] else -1)
    got = events(table, work, np.concatenate([[-1], inputs["host"] + 2, planner]),
                 np.concatenate([[0.0], inputs["priority"], np.zeros(n)]))  # fmt: skip
    return np.stack([got.start[0, 1 : n + 1], got.finish[0, 1 : n + 1], got.start[0, n + 1 :]])


def test_kernel_gives_work_and_critical_path_exactly() -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        n = int(rng.integers(1, 20))
        lines = np.argwhere(np.triu(rng.random((n, n)) < 0.2, 1)).tolist()
        work = rng.integers(1, 2**20, n) / 2**10  # sums are exact
        free = pack([(n, lines)], work, 0.0, np.arange(n), [1] * n, crew=n, edits=False)
        longest = np.array(work)
        for a, b in sorted(lines, key=lambda line: line[1]):
            longest[b] = max(longest[b], longest[a] + work[b])
        assert AgentSessions().run(free)[1].max() == longest.max()
        one = pack([(n, lines)], work, 0.0, np.arange(n), [1] * n, crew=1, edits=False)
        assert AgentSessions().run(one)[1].max() == work.sum()


@pytest.mark.parametrize(
    ("over", "word"),
    [({"host": [5]}, "hosts"), ({"work": [-1.0]}, "negative"), ({"graphs": [(1, [(0, 0)])]}, "forwards"),
     ({"slots": [0]}, "slots"), ({"graphs": [(2000, [])]}, "stars")],
)  # fmt: skip
def test_graphs_that_make_no_sense_are_not_packed(over: Any, word: str) -> None:
    given = {"graphs": [(1, [])], "work": [1.0], "edit": 0.0, "host": [0], "slots": [1], **over}
    if len(given["work"]) != given["graphs"][0][0]:
        given |= {"work": 1.0, "host": 0}
    with pytest.raises(InputError, match=word):
        pack(*given.values())


# -- contracts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workload", WORKLOADS)
def test_workload_kit(workload: str) -> None:
    report = check_workload(lambda: load_workload(workload, registry()))
    assert report.passed, str(report)


def test_kits_of_target_device_model_and_factory() -> None:
    for target in ("device-fleet", "agent-host"):
        report = check_target(
            lambda name=target: load_target(name, registry()), models=registry().names("device_models")
        )
        assert report.passed, str(report)
    fleet, workloads = load_target("device-fleet", registry()), ("task-32", "agent-pipeline", "mobilenet-v2")
    pairs = [(load_workload(name, registry()), fleet, {"replications": 4}) for name in workloads]
    for report in (check_device_model(AgentHost), check_factory(AgentsFactory(), pairs)):
        assert report.passed, str(report)


def test_evaluator_kit() -> None:
    fault = [{"host": "gpu", "at": "50 s", "lasts": "60 s"}]
    for evaluator in (bound("task-32"), bound("agent-pipeline", replications=4, faults=fault)):
        report = check_evaluator(evaluator)
        assert report.passed, str(report)


def test_the_fleet_runs_networks_and_other_machines_run_agents() -> None:
    assert price({"extends": "llama-3.2-1b", "phase": "decode", "context": 256}, {"placement": "gpu"})["latency"] < 0.1
    for target in ("laptop", "h100", "cloud-fleet"):
        assert price("task-32", target=target)["makespan"] > 650
    with pytest.raises(TradespaceError, match="agents run on"):
        bound("task-32", "stm32f746")
    with pytest.raises(TradespaceError, match="needs hosts of"):
        bound(nebula(), "laptop")


def test_the_study_finds_better_plans_than_the_planners_assignment() -> None:
    evaluator = bound("agent-pipeline", replications=16)
    names = ["makespan", "success", "energy", "calls"]
    base = {k: float(v[0]) for k, v in evaluator.price(evaluator.space.parse({})).items()}
    front = search(evaluator, names, optimizer="nsga2", evaluations=1500, seed=0)
    turned = front.values * np.array([1, -1, 1, 1])
    own = np.array([base["makespan"], -base["success"], base["energy"], base["calls"]])
    assert (turned <= own + 1e-9).all(axis=1).any()


def test_extreme_sessions_are_finite() -> None:
    one = {"type": "agent_dag", "stars": {"s": {"duration": 0}}}
    many = {"type": "agent_dag", "edit": 1, "stars": {"s": {"duration": 1, "copies": 1000, "success": 0.5}}}
    for workload in (one, many, {"type": "agent_dag", "stars": {"s": {"duration": 1e9, "success": 0, "spread": 5}}}):
        found = price(workload, {"replicas": 1}, replications=2, retries=2)
        assert all(np.isfinite(v) and v >= 0 for v in found.values())


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workload", "error", "word"),
    [
        ({"extends": "task-32", "stars.t1.duration": "-1 s"}, UnitError, "stars.t1.duration"),
        ({"extends": "task-32", "stars.t1.duration": "1 B"}, UnitError, "duration"),
        ({"extends": "task-32", "stars.t1.after": ["t6"]}, UnknownName, "t5"),
        ({"extends": "task-32", "stars.t1.after": ["t5"]}, InputError, "circle"),
        ({"extends": "task-32", "stars.t1.sucess": 0.5}, UnknownName, "success"),
        ({"extends": "task-32", "success": 1.5}, InputError, "at most 1"),
        ({"extends": "task-32", "stars.t1.priority": "urgent"}, UnknownName, "critical"),
        ({"extends": "task-32", "stars.t5.after": [{"star": "t1", "holds": 0.5}]}, InputError, "conditional"),
        ({"extends": "agent-burst", "stars.star.copies": 10**9}, InputError, "copies"),
        ({"type": "agent_dag"}, InputError, "stars"),
        ({"type": "agent_dag", "stars": {"s": {}}}, InputError, "duration"),
        ({"extends": "nebula-55", "width": 50}, InputError, "width"),
        ({"extends": "nebula-55", "stars": [5, 2]}, InputError, "range"),
        ({"extends": "nebula-55", "classes": {"linux": 0}}, InputError, "share"),
        ({"extends": "nebula-55", "required": "most"}, InputError, "required"),
    ],
)
def test_workloads_that_make_no_sense_are_refused(workload: Any, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=re.escape(word)):
        load_workload(workload, registry())


@pytest.mark.parametrize(
    ("options", "error", "word"),
    [
        ({"heartbeat": "30 B"}, UnitError, "heartbeat"),
        ({"heart": 3}, UnknownName, "heartbeat"),
        ({"concurrency": 0}, ProblemError, "concurrency"),
        ({"concurrency": [2, 2]}, ProblemError, "different"),
        ({"lock": "yes"}, InputError, "true or false"),
        ({"recovery": ["hope"]}, UnknownName, "migrate"),
        ({"faults": [{"host": "mac"}]}, UnknownName, "windows"),
        ({"faults": [{"host": "gpu", "lasts": "never"}]}, UnitError, "lasts"),
        ({"faults": "all"}, InputError, "list"),
        ({"window": [-1]}, UnitError, "window"),
        ({"replications": 10**9}, InputError, "replications"),
        ({"plan": "best"}, UnknownName, "scheduler"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: Any, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=re.escape(word)):
        bound("task-32", **options)


@pytest.mark.parametrize(
    ("key", "value"),
    [("slots", 0), ("slots", 1.5), ("speed", 0), ("latency", "-1 ms"), ("count", 10**6), ("mtbf", "1 B")],
)
def test_fleets_that_are_not_physical_are_refused(key: str, value: Any) -> None:
    with pytest.raises(TradespaceError, match=key):
        bound("task-32", {"extends": "device-fleet", f"devices.linux.{key}": value})
