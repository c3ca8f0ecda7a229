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
    return {
        "decoder": "tradespace.workloads.decoder:build",
        "answer-mix": "tradespace_edge.stopping:build",
        "matmul": "tradespace_edge.tmac_workload:build",
    }


@hookimpl
def tradespace_readers() -> dict[str, str]:
    return {
        "hf-config": "tradespace.workloads.hf:HFReader",
        "gguf": "tradespace.workloads.gguf:GGUFReader",
        "request-trace": "tradespace.workloads.traces:TraceReader",
        "scalesim": "tradespace.workloads.layer_table:LayerTableReader",
        "onnx": "tradespace.workloads.networks.onnx_reader:OnnxReader",
        "tflite": "tradespace.workloads.networks.tflite_reader:TFLiteReader",
    }


@hookimpl
def tradespace_device_models() -> dict[str, str]:
    return {
        "roofline": "tradespace.costs.roofline:Roofline",
        "operator-table": "tradespace.costs.operator_tables:OperatorTable",
        "split": "tradespace.costs.split:Split",
        "lookup-cpu": "tradespace_edge.tmac:LookupCPU",
        "cpu-kernels": "tradespace.kernels.device:CPUKernels",
    }


@hookimpl
def tradespace_evaluators() -> dict[str, str]:
    return {
        "tables": "tradespace.costs.tables:TablesFactory",
        "qeil": "tradespace_edge.qeil:QEILFactory",
        "stopping": "tradespace_edge.stopping:StoppingFactory",
        "kernel": "tradespace_edge.tmac_kernels:KernelFactory",
        "measured": "tradespace.verify.evaluator:MeasuredFactory",
    }


@hookimpl
def tradespace_precisions() -> dict[str, str]:
    plain = ("fp32", "fp16", "bf16", "int8", "int4")
    ggml = (
        "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq1_s", "iq1_m", "iq2_xxs",
        "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_nl", "iq4_xs", "tq1_0", "tq2_0", "mxfp4", "nvfp4",
    )  # fmt: skip
    found = {name: f"tradespace.precisions:{name.upper()}" for name in plain}
    found |= {name: f"tradespace_edge.tmac_formats:{name.upper()}" for name in ("int1", "int2", "int3")}
    return found | {name: f"tradespace.ggml_formats:{name.upper()}" for name in ggml}


@hookimpl
def tradespace_kernels() -> dict[str, str]:
    return {
        "fma-fp32": "tradespace.kernels.probes:FMAProbe",
        "fma-fp64": "tradespace.kernels.probes:FMAProbe64",
        "fma-fp16": "tradespace.kernels.probes:FMAProbe16",
        "dot-bf16": "tradespace.kernels.probes:DotProbe16",
        "dot-int8": "tradespace.kernels.probes:DotProbe",
        "read": "tradespace.kernels.probes:Read",
        "triad": "tradespace.kernels.probes:Triad",
        "pointer-chase": "tradespace.kernels.probes:PointerChase",
        "gemv-fp32": "tradespace.kernels.dense:Gemv",
        "gemv-fp16": "tradespace.kernels.dense:GemvFP16",
        "gemv-bf16": "tradespace.kernels.dense:GemvBF16",
        "gemv-int8": "tradespace.kernels.dense:GemvInt8",
        "gemm-fp32": "tradespace.kernels.dense:Gemm",
        "gemm-int8": "tradespace.kernels.dense:GemmInt8",
        "gemv-q8_0": "tradespace.kernels.blocks:GemvQ80",
        "gemv-q6_k": "tradespace.kernels.blocks:GemvQ6K",
        "gemv-q5_0": "tradespace.kernels.blocks:GemvQ50",
        "gemv-q4_0": "tradespace.kernels.blocks:GemvQ40",
        "gemv-q4_k": "tradespace.kernels.blocks:GemvQ4K",
        "gemv-q3_k": "tradespace.kernels.blocks:GemvQ3K",
        "gemv-q2_k": "tradespace.kernels.blocks:GemvQ2K",
        "gemv-iq4_nl": "tradespace.kernels.blocks:GemvIQ4NL",
        "tmac": "tradespace.kernels.tmac:Lookup",
        "row-split": "tradespace_edge.heteroinfer:RowSplit",
        "rms-norm": "tradespace.kernels.decoder:RMSNorm",
        "rope": "tradespace.kernels.decoder:Rope",
        "attention": "tradespace.kernels.decoder:Attention",
        "silu-mul": "tradespace.kernels.decoder:SiluMul",
        "add": "tradespace.kernels.decoder:Add",
    }


@hookimpl
def tradespace_exporters() -> dict[str, str]:
    home = "tradespace_edge.exporters"
    return {
        "json": "tradespace.exporters.plain:PlainJSON",
        "llama.cpp": f"{home}.llama_cpp:LlamaCpp",
        "vllm": f"{home}.engines:VLLM",
        "sglang": f"{home}.engines:SGLang",
        "tflite-micro": f"{home}.tflite_micro:TFLiteMicro",
        "onnxruntime": f"{home}.onnxruntime:ONNXRuntime",
        "olive": f"{home}.olive:Olive",
        "kubernetes": f"{home}.kubernetes:Kubernetes",
    }
