"""Structure: exact terms are the price, bounds are below it, and the tangent bound is tight."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.edge import awkward, diamond

from tradespace.costs import thermal
from tradespace.costs.bounds import tangent
from tradespace.costs.evaluator import TablesEvaluator
from tradespace.costs.held import remembered
from tradespace.costs.tables import TablesFactory
from tradespace.designs import Designs
from tradespace.plugins import registry
from tradespace.problem import ChainTerm
from tradespace.targets import load_target
from tradespace.workloads import load_workload
from tradespace_edge.qeil import QEILFactory

CASES = [
    ("qeil", "llama-3.2-1b", "laptop", {}),
    ("qeil", "llama-3.2-1b", "laptop", {"schedule": "pipeline"}),
    ("qeil", "llama-3.1-8b", "phone", {}),
    ("qeil", "mistral-7b", "raspberry-pi-5", {"phi": False}),
    ("qeil", "lfm2-2.6b", "mac", {"samples": [1, 2, 5]}),
    ("qeil", "qwen2-0.5b", "a100", {"dasi": False}),
    ("tables", "llama-3.2-1b", "laptop", {}),
    ("tables", "gpt2", "laptop", {"per": "operator"}),
    ("tables", "llama-3.2-1b", "laptop", {"schedule": "pipeline"}),
    ("tables", "llama-3.2-1b", "phone", {"schedule": "pipeline", "samples": [1, 3]}),
    ("qeil", None, None, {"precisions": ["fp16", "int8", "int4"]}),
    ("qeil", None, None, {"schedule": "pipeline"}),
]


def bound(factory: str, workload: str | None, target: str | None, options: dict) -> TablesEvaluator:  # type: ignore[type-arg]
    names = registry()
    made = {"qeil": QEILFactory, "tables": TablesFactory}[factory]()
    if workload is None or target is None:
        return made.bind(diamond(), awkward(names), options)
    return made.bind(load_workload(workload, names), load_target(target, names), options)


def sums(term: ChainTerm, state: NDArray[np.int64]) -> NDArray[np.float64]:
    n = state.shape[1]
    total = term.unary[np.arange(n)[None, :], state].sum(axis=1)
    if term.pair is not None:
        total = total + term.pair[np.arange(n - 1)[None, :], state[:, :-1], state[:, 1:]].sum(axis=1)
    return np.asarray(total)


def states(evaluator: TablesEvaluator, designs: Designs) -> NDArray[np.int64]:
    return designs["placement"].astype(np.int64) * len(evaluator.binding.precisions) + designs["precision"]


@pytest.mark.parametrize(("factory", "workload", "target", "options"), CASES)
def test_terms_hold_on_thousands_of_designs(factory: str, workload: str | None, target: str | None, options) -> None:  # type: ignore[no-untyped-def]
    evaluator = bound(factory, workload, target, options)
    space = evaluator.space
    designs = space.concat([space.sample(4000, np.random.default_rng(0)), space.homogeneous()])  # unrepaired as well
    designs = space.concat([designs, evaluator.repair(designs)])
    prices = evaluator.price(designs)
    structure = evaluator.structure()
    assert structure is not None and {"latency", "energy", "loss", "memory"} <= set(structure.terms)
    state = states(evaluator, designs)
    if structure.links is not None:
        own = len(evaluator.binding.target.devices) * len(evaluator.binding.precisions)
        state = remembered(structure.links, state, own)
    exact = 0
    for name, term in structure.terms.items():
        total, scale = sums(term, state), np.abs(prices[name]).max()
        if term.exact:
            exact += 1
            np.testing.assert_allclose(total, prices[name], rtol=1e-11, atol=1e-13 * scale, err_msg=name)
        else:
            assert (total <= prices[name] * (1 + 1e-12) + 1e-13 * scale).all(), name
    for name, (unary, limit) in structure.limits.items():
        over = unary[np.arange(state.shape[1])[None, :], state].sum(axis=1) / limit - 1
        assert (over <= prices.violations[name] + 1e-12).all(), name
        if not evaluator.binding.entries.ties and len(evaluator.binding.samples) == 1:
            np.testing.assert_allclose(over, prices.violations[name], atol=1e-11, err_msg=name)
    assert exact >= 1
    for name, term in structure.maxima.items():
        largest, scale = np.max([sums(group, state) for group in term.groups], axis=0), np.abs(prices[name]).max()
        if term.exact:
            np.testing.assert_allclose(largest, prices[name], rtol=1e-11, atol=1e-13 * scale, err_msg=name)
        else:
            assert (largest <= prices[name] * (1 + 1e-12) + 1e-13 * scale).all(), name


def test_tables_are_exact_and_the_thermal_bound_is_tight() -> None:
    plain = bound("tables", "llama-3.1-8b", "laptop", {}).structure()
    assert plain is not None and all(t.exact for t in plain.terms.values())
    evaluator = bound("qeil", "llama-3.2-1b", "laptop", {})
    structure = evaluator.structure()
    assert structure is not None and structure.terms["latency"].exact and structure.terms["loss"].exact
    designs = evaluator.space.sample(3000, np.random.default_rng(1))
    ratio = sums(structure.terms["energy"], states(evaluator, designs)) / evaluator.price(designs)["energy"]
    assert ratio.min() > 0.995 and np.median(ratio) > 0.9999


def test_tangent_touches_at_its_power_and_stays_below() -> None:
    for scale, resistance, leak in ((30.0, 1.5, 2.0), (20.0, 4.0, 0.1), (30.0, 0.36, 4.0), (30.0, 0.0, 3.0)):
        row = thermal.constants(308.0, resistance, 370.0, leak, 323.0, scale)
        at = 5.0
        start, slope = tangent(at, row[None, :], 0)
        assert start + slope * at == pytest.approx(thermal.leakage(at, row[None, :], 0), rel=1e-12)
        for power in np.linspace(0.0, 300.0, 3001):
            assert start + slope * power <= thermal.leakage(power, row[None, :], 0) * (1 + 1e-12)


def test_tangent_of_a_device_in_runaway_is_still_below() -> None:
    row = thermal.constants(330.0, 5.0, 370.0, 4.0, 300.0, 20.0)
    start, slope = tangent(100.0, row[None, :], 0)
    assert start + slope * 100.0 <= thermal.leakage(100.0, row[None, :], 0)


def test_a_pipeline_declares_its_period_and_energy_as_largest_sums() -> None:
    """Exact where tables add up; the optimum of a search for the period is that of the declared structure."""
    evaluator = bound("tables", "llama-3.2-1b", "laptop", {"schedule": "pipeline"})
    structure = evaluator.structure()
    assert structure is not None and structure.exact("period") and structure.exact("energy")
    assert len(structure.groups("period")) >= len(evaluator.binding.target.devices)
    assert not structure.terms["period"].exact
    chain = bound("tables", "llama-3.2-1b", "laptop", {}).structure()
    assert chain is not None and chain.terms["period"].exact and not chain.maxima
    thermal_ = bound("qeil", "llama-3.2-1b", "laptop", {"schedule": "pipeline"}).structure()
    assert thermal_ is not None and thermal_.exact("period") and not thermal_.exact("energy")
