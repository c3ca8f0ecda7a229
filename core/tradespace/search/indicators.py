"""Hypervolume in a box that is fixed once per problem, and IGD+. Dominance and volumes are moocore's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import moocore
import numpy as np
from numpy.typing import NDArray

from tradespace.search.contract import rng

if TYPE_CHECKING:
    from tradespace.designs import Designs
    from tradespace.problem import ChainTerm, Graph, Problem, Scores, Structure

Array = NDArray[np.float64]

_SAMPLE = 256
SAMPLED = f"homogeneous and {_SAMPLE} random designs"
_MARGIN = 0.1
_EXACT_POINTS = {1: 10**9, 2: 10**6, 3: 10**5, 4: 20_000, 5: 2000, 6: 400}
_FEW = 60
EXACT_OBJECTIVES = 4
"""Up to so many objectives volumes are exact, beyond they may be estimates (the same rays for all sets)."""
_RAYS = 4096


@dataclass(frozen=True)
class Box:
    """What hypervolumes are measured in: minimised objectives, ``(M,)`` each, and how the box was found."""

    ideal: Array
    nadir: Array
    note: str

    @property
    def reference(self) -> Array:
        """Nadir plus a tenth of the range: the corner that every counted point must be below."""
        return np.asarray(self.nadir + _MARGIN * (self.nadir - self.ideal))

    def normalise(self, objectives: Array) -> Array:
        """``(N, M)`` with the ideal at 0 and the reference point at 1."""
        return np.asarray((objectives - self.ideal) / (self.reference - self.ideal))


def nondominated(objectives: Array) -> NDArray[np.bool_]:
    """``(N,)`` mask of the non-dominated rows; of equal rows the first."""
    if not len(objectives):
        return np.zeros(0, bool)
    if objectives.shape[1] == 1:
        mask = np.zeros(len(objectives), bool)
        mask[np.argmin(objectives[:, 0])] = True
        return mask
    return np.asarray(moocore.is_nondominated(np.ascontiguousarray(objectives, np.float64)), dtype=bool)


def hypervolume(objectives: Array, box: Box) -> float:
    """Share of the box below its reference point that these points dominate, 0 for none.

    It lies in [0, 1] when no point is better than the ideal. Beyond three objectives and many points it is
    estimated by moocore's deterministic rays (4,096, error about 0.5 %), because the exact cost explodes.
    """
    points = box.normalise(np.asarray(objectives, np.float64).reshape(-1, len(box.ideal)))
    points = points[(points < 1.0).all(axis=1)]
    if not len(points):
        return 0.0
    m = points.shape[1]
    if m == 1:
        return float(1.0 - points.min())
    reference = np.ones(m)
    if len(points) <= _EXACT_POINTS.get(m, _FEW):
        return float(moocore.hypervolume(points, ref=reference))
    points = np.ascontiguousarray(points[nondominated(points)])
    if len(points) <= _EXACT_POINTS.get(m, _FEW):
        return float(moocore.hypervolume(points, ref=reference))
    return float(moocore.hv_approx(points, ref=reference, nsamples=_RAYS))


def igd_plus(objectives: Array, reference: Array, box: Box) -> float:
    """Mean distance by which reference points are not reached (Ishibuchi et al. 2015), in units of the box."""
    return float(moocore.igd_plus(box.normalise(objectives), ref=box.normalise(reference)))


def reference_sample(problem: Problem) -> tuple[Designs, Scores]:
    """The homogeneous designs and 256 random ones, repaired and priced; the first stands at the end once more, so that
    prices which differ for one design show."""
    space = problem.space
    sample = space.concat([space.homogeneous(), space.sample(_SAMPLE, rng(0, 0, "reference"))])
    sample = problem.repair(sample.take(np.append(np.arange(len(sample)), 0)))
    return sample, problem.score(sample)


def reference_box(problem: Problem, first: Scores | None = None, note: str = "the first batch") -> Box:
    """The box of a problem, independent of optimizer and seed.

    Nadir: worst values of the non-dominated feasible designs among the homogeneous and 256 random ones. Ideal: the
    least value of the chain structure per objective where there is one, else the best of the sample. Evaluators that
    measure are not asked for a sample: their box comes from ``first``, the first batch.
    """
    if first is None:
        (_, first), note = reference_sample(problem), SAMPLED
    objectives = first.objectives[first.feasible]
    if not len(objectives):
        objectives, note = first.objectives, f"{note}; none of them feasible"
    front = objectives[nondominated(objectives)]
    bounds = least_values(problem)
    ideal = np.where(np.isfinite(bounds), bounds, front.min(axis=0))
    ideal = np.minimum(ideal, front.min(axis=0))
    return Box(ideal, _apart(ideal, front.max(axis=0), objectives.max(axis=0)), note)


def _apart(ideal: Array, nadir: Array, worst: Array) -> Array:
    """A nadir strictly above the ideal: the sample's worst value where the front is flat, else 1 or 10 % more."""
    tiny = 1e-9 * np.maximum(np.abs(ideal), np.abs(nadir))
    nadir = np.where(nadir - ideal > tiny, nadir, worst)
    return np.where(nadir - ideal > tiny, nadir, ideal + np.where(ideal != 0, 0.1 * np.abs(ideal), 1.0))


def least_values(problem: Problem) -> Array:
    """``(M,)`` lower bounds of the minimised objectives from the chain structure; -inf where there is none."""
    structure = problem.structure()
    bounds = np.full(len(problem.objectives), -np.inf)
    for m, objective in enumerate(problem.objectives):
        term = term_of(structure, objective.expression.single if objective.direction == "min" else None)
        if structure is not None and term is not None:
            of_graph = _least_of_graph(structure.graph, objective.expression.single or "")
            bounds[m] = max(shortest(term, structure.links), of_graph)
    return bounds


def _least_of_graph(graph: Graph | None, name: str) -> float:
    """What no sum of a metric over a series-parallel graph is below; -inf where there is none."""
    from tradespace.search.graph_labels import graph_least, shape_of  # which needs this module

    if graph is None or name not in graph.terms or shape_of(graph):
        return -np.inf
    return graph_least(graph, graph.terms[name])


def term_of(structure: Structure | None, name: str | None) -> ChainTerm | None:
    return structure.terms.get(name) if structure is not None and name is not None else None


def shortest(term: ChainTerm, links: NDArray[np.bool_] | None = None) -> float:
    """The least sum over the chain (Bellman): unary (n, S), pair and ``links`` (n - 1, S, S)."""
    best = np.asarray(term.unary[0], np.float64)
    for i in range(1, len(term.unary)):
        ways = best[:, None] if term.pair is None else best[:, None] + term.pair[i - 1]
        if links is not None:
            ways = np.where(links[i - 1], ways, np.inf)
        step = ways.min(axis=0)
        best = step + term.unary[i]
    return float(best.min())
