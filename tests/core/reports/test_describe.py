from __future__ import annotations

from tradespace.designs import Choice, Composition, Integer, Permutation, Space
from tradespace.reports.describe import describe, entry_names

BLOCKS = ("embed", "0", "1", "2", "head")
SPACE = Space(
    Choice("placement", ("npu", "dgpu"), 5, BLOCKS),
    Choice("precision", ("int8", "int4"), 5, BLOCKS),
    Integer("batch", 1, 8),
)


def text(placement: str, precision: str, **more: int) -> str:
    """A design from letters: n(pu) or d(gpu), 8 or 4."""
    names = {"n": "npu", "d": "dgpu", "8": "int8", "4": "int4"}
    design = {"placement": [names[c] for c in placement], "precision": [names[c] for c in precision], "batch": 1}
    return describe(SPACE, design, **more)


def test_equal_neighbours_are_one_span() -> None:
    assert text("ddddn", "44448") == "embed..2 dgpu int4 | head npu int8 | batch 1"


def test_a_uniform_plan() -> None:
    assert text("ddddd", "44444") == "all dgpu int4 | batch 1"


def test_many_runs_become_counts_that_add_up() -> None:
    assert text("ndndn", "88888", most=3) == "3× npu int8 | 2× dgpu int8 (in 5 runs) | batch 1"


def test_a_single_difference_is_never_lost() -> None:
    assert text("ddddd", "44484") == "embed..1 dgpu int4 | 2 dgpu int8 | head dgpu int4 | batch 1"


def test_entries_without_names_are_numbered() -> None:
    assert entry_names(Space(Choice("a", ("x", "y"), 3)), "a") == ("0", "1", "2")


def test_shares_and_orders() -> None:
    space = Space(
        Choice("precision", ("int8", "int4"), 3),
        Composition("placement", 3, 4, entries=("cpu", "igpu", "npu", "dgpu")),
        Permutation("order", 3),
    )
    design = {"precision": ["int4"] * 3, "placement": [0, 2, 0, 1], "order": [2, 0, 1]}
    assert describe(space, design) == "placement igpu 2, dgpu 1 | all int4 | order 2 0 1"
