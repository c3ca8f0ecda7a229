"""Neuromorphic chips: networks of spikes, priced by the activity they have."""

from __future__ import annotations

from pathlib import Path

from tradespace.hookspecs import hookimpl


@hookimpl
def tradespace_catalogue() -> str:
    return str(Path(__file__).parent / "catalogue")


@hookimpl
def tradespace_workloads() -> dict[str, str]:
    return {
        "sequential": "tradespace.workloads.sequential:build",
        "active": "tradespace_neuromorphic.snn_neuromorphic:build",
    }


@hookimpl
def tradespace_device_models() -> dict[str, str]:
    return {"event-cores": "tradespace.costs.event_cores:EventCores"}


@hookimpl
def tradespace_evaluators() -> dict[str, str]:
    return {"event-mapping": "tradespace.costs.event_mapping:EventMappingFactory"}


@hookimpl
def tradespace_kernels() -> dict[str, str]:
    return {
        "event-conv-4": "tradespace_neuromorphic.event_kernels:EventConv4",
        "dense-conv-4": "tradespace_neuromorphic.event_kernels:DenseConv4",
    }
