"""`tradespace export` and `tradespace fit` as a person types them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.support.plans import blocks, write_plan

from tradespace.cli import main
from tradespace.plugins import registry
from tradespace.targets import load_target

GOOD = {"placement": blocks(("cpu", 5), ("dgpu", 13)), "precision": blocks(("int8", 18))}
BAD = {"placement": blocks(("dgpu", 5), ("cpu", 13)), "precision": blocks(("int8", 18))}


@pytest.fixture
def plan(tmp_path: Path) -> str:
    return str(write_plan(tmp_path / "plan.yaml", GOOD))


def test_export_to_the_terminal_and_to_a_file(plan, tmp_path, capsys):
    assert main(["export", plan, "--to", "llama.cpp", "--set", "threads=4"]) == 0
    shown = capsys.readouterr().out
    assert "llama-quantize" in shown and "-ngl 13" in shown and "-t 4" in shown
    out = tmp_path / "run.sh"
    assert main(["export", plan, "--to", "llama.cpp", "--set", "threads=4", "--output", str(out)]) == 0
    assert out.read_text().strip() == shown.strip()
    assert f"written to {out}" in capsys.readouterr().out


def test_export_as_data(plan, capsys):
    assert main(["export", plan, "--to", "json", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["to"] == "json" and found["document"]["design"]["precision"][0] == "int8"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--to", "lama.cpp"], "Did you mean 'llama.cpp'"),
        (["--to", "llama.cpp", "--set", "thread=1"], "unknown option 'thread'"),
        (["--to", "llama.cpp", "--set", "threads"], "NAME=VALUE"),
        (["--to", "llama.cpp", "--set", "threads=1", "--set", "threads=2"], "stands once"),
        (["--to", "vllm"], "'cpu'"),
        ([], "--to"),
    ],
)
def test_a_mistake_is_one_sentence(plan, words, says, capsys):
    assert main(["export", plan, *words]) == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error


def test_a_plan_that_the_tool_cannot_run_is_refused(tmp_path, capsys):
    path = str(write_plan(tmp_path / "plan.yaml", BAD))
    out = tmp_path / "run.sh"
    assert main(["export", path, "--to", "llama.cpp", "--output", str(out), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "CannotExport" and "block 4 on cpu" in error["message"]
    assert not out.exists()


def test_exporters_are_listed(capsys):
    assert main(["list", "exporters", "--json"]) == 0
    names = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)["names"]}
    expected = {"json", "llama.cpp", "vllm", "sglang", "onnxruntime", "olive", "tflite-micro", "kubernetes"}
    assert expected <= set(names) and all(entry["meaning"] for entry in names.values())


def _measurements(path: Path) -> str:
    """A raspberry-pi-like CPU: 20 GFLOP/s, 5 GB/s, 30 us."""
    lines = ["device,m,k,n,time [ms]"]
    for m in (1, 2, 16, 256):
        for k in (64, 512, 1024, 2048, 4096):
            seconds = max(2 * m * k * k / 20e9, 2 * (k * k + 2 * m * k) / 5e9) + 30e-6
            lines.append(f"cpu,{m},{k},{k},{seconds * 1e3}")
    path.write_text("\n".join(lines))
    return str(path)


def test_fit_writes_a_target_that_can_be_searched(tmp_path, capsys):
    csv, out = _measurements(tmp_path / "m.csv"), tmp_path / "pi.yaml"
    assert main(["fit", "raspberry-pi-5", csv, "--output", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "held out, one row at a time" in shown and "not seen by these rows" in shown
    assert re.search(r"[1-9] numbers moved, written to", shown)
    loaded = load_target(out, registry())
    fitted = [s for s in loaded.sources if s.kind == "fitted"]
    assert fitted and all("fitted on the 20 rows of m.csv" in s.source for s in fitted)
    assert loaded.device("cpu").bandwidth == pytest.approx(5e9, rel=0.1)


def test_fit_as_data(tmp_path, capsys):
    csv, out = _measurements(tmp_path / "m.csv"), tmp_path / "pi.yaml"
    assert main(["fit", "raspberry-pi-5", csv, "--output", str(out), "--by", "m", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["errors"]["held_out"]["folds"] == "one of 4 groups at a time"
    assert found["errors"]["after"]["median"] < 0.02 < found["errors"]["before"]["median"]
    assert len(found["rows"]) == 20 and found["files"]["target"] == str(out)


@pytest.mark.parametrize(("words", "says"), [(["--by", "size"], "unknown column 'size'"), ([], "")])
def test_a_bad_call_of_fit(words, says, tmp_path, capsys):
    csv = _measurements(tmp_path / "m.csv") if words else str(tmp_path / "none.csv")
    assert main(["fit", "raspberry-pi-5", csv, "--output", str(tmp_path / "o.yaml"), *words]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "o.yaml").exists()
