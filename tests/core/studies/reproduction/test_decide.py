"""Decisions taken away from a search."""

from __future__ import annotations

import numpy as np

from tradespace.designs import Choice, Designs, Space
from tradespace.problem import ChainTerm, Metric, Prices, Problem, Structure
from tradespace.studies.reproduction.decide import Held, Reduced, choose, without

_UNARY = np.random.default_rng(0).random((6, 2, 3))  # entry, place, format
_PAIR = np.random.default_rng(1).random((5, 2, 2))  # places of neighbours


class Chain:
    """cost = sum over entries + sum over neighbouring places: additive, so its structure is exact."""

    space = Space(Choice("place", ("a", "b"), 6), Choice("format", ("x", "y", "z"), 6))
    metrics = (Metric("cost", "1", "min"),)

    def price(self, designs: Designs) -> Prices:
        place, kind = designs["place"].astype(int), designs["format"].astype(int)
        rows = np.arange(6)
        cost = _UNARY[rows, place, kind].sum(axis=1) + _PAIR[rows[:5], place[:, :-1], place[:, 1:]].sum(axis=1)
        return Prices({"cost": cost})

    def structure(self) -> Structure:
        pair = np.repeat(np.repeat(_PAIR, 3, axis=1), 3, axis=2)
        return Structure(("place", "format"), {"cost": ChainTerm(_UNARY.reshape(6, 6), pair)})


def _additive(structure: Structure, designs: Designs) -> np.ndarray:
    """Cost from the structure, state by state."""
    term, sizes = structure.terms["cost"], [len(designs.space[v].options) for v in structure.variables]  # type: ignore[attr-defined]
    state = np.zeros((len(designs), term.unary.shape[0]), int)
    for name, size in zip(structure.variables, sizes, strict=True):
        state = state * size + designs[name].astype(int)
    rows = np.arange(term.unary.shape[0])
    assert term.pair is not None
    return term.unary[rows, state].sum(axis=1) + term.pair[rows[:-1], state[:, :-1], state[:, 1:]].sum(axis=1)


def test_a_whole_variable_leaves_the_space_and_prices_and_structure_agree() -> None:
    for fix in ({"place": "b"}, {"format": ["x", "z", "y", "x", "z", "z"]}):
        reduced = without(Chain(), fix)
        assert isinstance(reduced, Reduced) and len(reduced.space.variables) == 1
        designs = reduced.space.sample(50, np.random.default_rng(2))
        full = reduced.expand(designs)
        assert all(row == full.show(0)[name] for name, row in Chain.space.parse(fix).show(0).items() if name in fix)
        priced = np.asarray(reduced.price(designs)["cost"])
        structure = reduced.structure()
        assert structure is not None
        np.testing.assert_allclose(priced, _additive(structure, designs))
        np.testing.assert_allclose(priced, Chain().price(full)["cost"])


def test_single_entries_are_held() -> None:
    held = without(Chain(), {"place": {"2": "b"}})
    assert isinstance(held, Held)
    repaired = held.repair(held.space.sample(20, np.random.default_rng(3)))
    assert (repaired["place"][:, 2] == 1).all() and repaired["place"][:, 1].min() == 0


def test_fixing_every_variable_leaves_one_design() -> None:
    held = without(Chain(), {"place": "b", "format": "z"})
    assert isinstance(held, Held)
    assert len(set(held.repair(held.space.sample(9, np.random.default_rng(3))).ids)) == 1


def test_exact_where_size_or_structure_allow() -> None:
    assert choose(Problem.of(Chain(), ["cost"])) == "chain_exact"  # 6^6 designs, additive
    assert choose(Problem.of(Chain(), ["cost"], ["cost<=9"])) == "pgsam"
    assert choose(Problem.of(without(Chain(), {"place": "a"}), ["cost"])) == "exhaustive"  # 3^6 = 729 designs
