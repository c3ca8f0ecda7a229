"""A third party's package, really installed by pip beside a broken one, and used from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both distributions as pip installs them. Nothing is fetched."""
    folder = tmp_path_factory.mktemp("site")
    sources = tmp_path_factory.mktemp("sources")
    for name in ("acme-tradespace", "broken-tradespace"):
        subprocess.run(["cp", "-r", str(HERE / name), str(sources / name)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    done = subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--target", str(folder), *map(str, sorted(sources.iterdir()))],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def run(site: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "import sys; from tradespace.cli import main; sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, cwd=cwd, timeout=120
    )


def document(site: Path, *arguments: str, code: int = 0, cwd: Path | None = None) -> Any:
    done = run(site, *arguments, "--json", cwd=cwd)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_both_are_listed_and_the_broken_one_costs_only_itself(site: Path) -> None:
    listed = {plugin["name"]: plugin for plugin in document(site, "plugins")["plugins"]}
    assert listed["acme"] | {"catalogue": None} == {
        "name": "acme",
        "distribution": "acme-tradespace",
        "version": "1.2.3",
        "contract": 1,
        "names": {"device_models": ["acme-stationary"], "optimizers": ["acme-climber"]},
        "catalogue": None,
        "error": None,
        "conflicts": [],
    }
    assert "No module named 'module_that_nobody_has'" in listed["broken"]["error"]
    assert listed["broken"]["names"] == {} and listed["broken"]["distribution"] == "broken-tradespace"
    assert {"edge", "optimizers"} <= set(listed) and listed["edge"]["error"] is None


def test_the_failed_plugin_is_named_when_its_name_is_missed(site: Path) -> None:
    error = document(site, "show", "optimizer", "miracle", code=2)["error"]
    assert error["type"] == "UnknownName"
    assert "Plugin 'broken' failed to load: ModuleNotFoundError" in error["message"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("targets", "acme-array"),
        ("workloads", "acme-decoder"),
        ("device-models", "acme-stationary"),
        ("optimizers", "acme-climber"),
    ],
)
def test_its_names_stand_beside_the_built_in_ones(site: Path, kind: str, name: str) -> None:
    names = {entry["name"]: entry for entry in document(site, "list", kind)["names"]}
    assert names[name]["plugin"] == "acme" and names[name]["error"] is None and names[name]["meaning"]
    assert len(names) > 1  # the built-in ones are still there
    assert document(site, "show", kind, name)["name"] == name


def test_it_passes_the_kits(site: Path) -> None:
    found = document(site, "check", "acme-tradespace")
    assert found["passed"] and len(found["kits"]) == 7
    assert sum(len(kit["checks"]) for kit in found["kits"]) == 62
    assert {kit["kit"] for kit in found["kits"]} == {
        "plugin kit", "registration kit", "device model kit", "optimizer kit", "target kit", "workload kit",
    }  # fmt: skip


def test_the_broken_one_fails_its_check(site: Path) -> None:
    found = document(site, "check", "broken", code=1)
    assert not found["passed"]
    assert "module_that_nobody_has" in found["kits"][0]["checks"][0]["reason"]


def test_its_array_counts_the_cycles_of_scale_sim(site: Path) -> None:
    """AlexNet's first convolution (3025 x 363 x 96) on a 32 x 32 array: 112,283 cycles, the README's own number."""
    code = """
import numpy as np
from types import SimpleNamespace
from tradespace.plugins import registry
from tradespace.targets import load_target
model = registry().load("device_models", "acme-stationary")()
device = load_target("acme-array", registry()).device("array")
gemm = tuple(np.array([float(x)]) for x in (3025, 363, 96, 1))
table = model.table(SimpleNamespace(gemm=gemm), device, ())
print(int(table.columns["cycles"][0]), float(table.time[0]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(site)}
    )
    assert done.stdout.split() == ["112283", "0.000112283"], done.stderr


def test_its_optimizer_searches_its_workload_on_its_target(site: Path) -> None:
    code = """
import json
import tradespace as ts
bound = ts.bind(ts.Setting("acme-decoder", "acme-array"), ts.registry())
front = ts.search(bound.evaluator, ["latency", "energy"], optimizer="acme-climber", evaluations=320, seed=1)
print(json.dumps({"count": len(front.designs), "best": float(front.values[:, 0].min())}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(site)}
    )
    found = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else done.stderr
    assert isinstance(found, dict) and found["count"] >= 1 and 0 < found["best"] < 1, found


def test_the_command_line_searches_with_it(site: Path, tmp_path: Path) -> None:
    found = document(
        site, "search", "workload=acme-decoder", "target=acme-array", "optimizer=acme-climber",
        "budget.evaluations=320", cwd=tmp_path,
    )  # fmt: skip
    assert found["optimizer"] == "acme-climber" and found["front"]
