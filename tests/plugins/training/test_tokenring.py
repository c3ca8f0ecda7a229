"""TokenRing: bytes and times by hand, the merge of partial attentions, and what happens without its mechanism."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace import Setting, bind, load_target, load_workload, registry
from tradespace.costs.timeline import ordered
from tradespace.errors import TradespaceError
from tradespace.kernels.contract import disagreement
from tradespace.studies.reproduction.document import read_published
from tradespace.studies.reproduction.run import reproduce
from tradespace.testing import check_evaluator, check_factory, check_kernel, check_target, check_workload
from tradespace_training.tokenring import SCHEDULES, SequenceAttention, SequenceFactory, schedule_of
from tradespace_training.tokenring_kernel import RingAttention

STUDY = Path(__file__).parents[3] / "studies/tokenring/published.yaml"
JOB = "llama-2-7b-attention"


def priced(
    workload: Any = JOB, target: Any = "a10-4", schedule: str = "token-ring", ranks: int = 4, **options: Any
) -> dict[str, float]:
    evaluator = bind(Setting(workload, target, options=options), registry()).evaluator
    return evaluator.priced(schedule, ranks)  # type: ignore[attr-defined, no-any-return]


def test_bytes_and_work_by_hand() -> None:
    token, ring = priced(), priced(schedule="ring")
    assert token["block"] == 6000 * 32 * 128 * 2 and ring["block"] == 2 * token["block"]
    assert token["work"] == 2 * 6000**2 * 4096  # zigzag: half of 4 C^2 H d
    partial = 6000 * 32 * (128 * 2 + 4)
    assert token["give_back"] == pytest.approx(partial / 12.9e9 + 10e-6)


@pytest.mark.parametrize("ranks", [2, 4, 8, 16])
def test_ring_attention_has_a_closed_form(ranks: int) -> None:
    """(W - 1) max(compute, send) + compute, by the longest path as by hand."""
    table, size = schedule_of("ring", ranks, True, True)
    for compute, send in ((3.0, 7.0), (7.0, 3.0), (1.0, 1.0)):
        cost = np.array([compute, send, 0.0])[size[:, 0]]
        assert ordered(table, cost).max() == pytest.approx((ranks - 1) * max(compute, send) + compute)


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_all_gather_hides_nothing(ranks: int) -> None:
    table, size = schedule_of("all-gather", ranks, True, True)
    assert ordered(table, np.array([3.0, 7.0, 0.0])[size[:, 0]]).max() == (ranks - 1) * 7.0 + ranks * 3.0


def test_without_its_mechanism_the_gain_is_gone() -> None:
    """One direction for both, or few key-value heads: then keys and values are the smaller thing to send."""
    ring = priced(schedule="ring")["latency"]
    assert 1.3 < ring / priced()["latency"] < 2.0
    assert priced(duplex=False)["latency"] > 1.1 * priced()["latency"]
    grouped = {"extends": JOB, "kv_heads": 8}
    assert priced(grouped)["latency"] > priced(grouped, schedule="ring")["latency"]


def test_the_search_finds_the_papers_decision() -> None:
    evaluator = bind(Setting(JOB, "a10-4"), registry()).evaluator
    prices = evaluator.price(evaluator.space.homogeneous())["latency"]
    best = min(priced(schedule=s, ranks=n)["latency"] for s in SCHEDULES for n in (2, 4))
    assert best == priced()["latency"] and np.isfinite(prices).all()


@pytest.mark.parametrize("ranks", [2, 4])
def test_merged_partials_equal_attention_on_one_rank(ranks: int) -> None:
    """The publication's merge of outputs by their log-sum-exp, in the order in which partials return."""
    rng = np.random.default_rng(ranks)
    q, k, v = (rng.standard_normal((8 * ranks, 16)) for _ in range(3))
    out, lse = np.zeros_like(q), np.full(len(q), -np.inf)
    for block in np.split(np.arange(len(q)), ranks):
        scores = q @ k[block].T
        part_lse = np.log(np.exp(scores).sum(axis=1))
        part = np.exp(scores - part_lse[:, None]) @ v[block]
        merged = np.logaddexp(lse, part_lse)
        out = np.exp(lse - merged)[:, None] * out + np.exp(part_lse - merged)[:, None] * part
        lse = merged
    whole = np.exp(q @ k.T)
    assert np.abs(out - whole / whole.sum(axis=1, keepdims=True) @ v).max() < 1e-12


def test_every_predicted_row_is_inside() -> None:
    verdicts = {r.id: r.verdict for r in reproduce(read_published(STUDY), registry()).results}
    assert {name for name, verdict in verdicts.items() if verdict == "outside" or verdict == "error"} == set()
    assert verdicts["R2"] == "fitted" and verdicts["R1"] == "inside"


@pytest.mark.parametrize("change", [{}, {"sequence": 1}, {"sequence": 1 << 30, "batch": 100_000}, {"causal": False}])
def test_kits(change: dict[str, Any]) -> None:
    workload, target = load_workload({"extends": JOB, **change}, registry()), load_target("a10-4", registry())
    assert isinstance(workload, SequenceAttention)
    assert (report := check_factory(SequenceFactory(), [(workload, target, {})])).passed, str(report)
    evaluator = SequenceFactory().bind(workload, target, {}, registry())
    assert (report := check_evaluator(evaluator)).passed, str(report)
    assert (report := check_target(lambda: load_target("a10-4", registry()))).passed, str(report)
    assert (report := check_workload(lambda: load_workload(JOB, registry()))).passed, str(report)


@pytest.mark.parametrize(
    ("workload", "target", "said"),
    [
        ({"extends": JOB, "kv_heads": 5}, "a10-4", "divides 'heads'"),
        ({"extends": JOB, "causal": "maybe"}, "a10-4", "true or false"),
        ({"extends": JOB, "precision": "fp8"}, "a10-4", "precision"),
        ({"extends": JOB, "sequense": 1}, "a10-4", "sequence"),
        (JOB, "h100", "needs a node of accelerators"),
        ("llama-3.2-1b", "a10-4", ""),
    ],
)
def test_bad_input_is_a_sentence(workload: Any, target: str, said: str) -> None:
    if not said:
        assert bind(Setting(workload, target), registry()).evaluator_name != "sequence-attention"
        return
    with pytest.raises(TradespaceError, match=said):
        bind(Setting(workload, target), registry())


def test_clusters_of_other_systems_run_it() -> None:
    found = priced(target="a100-ib", ranks=8)
    assert 0 < found["latency"] < priced()["latency"]


@pytest.mark.parametrize("isa", ["native", "scalar"])
def test_native_partials_equal_attention_in_one_piece(isa: str) -> None:
    kernel = RingAttention(isa)
    for name, inputs in kernel.awkward(np.random.default_rng(3)):
        assert disagreement(kernel, inputs) < kernel.tolerance, name
    assert (report := check_kernel(kernel)).passed, str(report)


def test_ranks_do_not_matter_to_the_kernel() -> None:
    kernel = RingAttention()
    inputs = kernel.shaped(7, 96, 64, 4, np.random.default_rng(0))
    four = kernel.run(inputs).copy()
    one = {**inputs, "k": inputs["k"].reshape(1, -1, 64), "v": inputs["v"].reshape(1, -1, 64)}
    assert np.abs(kernel.run(one) - four).max() < 1e-5
