"""Accelerators: arrays of processing elements, arithmetic of encrypted numbers, networks made to fit them."""

from __future__ import annotations

from pathlib import Path

from tradespace.hookspecs import hookimpl


@hookimpl
def tradespace_catalogue() -> str:
    return str(Path(__file__).parent / "catalogue")


@hookimpl
def tradespace_workloads() -> dict[str, str]:
    return {"group-conv": "tradespace_accelerators.draco:build", "modular": "tradespace_accelerators.cross_he:build"}


@hookimpl
def tradespace_device_models() -> dict[str, str]:
    return {
        "weight-stationary": "tradespace.costs.pe_arrays:WeightStationary",
        "output-stationary": "tradespace.costs.pe_arrays:OutputStationary",
        "row-stationary": "tradespace.costs.pe_arrays:RowStationary",
        "matrix-vector": "tradespace.costs.matrix_vector:MatrixVector",
    }


@hookimpl
def tradespace_evaluators() -> dict[str, str]:
    return {"group-conv": "tradespace_accelerators.draco:GroupConvFactory"}


@hookimpl
def tradespace_precisions() -> dict[str, str]:
    return {"residue": "tradespace_accelerators.cross_he:RESIDUE"}


@hookimpl
def tradespace_kernels() -> dict[str, str]:
    return {
        "group-conv-fp32": "tradespace_accelerators.draco_kernels:GroupConvFP32",
        "group-conv-int8": "tradespace_accelerators.draco_kernels:GroupConvInt8",
        "ntt-bytes": "tradespace_accelerators.cross_he_kernel:NTTBytes",
        "ntt-butterflies": "tradespace_accelerators.cross_he_kernel:NTTButterflies",
    }
