"""Exported plans through the tools' own parsers. Each tool gets an environment of its own under out/venvs.

    python bench/exporters.py                    all; about three minutes the first time (downloads), then one
    python bench/exporters.py llama.cpp tflite   some

llama.cpp   every command line through `common_params_parse` of xllamacpp's llama.cpp, and the values it understood
olive       every run configuration through `RunConfig.parse` of olive-ai, passes and their options included
onnxruntime every quantiser call on a small model with the model builder's node names, then a session with the exported
            session options, and which provider took which node
tflite      the interpreter with exactly the exported arena, and with the head alone, on seven networks
kubernetes  every Pod against the Kubernetes API's own schema (package kubernetes-validate)

A tool that cannot be installed is skipped with the reason. vLLM and SGLang need GPUs: their flags are checked against
the option lists of their releases in the tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.venvs import python_with
from tests.support.plans import blocks, exported

from tradespace.exporters import CannotExport

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data"
CHILD = HERE / "exporters_child.py"
FORMATS = {
    "fp16": blocks(("fp16", 18)), "bf16": blocks(("bf16", 18)), "int8": blocks(("int8", 18)),
    "int4": blocks(("int4", 18)), "int4 inside": ["fp16", *blocks(("int4", 16)), "fp16"],
    "int8 inside": ["fp16", *blocks(("int8", 16)), "fp16"],
    "mixed": ["int8", *blocks(("int4", 9), ("int8", 7)), "int8"], "q4_k": blocks(("q4_k", 18)),
}  # fmt: skip
PLACES = {
    "cpu": ("laptop", blocks(("cpu", 18))), "gpu": ("a100", blocks(("gpu", 18))),
    "offload": ("laptop", blocks(("cpu", 6), ("dgpu", 12))),
    "two gpus": ("laptop", blocks(("cpu", 3), ("igpu", 6), ("dgpu", 9))),
    "npu": ("laptop", blocks(("npu", 18))),
}  # fmt: skip


def plans(to: str, settings: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """(name -> document, name -> refusal) over places, formats and KV formats."""
    written, refused = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for place, (target, placement) in PLACES.items():
            for label, precision in FORMATS.items():
                for kv in ("fp16", "int8"):
                    name = f"{place}, {label}, KV {kv}"
                    options = {"kv_precision": kv, "precisions": sorted({*precision, "fp16"})}
                    try:
                        found = exported(
                            to, Path(folder), placement, precision, settings, target=target, options=options
                        )
                    except CannotExport as refusal:
                        refused[name] = str(refusal)
                        continue
                    except Exception as error:  # the target computes no such format: nothing to export
                        refused[name] = f"not priced: {str(error)[:120]}"
                        continue
                    written[name] = dict(found.document)
    return written, refused


def ask(python: Path, action: str, job: Any) -> Any:
    """The child's answer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job))
        command = [str(python), str(CHILD), action, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise SystemExit(f"{action}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def told(tool: str, written: Mapping[str, Any], refused: Mapping[str, str], bad: Mapping[str, str]) -> None:
    print(f"{tool}: {len(written)} plans written, {len(written) - len(bad)} accepted, {len(refused)} refused by us")
    for name, reason in bad.items():
        print(f"  NOT ACCEPTED {name}: {reason}")


def llama_cpp() -> None:
    python, reason = python_with("llama", "xllamacpp==2026.10.11549", "gguf==0.19.0", "numpy")
    if python is None:
        print(f"llama.cpp: skipped, {reason}")
        return
    settings = {"threads": "2", "device.igpu": "Vulkan0"}
    written, refused = plans("llama.cpp", settings)
    lists = [_without_devices(document["run"]) for document in written.values()]
    odd = [*lists[0], "--no-such-option", "1"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps([*lists, odd]))
        command = [str(python), str(HERE / "llama_cpp_child.py"), "parse", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise SystemExit(f"llama.cpp: {done.stderr[-2000:]}")
    answers = json.loads(done.stdout.strip().splitlines()[-1])
    bad = {}
    for name, words, answer in zip(written, lists, answers[:-1], strict=True):
        wrong = _misread(words, answer)
        if wrong:
            bad[name] = wrong
    told("llama.cpp", written, refused, bad)
    verdict = "NOT refused" if answers[-1]["accepted"] else "refused"
    print(f"  an unknown option is {verdict} (device names were replaced by those of a build without GPUs)")


def _without_devices(words: Sequence[str]) -> list[str]:
    """The build here has no GPU: its parser knows the device "none" and the buffer type "CPU" alone."""
    found = list(words)
    found[found.index("-dev") + 1] = "none"
    if "-ot" in found:
        at = found.index("-ot") + 1
        found[at] = ",".join(part.rpartition("=")[0] + "=CPU" for part in found[at].split(","))
    return found


def _misread(words: Sequence[str], answer: Mapping[str, Any]) -> str:
    """What the parser understood otherwise than it was meant."""
    if not answer["accepted"]:
        return "refused"
    for flag, key in (("-ngl", "ngl"), ("-c", "c"), ("-b", "b"), ("-ub", "ub"), ("-t", "t"), ("-tb", "tb")):
        if flag in words and int(words[words.index(flag) + 1]) != answer[key]:
            return f"{flag} {words[words.index(flag) + 1]} read as {answer[key]}"
    if "-ts" in words:
        shares = [float(v) for v in words[words.index("-ts") + 1].split(",")]
        if answer["ts"][: len(shares)] != shares:
            return f"-ts read as {answer['ts']}"
    return ""


def olive() -> None:
    python, reason = python_with("olive", "torch==2.13.0", "olive-ai==0.13.0", "onnxruntime", "requests")
    if python is None:
        print(f"olive: skipped, {reason}")
        return
    written, refused = plans("olive", {"device.igpu": "OpenVINOExecutionProvider"})
    bad = ask(python, "olive", written)
    told("olive", written, refused, bad["plans"])
    print(f"  a wrong option of a pass is {'refused' if bad['wrong option'] else 'NOT refused'}, an unknown pass "
          f"{'refused' if bad['unknown pass'] else 'NOT refused'}")  # fmt: skip


def onnxruntime() -> None:
    python, reason = python_with("ort", "onnxruntime==1.32.0", "onnx", "onnx_ir", "numpy")
    if python is None:
        print(f"onnxruntime: skipped, {reason}")
        return
    written, refused = plans("onnxruntime", {})
    answer = ask(python, "onnxruntime", written)
    told("onnxruntime", written, refused, answer["bad"])
    print(f"  {answer['ran']} sessions of plans that the CPU provider can take ran; block error {answer['error']:.2e}")
    print(f"  broken assignment refused by the session: {answer['refuses']}")


def tflite() -> None:
    python, reason = python_with("tflm", "tflite-micro==0.dev20261023182759", "numpy")
    if python is None:
        print(f"tflite: skipped, {reason}")
        return
    from tradespace_edge.exporters.tflite_micro import read_arena

    files = sorted([*DATA.glob("tinyengine/*.tflite"), *DATA.glob("mlperf-tiny/*.tflite")])
    if not files:
        print("tflite: skipped, shared/data/tinyengine and mlperf-tiny are not here")
        return
    arenas = {str(file): read_arena(file) for file in files}
    answer = ask(python, "tflite", {path: [arena.total, arena.head] for path, arena in arenas.items()})
    print(
        "tflite: file                        head ours/used       arena ours/used   over  starts  with the head alone"
    )
    for path, arena in arenas.items():
        own = answer[path]
        over = arena.total / own["total"] - 1
        print(f"  {Path(path).stem:28} {arena.head:9}/{own['head']:<9} {arena.total:9}/{own['total']:<9} {over:+6.1%}"
              f"  {own['starts']!s:6}  {own['starts with the head']}")  # fmt: skip


def kubernetes() -> None:
    python, reason = python_with("k8s", "kubernetes-validate")
    if python is None:
        print(f"kubernetes: skipped, {reason}")
        return
    written, refused = plans("kubernetes", {"image": "registry.example/model:1"})
    bad = ask(python, "kubernetes", written)
    told("kubernetes", written, refused, bad["plans"])
    print(f"  a Pod with a misspelt field is {'refused' if bad['misspelt'] else 'NOT refused'}")


TOOLS: Mapping[str, Callable[[], None]] = {
    "llama.cpp": llama_cpp, "olive": olive, "onnxruntime": onnxruntime, "tflite": tflite, "kubernetes": kubernetes,
}  # fmt: skip


def main() -> None:
    for name in sys.argv[1:] or TOOLS:
        if name not in TOOLS:
            raise SystemExit(f"unknown tool {name}; known: {', '.join(TOOLS)}")
        TOOLS[name]()


if __name__ == "__main__":
    main()
