"""Flow graphs: a plain-Python twin, closed forms, properties of rates and thresholds, and what each mechanism does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tradespace.costs.flow import FlowEvaluator, FlowFactory
from tradespace.costs.flow_nodes import FlowNode, FlowProcessor, places
from tradespace.errors import InputError, ProblemError, TradespaceError, UnitError, UnknownName
from tradespace.plugins import registry
from tradespace.settings import Setting, bind
from tradespace.targets import load_target
from tradespace.testing.device_models import check_device_model
from tradespace.testing.evaluators import check_evaluator
from tradespace.testing.factories import check_factory
from tradespace.testing.workloads import check_workload
from tradespace.workloads.classifiers import Curve, Gaussian, empirical
from tradespace.workloads.flow import FlowGraph, build, path_weights

FARM: dict[str, Any] = {
    "memories": {name: {"capacity": "1 TB", "bandwidth": "1 TB/s"} for name in ("sensor", "edge", "store")},
    "devices": {
        "box": {"model": "flow-node", "memory": "edge", "op_energy": "2 J", "op_time": "10 ms", "slots": 4},
        "fast": {"model": "flow-node", "memory": "edge", "op_energy": "3 J", "op_time": "10 ms", "effort": 0.5},
    },
    "links": {
        "copper": {
            "between": ["sensor", "edge"],
            "energy_per_byte": "1 nJ/B",
            "bandwidth": "1 GB/s",
            "latency": "1 ms",
        },
        "fibre": {"between": ["sensor", "edge"], "energy_per_byte": "0.1 nJ/B", "bandwidth": "10 GB/s"},
        "disk": {"between": ["edge", "store"], "energy_per_byte": "2 nJ/B", "bandwidth": "1 GB/s", "latency": "2 ms"},
    },
}


def graph(**over: Any) -> dict[str, Any]:
    """Two cameras whose frames are joined, filtered and kept."""
    found: dict[str, Any] = {
        "type": "flow_graph",
        "relevant": 0.05,
        "sources": {
            "left": {"to": "filter", "place": "sensor", "rate": "100 Hz", "bytes": "1 MB", "reduction": 0.5},
            "right": {"to": "filter", "place": "sensor", "rate": "100 Hz", "bytes": "3 MB"},
        },
        "stages": {
            "filter": {
                "to": "keep", "place": "edge", "bytes": "1 MB", "ratio": 10,
                "work": {"kind": "reconstruct", "constant": 1, "linear": 1e-6, "quadratic": 1e-13, "cubic": 1e-21},
                "classifier": {"model": "gaussian", "separation": 2.0, "spread": 1.5},
            },
            "keep": {"place": "store"},
        },
    }  # fmt: skip
    for key, value in over.items():
        at, *path = key.split("__")
        body = found
        for step in [at, *path][:-1]:
            body = body[step]
        body[[at, *path][-1]] = value
    return found


def bound(workload: Any, target: Any = FARM, **options: Any) -> FlowEvaluator:
    evaluator = bind(Setting(workload, target, None, options), registry()).evaluator
    assert isinstance(evaluator, FlowEvaluator)
    return evaluator


def price(
    workload: Any, design: Mapping[str, Any] | None = None, target: Any = FARM, **options: Any
) -> dict[str, float]:
    evaluator = bound(workload, target, **options)
    return {k: float(v[0]) for k, v in evaluator.price(evaluator.space.parse(design or {})).items()}


# -- by hand ----------------------------------------------------------------------------------------------------------


def test_power_rates_and_delays_by_hand() -> None:
    found = price(graph())
    message = 5e6
    operations = 1 + 1e-6 * message + 1e-13 * message**2 + 1e-21 * message**3
    assert found["op_power"] == pytest.approx(2 * operations * 100)
    assert found["link_power"] == pytest.approx(100 * 4e6 * 1e-9 + 10 * message * 2e-9)
    assert found["output_rate"] == pytest.approx(10)
    assert found["units"] == pytest.approx(100 * operations * 0.01 / 4)
    assert found["links"] == pytest.approx(100 * 4e6 / 1e9 + 10 * message / 1e9)
    assert found["latency"] == pytest.approx(1e-3 + operations * 0.01 + 2e-3)
    assert found["productivity"] == pytest.approx(found["f1"] * 10 / found["power"])
    assert found["size.filter"] == message


def test_the_threshold_rejects_what_the_ratio_asks_for_and_the_table_adds_up() -> None:
    found = price(graph())
    null, signal = NormalDist(), NormalDist(2.0, 1.5)
    low, high = -10.0, 10.0
    for _ in range(100):
        x = (low + high) / 2
        low, high = (x, high) if 0.95 * null.cdf(x) + 0.05 * signal.cdf(x) < 0.9 else (low, x)
    assert found["tpr.filter"] == pytest.approx(1 - signal.cdf(x))
    assert found["fpr.filter"] == pytest.approx(1 - null.cdf(x))
    assert found["recall"] == pytest.approx(found["tpr.filter"])
    assert found["precision"] == pytest.approx(5 * found["tpr.filter"] / 10)


def test_each_decision_changes_what_it_should() -> None:
    base = price(graph())
    smart = price(graph(), {"smart.left": 1})
    assert smart["size.filter"] == 4.5e6
    assert smart["power"] < base["power"]
    assert smart["f1"] == base["f1"]
    fibre = price(graph(), {"link.sensor": "fibre"})
    assert fibre["link_power"] == pytest.approx(base["link_power"] - 100 * 4e6 * 0.9e-9)
    fast = price(graph(), {"device.filter": "fast"})
    assert fast["op_power"] == pytest.approx(base["op_power"] * 3 * 0.5 / 2)
    assert fast["units"] == pytest.approx(base["units"] * 0.5 * 4)


def test_without_its_classifier_a_filter_is_worth_nothing() -> None:
    blind = price(graph(stages__filter__classifier={"model": "gaussian", "separation": 0.0}))
    assert blind["precision"] == pytest.approx(0.05)  # the share of relevant frames, as if by lot
    assert price(graph())["precision"] > 0.2


def test_technology_is_a_year() -> None:
    newer = {"growth": 0.1, "year": 2030}
    target = {**FARM, "devices": {name: {**body, **newer} for name, body in FARM["devices"].items()}}
    assert price(graph(), target=target)["power"] == pytest.approx(price(graph())["power"] / math.exp(0.8))
    assert price(graph(), target=target, year=2022)["power"] == pytest.approx(price(graph())["power"])


def test_streams_add_their_rates_and_events_their_sizes() -> None:
    events, streams = price(graph()), price(graph(stages__filter__merge="streams"))
    assert (events["size.filter"], events["rate.filter"]) == (5e6, pytest.approx(10))
    assert (streams["size.filter"], streams["rate.filter"]) == (3e6, pytest.approx(20))  # mean of 1 and 3 MB, and 1


def test_relevance_defaults_to_what_the_filters_let_through() -> None:
    whole = graph()
    del whole["relevant"]
    found = price(whole)
    assert found["precision"] == pytest.approx(found["recall"])  # as many kept as relevant


def test_whole_messages_are_cut() -> None:
    found = price(graph(whole=True, stages__filter__ratio=9))
    assert found["output_rate"] == int(found["output_rate"])
    assert price(graph(stages__filter__ratio=9))["output_rate"] == pytest.approx(100 / 9)


# -- a twin in plain Python -------------------------------------------------------------------------------------------


def twin(flow: FlowGraph, ratio: Mapping[str, float], smart: Mapping[str, float], joule: float, link: float) -> Any:
    """(power, kept relevant, kept others, missed) with dictionaries and recursion, Gaussian filters only."""
    cut = math.floor if flow.whole else float
    inputs = {node.name: [other for other in flow.nodes if other.to == node.name] for node in flow.nodes}
    weight = dict(zip(flow.index, path_weights(flow), strict=True))
    power = missed = 0.0

    def beyond(name: str) -> float:
        node = flow.nodes[flow.index[name]]
        return ratio.get(name, node.ratio[0]) * (beyond(node.to) if node.to else 1.0)

    def visit(name: str) -> tuple[float, float, float]:
        nonlocal power, missed
        node = flow.nodes[flow.index[name]]
        if node.rate:
            good = node.rate * flow.relevant if flow.relevant is not None else node.rate / beyond(name)
            bad, good = cut(node.rate - good), cut(good)
            size = node.size * (1 - node.reduction * smart.get(name, 0.0))
        else:
            parts = [visit(other.name) for other in inputs[name]]
            good, bad = sum(p[0] for p in parts), sum(p[1] for p in parts)
            if node.merge == "streams":
                size = sum(p[2] * (p[0] + p[1]) for p in parts) / (good + bad) if good + bad else 0.0
            else:
                good, bad, size = cut(good / len(parts)), cut(bad / len(parts)), sum(p[2] for p in parts)
            size += node.size
        if node.work is not None:
            power += joule * sum(c * size**k for k, c in enumerate(node.work.coefficients)) * (good + bad)
        keep = ratio.get(name, node.ratio[0])
        if isinstance(node.classifier, Gaussian) and keep > 1:
            null, signal = NormalDist(), NormalDist(node.classifier.separation, node.classifier.spread)
            low, high = -60.0, 60.0
            for _ in range(200):
                x = (low + high) / 2
                less = bad * null.cdf(x) + good * signal.cdf(x) < (1 - 1 / keep) * (good + bad)
                low, high = (x, high) if less else (low, x)
            missed += weight[name] * cut(good * signal.cdf(x))
            bad, good = cut(bad * (1 - null.cdf(x))), cut(good * (1 - signal.cdf(x)))
        size *= 1 - node.compression
        if node.to:
            power += link * size * (good + bad)
        return good, bad, size

    good, bad, _ = visit(flow.nodes[-1].name)
    return power, good, bad, missed


def random_graph(rng: np.random.Generator) -> dict[str, Any]:
    """A random tree of sources and stages; every stage has a source of its own."""
    stages = int(rng.integers(1, 6))
    names = [f"s{i}" for i in range(stages)]
    bodies: dict[str, Any] = {}
    sources: dict[str, Any] = {}
    for i, name in enumerate(names):
        body: dict[str, Any] = {"merge": str(rng.choice(["events", "streams"])), "bytes": float(rng.integers(0, 1000))}
        if i + 1 < stages:
            body["to"] = names[int(rng.integers(i + 1, stages))]
        if rng.random() < 0.7:
            ends = sorted(float(v) for v in rng.uniform(1.0, 50.0, 2))
            body |= {"ratio": ends, "classifier": {"model": "gaussian", "separation": float(rng.uniform(0, 5))}}
        if rng.random() < 0.7 or not i:
            body["work"] = {"constant": 1.0, "linear": float(rng.uniform(0, 0.1)), "cubic": 1e-9}
        body["compression"] = float(rng.choice([0.0, 0.3]))
        bodies[name] = body
        for j in range(int(rng.integers(1, 4))):
            rate, size = float(rng.uniform(1e2, 1e6)), float(rng.uniform(1, 1e4))
            sources[f"d{i}{j}"] = {"to": name, "rate": rate, "bytes": size, "reduction": float(rng.choice([0, 0.5]))}
    found = {"type": "flow_graph", "sources": sources, "stages": bodies, "whole": bool(rng.random() < 0.5)}
    return found | ({"relevant": float(rng.uniform(0, 0.5))} if rng.random() < 0.5 else {})


@pytest.mark.parametrize("seed", range(60))
def test_equals_its_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    options = random_graph(rng)
    target = {
        "memories": {"m": {"capacity": "1 TB", "bandwidth": "1 TB/s"}},
        "devices": {"d": {"model": "flow-node", "memory": "m", "op_energy": "3 J", "op_time": "1 ms"}},
    }
    evaluator = bound(options, target)
    designs = evaluator.space.sample(4, rng)
    prices = evaluator.price(designs)
    for row in range(4):
        shown = designs.show(row)
        ratio = {k.removeprefix("ratio."): float(v) for k, v in shown.items() if k.startswith("ratio.")}
        smart = {k.removeprefix("smart."): float(v) for k, v in shown.items() if k.startswith("smart.")}
        power, good, bad, missed = twin(evaluator.graph, ratio, smart, 3.0, 0.0)
        # whole counts may differ by one where a product lies on a whole number
        slack = 40 if evaluator.graph.whole else 1e-6 * (good + bad + missed)
        assert prices["power"][row] == pytest.approx(power, rel=2e-3 if evaluator.graph.whole else 1e-7)
        assert prices["output_rate"][row] == pytest.approx(good + bad, abs=slack)
        assert prices["recall"][row] * (good + missed) == pytest.approx(good, abs=slack)


# -- classifiers ------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_empirical_distributions_never_fall(seed: int) -> None:
    rng = np.random.default_rng(seed)
    null = np.sort(np.round(rng.normal(0, 1, int(rng.integers(1, 200))), 1))  # with ties
    signal = np.sort(np.round(rng.normal(1, 1, int(rng.integers(1, 200))), 1))
    curve = empirical(null, signal)
    for shares, sample in ((curve.negatives, null), (curve.positives, signal)):
        assert (shares[0], shares[-1]) == (0.0, pytest.approx(1.0))
        assert (np.diff(shares) >= 0).all()
        levels = np.unique(np.concatenate([null, signal]))
        assert shares[1:] == pytest.approx([(sample <= level).mean() for level in levels])


def test_a_curve_of_a_gaussian_is_the_gaussian() -> None:
    x = np.linspace(-8, 12, 20_001)
    null, signal = NormalDist(), NormalDist(2.0, 1.5)
    curve = Curve(np.array([null.cdf(v) for v in x]), np.array([signal.cdf(v) for v in x]))
    evaluator = bound(graph())
    nodes = tuple(
        node if node.classifier is None else type(node)(**{**_fields(node), "classifier": curve})
        for node in evaluator.graph.nodes
    )
    other = FlowGraph("g", nodes, {}, evaluator.graph.relevant)
    evaluator2 = FlowEvaluator(other, evaluator.target, evaluator.places)
    designs = evaluator.space.parse({})
    for name in ("f1", "precision", "recall"):
        assert evaluator2.price(designs)[name] == pytest.approx(evaluator.price(designs)[name], rel=1e-6)


def _fields(node: Any) -> dict[str, Any]:
    return {name: getattr(node, name) for name in type(node).__dataclass_fields__}


def test_a_stated_point_and_a_stated_curve() -> None:
    point = price(graph(stages__filter__classifier={"model": "point", "false_positive": 0.1, "true_positive": 0.8}))
    assert (point["fpr.filter"], point["tpr.filter"]) == (pytest.approx(0.1), pytest.approx(0.8))
    curve = {"model": "curve", "false_positive": [0.5, 0.1, 0.01], "true_positive": [0.9, 0.8, 0.3]}
    found = price(graph(stages__filter__classifier=curve, stages__filter__ratio=1 / (0.95 * 0.1 + 0.05 * 0.8)))
    assert (found["fpr.filter"], found["tpr.filter"]) == (pytest.approx(0.1), pytest.approx(0.8))


@given(st.floats(1.0, 1e9), st.floats(0.0, 50.0), st.floats(1e-3, 1e3), st.floats(1e-12, 1.0))
@settings(max_examples=60, deadline=None)
def test_extremes_stay_finite(ratio: float, separation: float, spread: float, relevant: float) -> None:
    classifier = {"model": "gaussian", "separation": separation, "spread": spread}
    found = price(graph(stages__filter__ratio=ratio, stages__filter__classifier=classifier, relevant=relevant))
    assert all(math.isfinite(v) and v >= 0 for v in found.values())
    assert found["precision"] <= 1 + 1e-12
    assert found["output_rate"] == pytest.approx(100 / ratio, rel=1e-3, abs=1e-3)


def test_a_thousand_stages() -> None:
    stages = {f"s{i}": {"to": f"s{i + 1}"} for i in range(1000)} | {"s1000": {"work": {"cubic": 1.0}}}
    found = price(
        {"type": "flow_graph", "sources": {"a": {"to": "s0", "rate": 1e15, "bytes": 1e15}}, "stages": stages},
        target={**FARM, "links": FARM["links"]},
    )
    assert all(math.isfinite(v) for v in found.values())


# -- other targets, kits, bad input -----------------------------------------------------------------------------------


def test_a_machine_that_counts_flop_does_the_work_where_flop_are_stated() -> None:
    work = {"constant": 2.0, "flop": "1 TFLOP"}
    found = price(graph(stages__filter__work=work), target="h100")
    device = load_target("h100", registry()).devices[0]
    seconds = 2e12 / max(device.at("peak", "fp32") or 0, device.at("peak", "fp16") or 0)
    assert found["units"] == pytest.approx(100 * seconds)
    assert found["power"] == pytest.approx(100 * seconds * (device.idle_power + device.dynamic_power))
    with pytest.raises(ProblemError, match="does not say how many"):
        price(graph(), target="h100")


def test_kits() -> None:
    evaluator = bound(graph(stages__filter__ratio=[2, 50]))
    pairs = [(evaluator.graph, evaluator.target, {}), (evaluator.graph, load_target("h100", registry()), {})]
    for report in (
        check_evaluator(evaluator, "flow"),
        check_factory(FlowFactory(), pairs),
        check_device_model(FlowNode),
        check_device_model(FlowProcessor),
        check_workload(lambda: evaluator.graph),
    ):
        assert report.passed, str(report)


@pytest.mark.parametrize(
    ("over", "error", "text"),
    [
        ({"stages__filter__to": "kep"}, UnknownName, "keep"),
        ({"stages__keep__to": "filter"}, InputError, "sends to no other"),
        ({"stages__filter__ratio": 0.5}, InputError, "from 1 to"),
        ({"stages__filter__ratio": [9, 3]}, InputError, r"\[low, high\]"),
        ({"stages__filter__classifier": None}, InputError, "has a 'classifier'"),
        ({"stages__filter__classifier": {"model": "gausian"}}, UnknownName, "gaussian"),
        ({"stages__filter__classifier": {"model": "gaussian"}}, InputError, "'separation' must be given"),
        ({"stages__filter__bytes": "-1 B"}, UnitError, "0 B or above"),
        ({"stages__filter__work": {"kind": "selct"}}, UnknownName, "select"),
        ({"sources__left__rate": 0}, UnitError, "above 0"),
        ({"sources__left__reduction": 1.5}, InputError, "from 0 to 1"),
        ({"sources__left__byte": 1}, UnknownName, "bytes"),
        ({"stages__idle": {"to": "keep"}}, InputError, "gets messages"),
        ({"sources": {}}, InputError, "mapping of 1 to"),
        ({"sources__Left!": {"to": "filter"}}, InputError, "lower case"),
    ],
)
def test_bad_graphs_are_refused(over: dict[str, Any], error: type[TradespaceError], text: str) -> None:
    options = {key: value for key, value in graph(**over).items() if key != "type"}
    with pytest.raises(error, match=text):
        build(options)


def test_bad_targets_and_options_are_refused() -> None:
    with pytest.raises(UnitError):
        price(
            graph(),
            target={
                **FARM,
                "devices": {"box": {"model": "flow-node", "memory": "edge", "op_energy": "-1 J", "op_time": "1 ms"}},
            },
        )
    with pytest.raises(UnknownName, match="year"):
        bound(graph(), yaer=2030)
    hot = {
        "box": {
            "model": "flow-node",
            "memory": "edge",
            "op_energy": "1 J",
            "op_time": "1 ms",
            "growth": 1.0,
            "year": 3000,
        }
    }
    with pytest.raises(InputError, match="exp"):
        price(graph(), target={**FARM, "devices": hot})
    none = {"box": {"model": "flow-node", "memory": "edge", "op_energy": "1 J", "op_time": "1 ms", "runs": ["select"]}}
    with pytest.raises(ProblemError, match="box runs neither 'reconstruct'"):
        price(graph(), target={**FARM, "devices": none})


def test_the_example_of_the_page_is_priced() -> None:
    page = (Path(__file__).parents[3] / "docs/flow.md").read_text(encoding="utf-8")
    (example,) = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0]).values()
    assert 0 < price(example, target="h100")["power"] < 100


def test_places_that_a_target_has_not_are_one() -> None:
    evaluator = bound(graph(stages__filter__place="attic"))
    assert set(evaluator.places.hops.values()) == {("inside",)}
    assert places(evaluator.graph, evaluator.target, registry(), None).link_joule.sum() == 0
