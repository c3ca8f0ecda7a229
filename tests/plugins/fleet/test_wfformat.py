"""WfFormat: what a real file holds, and what a damaged or hostile one is answered."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace.errors import InputError, UnknownName
from tradespace.plugins import registry
from tradespace.workloads import load_workload
from tradespace_fleet import wfformat
from tradespace_fleet.wfformat import WfFormatReader

REAL = Path(__file__).parents[4] / "shared" / "data" / "wfinstances"
GOOD: dict[str, Any] = {
    "name": "tiny",
    "schemaVersion": "1.5",
    "workflow": {
        "specification": {
            "tasks": [
                {"id": "a", "parents": [], "children": ["b"], "inputFiles": ["in"], "outputFiles": ["x", "y"]},
                {"id": "b", "parents": ["a"], "children": [], "inputFiles": ["x", "in2"], "outputFiles": []},
            ],
            "files": [
                {"id": "in", "sizeInBytes": 7},
                {"id": "in2", "sizeInBytes": 11},
                {"id": "x", "sizeInBytes": 100},
                {"id": "y", "sizeInBytes": 1000},
            ],
        },
        "execution": {
            "tasks": [
                {"id": "a", "runtimeInSeconds": 2.5, "memoryInBytes": 9},
                {"id": "b", "runtimeInSeconds": 1},
            ]
        },
    },
}  # fmt: skip


def write(folder: Path, document: Any, name: str = "wf.json") -> Path:
    path = folder / name
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["wf.json", "wf.json.gz"])
def test_files_travel_from_the_task_that_writes_to_the_one_that_reads(tmp_path: Path, name: str) -> None:
    graph = load_workload(write(tmp_path, GOOD, name), registry())
    assert graph.name == "wf" and graph.tasks.name == ("a", "b")
    assert graph.tasks.work.tolist() == [2.5e9, 1e9]
    assert graph.tasks.memory.tolist() == [9, 0]
    assert graph.tasks.input.tolist() == [7, 11]  # what no task wrote comes from outside
    assert graph.edges.size.tolist() == [100]  # y is not read
    assert graph.sources["kind"] == "measured"


def test_data_scale_and_affinity(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    graph = load_workload({"extends": str(path), "data_scale": 100}, registry())
    assert graph.edges.size.tolist() == [10_000] and graph.tasks.input.tolist() == [700, 1100]
    graph = load_workload({"extends": str(path), "affinity": {"machines": ["a", "b"]}}, registry())
    assert set(graph.factor) == {"a", "b"}
    with pytest.raises(UnknownName, match="data_scale"):
        load_workload({"extends": str(path), "data_scal": 2}, registry())


def broken(change: str) -> dict[str, Any]:
    document = copy.deepcopy(GOOD)
    workflow = document["workflow"]
    specification, execution = workflow["specification"], workflow["execution"]
    if change == "circle":
        specification["tasks"][0]["parents"] = ["b"]
    elif change == "unknown parent":
        specification["tasks"][1]["parents"] = ["ghost"]
    elif change == "no run time":
        execution["tasks"].pop()
    elif change == "negative time":
        execution["tasks"][0]["runtimeInSeconds"] = -1
    elif change == "time as text":
        execution["tasks"][0]["runtimeInSeconds"] = "1e9"
    elif change == "endless time":
        execution["tasks"][0]["runtimeInSeconds"] = 1e300
    elif change == "true size":
        specification["files"][0]["sizeInBytes"] = True
    elif change == "no tasks":
        specification["tasks"] = []
    elif change == "tasks a mapping":
        specification["tasks"] = {}
    elif change == "twice":
        specification["tasks"].append(specification["tasks"][0])
    elif change == "files of numbers":
        specification["tasks"][0]["inputFiles"] = [1]
    elif change == "no execution":
        del workflow["execution"]
    elif change == "version":
        document["schemaVersion"] = "2.0"
    return document


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("circle", "circle"),
        ("unknown parent", "parents and children are tasks"),
        ("no run time", "measured run time"),
        ("negative time", "0 to 1e18"),
        ("time as text", "0 to 1e18"),
        ("endless time", "0 to 1e18"),
        ("true size", "0 to 1e18"),
        ("no tasks", "has tasks"),
        ("tasks a mapping", "is a list"),
        ("twice", "different names"),
        ("files of numbers", "named by text"),
        ("no execution", "'workflow.execution' is an object"),
        ("version", "schema version 1.x"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, change: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        load_workload(write(tmp_path, broken(change)), registry())


@pytest.mark.parametrize(
    "data",
    [
        b'{"schemaVersion": "1.5"',
        b'{"schemaVersion": "1.5", "workflow": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"schemaVersion": "1.5", "workflow": ' + b"9" * 10_000 + b"}",
        b'["schemaVersion", "workflow"]',
        b'{"schemaVersion": "\xff"}',
    ],
)
def test_hostile_json_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError):
        WfFormatReader().read(write(tmp_path, data), {})


def test_bombs_and_torn_archives_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wfformat, "MAX_UNPACKED", 10_000)
    with pytest.raises(InputError, match="unpacks to at most"):
        WfFormatReader().read(write(tmp_path, b"0" * 100_000, "bomb.json.gz"), {})
    torn = write(tmp_path, GOOD, "torn.json.gz")
    torn.write_bytes(torn.read_bytes()[:-20])
    with pytest.raises(InputError, match="whole gzip file"):
        WfFormatReader().read(torn, {})
    torn.write_bytes(b"\x1f\x8bnonsense")
    with pytest.raises(InputError, match="valid gzip"):
        WfFormatReader().read(torn, {})
    monkeypatch.setattr(wfformat, "MAX_PACKED", 10)
    with pytest.raises(InputError, match="at most"):
        WfFormatReader().read(write(tmp_path, GOOD), {})


def test_it_leaves_other_files_to_other_readers(tmp_path: Path) -> None:
    reader = WfFormatReader()
    assert not reader.recognises(write(tmp_path, {"model_type": "llama"}, "config.json"))
    assert not reader.recognises(tmp_path)
    assert not reader.recognises(tmp_path / "missing.json")
    assert reader.recognises(write(tmp_path, GOOD, "x.json.gz"))
    (tmp_path / "fake.json.gz").write_bytes(b"not gzip")
    assert not reader.recognises(tmp_path / "fake.json.gz")


@pytest.mark.skipif(not REAL.is_dir(), reason="real workflow files are not beside the repository")
@pytest.mark.parametrize(
    ("name", "tasks", "edges"),
    [
        ("epigenomics-chameleon-hep-5seq-100k-001", 421, 517),
        ("montage-chameleon-2mass-01d-001", 103, 231),
        ("srasearch-chameleon-10a-004", 22, 30),
    ],
)
def test_real_workflows(name: str, tasks: int, edges: int) -> None:
    path = REAL / f"{name}.json.gz"
    graph = load_workload(path, registry())
    document = json.loads(gzip.decompress(path.read_bytes()))
    assert (len(graph.tasks), len(graph.edges)) == (tasks, edges)
    runs = document["workflow"]["execution"]["tasks"]
    assert graph.tasks.work.sum() == pytest.approx(1e9 * sum(run["runtimeInSeconds"] for run in runs))
    parents = {(p, row["id"]) for row in document["workflow"]["specification"]["tasks"] for p in row["parents"]}
    names = np.array(graph.tasks.name)
    assert {
        (str(a), str(b)) for a, b in zip(names[graph.edges.source], names[graph.edges.dest], strict=True)
    } == parents
