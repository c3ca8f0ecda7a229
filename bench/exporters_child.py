"""Runs inside the private environments of bench/exporters.py: `python exporters_child.py ACTION JOB.json`."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any


def olive(plans: dict[str, Any]) -> dict[str, Any]:
    """RunConfig of each plan, and the options of each pass by the pass's own validator."""
    bad = {}
    for name, document in plans.items():
        reason = _olive_reason(document)
        if reason:
            bad[name] = reason
    first = copy.deepcopy(next(iter(plans.values())))
    first["passes"]["builder"]["no_such_option"] = 1
    wrong = bool(_olive_reason(first))
    second = copy.deepcopy(next(iter(plans.values())))
    second["passes"]["builder"]["type"] = "NoSuchPass"
    return {"plans": bad, "wrong option": wrong, "unknown pass": bool(_olive_reason(second))}


def _olive_reason(document: dict[str, Any]) -> str:
    from olive.hardware.accelerator import AcceleratorSpec
    from olive.package_config import OlivePackageConfig
    from olive.workflows.run.config import RunConfig

    try:
        config = RunConfig.model_validate(copy.deepcopy(document))
        packages = OlivePackageConfig.load_default_config()
        accelerator = document["systems"]["target"]["accelerators"][0]
        spec = AcceleratorSpec(accelerator["device"], accelerator["execution_providers"][0])
        for passes in config.passes.values():
            for one in passes if isinstance(passes, list) else [passes]:
                module = packages.import_pass_module(one.type)
                given = {k: v for k, v in document["passes"].items() if v["type"].lower() == one.type.lower()}
                own = {k: v for k, v in next(iter(given.values())).items() if k != "type"}
                known = module.default_config(spec)
                unknown = set(own) - set(known)
                if unknown:
                    return f"pass {one.type} has no option {sorted(unknown)[0]}"
                module.generate_config(spec, own, disable_search=True)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return ""


# -- ONNX Runtime ------------------------------------------------------------------------------------------------------


def _model(dtype: str) -> Any:
    """A table, two layers with one product each and a head, named as the model builder names them."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kind = {"float16": TensorProto.FLOAT16, "float32": TensorProto.FLOAT}[dtype]
    rng = np.random.default_rng(0)
    names = {"/model/embed_tokens/Gather": (64, 128), "/model/layers.0/mlp/up_proj/MatMul": (128, 128),
             "/model/layers.10/mlp/up_proj/MatMul": (128, 128), "/lm_head/MatMul": (128, 64)}  # fmt: skip
    stored, nodes, flow = [], [], "ids"
    for name, shape in names.items():
        weights = (rng.standard_normal(shape) / 11).astype(np.float16 if dtype == "float16" else np.float32)
        stored.append(numpy_helper.from_array(weights, f"{name}.weight"))
        out = f"{name}/out"
        if "Gather" in name:
            nodes.append(helper.make_node("Gather", [f"{name}.weight", flow], [out], name=name))
        else:
            nodes.append(helper.make_node("MatMul", [flow, f"{name}.weight"], [out], name=name))
        flow = out
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 3])],
        [helper.make_tensor_value_info(flow, kind, [1, 3, 64])], stored,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    onnx.checker.check_model(model)
    return model


def onnxruntime(plans: dict[str, Any]) -> dict[str, Any]:
    """Quantise with the exported arguments; open a session with the exported options where a provider is here."""
    import numpy as np
    import onnxruntime as ort

    known = ort.get_all_providers()
    bad, ran, worst = {}, 0, 0.0
    ids = np.array([[1, 5, 9]], np.int64)
    for name, document in plans.items():
        try:
            unknown = [p for p, _ in document["providers"] if p not in known]
            if unknown:
                raise ValueError(f"no provider {unknown[0]}")
            dtype = document["model"]["float_type"]
            if dtype == "bfloat16":
                continue
            model = _model(dtype)
            plain = _run(model, document, ids)
            if document["quantization"]:
                model = _quantised(model, document["quantization"])
                error = float(np.abs(_run(model, document, ids) - plain).max() / np.abs(plain).max())
                limit = 0.4 if document["quantization"]["bits"] == 4 else 0.05
                if error > limit:
                    raise ValueError(f"quantised output is {error:.2f} off")
                worst = max(worst, error)
            ran += 1
        except Exception as error:
            bad[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return {"bad": bad, "ran": ran, "error": worst, "refuses": _refuses()}


def _quantised(model: Any, arguments: dict[str, Any]) -> Any:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    words = dict(arguments)
    words["op_types_to_quantize"] = tuple(words["op_types_to_quantize"])
    quantiser = MatMulNBitsQuantizer(model, **words)
    quantiser.process()
    found = quantiser.model.model
    kinds = {node.name: node.op_type for node in found.graph.node}
    left = [n for n in kinds if kinds[n] == "MatMul" and n not in arguments["nodes_to_exclude"]]
    if left:
        raise ValueError(f"{left[0]} was not quantised")
    if "Gather" in arguments["op_types_to_quantize"] and "Gather" in kinds.values():
        raise ValueError("the table was not quantised")
    return found


def _run(model: Any, document: dict[str, Any], ids: Any) -> Any:
    """Output of a session on the providers that are here; the CPU provider stands in for the others."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    here = ort.get_available_providers()
    providers = [p for p, _ in document["providers"] if p in here] or ["CPUExecutionProvider"]
    for key, value in document["session_options"].items():
        if key == "intra_op_num_threads":
            options.intra_op_num_threads = int(value)
        elif key != "session.disable_cpu_ep_fallback" or all(p in here for p, _ in document["providers"]):
            options.add_session_config_entry(key, value)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=providers)
    return np.asarray(session.run(None, {"ids": ids})[0], np.float64)


def _refuses() -> bool:
    """Whether a session really reads the assignment: a broken one is refused."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.add_session_config_entry("session.name_based_layer_assignment", "cpu /layers.0/")
    try:
        ort.InferenceSession(_model("float32").SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:
        return True
    return False


# -- TFLite-Micro ------------------------------------------------------------------------------------------------------


def tflite(files: dict[str, list[int]]) -> dict[str, Any]:
    """Head and total that the interpreter records; whether it starts with the given arenas."""
    import re
    import subprocess

    found = {}
    for path, (total, head) in files.items():
        code = (
            "import sys\nfrom tflite_micro.python.tflite_micro import runtime\n"
            "i = runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2]))\ni.print_allocations()\n"
        )

        def start(arena: int, path: str = path, code: str = code) -> Any:
            command = [sys.executable, "-c", code, path, str(arena)]
            return subprocess.run(command, capture_output=True, text=True, timeout=120)

        record = start(64 << 20)
        text = record.stdout + record.stderr
        sizes = [int(re.search(rf"Arena allocation {what} (\d+)", text).group(1)) for what in ("total", "head")]
        found[path] = {
            "total": sizes[0], "head": sizes[1], "starts": start(total).returncode == 0,
            "starts with the head": start(head).returncode == 0,
        }  # fmt: skip
    return found


# -- Kubernetes --------------------------------------------------------------------------------------------------------


def kubernetes(plans: dict[str, Any]) -> dict[str, Any]:
    import kubernetes_validate

    def reason(pod: Any) -> str:
        try:
            kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
        except Exception as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return ""

    bad = {name: reason(pod) for name, pod in plans.items()}
    odd = copy.deepcopy(next(iter(plans.values())))
    odd["spec"]["containers"][0]["resource"] = {}
    return {"plans": {name: text for name, text in bad.items() if text}, "misspelt": bool(reason(odd))}


if __name__ == "__main__":
    actions = {"olive": olive, "onnxruntime": onnxruntime, "tflite": tflite, "kubernetes": kubernetes}
    print(json.dumps(actions[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text()))))
