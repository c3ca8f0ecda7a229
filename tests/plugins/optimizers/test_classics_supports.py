"""What optimizers say they support is what they do, and what docs/optimizers.md says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace.designs import Choice, Composition, Designs, Integer, Permutation, Real, Space
from tradespace.errors import PluginError, TradespaceError
from tradespace.plugins import registry
from tradespace.problem import ChainTerm, Metric, Structure
from tradespace.search.api import search
from tradespace.testing.problems import Distances, ToyChain, conditional_space
from tradespace_optimizers import supports

DOCS = Path(__file__).parents[3] / "docs" / "optimizers.md"
NAMES = tuple(n for p in registry().plugins if p.name == "optimizers" for n in p.names["optimizers"])
DECLARED = {n: s for n in NAMES if (s := supports.declared(registry().load("optimizers", n))) is not None}
INSTALLED = tuple(n for n, s in DECLARED.items() if s.installed)
SPACES = {
    "Choice": Space(Choice("v", ("a", "b", "c"), 4)),
    "Integer": Space(Integer("v", 1, 64, log=True, length=3)),
    "Real": Space(Real("v", 0.0, 1.0, length=3)),
    "Permutation": Space(Permutation("v", 4)),
    "Composition": Space(Composition("v", 9, 3)),
}


class Tight:
    """Twelve choices of three; 5.4 % of all designs, those with at most one dear option, are feasible."""

    space = Space(Choice("v", ("dear", "fair", "poor"), 12))
    metrics = (Metric("cost", "1", "min"), Metric("time", "1", "min"), Metric("dear", "1", "min"))

    def price(self, designs: Designs) -> dict[str, Any]:
        v = designs["v"].astype(float)
        return {"cost": v.sum(axis=1), "time": (2 - v).sum(axis=1), "dear": 12.0 - (v > 0).sum(axis=1)}


class Split:
    """Nine units in order over three parts, each with a cost and a time in each part: a declared chain."""

    space = SPACES["Composition"]
    metrics = (Metric("cost", "1", "min"), Metric("time", "1", "min"))
    tables = np.random.default_rng(0).integers(1, 30, (2, 9, 3)).astype(float)

    def price(self, designs: Designs) -> dict[str, Any]:
        part = np.stack([np.repeat(np.arange(3), row) for row in designs["v"].astype(int)])
        return {
            m.name: table[np.arange(9), part].sum(axis=1) for m, table in zip(self.metrics, self.tables, strict=True)
        }

    def structure(self) -> Structure:
        rising = np.tile(np.arange(3)[:, None] <= np.arange(3), (8, 1, 1))
        terms = {m.name: ChainTerm(table) for m, table in zip(self.metrics, self.tables, strict=True)}
        return Structure(("v",), terms, links=rising)


def accepts(name: str, evaluator: Any, evaluations: int = 12) -> bool:
    """Whether a short search runs; refusals must say what to use instead, and nothing but refusals may be raised."""
    names = [m.name for m in evaluator.metrics]
    try:
        front = search(evaluator, names, optimizer=name, evaluations=evaluations)
    except TradespaceError as refusal:
        assert refusal.rule and refusal.remedy and "must not raise" not in str(refusal), refusal
        return False
    assert 1 <= front.evaluations <= evaluations
    return True


def structured(name: str) -> bool:
    return "structure" in DECLARED[name].note


def test_the_page_has_the_table() -> None:
    wanted, page = supports.table(registry()), DOCS.read_text()
    assert wanted in page, f"docs/optimizers.md is behind: run 'python -m {supports.__name__}' and put its output there"


def test_every_optimizer_says_what_it_supports() -> None:
    known = registry().names("optimizers")
    assert sorted(DECLARED) == sorted(NAMES) and "list_schedulers" in known
    assert not [n for n in known if supports.declared(registry().load("optimizers", n)) is None]


GENERAL = [n for n in INSTALLED if "task graph" not in DECLARED[n].note]  # the others have tests on task graphs


@pytest.mark.parametrize("kind", supports.KINDS)
@pytest.mark.parametrize("name", GENERAL)
def test_kinds_of_variables(name: str, kind: str) -> None:
    """A space of one kind is searched exactly where the kind is declared."""
    evaluator: Any = ToyChain() if kind == "Choice" else Distances(SPACES[kind])
    if structured(name) and kind == "Composition":
        evaluator = Split()
    elif DECLARED[name].objectives[1] == 1:
        evaluator = ToyChain(objectives=1) if kind == "Choice" else Distances(SPACES[kind], objectives=1)
    assert accepts(name, evaluator) == (kind in DECLARED[name].variables)


@pytest.mark.parametrize("name", [n for n in GENERAL if "Choice" in DECLARED[n].variables])
def test_numbers_of_objectives(name: str) -> None:
    least, most = DECLARED[name].objectives
    for count in (1, 2, 6):
        wanted = count >= least and (most is None or count <= most)
        assert accepts(name, ToyChain(objectives=count)) == wanted, f"{count} objectives"


@pytest.mark.parametrize("name", [n for n in INSTALLED if not structured(n) and "Choice" in DECLARED[n].variables])
def test_variables_under_conditions(name: str) -> None:
    known = DECLARED[name]
    whole = {"Choice", "Integer"} <= set(known.variables)
    assert accepts(name, Distances(conditional_space())) == (known.conditions and whole)


@pytest.mark.parametrize(
    "name",
    [n for n in INSTALLED if DECLARED[n].constraints and not structured(n) and "Choice" in DECLARED[n].variables],
)
def test_limits_are_looked_at(name: str) -> None:
    """Chance finds one feasible design in twenty; of who looks at limits, one in eight at the end."""
    if name in ("exhaustive", "nevergrad", "smac", "optuna_gp"):
        pytest.skip("too slow to learn a limit in a quick test, or nothing to learn")
    told: list[np.ndarray] = []

    class Watch:
        def batch(self, batch: Any) -> None:
            told.append(batch.scores.feasible)

    evaluations = 160 if name == "optuna_tpe" else 600
    search(Tight(), ["cost", "time"], ["dear<=1"], optimizer=name, evaluations=evaluations, observers=[Watch()])
    last = np.concatenate(told)[-evaluations // 4 :]
    assert last.mean() > 1 / 8


@pytest.mark.parametrize("name", [n for n, s in DECLARED.items() if s.extra])
def test_a_missing_package_is_named_with_its_remedy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, extra = DECLARED[name].extra or ("", "")
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == module else real(n, *a))
    evaluator = Distances(SPACES["Integer"], 1) if "Integer" in DECLARED[name].variables else ToyChain()
    with pytest.raises(PluginError, match=rf"pip install 'tradespace\[{extra}\]'"):
        search(evaluator, [m.name for m in evaluator.metrics], optimizer=name, evaluations=5)


def test_every_extra_is_in_the_package() -> None:
    import tomllib

    project = tomllib.loads((DOCS.parents[1] / "pyproject.toml").read_text())["project"]
    for name, known in DECLARED.items():
        if known.extra is not None:
            module, extra = known.extra
            assert any(line.startswith(module) for line in project["optional-dependencies"].get(extra, ())), name


def test_an_optimizer_is_described_in_one_plain_sentence() -> None:
    """`tradespace list optimizers` shows the first sentence."""
    for name in NAMES:
        cls = registry().load("optimizers", name)
        first = (cls.__doc__ or "").split(".")[0]
        assert len(first) >= 20 and not first.endswith("et al"), name
