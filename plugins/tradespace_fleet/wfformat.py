"""Workflows in WfFormat 1.5 (wfcommons.org): measured run times and file sizes of real executions, as a task graph.

Files come from strangers: size (also unpacked), counts and depth are bounded, only plain JSON is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tradespace.documents import read_bytes
from tradespace.errors import InputError
from tradespace.workloads.options import check_keys, text
from tradespace.workloads.strict_json import parse
from tradespace.workloads.task_graph import MAX_EDGES, MAX_TASKS, TaskGraph, task_graph
from tradespace_fleet.reading import META_KEYS, affinity, number, origin

REFERENCE = 1e9
"""Operations per second of the core that the measured run times stand for: work = run time x this. Ours: WfFormat
gives seconds on the machine of the run, so a node of rate 1 GOPS takes as long as that machine did."""

MAX_PACKED = 32 * 1024 * 1024
MAX_UNPACKED = 128 * 1024 * 1024
MAX_FILES = 400_000
HEAD = 4096
KEYS = (*META_KEYS, "file", "affinity", "data_scale")


class WfFormatReader:
    """Reads a WfFormat workflow, plain or gzipped; ``affinity`` and ``data_scale`` may change it."""

    name = "dag-wfformat"
    reads = "a workflow in WfFormat 1.5 (.json or .json.gz with 'schemaVersion' or 'workflow')"
    priority = 5

    def recognises(self, path: Path) -> bool:
        """A .json or .json.gz whose first bytes speak of a schema version or a workflow."""
        try:
            if not path.is_file() or not path.name.endswith((".json", ".json.gz")):
                return False
            with path.open("rb") as file:
                head = file.read(HEAD)
            if path.suffix == ".gz":
                head = zlib.decompressobj(31).decompress(head, HEAD)
        except (OSError, zlib.error):
            return False
        return b'"schemaVersion"' in head or b'"workflow"' in head

    def read(self, path: Path, options: Mapping[str, Any]) -> TaskGraph:
        """Raises `InputError` or `UnknownName` for anything wrong in the file or the options."""
        where = str(path)
        check_keys(options, KEYS, f"workload {path.name}")
        document = _load(path)
        name = text(options, "name", where, default=path.name.removesuffix(".gz").removesuffix(".json"))
        return _graph(document, name, options, where)


def build(options: Mapping[str, Any]) -> TaskGraph:
    """The workload type `workflow`: ``file``, and what the reader takes.

    Raises:
        InputError, UnknownName: as `WfFormatReader.read`; no ``file``.
    """
    file = options.get("file")
    if not isinstance(file, str) or not file or "\0" in file:
        raise InputError("a workflow names its 'file'", value=repr(file)[:80], where="workload")
    return WfFormatReader().read(Path(file).expanduser(), options)


def _load(path: Path) -> dict[str, Any]:
    data = read_bytes(path, MAX_PACKED)
    if path.suffix == ".gz":
        data = _unpacked(data, path)
    return parse(data, str(path))


def _unpacked(data: bytes, path: Path) -> bytes:
    unpack = zlib.decompressobj(31)
    try:
        out = unpack.decompress(data, MAX_UNPACKED)
    except zlib.error as error:
        raise InputError("a valid gzip file", value=error, where=str(path)) from None
    if unpack.unconsumed_tail or not unpack.eof:
        rule = f"unpacks to at most {MAX_UNPACKED // 2**20} MiB" if unpack.unconsumed_tail else "a whole gzip file"
        raise InputError(rule, where=str(path))
    return out


def _graph(document: dict[str, Any], name: str, options: Mapping[str, Any], where: str) -> TaskGraph:
    version = document.get("schemaVersion")
    if version is not None and not str(version).startswith("1."):
        raise InputError("WfFormat of schema version 1.x", value=version, where=where)
    workflow = _mapping(document.get("workflow"), "workflow", where)
    specification = _mapping(workflow.get("specification"), "workflow.specification", where)
    rows = _list(specification.get("tasks"), "workflow.specification.tasks", MAX_TASKS, where)
    if not rows:
        raise InputError("a workflow has tasks", where=where)
    names = [_identity(_mapping(row, "a task", where), where) for row in rows]
    index = {task: i for i, task in enumerate(names)}
    if len(index) != len(names):
        raise InputError("tasks have different names", where=where)
    sizes = _sizes(specification.get("files"), where)
    runs = _runs(_mapping(workflow.get("execution"), "workflow.execution", where), index, where)
    edges, brought = _data(rows, index, sizes, where)
    scale = number(options, "data_scale", where, default=1.0)
    count = len(names)
    return task_graph(
        name,
        runs[:, 0] * REFERENCE,
        names=names,
        edges=[(a, b, size * scale) for (a, b), size in sorted(edges.items())],
        memory=runs[:, 1],
        input=brought * scale,
        sources=origin(options, where, f"{where} (WfFormat {version or 'without version'})", "measured"),
        factor=affinity(options, count, where),
        facts={"tasks": count, "edges": len(edges), "serial_seconds": float(runs[:, 0].sum())},
    )


def _sizes(raw: Any, where: str) -> dict[str, float]:
    files = _list(raw if raw is not None else [], "workflow.specification.files", MAX_FILES, where)
    out: dict[str, float] = {}
    for row in files:
        file = _mapping(row, "a file", where)
        out[_identity(file, where)] = _amount(file.get("sizeInBytes", 0), "sizeInBytes", where)
    return out


def _runs(execution: dict[str, Any], index: Mapping[str, int], where: str) -> Any:
    """(n, 2) run time in s and memory in B; every task must have been measured."""
    out = np.full((len(index), 2), np.nan)
    for row in _list(execution.get("tasks"), "workflow.execution.tasks", MAX_TASKS, where):
        run = _mapping(row, "an executed task", where)
        at = index.get(_identity(run, where))
        if at is not None:
            out[at] = (
                _amount(run.get("runtimeInSeconds"), "runtimeInSeconds", where),
                _amount(run.get("memoryInBytes", 0), "memoryInBytes", where),
            )
    missing = np.flatnonzero(np.isnan(out[:, 0]))
    if missing.size:
        task = list(index)[int(missing[0])]
        raise InputError("every task has a measured run time", value=f"none for '{task[:80]}'", where=where)
    return out


def _data(
    rows: list[Any], index: Mapping[str, int], sizes: Mapping[str, float], where: str
) -> tuple[dict[tuple[int, int], float], Any]:
    """Bytes on each edge (files that a parent writes and a child reads), and what each task reads from outside."""
    writes = [set(_texts(row.get("outputFiles"), where)) for row in rows]
    made = set().union(*writes)
    edges: dict[tuple[int, int], float] = {}
    brought = np.zeros(len(rows))
    for child, row in enumerate(rows):
        reads = set(_texts(row.get("inputFiles"), where))
        brought[child] = sum(sizes.get(file, 0.0) for file in sorted(reads - made))
        ends = [(_index(name, index, where), child) for name in _texts(row.get("parents"), where)]
        ends += [(child, _index(name, index, where)) for name in _texts(row.get("children"), where)]
        for source, dest in ends:
            if (source, dest) not in edges:
                shared = writes[source] & set(_texts(rows[dest].get("inputFiles"), where))
                edges[source, dest] = sum(sizes.get(file, 0.0) for file in sorted(shared))
        if len(edges) > MAX_EDGES:
            raise InputError(f"a workflow has at most {MAX_EDGES} edges", where=where)
    return edges, brought


def _index(name: str, index: Mapping[str, int], where: str) -> int:
    if name not in index:
        raise InputError("parents and children are tasks", value=name[:80], where=where)
    return index[name]


def _mapping(value: Any, key: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"'{key}' is an object", value=type(value).__name__, where=where)
    return value


def _list(value: Any, key: str, limit: int, where: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > limit:
        found = len(value) if isinstance(value, list) else type(value).__name__
        raise InputError(f"'{key}' is a list of at most {limit}", value=found, where=where)
    return value


def _texts(value: Any, where: str) -> list[str]:
    found = _list(value if value is not None else [], "a list of names", MAX_FILES, where)
    if not all(isinstance(item, str) for item in found):
        raise InputError("files and tasks are named by text", value=repr(found)[:80], where=where)
    return found


def _identity(row: dict[str, Any], where: str) -> str:
    found = row.get("id")
    if not isinstance(found, str) or not 0 < len(found) <= 500:
        raise InputError("an 'id' is a text of at most 500 characters", value=repr(found)[:80], where=where)
    return found


def _amount(value: Any, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e18:
        raise InputError(f"'{key}' is a number from 0 to 1e18", value=repr(value)[:80], where=where)
    return float(value)
