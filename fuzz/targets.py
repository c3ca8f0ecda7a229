"""What is fuzzed: a reader, the file name it is given, small seeds, and files that lie beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fuzz import seeds

REGRESSIONS = Path(__file__).parent / "regressions"
OWN, PACKAGE = 100_000, 20_000
"""Files for a parser of our own, and for one of another package."""


@dataclass(frozen=True)
class Target:
    """One parser.

    Args:
        name: on the command line, and of the folder of regressions.
        reader: registry name of the reader that gets the file.
        file: name of the mutated file.
        make: the seeds.
        beside: other files in its folder.
        folder: the reader is given the folder instead of the file.
        packs: now and then the file is gzipped.
        contained: parsed by another package in a process of its own; a crash there is contained, and counted apart.
        count: files by default.
    """

    name: str
    reader: str
    file: str
    make: Callable[[], tuple[bytes, ...]]
    beside: Mapping[str, bytes] = field(default_factory=dict)
    folder: bool = False
    packs: bool = False
    contained: bool = False
    count: int = OWN


def kept(name: str) -> tuple[bytes, ...]:
    """Seeds of formats that are made elsewhere: the files in fuzz/seeds/<reader>/."""
    folder = Path(__file__).parent / "seeds" / name
    return tuple(path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()) if folder.is_dir() else ()


def targets() -> dict[str, Target]:
    """All targets by name."""
    found = (
        Target("gguf", "gguf", "model.gguf", seeds.ggufs),
        Target("config", "hf-config", "config.json", seeds.configs),
        Target(
            "safetensors", "hf-config", "model.safetensors", seeds.safetensors, {"config.json": seeds.configs()[0]},
            folder=True,
        ),
        Target(
            "safetensors-index", "hf-config", "model.safetensors.index.json", seeds.indices,
            {"config.json": seeds.configs()[0], "shard.safetensors": seeds.safetensors()[0]}, folder=True,
        ),
        Target("trace-csv", "request-trace", "trace.csv", seeds.traces_csv, packs=True),
        Target("trace-jsonl", "request-trace", "trace.jsonl", seeds.traces_jsonl, packs=True),
        Target("wfformat", "dag-wfformat", "workflow.json", seeds.workflows, packs=True),
        Target("layer-table", "scalesim", "layers.csv", seeds.layer_tables),
        Target("onnx", "onnx", "net.onnx", lambda: kept("onnx"), contained=True, count=PACKAGE),
        Target("tflite", "tflite", "net.tflite", lambda: kept("tflite"), contained=True, count=PACKAGE),
    )  # fmt: skip
    return {target.name: target for target in found}
