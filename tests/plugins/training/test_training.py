"""The training evaluator: kits, layouts by hand, what each mechanism is worth, extremes, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradespace.errors import TradespaceError
from tradespace.plugins import registry
from tradespace.settings import Setting, bind
from tradespace.targets import load_target
from tradespace.testing.evaluators import check_evaluator
from tradespace.testing.factories import check_factory
from tradespace.workloads import load_workload
from tradespace_training.evaluator import TrainingEvaluator, TrainingFactory

HYBRID = "a100-ib-roce"


def bound(workload: Any = "gpt-3.6b-train", target: Any = HYBRID, **options: Any) -> TrainingEvaluator:
    found = bind(Setting(workload, target, None, options), registry()).evaluator
    assert isinstance(found, TrainingEvaluator)
    return found


def priced(evaluator: TrainingEvaluator, **design: Any) -> dict[str, float]:
    designs = evaluator.repair(evaluator.space.parse({"micro_batch": 4} | design))
    prices = evaluator.price(designs)
    return {name: float(v[0]) for name, v in (prices.columns | prices.violations).items()}


def test_the_kits() -> None:
    for evaluator in (bound(), bound(partition="proportional"), bound("llama-3.2-1b-train", "laptop")):
        report = check_evaluator(evaluator, count=24)
        assert report.passed, str(report)
    pairs = [(load_workload("gpt-3.6b-train", registry()), load_target(t, registry()), {}) for t in (HYBRID, "laptop")]
    report = check_factory(TrainingFactory(), pairs)
    assert report.passed, str(report)


def test_one_accelerator_by_hand() -> None:
    """No pipeline, no group: three forwards and the recomputed attention, then the optimizer."""
    evaluator = bound("llama-3.2-1b-train", "h100", efficiency=0.4)
    job, found = evaluator.job, priced(evaluator, micro_batch=1)
    rate = 989.4e12 * 0.4
    forward = job.flop.sum() + job.embedding[0] + job.head[0]
    work = 256 * (3 * forward + job.attention.sum()) / rate
    update = job.parameters * (24 + 2 + 2) / 2.68e12
    assert found["step"] == pytest.approx(work + update, rel=1e-9)
    assert found["memory.hbm"] < 0


def test_states_of_a_stage_by_hand() -> None:
    """2 B weights, 2 B gradients, 12 B of Adam over the replicas; selective recomputation, two micro-batches."""
    evaluator = bound(target="a100-ib")
    job, found = evaluator.job, priced(evaluator, stages=2)
    held = job.weights[:15].sum() + job.embedding[1]
    kept = 2 * 4 * 2 * (job.residual[:15] + job.inner[:15]).sum()
    assert found["memory"] == pytest.approx(held * (2 + 2 + 12 / 16) + kept, rel=1e-6)
    replicated = priced(bound(target="a100-ib", optimizer="replicated"), stages=2)
    assert replicated["memory"] - found["memory"] == pytest.approx(held * 12 * 15 / 16, rel=1e-6)


def test_each_mechanism_is_worth_something() -> None:
    """Switched off one after another, the step gets longer: groups by network, overlap, sharded optimizer."""
    setting: dict[str, Any] = {"stages": [1, 1]}
    steps = [
        priced(bound("gpt-7.5b-train", "a100-ib-roce-8"), **setting)["step"],
        priced(bound("gpt-7.5b-train", "a100-ib-roce-8", grouping="rank"), **setting)["step"],
        priced(bound("gpt-7.5b-train", "a100-ib-roce-8", grouping="rank"), **setting, overlap="off")["step"],
        priced(bound("gpt-7.5b-train", "a100-ib-roce-8", grouping="rank", optimizer="zero-1"), **setting,
               overlap="off")["step"],
    ]  # fmt: skip
    assert steps == sorted(steps)
    assert len(set(steps)) == 4


def test_layers_follow_the_speed_of_the_network() -> None:
    def split(**options: Any) -> list[int]:
        evaluator = bound(**options)
        return evaluator.repair(evaluator.space.parse({"stages": [1, 1], "micro_batch": 4})).show(0)["layers"]

    assert split(partition="even") == [15, 15]
    assert split(partition="proportional")[0] in (16, 17)
    slower = {"extends": HYBRID, "devices.roce.network": "1 GB/s"}
    assert split(target=slower, partition="proportional")[0] > split(partition="proportional")[0]
    assert split(partition="balanced") == [16, 14]  # the head, on the second cluster, weighs a little over a layer
    weak = {"extends": HYBRID, "devices.roce.peak.fp16": "156 TFLOPS"}
    assert split(target=weak, partition="balanced") == [21, 9]


def test_a_faster_network_never_slows_training() -> None:
    steps = [
        priced(bound(target={"extends": HYBRID, "devices.roce.network": f"{g} GB/s"}), stages=[1, 1])["step"]
        for g in (1, 2, 6, 25, 400)
    ]
    assert steps == sorted(steps, reverse=True)


def test_only_pipelines_cross_between_clusters() -> None:
    evaluator = bound()
    found = priced(evaluator, stages=[1, 1])
    job = evaluator.job
    assert found["crossing"] == 2 * job.global_batch * job.sequence * job.hidden * 2
    assert priced(evaluator, stages=[1, 0])["crossing"] == 0.0


def test_accelerators_without_work_are_told() -> None:
    """32 accelerators in 7 stages: four replicas take 28. A cluster left out counts, too."""
    evaluator = bound(target={"extends": "a100-ib", "devices.ib.nodes": 4})
    found = priced(evaluator, stages=7)
    assert (found["accelerators"], found["unused"]) == (28, 4)
    assert priced(evaluator, stages=8)["unused"] == 0
    hybrid = bound()
    total = float(hybrid.tables.sites.ranks.sum())
    for stages in ([1, 1], [0, 1], [3, 1], [5, 5]):
        found = priced(hybrid, stages=stages)
        assert found["accelerators"] + found["unused"] == total, stages
    designs = evaluator.repair(evaluator.space.parse({"micro_batch": 4, "stages": 7}))
    (device,) = evaluator.explain(designs).devices
    assert (device.costs["accelerators"], device.costs["unused"]) == (28, 4)


def test_tensor_groups_share_what_a_node_sends() -> None:
    """Wider groups hold fewer parameters a rank, and exchange inside the node instead."""
    evaluator = bound("gpt-39.1b-train")
    narrow, wide = priced(evaluator, tensor=1), priced(evaluator, tensor=8)
    assert narrow["memory.hbm_ib"] > 0 > wide["memory.hbm_ib"]
    assert wide["replicas"] * 8 == narrow["replicas"]


def test_experts_are_divided_over_replicas() -> None:
    """Wider expert groups hold fewer experts a rank, and carry tokens instead: cheap in a node, dear over Ethernet."""
    moe = {"experts": 64, "active": 2, "ffn": 1024}
    workload = {"extends": "gpt-3.6b-train", "hidden": 1024, "ffn": 1024, "layers": 8, "moe": moe}
    evaluator = bound(workload, "a100-ethernet")
    job, found = evaluator.job, {e: priced(evaluator, stages=1, expert=e) for e in (1, 8, 32)}
    assert job.expert_weights[0] == 64 * 2 * 1024 * 1024
    assert found[1]["memory"] - found[8]["memory"] == pytest.approx(job.expert_weights.sum() * 4 * 7 / 8)
    assert found[8]["step"] < found[1]["step"]
    assert found[32]["step"] > found[8]["step"]
    assert found[32]["expert"] == 0.0 < priced(evaluator, stages=1, expert=64)["expert"]


def test_flat_rings_load_a_port_more_than_hierarchies() -> None:
    flat, layered = (priced(bound(collectives=c), stages=[1, 1])["step"] for c in ("ring", "hierarchical"))
    assert flat > layered


@pytest.mark.parametrize("batch", [1, 7, 100_000])
@pytest.mark.parametrize("layers", [1, 3000])
def test_extremes_are_priced(batch: int, layers: int) -> None:
    workload = {"extends": "gpt-3.6b-train", "layers": layers, "global_batch": batch, "hidden": 256, "ffn": 1024}
    evaluator = bound(workload)
    rng = np.random.Generator(np.random.Philox(1))
    prices = evaluator.price(evaluator.repair(evaluator.space.sample(40, rng)))
    for name, column in (prices.columns | prices.violations).items():
        assert np.isfinite(column).all(), name
    assert (prices.columns["step"] > 0).all()


def test_layouts_that_do_not_fit_are_violations() -> None:
    evaluator = bound()
    assert priced(evaluator, stages=[8, 8], tensor=4)["ranks"] > 0
    assert priced(evaluator, stages=[8, 8], chunks=4)["chunks"] > 0
    assert priced(bound({"extends": "gpt-3.6b-train", "global_batch": 8}), stages=[1, 1])["batch"] > 0
    assert priced(evaluator, stages=[1, 1])["batch"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"groupng": "rank"}, "grouping"),
        ({"grouping": "ranks"}, "rank"),
        ({"efficiency": 1.5}, "from 1e-06 to 1"),
        ({"micro_batches": []}, "list"),
        ({"micro_batches": [0]}, "whole number"),
        ({"max_stages": True}, "whole number"),
        ({"sequence_parallel": "yes"}, "true or false"),
    ],
)
def test_bad_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(TradespaceError, match=said):
        bound(**options)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"devices.ib.nodes": 1.5}, "whole number"),
        ({"devices.ib.efficiency": 1.2}, "a share, above 0"),
        ({"devices.ib.network": "0 GB/s"}, "several nodes"),
        ({"devices.ib.fabric": "-1 GB/s"}, "fabric"),
        ({"devices.ib.nodes": "4 GB"}, "nodes"),
    ],
)
def test_machines_that_cannot_be(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(TradespaceError, match=said):
        bound(target={"extends": HYBRID, **changed})


def test_a_cluster_runs_inference_on_one_accelerator_of_it() -> None:
    """The reverse of the cross product: decoding on a training cluster."""
    found = bind(Setting({"extends": "llama-3.2-1b", "phase": "decode", "context": 256}, "a100-ib"), registry())
    evaluator: Any = found.evaluator
    prices = evaluator.price(evaluator.space.homogeneous())
    assert 1e-4 < float(prices["latency"].min()) < 1e-2
