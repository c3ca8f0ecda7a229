"""Request traces and layer tables: real files, forms they come in, and what is refused."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace.errors import InputError, UnknownName
from tradespace.plugins import registry
from tradespace.workloads import OperatorGraph, load_workload
from tradespace.workloads.describing import describe_workload
from tradespace.workloads.request_trace import RequestTrace, describe_requests, request_trace

DATA = Path(__file__).parents[4] / "shared" / "data"
CONV = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"


def trace(path: Path, **options: Any) -> RequestTrace:
    found = load_workload({"extends": str(path), **options}, registry())
    assert isinstance(found, RequestTrace)
    return found


def table(path: Path, **options: Any) -> OperatorGraph:
    found = load_workload({"extends": str(path), **options}, registry())
    assert isinstance(found, OperatorGraph)
    return found


def real(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"shared/data/{name} is not here")
    return DATA / name


def test_the_azure_traces() -> None:
    found = trace(real("azure/AzureLLMInferenceTrace_code.csv.gz"))
    assert len(found) == 8_819 and found.kind == "request_trace"
    document = describe_requests(found)
    assert document["tokens"]["prompt"]["mean"] == pytest.approx(2047.8, abs=0.1)
    assert document["tokens"]["generated"]["p50"] == 13
    assert document["rates"]["requests"] == pytest.approx(8819 / found.duration)
    assert document["burstiness"]["gap_variation"] > 5  # the coding trace is far from Poisson
    conversation = describe_requests(trace(real("azure/AzureLLMInferenceTrace_conv.csv.gz")))
    assert conversation["counts"]["requests"] == 19_366 and conversation["burstiness"]["gap_variation"] < 1.2


def test_burstiness_of_known_processes() -> None:
    rng = np.random.Generator(np.random.Philox(7))
    even = request_trace("even", np.arange(10_000.0), [1] * 10_000, [1] * 10_000, sources={})
    poisson = request_trace("p", np.cumsum(rng.exponential(1.0, 20_000)), [1] * 20_000, [1] * 20_000, sources={})
    for found, variation, dispersion in ((even, 0.0, 0.0), (poisson, 1.0, 1.0)):
        bursts = describe_requests(found)["burstiness"]
        assert bursts["gap_variation"] == pytest.approx(variation, abs=0.03)
        assert bursts["dispersion"] == pytest.approx(dispersion, abs=0.2)


def test_a_burst_shows_as_one() -> None:
    quiet = np.arange(1000.0) * 10
    times = np.sort(np.concatenate([quiet, 5000 + np.arange(500) * 0.01]))
    bursts = describe_requests(request_trace("b", times, [1] * 1500, [1] * 1500, sources={}))["burstiness"]
    assert bursts["peak_to_mean"] == pytest.approx(506 / (1500 * 60 / 9990), rel=0.02) and bursts["dispersion"] > 50


def test_forms_of_the_same_trace(tmp_path: Path) -> None:
    rows = [(0.0, 10, 1), (0.5, 20, 2), (2.0, 30, 3)]
    csv = "arrival_time,num_prefill_tokens,num_decode_tokens\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows)
    lines = "".join(
        json.dumps({"timestamp": 1000 * a, "input_length": b, "output_length": c}) + "\n" for a, b, c in rows
    )
    files = {
        "plain.csv": csv.encode(), "semicolons.csv": csv.replace(",", ";").encode(), "tabs.tsv": csv.replace(",",
        "\t").encode(),
        "mark.csv": b"\xef\xbb\xbf" + csv.encode(), "packed.csv.gz": gzip.compress(csv.encode()),
        "quoted.csv": csv.replace("arrival_time", '"arrival_time"').encode(),
        "blank.csv": b"\n\n" + csv.encode() + b"\n",
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        found = trace(tmp_path / name)
        assert found.arrival.tolist() == [0, 0.5, 2] and found.prompt.tolist() == [10, 20, 30], name
    (tmp_path / "lines.jsonl").write_text(lines)
    found = trace(tmp_path / "lines.jsonl", time_unit="ms")
    assert found.arrival.tolist() == [0, 0.5, 2] and found.generate.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("header", "unit"),
    [("arrival_time_ns,input_toks,output_toks", 1e-9), ("Timestamp,Request tokens,Response tokens", 1.0),
     ("arrival_timestamp,prompt_size,token_size", 1.0), ("timestamp_ms,input_length,output_length", 1e-3)],
)  # fmt: skip
def test_names_that_other_traces_use(tmp_path: Path, header: str, unit: float) -> None:
    file = tmp_path / "t.csv"
    file.write_text(f"{header}\n1000,5,6\n4000,7,8\n")
    found = trace(file)
    assert found.arrival.tolist() == [0, pytest.approx(3000 * unit)] and found.generate.tolist() == [6, 8]
    assert trace(file, time_unit="us").duration == pytest.approx(3e-3)


def test_columns_are_named_by_the_user(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text("when,who,in,out\n5,a,10,1\n3,b,20,2\n")
    with pytest.raises(InputError, match=r"a column for 'arrival'; got columns when, who, in, out.*columns.arrival="):
        trace(file)
    found = trace(file, columns={"arrival": "when", "prompt": "in", "generate": "out"})
    assert found.arrival.tolist() == [0, 2] and found.prompt.tolist() == [20, 10]  # sorted, from the first on
    assert found.facts["note"] == "2 requests were not in the order of arrival"
    dotted = {"columns.arrival": "when", "columns.prompt": "in", "columns.generate": "out", "rows": 1}
    assert len(trace(file, **dotted)) == 1
    with pytest.raises(UnknownName, match="Did you mean 'generate'"):
        trace(file, columns={"generat": "out"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timestamp,prompt,output_tokens\n", "a trace has requests"),
        ("timestamp,prompt,output_tokens\n1,2\n", "columns of the first"),
        ("timestamp,prompt,output_tokens\n1,x,3\n", "'prompt' is a number"),
        ("timestamp,prompt,output_tokens\n1,-2,3\n", "counts 0 to"),
        ("timestamp,prompt,output_tokens\n1,nan,3\n", "counts 0 to"),
        ("timestamp,prompt,output_tokens\ninf,2,3\n", "arrivals are times"),
        ("timestamp,prompt,output_tokens\n2023-13-45 00:00:00,2,3\n", "date and time"),
        ("timestamp,prompt,output_tokens\n" + "1," * 2000 + "\n", "at most 1000 cells"),
        ("timestamp,prompt,output_tokens\n" + "1" * 70_000 + ",2,3\n", "a line has at most"),
    ],
)
def test_rows_that_cannot_be_requests(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        trace(file)


def test_a_bomb_is_stopped_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bomb.csv.gz"
    file.write_bytes(gzip.compress(b"timestamp,prompt,output_tokens\n" + b"\n" * 5_000_000))
    monkeypatch.setattr("tradespace.workloads.tables_read.MAX_TEXT", 1_000_000)
    with pytest.raises(InputError, match="MiB of text"):
        trace(file)
    file.write_bytes(gzip.compress(b"timestamp,prompt,output_tokens\n" + b"1,2,3\n" * 50)[:-20])
    with pytest.raises(InputError, match="can be read"):
        trace(file)


@pytest.mark.parametrize(("name", "layers", "weights"), [("Resnet18", 21, 11_678_912), ("Resnet50", 54, 25_502_912)])
def test_the_networks_of_scalesim(name: str, layers: int, weights: int) -> None:
    graph = table(real(f"scalesim/{name}.csv"))
    macs = 0
    for line in real(f"scalesim/{name}.csv").read_text().splitlines()[1:]:
        if line.strip(","):
            height, width, rows, columns, channels, filters, stride = map(int, line.split(",")[1:8])
            outputs = math.ceil((height - rows) / stride + 1) * math.ceil((width - columns) / stride + 1)
            macs += outputs * rows * columns * channels * filters
    assert (len(graph.operators), graph.operators.macs.sum(), graph.parameters) == (layers, macs, weights)
    assert graph.is_chain and set(graph.operators.kind) == {"conv"}


def test_a_convolution_and_a_product_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "net.csv"
    file.write_text(CONV + "Conv1,227,227,11,11,3,96,4,\n")  # AlexNet's first layer: 55 x 55 outputs
    graph = table(file, batch=2)
    assert [float(column[0]) for column in graph.operators.gemm] == [2 * 55 * 55, 11 * 11 * 3, 96, 1]
    assert graph.operators.act_in[0] == 2 * 227 * 227 * 3
    file.write_text("Layer,M,N,K,\nFC,8,4,16,\n")
    graph = table(file)
    assert [float(column[0]) for column in graph.operators.gemm] == [8, 16, 4, 1] and graph.parameters == 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CONV, "a topology has layers"),
        (CONV + "a,10,10,3,3,1,1,0,\n", "whole number from 1"),
        (CONV + "a,10,10,30,3,1,1,1,\n", "fits into its feature map"),
        (CONV + "a,10,10,3,3,1\n", "whole number from 1"),
        (CONV + "a,10,10,3,3,1,1e3,1,\n", "whole number from 1"),
    ],
)
def test_layers_that_cannot_be(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "net.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        table(file)


def test_a_file_goes_to_the_reader_of_its_content(tmp_path: Path) -> None:
    """One suffix belongs to many formats; an unknown file is refused with what it holds and what was looked for."""
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="'model_type' is one of"):
        load_workload(tmp_path / "config.json", registry())
    (tmp_path / "other.json").write_text('{"answer": 42, "question": null}')
    with pytest.raises(InputError, match=r"JSON with answer, question.*WfFormat.*'model_type'"):
        load_workload(tmp_path / "other.json", registry())
    (tmp_path / "other.csv").write_text("one column\n1\n")
    with pytest.raises(InputError, match=r"starts with b'one column.*SCALE-Sim"):
        load_workload(tmp_path / "other.csv", registry())


def test_work_and_critical_path_of_a_task_graph() -> None:
    from tradespace.workloads.task_graph import task_graph

    edges = [(0, 1, 5.0), (0, 2, 5.0), (1, 3, 1.0), (2, 3, 1.0)]
    graph = task_graph("diamond", [1.0, 2.0, 7.0, 3.0, 4.0], edges=edges, sources={"tasks": "ours"})
    document = describe_workload(graph, {})
    assert document["work"] == 17 and document["critical_path"] == 11 and document["parallelism"] == 17 / 11
    assert document["counts"]["levels"] == 3 and document["counts"]["widest_level"] == 2
    keys = {"kind", "operators", "macs", "parameters", "weight_bytes", "peak_activation_bytes", "precisions"}
    assert set(document) >= keys


def test_a_workflow_s_critical_path_agrees_with_a_longest_path_search() -> None:
    graph: Any = load_workload(real("wfinstances/montage-chameleon-2mass-01d-001.json.gz"), registry())
    finish = graph.tasks.work.copy()
    children: dict[int, list[int]] = {}
    for a, b in zip(graph.edges.source.tolist(), graph.edges.dest.tolist(), strict=True):
        children.setdefault(a, []).append(b)
    for task in graph.order.tolist():
        for child in children.get(task, ()):
            finish[child] = max(finish[child], finish[task] + graph.tasks.work[child])
    assert describe_workload(graph, {})["critical_path"] == pytest.approx(finish.max(), rel=1e-12)
