from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tradespace.errors import StudyError
from tradespace.plugins import Registry
from tradespace.problem import Problem
from tradespace.settings import Setting
from tradespace.studies import Provenance, Store, StudySpec, start
from tradespace.studies.compare import compare
from tradespace.studies.record import FrontRows


def with_front(study: Any, minimised: list[list[float]], **changes: Any) -> Any:
    """The study with another front: ``minimised`` of latency, throughput (max), loss."""
    points = np.asarray(minimised, float).reshape(-1, 3)
    designs = study.problem.space.sample(len(points), np.random.default_rng(0))
    return replace(study, front=FrontRows(designs, points, study.problem.natural(points)), **changes)


@pytest.fixture(scope="module")
def study(tmp_path_factory: Any, chain: ModuleType, registry: Registry, spec: StudySpec) -> Any:
    with Store.open(tmp_path_factory.mktemp("compare") / "studies.db") as store:
        start(store, "a", spec, chain.problem(), registry)
        return store.load("a")


def test_hypervolume_is_measured_in_one_box_around_all(study: Any) -> None:
    """By hand: joint front {(0,-2,0), (2,-4,0), (1,-3,1)}; ideal (0,-4,0), nadir (2,-2,1), reference a tenth beyond."""
    a = with_front(study, [[0, -2, 0], [2, -4, 0]], name="a")
    b = with_front(study, [[1, -3, 1]], name="b")
    found = compare([a, b])
    assert found.ideal.tolist() == [0, 4, 0] and found.nadir.tolist() == [2, 2, 1]  # natural: throughput is positive
    r, edge = 1.1, 0.1 / 1.1
    # in units of the box: (0, 1/r, 0), (1/r, 0, 0): each dominates edge x 1 x 1, together less their overlap
    assert found.studies[0].hypervolume == pytest.approx(2 * edge - edge**2)
    assert found.studies[1].hypervolume == pytest.approx((1 - 0.5 / r) ** 2 * edge)
    assert found.studies[0].best == {"latency": 0.0, "throughput": 4.0, "loss": 0.0}


def test_coverage_counts_what_is_equalled_or_beaten(study: Any) -> None:
    a = with_front(study, [[0, -2, 0], [3, -4, 0]], name="a")
    b = with_front(study, [[0, -2, 0], [1, -2, 1], [1, -5, 1], [2, -3, 0]], name="b")
    empty = with_front(study, [], name="none")
    cover = compare([a, b, empty]).coverage
    np.testing.assert_array_equal(cover[0], [1.0, 0.5, np.nan])  # the equal one and (1, -2, 1)
    np.testing.assert_array_equal(cover[1], [0.5, 1.0, np.nan])
    np.testing.assert_array_equal(cover[2], [0.0, 0.0, np.nan])
    assert compare([a, empty]).studies[1].hypervolume == 0.0 and compare([a, empty]).studies[1].best == {}


def test_coverage_in_blocks_is_the_plain_definition(study: Any) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((70, 3)).round(1), rng.random((700, 3)).round(1)
    plain = np.mean([any((x <= y).all() for x in a) for y in b])
    found = compare([with_front(study, a.tolist()), with_front(study, b.tolist())])
    assert found.coverage[0, 1] == pytest.approx(plain)


def test_the_better_search_has_the_larger_hypervolume(
    tmp_path: Path, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    with Store.open(tmp_path / "studies.db") as store:
        for name, evaluations in (("short", 60), ("long", 600)):
            start(store, name, replace(spec, evaluations=evaluations), chain.problem(), registry)
        short, long = compare([store.load("short"), store.load("long")]).studies
    assert long.hypervolume > short.hypervolume > 0
    assert (short.evaluations, long.evaluations) == (60, 600)


def test_a_flat_objective_does_not_divide_by_zero(study: Any) -> None:
    found = compare([with_front(study, [[1, -1, 0]]), with_front(study, [[1, -1, 0]])])
    assert [s.hypervolume for s in found.studies] == [pytest.approx(1.0)] * 2


def test_other_objectives_are_refused(
    tmp_path: Path, study: Any, chain: ModuleType, spec: StudySpec, registry: Registry
) -> None:
    with Store.open(tmp_path / "studies.db") as store:
        two = Problem.of(chain.Chain(), ("latency", "loss"))
        start(store, "two", replace(spec, objectives=two.names), two, registry)
        turned = Problem.of(chain.Chain(), ("loss", "latency", "throughput"))
        start(store, "turned", replace(spec, objectives=turned.names), turned, registry)
        with pytest.raises(StudyError, match=r"'a' has min:latency, max:throughput, min:loss.*'two' has min:lat"):
            compare([study, store.load("two")])
        with pytest.raises(StudyError, match="the same in another order"):
            compare([study, store.load("turned")])
    with pytest.raises(StudyError, match="1 to 1000 studies"):
        compare([])


def test_other_workloads_are_refused(study: Any) -> None:
    jobs = [replace(study, name=w, spec=replace(study.spec, setting=Setting(w, "laptop"))) for w in ("a", "b")]
    with pytest.raises(StudyError, match="one workload; 'a' has 'a'; got 'b' has 'b'"):
        compare(jobs)


def test_what_else_differs_is_said(study: Any) -> None:
    on = [replace(study, spec=replace(study.spec, setting=Setting("w", target))) for target in ("laptop", "phone")]
    assert compare(on).notes == ("the studies differ in target: 'laptop', 'phone'",)
    cut = replace(study, name="cut", status="interrupted", spec=replace(study.spec, constraints=()))
    assert compare([study, cut]).notes == ("the studies differ in their constraints", "not complete: cut")


def test_the_document_is_plain(study: Any) -> None:
    import json

    document = compare([study, study]).document()
    assert set(document) == {"objectives", "box", "studies", "coverage", "notes"}
    json.dumps(document)
    assert Provenance({}, {}, {}) == Provenance.from_json(Provenance({}, {}, {}).to_json(), "x")
