from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tradespace.plans import Plan
from tradespace.reports.breakdown import COVER, blocks, devices, explained_rows, round_to, rounded
from tradespace.reports.html import explained
from tradespace.reports.summary import summarise


@pytest.fixture(scope="module")
def summary(front: Any, bound: Any) -> Any:
    return summarise(front, bound)


@pytest.fixture(scope="module")
def plans(front: Any, summary: Any) -> dict[str, Plan]:
    return explained(front, summary)


def composed(found: Any, front: Any, row: int, cost: str) -> list[float]:
    """What the page does: the costs of the blocks of a plan from their states."""
    column = [c["name"] for c in found["costs"]].index(cost)
    codes = [front.designs[d["name"]][row] for d in found["by"]]
    values = []
    for i, cell in enumerate(found["states"]):
        state = 0
        for d, own in zip(found["by"], codes, strict=True):
            state = state * d["options"] + int(own[i])
        values.append(cell[str(state)][column])
    return values


def test_any_plan_can_be_put_together_and_adds_up_to_its_price(front: Any, summary: Any, plans: Any) -> None:
    found = blocks(summary, plans)
    assert found["table"] == {} and [d["name"] for d in found["by"]] == ["placement", "precision"]
    for i in range(len(front)):
        k = int(front.designs["samples"][i])
        assert k == 1  # more samples only cost here, so costs of blocks depend on their own choices
        assert sum(composed(found, front, i, "energy")) == pytest.approx(front.values[i, 0], rel=1e-5)


def test_the_picked_plans_are_explained_and_every_choice_occurs(front: Any, summary: Any) -> None:
    rows = explained_rows(summary)
    assert rows[: len(summary.picked)] == list(summary.picked) and len(set(rows)) == len(rows) <= COVER
    for name in ("placement", "precision"):
        for column, chosen in zip(front.designs[name].T, front.designs[name][rows].T, strict=True):
            assert set(column.tolist()) == set(chosen.tolist())


def test_costs_that_depend_on_more_than_a_block_are_not_put_together(front: Any, summary: Any, plans: Any) -> None:
    identity = list(plans)[3]
    block = plans[identity].rows[4]
    other = replace(block, costs={**block.costs, "energy": block.costs["energy"] * 1.001})
    rows = (*plans[identity].rows[:4], other, *plans[identity].rows[5:])
    found = blocks(summary, {**plans, identity: replace(plans[identity], rows=rows)})
    same = blocks(summary, {i: plans[i] for i in (identity,)})  # alone it contradicts nobody
    assert found["states"] is None and set(found["table"]) == set(plans)
    assert same["states"] is not None


def test_devices_of_the_explained_plans(front: Any, plans: Any) -> None:
    found = devices(plans)
    assert found["names"] == ["cpu", "npu", "dgpu"]
    assert [c["name"] for c in found["costs"]] == ["time", "energy", "memory"]  # capacity is a limit, not a cost
    assert {c["name"]: c["limit"] for c in found["costs"]}["memory"] == "capacity"
    assert set(found["table"]) == set(plans)


def test_an_evaluator_that_explains_nothing(summary: Any) -> None:
    assert blocks(summary, {})["names"] == [] and devices({})["table"] == {}


def test_tables_are_rounded_like_single_numbers() -> None:
    rng = np.random.default_rng(0)
    table = (rng.standard_normal((200, 5)) * 10.0 ** rng.integers(-12, 7, (200, 5))).tolist()
    table += [[0.0, -0.0, 1e300, 1e-280, 1234567.5]]
    np.testing.assert_allclose(rounded(table), [[round_to(v) for v in row] for row in table], rtol=2e-7)
    assert max(len(repr(v)) for row in rounded(table[:200]) for v in row) <= 14  # that is the point
    assert rounded([]) == [] and rounded([[], []]) == [[], []]
