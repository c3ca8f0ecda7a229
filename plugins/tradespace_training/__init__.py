"""Training: parallel layouts, pipelines and collectives over clusters of unlike networks."""

from __future__ import annotations

from pathlib import Path

from tradespace.hookspecs import hookimpl


@hookimpl
def tradespace_catalogue() -> str:
    return str(Path(__file__).parent / "catalogue")


@hookimpl
def tradespace_workloads() -> dict[str, str]:
    return {
        "training": "tradespace.workloads.training:build",
        "sequence_attention": "tradespace_training.tokenring:build",
    }


@hookimpl
def tradespace_device_models() -> dict[str, str]:
    return {"cluster": "tradespace_training.cluster:Cluster"}


@hookimpl
def tradespace_evaluators() -> dict[str, str]:
    return {
        "training": "tradespace_training.evaluator:TrainingFactory",
        "sequence-attention": "tradespace_training.tokenring:SequenceFactory",
    }


@hookimpl
def tradespace_kernels() -> dict[str, str]:
    return {"ring-attention": "tradespace_training.tokenring_kernel:RingAttention"}
