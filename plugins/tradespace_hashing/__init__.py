"""Hashing: chips whose work is a lottery: shares, early aborts, and the null tests that a claim must beat."""

from __future__ import annotations

from pathlib import Path

from tradespace.hookspecs import hookimpl


@hookimpl
def tradespace_catalogue() -> str:
    return str(Path(__file__).parent / "catalogue")


@hookimpl
def tradespace_workloads() -> dict[str, str]:
    return {
        "hash_search": "tradespace_hashing.mining_workload:build",
        "narma": "tradespace_hashing.reservoir:build",
        "labelled_table": "tradespace_hashing.claims:build",
    }


@hookimpl
def tradespace_device_models() -> dict[str, str]:
    return {"sha256-asic": "tradespace_hashing.asic:HashCores"}


@hookimpl
def tradespace_evaluators() -> dict[str, str]:
    return {
        "mining": "tradespace_hashing.mining:MiningFactory",
        "reservoir": "tradespace_hashing.reservoir:ReservoirFactory",
        "claims": "tradespace_hashing.claims:ClaimsFactory",
    }


@hookimpl
def tradespace_kernels() -> dict[str, str]:
    return {
        "double-sha256": "tradespace_hashing.sha256_kernel:DoubleSha256",
        "ridge-readout": "tradespace_hashing.ridge_kernel:RidgeReadout",
    }
