"""Memory: DRAM that computes where the weights lie."""

from __future__ import annotations

from pathlib import Path

from tradespace.hookspecs import hookimpl


@hookimpl
def tradespace_catalogue() -> str:
    return str(Path(__file__).parent / "catalogue")


@hookimpl
def tradespace_device_models() -> dict[str, str]:
    return {
        "bank-products": "tradespace_memory.pim_gpt:BankProducts",
        "companion-logic": "tradespace_memory.pim_gpt:CompanionLogic",
    }


@hookimpl
def tradespace_kernels() -> dict[str, str]:
    return {
        "bank-gemv-bf16": "tradespace_memory.pim_kernels:BankGemv",
        "companion-softmax": "tradespace_memory.pim_kernels:CompanionSoftmax",
        "companion-layernorm": "tradespace_memory.pim_kernels:CompanionLayerNorm",
        "companion-gelu": "tradespace_memory.pim_kernels:CompanionGELU",
    }
