"""Fits: known numbers come back from noisy measurements, unseen ones stay, broken files are refused."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from tradespace.costs.fitting import fit
from tradespace.costs.fitting_output import fitted_yaml
from tradespace.costs.fitting_prices import prepare
from tradespace.costs.fitting_rows import read_measurements
from tradespace.errors import InputError, TradespaceError
from tradespace.plugins import registry
from tradespace.targets import load_target

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
SHEET = {
    "memories": {"dram": {"bandwidth": "100 GB/s", "capacity": "64 GiB"}},
    "devices": {
        "cpu": {
            "model": "roofline", "memory": "dram", "peak": {"fp16": "1 TFLOPS", "int8": "2 TFLOPS"},
            "bandwidth": "80 GB/s", "launch_overhead": "2 us", "idle_power": "5 W", "dynamic_power": "50 W",
        }
    },
}  # fmt: skip
TRUTH = {"peak.fp16": 0.6e12, "bandwidth": 50e9, "launch_overhead": 11e-6}


def _known():
    return registry()


def _rows(path: Path, target=SHEET):
    loaded = load_target(target, _known())
    return prepare(read_measurements(path, loaded, _known().names("precisions")).rows, loaded, _known()), loaded


def _truth_time(m, k, n, bytes_each=2.0):
    """Independent of the engine: a roofline written out."""
    flop, moved = 2 * m * k * n, bytes_each * (k * n + m * k + m * n)
    return max(flop / TRUTH["peak.fp16"], moved / TRUTH["bandwidth"]) + TRUTH["launch_overhead"]


def _write(path: Path, noise=0.03, outlier=False, count=24):
    rng = np.random.Generator(np.random.Philox(7))
    lines = ["m,k,n,time [us]"]
    for i in range(count):
        m = int(rng.choice([1, 1, 4, 64, 512, 2048]))
        k, n = (int(v) for v in rng.choice([64, 256, 1024, 4096], 2))
        factor = np.exp(rng.normal(0, noise)) * (8.0 if outlier and i == 5 else 1.0)
        lines.append(f"{m},{k},{n},{_truth_time(m, k, n) * factor * 1e6}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("outlier", [False, True])
def test_known_numbers_come_back(tmp_path: Path, outlier):
    rows, target = _rows(_write(tmp_path / "m.csv", outlier=outlier))
    found = fit(rows, target)
    after = {n.number.path.removeprefix("devices.cpu."): n for n in found.numbers}
    for name, value in TRUTH.items():
        assert after[name].value == pytest.approx(value, rel=0.08), name
    stay = {"peak.int8", "idle_power", "dynamic_power"}
    assert all(not after[name].seen and after[name].value == after[name].number.value for name in stay)
    median = float(np.median(np.abs(found.held_out)))
    assert median < 0.06 < float(np.median(np.abs(found.naive)))
    assert float(np.median(np.abs(found.before))) > 0.3


def test_energy_shows_the_powers(tmp_path: Path):
    lines = ["m,k,n,time [us],energy [mJ]"]
    for m in (1, 8, 64, 512, 2048):
        for k in (512, 2048, 4096):
            time = _truth_time(m, k, k)
            flop, moved = 2 * m * k * k, 2.0 * (k * k + 2 * m * k)
            busy = 0.5 * flop / TRUTH["peak.fp16"] + 0.5 * moved / TRUTH["bandwidth"]
            lines.append(f"{m},{k},{k},{time * 1e6},{(9.0 * time + 35.0 * busy) * 1e3}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    rows, target = _rows(tmp_path / "m.csv")
    after = {n.number.path.rpartition(".")[2]: n.value for n in fit(rows, target).numbers}
    assert after["idle_power"] == pytest.approx(9.0, rel=0.05)
    assert after["dynamic_power"] == pytest.approx(35.0, rel=0.05)


def test_whole_jobs_are_sums_of_their_operators(tmp_path: Path):
    """Times that the engine itself gives for the true target lead back to it."""
    from tradespace.settings import Setting, bind

    true = {
        **SHEET,
        "devices": {"cpu": {**SHEET["devices"]["cpu"], "bandwidth": "40 GB/s", "launch_overhead": "20 us"}},
    }
    lines = ["workload,phase,context,prompt,precision,latency"]
    for phase, length in (("decode", 64), ("decode", 4096), ("prefill", 16), ("prefill", 512), ("decode", 1024)):
        for precision in ("fp16", "int8"):
            job = {"extends": "toy-decoder", "phase": phase, ("context" if phase == "decode" else "prompt"): length}
            bound = bind(Setting(job, true, "tables", {"precisions": [precision]}), _known())
            time = float(bound.evaluator.price(bound.evaluator.space.parse({})).columns["latency"][0])
            cells = (length, "") if phase == "decode" else ("", length)
            lines.append(f"toy-decoder,{phase},{cells[0]},{cells[1]},{precision},{time * 1e6} us")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    rows, target = _rows(tmp_path / "m.csv")
    found = fit(rows, target)
    after = {n.number.path.rpartition(".")[2]: n.value for n in found.numbers}
    assert np.abs(found.after).max() < 0.01
    assert after["launch_overhead"] == pytest.approx(20e-6, rel=0.02)


def test_the_written_file_is_the_fitted_target(tmp_path: Path):
    path = _write(tmp_path / "m.csv")
    (tmp_path / "base.yaml").write_text(__import__("yaml").safe_dump({"base": SHEET}))
    base = str(tmp_path / "base.yaml")
    loaded = load_target(base, _known())
    read = read_measurements(path, loaded, _known().names("precisions"))
    rows = prepare(read.rows, loaded, _known())
    found = fit(rows, loaded)
    out = tmp_path / "base-fitted.yaml"
    out.write_text(fitted_yaml(found, read, base, out))
    again = load_target(out, _known())
    assert np.allclose(rows.predict(again) / rows.measured - 1, found.after, atol=1e-4)
    moved = {s.path: s for s in again.sources if s.kind == "fitted"}
    assert set(moved) == {n.number.path for n in found.numbers if n.moved}
    assert all("24 rows of m.csv" in s.source and read.digest in s.source for s in moved.values())


def test_groups_are_held_out_together(tmp_path: Path):
    rows, target = _rows(_write(tmp_path / "m.csv"))
    found = fit(rows, target, groups=["a"] * 12 + ["b"] * 12)
    assert set(found.folds.tolist()) == {0, 1} and "2 groups" in found.folding
    with pytest.raises(InputError, match="two values"):
        fit(rows, target, groups=["a"] * 24)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a header and"),
        ("m,k,n\n1,2,3\n", "what was measured"),
        ("m,k,n,time\n1,2,3\n", "4 cells"),
        ("m,k,n,time\n1,2,3,fast\n", "fast"),
        ("m,k,n,time\n1,2,3,-1\n", "above 0"),
        ("m,k,n,time\n1,2,3,nan\n", "finite"),
        ("m,k,n,time [W]\n1,2,3,4\n", "W"),
        ("m,m,n,time\n1,2,3,4\n", "name of its own"),
        ("m,k,n,time,tme\n1,2,3,4,5\n", "tme"),
        ("kind,m,k,n,time\nmatmull,1,2,3,4\n", "matmull"),
        ("device,m,k,n,time\ngpu,1,2,3,4\n", "gpu"),
        ("precision,m,k,n,time\nint33,1,2,3,4\n", "int33"),
        ("precision,m,k,n,time\nbf16,1,2,3,4\n", "runs what was measured"),
        ("kind,time\nnorm,1\n", "its flop and elements"),
        ("workload,time\nno-such,1\n", "no-such"),
        ("m,k,n,time\n1,2,3,4\n", "at least 4"),
        ("m,k,n,time\n" + "1,2,3,4\n" * 6000, "rows"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, text, says):
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(TradespaceError, match=says):
        rows, target = _rows(path)
        fit(rows, target)


def _a100(path: Path) -> Path:
    """LLMCompass's 20 measured products of an A100 as a file of measurements."""
    source = DATA / "llmcompass" / "matmul_A100.csv"
    if not source.is_file():
        pytest.skip("shared/data/llmcompass is not here")
    lines = ["m,k,n,time [ms]"]
    for row in csv.reader(source.open()):
        m, k, n, time = (cell.strip() for cell in row[:4])
        lines.append(f"{m},{k},{n},{time.removesuffix('ms')}")
    path.write_text("\n".join(lines))
    return path


def test_twenty_real_products_of_an_a100(tmp_path: Path):
    """Every row by numbers fitted on the other 19: 4.3 % median, 6.4 % worst (by the data sheet 14.6 % and 85.5 %)."""
    rows, target = _rows(_a100(tmp_path / "a100.csv"), "a100")
    found = fit(rows, target)
    assert np.median(np.abs(found.held_out)) < 0.06 and np.abs(found.held_out).max() < 0.15
    assert np.median(np.abs(found.before)) > 0.1 and np.abs(found.before).max() > 0.8


def _vidur(path: Path, every: int) -> Path:
    """Products of Llama-2-70B on an A100, tensor-parallel 1 to 8, from Vidur's profile."""
    source = DATA / "vidur" / "a100_Llama-2-70b-hf_mlp.csv.gz"
    if not source.is_file():
        pytest.skip("shared/data/vidur is not here")
    lines = ["m,k,n,time [ms]"]
    with gzip.open(source, "rt") as file:
        for row in list(csv.DictReader(file))[::every]:
            tp, m, width = (int(row[c]) for c in ("num_tensor_parallel_workers", "num_tokens", "n_embd"))
            inner = int(row["n_expanded_embd"])
            for name, k, n in (("mlp_down_proj", inner // tp, width), ("attn_post_proj", width // tp, width)):
                lines.append(f"{m},{k},{n},{row[f'time_stats.{name}.median']}")
    path.write_text("\n".join(lines))
    return path


def test_numbers_fitted_on_one_profile_predict_another(tmp_path: Path):
    """Fitted on LLMCompass's 20 rows alone, judged on Vidur's rows of the same chip, which the fit never saw."""
    rows, target = _rows(_a100(tmp_path / "a100.csv"), "a100")
    other, _ = _rows(_vidur(tmp_path / "vidur.csv", 20), "a100")
    fitted = fit(rows, target).target
    before, after = (np.abs(other.predict(t) / other.measured - 1) for t in (target, fitted))
    assert np.median(before) > 0.25 and np.median(after) < 0.2  # 30.3 % and 16.5 %
