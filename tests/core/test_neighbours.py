from __future__ import annotations

import numpy as np
import pytest

from tradespace.designs import Choice, Composition, Integer, Permutation, Real, Space
from tradespace.neighbours import entry_changes, whole_changes


def test_every_single_entry_change_of_a_choice_once() -> None:
    space = Space(Choice("place", ("a", "b", "c"), 4), Choice("bits", (4, 8), 4))
    design = space.parse({"place": "b", "bits": 8})
    found = entry_changes(space, design)
    assert len(found.designs) == 4 * 2 + 4 * 1
    assert len(set(found.designs.ids)) == len(found.designs)
    place, bits = found.designs["place"] != design["place"], found.designs["bits"] != design["bits"]
    assert ((place.sum(axis=1) + bits.sum(axis=1)) == 1).all()
    at = found.texts.index("place of 2: b → c")
    assert found.designs["place"][at].tolist() == [1, 1, 2, 1]
    assert found.variables[at] == "place"


def test_numbers_move_near_and_far_within_their_range() -> None:
    space = Space(Integer("k", 1, 8), Integer("batch", 1, 512), Real("share", 0.0, 1.0))
    design = space.parse({"k": 3, "batch": 64, "share": 0.5})
    found = entry_changes(space, design)
    moved = {
        name: sorted({row[name] for row in map(found.designs.show, _rows(found, name))}) for name in ("k", "batch")
    }
    assert moved["k"] == [1, 2, 4, 5, 6, 7, 8]
    assert moved["batch"] == [1, 32, 63, 65, 128, 512]
    assert len(_rows(found, "share")) == 10


def _rows(found: object, variable: str) -> list[int]:
    return [i for i, v in enumerate(found.variables) if v == variable]  # type: ignore[attr-defined]


def test_orders_and_shares_stay_valid() -> None:
    space = Space(Permutation("order", 4), Composition("layers", 12, 3, at_least=1))
    found = entry_changes(space, space.parse({"layers": [6, 5, 1]}))
    assert (np.sort(found.designs["order"], axis=1) == np.arange(4)).all()
    assert (found.designs["layers"].sum(axis=1) == 12).all() and found.designs["layers"].min() >= 1
    assert len(_rows(found, "order")) == 6


def test_entries_that_do_not_count_are_left_alone() -> None:
    space = Space(Choice("mode", ("plain", "split")), Choice("helper", ("a", "b"), when={"mode": ("split",)}))
    assert "helper" not in entry_changes(space, space.parse({"mode": "plain"})).variables
    assert "helper" in entry_changes(space, space.parse({"mode": "split"})).variables


def test_runs_and_whole_variables() -> None:
    space = Space(Choice("place", ("a", "b"), 5))
    design = space.parse({"place": ["a", "a", "b", "b", "b"]})
    found = whole_changes(space, design)
    shown = {text: "".join(found.designs.show(i)["place"]) for i, text in enumerate(found.texts)}
    assert shown == {
        "place a everywhere": "aaaaa",
        "place b everywhere": "bbbbb",
        "place of 0..1: a → b": "bbbbb",
        "place of 2..4: b → a": "aaaaa",
    }


@pytest.mark.parametrize("options", [("a",), ("a", "b")])
def test_nothing_to_change(options: tuple[str, ...]) -> None:
    space = Space(Choice("place", options))
    assert len(entry_changes(space, space.parse({})).designs) == len(options) - 1
    assert len(whole_changes(space, space.parse({})).designs) == 0
