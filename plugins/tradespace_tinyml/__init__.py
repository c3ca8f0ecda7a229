"""Microcontrollers and small networks."""

from __future__ import annotations

from pathlib import Path

from tradespace.hookspecs import hookimpl

TRADESPACE_CONTRACT = 1


@hookimpl
def tradespace_catalogue() -> str:
    return str(Path(__file__).parent / "catalogue")


@hookimpl
def tradespace_workloads() -> dict[str, str]:
    return {
        "mcunet_space": "tradespace_tinyml.workloads:build_space",
        "convnet": "tradespace_tinyml.workloads:build_net",
    }


@hookimpl
def tradespace_device_models() -> dict[str, str]:
    return {"mcu": "tradespace_tinyml.mcu:MCU"}


@hookimpl
def tradespace_evaluators() -> dict[str, str]:
    return {
        "mcunet": "tradespace_tinyml.mcunet:MCUNetFactory",
        "mcunet-spaces": "tradespace_tinyml.spaces:SpacesFactory",
    }


@hookimpl
def tradespace_kernels() -> dict[str, str]:
    home = "tradespace.kernels.convolution"
    return {
        "conv-int8": f"{home}:ConvDirect",
        "conv-int8-im2col": f"{home}:ConvIm2col",
        "depthwise-int8": f"{home}:DepthwiseApart",
        "depthwise-int8-inplace": f"{home}:DepthwiseInPlace",
    }
