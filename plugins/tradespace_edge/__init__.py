"""Edge systems: phones, laptops, single boards and small language models."""

from __future__ import annotations

from pathlib import Path

from tradespace.hookspecs import hookimpl

TRADESPACE_CONTRACT = 1


@hookimpl
def tradespace_catalogue() -> str:
    return str(Path(__file__).parent / "catalogue")


@hookimpl
def tradespace_workloads() -> dict[str, str]:
    return {"decoder": "tradespace.workloads.decoder:build", "answer-mix": "tradespace_edge.stopping:build"}


@hookimpl
def tradespace_readers() -> dict[str, str]:
    return {
        "hf-config": "tradespace.workloads.hf:HFReader",
        "gguf": "tradespace.workloads.gguf:GGUFReader",
        "onnx": "tradespace.workloads.networks.onnx_reader:OnnxReader",
        "tflite": "tradespace.workloads.networks.tflite_reader:TFLiteReader",
    }


@hookimpl
def tradespace_device_models() -> dict[str, str]:
    return {"roofline": "tradespace.costs.roofline:Roofline"}


@hookimpl
def tradespace_evaluators() -> dict[str, str]:
    return {
        "tables": "tradespace.costs.tables:TablesFactory",
        "qeil": "tradespace_edge.qeil:QEILFactory",
        "stopping": "tradespace_edge.stopping:StoppingFactory",
    }


@hookimpl
def tradespace_precisions() -> dict[str, str]:
    return {name: f"tradespace.precisions:{name.upper()}" for name in ("fp32", "fp16", "bf16", "int8", "int4")}


@hookimpl
def tradespace_kernels() -> dict[str, str]:
    return {
        "fma-probe": "tradespace.kernels.probes:FMAProbe",
        "triad": "tradespace.kernels.probes:Triad",
        "gemv-fp32": "tradespace.kernels.probes:GEMV",
    }


@hookimpl
def tradespace_exporters() -> dict[str, str]:
    home = "tradespace_edge.exporters"
    return {
        "json": "tradespace.exporters.plain:PlainJSON",
        "llama.cpp": f"{home}.llama_cpp:LlamaCpp",
        "vllm": f"{home}.engines:VLLM",
        "sglang": f"{home}.engines:SGLang",
    }
