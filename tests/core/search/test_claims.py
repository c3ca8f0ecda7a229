"""Wrong declarations are refused before a front of other numbers is called exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.core.search.toys import RandomChain, brute_front, everything
from tests.core.test_structures import Cells, Network

import tradespace as ts
from tradespace.designs import Designs
from tradespace.errors import TradespaceError
from tradespace.problem import ChainTerm, MaxTerm, Prices, Structure
from tradespace.testing.evaluators import check_evaluator

GOALS = ["cost0", "cost1"]
Change = Callable[[Structure], Any]


def declaring(change: Change, **made: Any) -> RandomChain:
    chain = RandomChain(3, n=8, **made)
    honest = chain.structure()
    chain.structure = lambda: change(honest)  # type: ignore[method-assign]
    return chain


def with_term(structure: Structure, **change: Any) -> Structure:
    return replace(structure, terms={**structure.terms, "cost0": replace(structure.terms["cost0"], **change)})


def _nan(structure: Structure) -> Structure:
    unary = structure.terms["cost0"].unary.copy()
    unary[2, 1] = np.nan
    return with_term(structure, unary=unary)


SHAPES: dict[str, tuple[Change, str]] = {
    "dict": (lambda s: {"terms": 1}, r"structure of RandomChain: structure\(\) returns a Structure or None; got dict"),
    "metric": (lambda s: replace(s, terms={"cots0": s.terms["cost0"]}), "unknown metric 'cots0'.*Did you mean 'cost0'"),
    "maximum": (lambda s: replace(s, maxima={"x": MaxTerm((s.terms["cost0"],))}), "unknown metric 'x'"),
    "variable": (lambda s: replace(s, variables=("devise", "precision")), "unknown design variable 'devise'"),
    "none": (lambda s: replace(s, variables=()), "names the variables"),
    "unary": (lambda s: with_term(s, unary=s.terms["cost0"].unary[:, :-1]), r"'unary' has shape \(8, 4\).*\(8, 3\)"),
    "pair": (lambda s: with_term(s, pair=s.terms["cost0"].pair[1:]), r"'pair' has shape \(7, 4, 4\)"),  # type: ignore[index]
    "half": (lambda s: replace(s, variables=("device",)), r"'unary' has shape \(8, 2\)"),
    "nan": (_nan, r"'unary' holds finite numbers; got nan at \[2, 1\]"),
    "term": (lambda s: replace(s, terms={"cost0": s.terms["cost0"].unary}), "a term is a ChainTerm; got ndarray"),
    "limit": (lambda s: replace(s, limits={"full": (np.zeros((8, 3)), 1.0)}), r"'full'.*shape \(8, 4\)"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_what_cannot_be_read_is_refused_before_anything_is_built(case: str) -> None:
    change, text = SHAPES[case]
    with pytest.raises(TradespaceError, match=text):
        ts.search(declaring(change), GOALS, evaluations=100)


def test_an_attribute_is_no_method() -> None:
    chain = RandomChain(3)
    chain.structure = chain.structure()  # type: ignore[method-assign, assignment]
    with pytest.raises(TradespaceError, match=r"structure is a method.*def structure"):
        ts.search(chain, GOALS)


VALUES: dict[str, tuple[Change, str]] = {
    "order": (lambda s: replace(s, variables=("precision", "device")), "'cost[01]': a declared exact form is equal to"),
    "coupled": (lambda s: with_term(s, pair=None), "'cost0': a declared exact form.*exact=False"),
    "above": (
        lambda s: with_term(s, unary=s.terms["cost0"].unary * 1.5, exact=False),
        "'cost0': a declared lower bound is at most",
    ),
    "maximum": (
        lambda s: replace(s, maxima={"cost0": MaxTerm((s.terms["cost0"], s.terms["cost1"]))}),
        "'cost0', largest of 2 sums: a declared exact form",
    ),
    "limit": (lambda s: replace(s, limits={"full": (np.ones((8, 4)), 9.0)}), "violation that price returns; got full"),
}


@pytest.mark.parametrize("case", VALUES)
@pytest.mark.parametrize("optimizer", ["auto", "random"])
def test_what_prices_contradict_is_refused(case: str, optimizer: str) -> None:
    change, text = VALUES[case]
    with pytest.raises(TradespaceError, match=text) as caught:
        ts.search(declaring(change), GOALS, optimizer=optimizer, evaluations=100)
    if case != "limit":
        assert "declared, " in str(caught.value) and "disagreements in " in str(caught.value)
        assert "last variable fastest" in str(caught.value)


def test_the_largest_disagreement_is_shown() -> None:
    def change(s: Structure) -> Structure:
        unary = s.terms["cost0"].unary.copy()
        unary[0] += [5.0, 6.0, 7.0, 1000.0]
        return with_term(s, unary=unary)

    with pytest.raises(TradespaceError, match=r"the largest of 261 disagreements.*device: b, .*precision: y, "):
        ts.search(declaring(change), GOALS)


def test_wrong_graphs_and_bounds_per_variable_are_refused() -> None:
    wrong = Network(0)
    term = wrong.graph.terms["cost0"]
    graph = replace(wrong.graph, terms={**wrong.graph.terms, "cost0": replace(term, unary=term.unary + 1.0)})
    wrong.structure = lambda: ts.graph_structure(("device", "precision"), graph)  # type: ignore[method-assign]
    with pytest.raises(TradespaceError, match="graph, 'cost0': a declared exact form"):
        ts.search(wrong, GOALS)
    cells = Cells()
    cells.adds = {**cells.adds, "latency": {"cell": [0.0, 3.0, 9.0], "width": [1.0, 2.0]}}
    with pytest.raises(TradespaceError, match="'latency': a declared lower bound"):
        ts.search(cells, ["latency", "loss"])


def test_what_is_true_passes_in_single_precision_and_where_designs_cannot_run() -> None:
    class Single(RandomChain):
        def price(self, designs: Designs) -> Prices:
            prices = super().price(designs)
            broken = (designs["device"][:, 0] == 1) & (designs["device"][:, 1] == 0)
            columns = {k: np.where(broken, 1e9, v.astype(np.float32) * np.float32(1.0)) for k, v in prices.items()}
            return Prices(columns, {"cannot run": broken * 1.0})

    assert len(ts.search(Single(3, n=8, shift=0.1), GOALS, evaluations=200))
    assert len(ts.search(RandomChain(3, n=8, shift=-30.0), GOALS, evaluations=200))  # sums around nought


def test_the_chain_of_the_page_is_solved_exactly() -> None:
    page = (Path(__file__).parents[3] / "docs" / "plugins.md").read_text()
    source = next(part for part in page.split("```python")[1:] if "class Stages" in part).split("```")[0]
    known: dict[str, Any] = {}
    exec(compile(source, "docs/plugins.md", "exec"), known)
    evaluator = known["Stages"]()
    assert check_evaluator(evaluator).passed
    for goals in (["period", "loss"], ["energy", "loss"], ["max:energy", "loss"]):
        _, scores = everything(ts.Problem.of(evaluator, goals))
        front = ts.search(evaluator, goals, optimizer="chain_exact")
        assert front.note == "exact" and np.allclose(np.unique(front.minimised, axis=0), brute_front(scores.objectives))
        auto = ts.search(evaluator, goals, evaluations=2000)
        assert "declared_chain" in auto.note and auto.hypervolume == pytest.approx(front.hypervolume)


def test_declarations_are_public() -> None:
    assert ts.MaxTerm is MaxTerm and ts.ChainTerm is ChainTerm and callable(ts.per_variable) and ts.Graph


@pytest.mark.parametrize("noisy", [True, False])
def test_two_prices_of_one_design_are_noted(noisy: bool) -> None:
    rng = np.random.default_rng(0)

    class Noisy(RandomChain):
        structure = None  # type: ignore[assignment]

        def price(self, designs: Designs) -> Prices:
            prices = super().price(designs)
            return Prices({k: v * (1 + noisy * rng.normal(0, 0.1, len(v))) for k, v in prices.items()})

    front = ts.search(Noisy(3), GOALS, optimizer="random", evaluations=50)
    assert ("deterministic = False" in front.note) == noisy
