"""Spaces and designs: validity, canonical form, digests, enumeration, change."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradespace.designs import Choice, Composition, Designs, Integer, Permutation, Real, Space, short_ids
from tradespace.errors import DesignError, UnknownName


def mixed_space() -> Space:
    return Space(
        Choice("mode", ("fused", "split")),
        Integer("batch", 1, 512, log=True),
        Real("share", 0.0, 1.0, when={"mode": ("split",)}),
        Permutation("order", 4),
        Composition("layers", total=6, parts=3, at_least=1),
        Integer("depth", 1, 3),
        Choice("kernel", (3, 5, 7), length=3, prefix="depth"),
        Choice("device", ("cpu", "gpu"), length=3),
        Integer("clock", 2, 9, length=3, when={"device": ("gpu",)}),
    )


def same(a: Designs, b: Designs) -> bool:
    return all(np.array_equal(a.columns[k], b.columns[k]) for k in a.columns)


def assert_valid(space: Space, designs: Designs) -> None:
    active = space.active(designs)
    for v in space.variables:
        block = designs.columns[v.name]
        assert block.shape == (len(designs), v.width) and block.dtype == v.dtype
        assert (block[~active[v.name]] == 0).all(), v.name
        low, high = v.bounds()
        on = active[v.name]
        assert (np.where(on, block, low) >= low).all() and (np.where(on, block, high) <= high).all(), v.name
    assert (np.sort(designs["order"], axis=1) == np.arange(4)).all()
    assert (designs["layers"].sum(axis=1) == 6).all()


@pytest.mark.parametrize("seed", range(5))
def test_samples_and_mutants_are_valid_and_canonical(seed: int) -> None:
    space, rng = mixed_space(), np.random.default_rng(seed)
    designs = space.sample(500, rng)
    mutants = space.mutate(designs, rng)
    for batch in (designs, mutants):
        assert_valid(space, batch)
        assert same(batch, space.repair(batch))
        assert same(batch, space.unflatten(space.flatten(batch)))


def test_conditions_are_elementwise_between_equal_lengths() -> None:
    space = mixed_space()
    designs = space.sample(300, np.random.default_rng(1))
    on_gpu = designs["device"] == 1
    assert on_gpu.any() and not on_gpu.all()
    assert (designs["clock"][on_gpu] >= 2).all() and (designs["clock"][~on_gpu] == 0).all()
    assert (designs["share"][designs["mode"] == 0] == 0).all() and designs["share"].any()


def test_prefix_zeroes_the_tail_so_equal_designs_have_one_digest() -> None:
    space = Space(Integer("depth", 1, 3), Choice("kernel", ("a", "b"), length=3, prefix="depth"))
    a = space.designs({"depth": [1], "kernel": [[1, 0, 1]]})
    b = space.designs({"depth": [1], "kernel": [[1, 1, 0]]})
    assert a.ids == b.ids and a.show()["kernel"] == ["b", "a", "a"]


def test_a_child_of_an_inactive_parent_is_inactive() -> None:
    space = Space(
        Choice("a", ("off", "on")),
        Choice("b", ("x", "y"), when={"a": ("on",)}),
        Integer("c", 5, 9, when={"b": ("x",)}),
    )
    designs = space.sample(200, np.random.default_rng(0))
    off = designs["a"] == 0
    assert (designs["c"][off] == 0).all() and (designs["c"][~off & (designs["b"] == 0)] >= 5).all()


def test_mutation_changes_at_least_one_active_entry() -> None:
    rng = np.random.default_rng(0)
    space = Space(
        Choice("p", ("a", "b", "c"), length=20), Permutation("o", 5), Integer("k", 1, 4), Composition("c", 4, 3)
    )
    designs = space.sample(2000, rng)
    for rate in (None, 0.0001, 1.0):
        assert (space.mutate(designs, rng, rate).digest != designs.digest).all()


@pytest.mark.parametrize("variable", [Permutation("v", 5), Composition("v", 3, 4), Composition("v", 9, 2, at_least=2)])
def test_every_mask_changes_an_order_or_shares(variable: Permutation | Composition) -> None:
    rng = np.random.default_rng(0)
    rows = variable.sample(3000, rng)
    mask = rng.random(rows.shape) < rng.random((3000, 1))
    moved = variable.mutate(rows, mask, rng)
    assert ((moved != rows).any(axis=1) == mask.any(axis=1)).all()
    assert np.array_equal(variable.repair(moved), moved)
    assert (moved.sum(axis=1) == rows.sum(axis=1)).all()


def test_mutation_rate_is_the_share_of_changed_entries() -> None:
    space, rng = Space(Choice("p", ("a", "b", "c"), length=50)), np.random.default_rng(0)
    designs = space.sample(2000, rng)
    changed = (space.mutate(designs, rng, 0.3)["p"] != designs["p"]).mean()
    assert abs(changed - 0.3) < 0.01


def test_sampling_is_uniform_over_compositions() -> None:
    variable = Composition("c", total=4, parts=3)
    rows = variable.sample(30_000, np.random.default_rng(0))
    _, counts = np.unique(rows, axis=0, return_counts=True)
    assert len(counts) == variable.count == 15
    assert counts.min() > 1800 and counts.max() < 2200  # 2000 each, 5 sigma = 220


def test_enumeration_visits_every_design_once() -> None:
    space = Space(Permutation("o", 4), Composition("l", 5, 3), Choice("k", ("p", "q"), length=2), Integer("i", -1, 1))
    assert space.size == 24 * 21 * 4 * 3
    assert len(set(space.at(range(space.size)).ids)) == space.size


def test_infinite_and_conditional_sizes() -> None:
    assert Space(Real("r", 0, 1)).size is None
    with pytest.raises(DesignError, match="enumerated"):
        Space(Real("r", 0, 1)).at([0])


def test_homogeneous_designs_are_all_combinations_of_constants() -> None:
    space = Space(Choice("device", ("a", "b", "c"), length=7), Choice("precision", ("x", "y"), length=7))
    plain = space.homogeneous()
    assert len(plain) == 6 and (plain["device"] == plain["device"][:, :1]).all()
    assert len(set(plain.ids)) == 6


def test_digests_do_not_depend_on_process_or_batch() -> None:
    code = (
        "import numpy as np; from tradespace.designs import *;"
        "s = Space(Choice('p', ('a', 'b'), length=9), Real('r', 0, 1));"
        "print(s.sample(3, np.random.Generator(np.random.Philox(5))).ids)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    space = Space(Choice("p", ("a", "b"), length=9), Real("r", 0, 1))
    designs = space.sample(3, np.random.Generator(np.random.Philox(5)))
    assert other == str(designs.ids)
    assert designs.take([2]).ids[0] == designs.ids[2]


def test_digests_of_neighbours_differ() -> None:
    space = Space(Choice("p", ("a", "b", "c", "d"), length=9))
    assert len(np.unique(space.at(range(4**9)).digest)) == 4**9


def test_short_ids_stay_distinct() -> None:
    assert short_ids(["aaaa1", "aaaa2", "bbbb1"]) == ("aaaa1", "aaaa2", "bbbb1")
    assert short_ids(["aaaa1", "bbbb1"]) == ("aaaa", "bbbb")


def test_parse_reads_values_lists_and_patterns() -> None:
    entries = ("embed", "0.attn", "0.down", "1.down")
    space = Space(Choice("device", ("gpu", "npu"), length=4, entries=entries), Integer("k", 1, 8))
    plan = space.parse({"device": {"*.down": "npu"}, "k": 4})
    assert plan.show() == {"device": ["gpu", "gpu", "npu", "npu"], "k": 4}
    assert space.parse({"device": "npu"}).show()["device"] == ["npu"] * 4
    assert space.parse(plan.show()).ids == plan.ids
    assert space.parse({}).show() == {"device": ["gpu"] * 4, "k": 1}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"devise": "gpu"}, "unknown design variable 'devise'.*Did you mean 'device'"),
        ({"device": "gpv"}, "unknown device 'gpv'.*'gpu'"),
        ({"device": {"*.dwn": "gpu"}}, "pattern must match"),
        ({"device": ["gpu"]}, "needs 4 values; got 1"),
        ({"k": 9}, "whole number from 1 to 8; got 9"),
        ({"k": "many"}, "needs a number"),
    ],
)
def test_parse_says_what_is_wrong(values: dict[str, object], message: str) -> None:
    space = Space(
        Choice("device", ("gpu", "npu"), length=4, entries=("e", "0.a", "0.down", "1.down")), Integer("k", 1, 8)
    )
    with pytest.raises((DesignError, UnknownName), match=message):
        space.parse(values)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Space(), "at least one variable"),
        (lambda: Space(Choice("a", ())), "at least one option"),
        (lambda: Space(Choice("a", ("x", "x"))), "options must differ"),
        (lambda: Space(Choice("a", ("x",)), Integer("a", 1, 2)), "names of variables must differ"),
        (lambda: Space(Integer("a", 3, 2)), "low <= high"),
        (lambda: Space(Real("a", 0, float("nan"))), "finite"),
        (lambda: Space(Composition("a", 2, 3, at_least=1)), "total must cover"),
        (lambda: Space(Choice("a", ("x",), when={"b": ("y",)})), "unknown earlier design variable 'b'"),
        (lambda: Space(Choice("b", ("y",)), Choice("a", ("x",), when={"b": ("z",)})), "unknown b 'z'"),
        (lambda: Space(Choice("a", ("x",), length=2_000_000)), "at most"),
    ],
)
def test_spaces_that_make_no_sense_are_refused(make: object, message: str) -> None:
    with pytest.raises((DesignError, UnknownName), match=message):
        make()  # type: ignore[operator]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3))
def test_composition_repair_keeps_the_sum_and_is_idempotent(raw: list[float]) -> None:
    variable = Composition("c", total=11, parts=3, at_least=1)
    once = variable.repair(np.asarray([raw]))
    assert once.sum() == 11 and once.min() >= 1
    assert np.array_equal(variable.repair(once), once)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=9, max_size=9))
def test_any_numbers_become_a_valid_design(raw: list[float]) -> None:
    space = Space(Choice("p", ("a", "b"), length=2), Integer("k", 1, 9, log=True), Real("r", 0, 1), Permutation("o", 5))
    designs = space.unflatten(np.asarray([raw]))
    assert same(designs, space.repair(designs))
    assert sorted(designs["o"][0]) == list(range(5)) and 0 <= designs["r"][0] <= 1


def test_wide_whole_numbers_move_by_all_scales() -> None:
    space, rng = Space(Integer("n", 0, 1_000_000)), np.random.default_rng(3)
    start = space.sample(4000, rng)
    moved = np.abs(space.mutate(start, rng).columns["n"] - start.columns["n"])
    assert (moved > 0).all()
    shares = [((moved >= low) & (moved < 10 * low)).mean() for low in (1, 10, 100, 1000, 10_000)]
    assert min(shares) > 0.05
