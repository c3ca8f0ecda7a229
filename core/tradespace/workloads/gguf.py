"""Decoders from a GGUF file: shape from the metadata, structure and bytes from the tensor table, weights never read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.config import CONFIG_KEYS
from tradespace.workloads.decoder import build
from tradespace.workloads.gguf_header import Header, read_header
from tradespace.workloads.gguf_shape import ARCHITECTURES, read_shape
from tradespace.workloads.hf import fit_job, unknown_architecture, with_options
from tradespace.workloads.operators import OperatorGraph, StoredFormat, StoredTensor

TOLERANCE = 1e-3
"""Largest relative difference between the shape's weights and the file's."""
MAX_PARTS = 1_000

_NO_WEIGHTS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
_OURS = {"F32": "fp32", "F16": "fp16", "BF16": "bf16", "Q8_0": "int8", "Q4_0": "int4"}
"""Formats with a name of the house; the others keep ggml's."""
_PLAIN = ("I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K", "Q1_0")
"""Types that are no precision of weights."""
_PART = re.compile(r"(.+-)(\d{5})-of-(\d{5})\.gguf")


class GGUFReader:
    """Reads language models in GGUF, also those split into parts."""

    name = "gguf"
    reads = "GGUF file ('GGUF' in its first bytes) of a language model; header and tensor table only"
    priority = 10

    def recognises(self, path: Path) -> bool:
        """The first four bytes, or the suffix."""
        try:
            if not path.is_file():
                return False
            with path.open("rb") as file:
                return file.read(4) == b"GGUF" or path.suffix == ".gguf"
        except OSError:
            return path.suffix == ".gguf"

    def read(self, path: Path, options: Mapping[str, Any]) -> OperatorGraph:
        """The decoder; `options` override job, name and shape.

        Raises:
            InputError, UnknownName: a damaged or hostile file, an unknown architecture, contradictions.
        """
        header, where = read_parts(path), str(path)
        architecture = header.metadata.get("general.architecture")
        if architecture not in ARCHITECTURES:
            raise unknown_architecture(architecture, list(ARCHITECTURES), where, "general.architecture")
        title = header.metadata.get("general.name")
        native, types = native_precision(header)
        meta = {
            "name": path.stem[:200],
            "title": title[:200] if isinstance(title, str) else path.stem[:200],
            "source": f"GGUF metadata and tensor table ({architecture})",
            "kind": "datasheet",
            "native_precision": native,
            "note": f"tensors: {types}" if types else None,
        }
        graph = build(fit_job(with_options({**meta, **read_shape(header, str(architecture), where)}, options)))
        if any(key in options for key in _SHAPE):
            return graph  # no longer the model of the file
        if not header.tensors:
            return graph
        layers = int(graph.facts["layers"])
        _check_parameters(graph, header, layers, where)
        stored = stored_formats(header)
        facts = {**graph.facts, "weight_bytes": sum(row.bytes for row in stored.values())}
        tensors = [StoredTensor(t.name, t.type, t.dims[::-1], t.bytes) for t in header.tensors.values()]
        return replace(graph, facts=facts, stored=stored, tensors=tuple(tensors))


_SHAPE = (*CONFIG_KEYS, "native_precision")


def read_parts(path: Path) -> Header:
    """The header of `path`; of a split model, the first part's metadata with the tensors of all parts.

    Raises:
        InputError: as `read_header`; parts that are missing, or hold a tensor twice.
    """
    header = read_header(path)
    count = header.metadata.get("split.count", 0)
    if count in (0, 1):
        return header
    match = _PART.fullmatch(path.name)
    if match is None or not isinstance(count, int) or not 1 < count <= MAX_PARTS or int(match[3]) != count:
        raise InputError(
            "a part of a split model is named <model>-00001-of-0000N.gguf", value=f"split.count {count!r:.40}",
            where=str(path), remedy="Keep the parts' names and folder, or merge them with llama-gguf-split --merge.",
        )  # fmt: skip
    files = [path.with_name(f"{match[1]}{part:05d}-of-{match[3]}.gguf") for part in range(1, count + 1)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise InputError("all parts of a split model lie beside each other", value=missing[0], where=str(path))
    headers = [read_header(file) for file in files]
    tensors = {name: tensor for part in headers for name, tensor in part.tensors.items()}
    if len(tensors) != sum(len(part.tensors) for part in headers):
        raise InputError("a tensor is in one part", where=str(path))
    return replace(headers[0], tensors=tensors)


def stored_formats(header: Header) -> dict[str, StoredFormat]:
    """Type -> tensors, elements and exact bytes; most elements first."""
    rows: dict[str, list[int]] = {}
    for tensor in header.tensors.values():
        row = rows.setdefault(tensor.type, [0, 0, 0])
        for at, amount in enumerate((1, tensor.elements, tensor.bytes)):
            row[at] += amount
    ranked = sorted(rows.items(), key=lambda item: -item[1][1])
    return {kind: StoredFormat(count, float(elements), float(size)) for kind, (count, elements, size) in ranked}


def native_precision(header: Header) -> tuple[str | None, str]:
    """The precision of the type that holds most elements (None: no weights' format), and the shares in words."""
    stored = stored_formats(header)
    if not stored:
        return None, ""
    total = sum(row.elements for row in stored.values())
    shares = ", ".join(f"{kind} {row.elements / total:.1%}" for kind, row in list(stored.items())[:4])
    most = next(iter(stored))
    return (None if most in _PLAIN else _OURS.get(most, most.lower())), shares


def _check_parameters(graph: OperatorGraph, header: Header, layers: int, where: str) -> None:
    """The file holds the weights of the shape: no tensors that the decoder does not know, and none missing."""
    kept = [
        tensor
        for name, tensor in header.tensors.items()
        if name not in _NO_WEIGHTS and not ((match := _LAYER.match(name)) and int(match[1]) >= layers)
    ]
    stored = sum(tensor.elements for tensor in kept)
    if abs(stored - graph.parameters) <= TOLERANCE * graph.parameters:
        return
    odd = [name for name in header.tensors if not name.startswith(("blk.", "token_embd", "output", "position_embd"))]
    raise InputError(
        "the tensor table holds what the metadata describes",
        value=f"{stored} elements for a shape of {graph.parameters:.0f}" + (f", e.g. {odd[0][:60]}" if odd else ""),
        where=where,
        remedy="A variant of the architecture: describe its shape in a workload file of 'type: decoder'.",
    )


_LAYER = re.compile(r"blk\.(\d{1,6})\.")
