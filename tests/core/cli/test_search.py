"""`tradespace search` from arguments to files, and everything it refuses before a file is written."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tradespace.cli.main import main
from tradespace.cli.search import Task

Call = Callable[..., tuple[int, str, str]]
QUICK = ("workload=toy-decoder", "target=laptop", "budget.evaluations=200")

PLUGIN = """
from dataclasses import dataclass, field
import numpy as np
from tradespace import Choice, Declined, Metric, Prices, Space, hookimpl

@dataclass(frozen=True)
class Work:
    name: str
    fault: str
    kind: str = "faulty"
    sources: dict = field(default_factory=dict)

def work(options):
    return Work("faulty", options.get("fault", ""))

class Factory:
    fidelity = 1
    def accepts(self, workload, target):
        return True if getattr(workload, "kind", "") == "faulty" else Declined("takes faulty work")
    def bind(self, workload, target, options, registry):
        if workload.fault == "bind":
            raise ZeroDivisionError("in bind")
        return Faulty(workload.fault)

class Faulty:
    def __init__(self, fault):
        self.fault, self.calls = fault, 0
        self.space = Space(Choice("place", ("a", "b", "c"), length=9))
        self.metrics = (Metric("x", "s", "min"), Metric("y", "J", "min"))
    def price(self, designs):
        self.calls += 1
        if self.calls == 5 and self.fault == "interrupt" or self.fault == "at once":
            raise KeyboardInterrupt
        if self.calls == 5 and self.fault == "price":
            raise ValueError("no price today")
        x = (designs["place"] == 0).sum(axis=1).astype(float)
        return Prices({"x": x, "y": 9.0 - x + (designs["place"] == 2).sum(axis=1)})
    def explain(self, designs):
        if self.fault == "explain":
            raise LookupError("no words")

@hookimpl
def tradespace_workloads():
    return {"faulty": "faulty_plugin:work"}

@hookimpl
def tradespace_evaluators():
    return {"faulty": "faulty_plugin:Factory"}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["search", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def faulty(folder: Path) -> Callable[[str], tuple[str, ...]]:
    """Arguments for a workload whose evaluator fails in a given way."""
    (folder / "faulty_plugin.py").write_text(PLUGIN)

    def arguments(fault: str) -> tuple[str, ...]:
        (folder / "work.yaml").write_text(f"type: faulty\nfault: {fault}\n")
        return ("--plugin", "faulty_plugin.py", "work.yaml", "target=laptop", "budget.evaluations=2000", "batch=50")

    return arguments


def test_a_search_prints_its_front_and_writes_plan_report_and_log(call: Call, folder: Path) -> None:
    code, out, err = call(*QUICK)
    assert (code, err) == (0, "")
    assert "toy-decoder on laptop" in out and "knee" in out and "out/tradespace.db" in out
    study = folder / "out" / "toy-decoder-laptop-auto-s0"
    assert sorted(p.name for p in study.iterdir()) == ["plan.yaml", "report.html"]
    assert sorted(p.name for p in folder.iterdir()) == ["out"]  # hydra leaves nothing behind


def test_json_is_one_document_of_the_agreed_shape(call: Call, folder: Path) -> None:
    code, out, _ = call("--json", *QUICK, "seed=4", "optimizer=random")
    document = json.loads(out)
    assert code == 0
    assert set(document) >= {
        "study", "workload", "target", "optimizer", "seed", "evaluations", "seconds", "objectives", "hypervolume",
        "gap", "front", "substitutes", "files",
    }  # fmt: skip
    assert (document["optimizer"], document["seed"], document["evaluations"]) == ("random", 4, 200)
    assert set(document["objectives"]) == {"energy", "latency", "loss"}
    plan = document["front"][0]
    assert set(plan) == {"id", "values", "design", "violations"} and len(plan["id"]) == 16
    assert set(document["files"]) == {"database", "report", "plan"}
    assert all((folder / place).exists() for place in document["files"].values())
    assert main(["search", "--json", *QUICK, "optimizer.momntum=1"]) == 2


def test_json_says_why_there_is_no_gap(call: Call, faulty: Callable[[str], tuple[str, ...]]) -> None:
    document = json.loads(call("--json", *faulty(""), "optimizer=random")[1])
    assert (document["gap"], document["certificate"]["method"]) == (None, "the evaluator declares no structure")
    document = json.loads(call("--json", *QUICK, "optimizer=random")[1])
    assert 0 <= document["gap"] <= 1 < len(document["certificate"]["method"])


def test_equal_arguments_give_equal_fronts_under_a_numbered_name(call: Call) -> None:
    first, second = (json.loads(call("--json", *QUICK)[1]) for _ in range(2))
    assert second["study"] == f"{first['study']}-2"
    assert first["front"] == second["front"]
    assert json.loads(call("--json", *QUICK, "seed=1")[1])["front"] != first["front"]


def test_a_name_of_ones_own_is_kept_and_not_taken_twice(call: Call, folder: Path) -> None:
    assert call(*QUICK, "name=mine", "out=results")[0] == 0
    assert (folder / "results" / "mine" / "plan.yaml").exists()
    code, _, err = call(*QUICK, "name=mine", "out=results")
    assert code == 2 and "there is a study 'mine' already" in err and "tradespace resume mine" in err
    code, _, err = call(*QUICK, "name=../mine")
    assert code == 2 and "a study's name has" in err


def test_a_users_own_config_and_the_present_plan_beside_the_front(call: Call, folder: Path) -> None:
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256, "intermediate_size": 512,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1000,
        "torch_dtype": "bfloat16", "tie_word_embeddings": True, "max_position_embeddings": 2048,
    }  # fmt: skip
    (folder / "my model").mkdir()
    (folder / "my model" / "config.json").write_text(json.dumps(config))
    code, out, err = call("my model/config.json", "target=phone", "budget.evaluations=200", "--json")
    first = json.loads(out)
    assert code == 0, err
    assert first["study"] == "my-model-phone-auto-s0" and first["workload"] == "my model/config.json"
    plan = first["files"]["plan"]
    code, out, err = call("my model", "target=phone", "budget.evaluations=200", f"baseline={plan}", "--json")
    assert code == 0, err
    assert json.loads(out)["baseline"]["id"] in {p["id"] for p in first["front"]}


def test_a_search_says_where_it_started(call: Call, folder: Path) -> None:
    code, out, _ = call("--json", *QUICK, "name=first")
    plans = len(json.loads(out)["front"])
    assert code == 0 and "start" not in json.loads(out) and plans > 1
    code, out, err = call(*QUICK, "start=first", "name=second", "seed=1")
    assert code == 0 and f"{plans} designs of first, priced first" in out, err
    assert f"Started from {plans} designs of first, priced first" in (folder / "out/second/report.html").read_text()
    document = json.loads(call("--json", *QUICK, "start=out/first/plan.yaml")[1])
    assert document["start"] == {"designs": 1, "source": "out/first/plan.yaml"}
    assert main(["report", "second"]) == 0
    text = (folder / "out/second/report.html").read_text()
    assert f"Started from {plans} designs of an earlier study or plan, priced first" in text


def test_a_baseline_of_another_machine_is_refused_before_anything_is_written(call: Call, folder: Path) -> None:
    assert call(*QUICK, "name=here")[0] == 0
    plan = folder / "out" / "here" / "plan.yaml"
    document = yaml.safe_load(plan.read_text())
    document["design"]["placement"] = ["dgpu"] * len(document["design"]["placement"])
    (folder / "dgpu.yaml").write_text(yaml.safe_dump(document))
    code, _, err = call("workload=toy-decoder", "target=phone", "baseline=dgpu.yaml", "out=there")
    assert code == 2 and "a plan of toy-decoder on laptop" in err and not (folder / "there").exists()
    (folder / "odd.yaml").write_text(plan.read_text().replace("toy-decoder", "${oc.env:HOME}"))
    code, _, err = call(*QUICK, "baseline=odd.yaml", "out=there")
    assert code == 2 and "no ${...}" in err and not (folder / "there").exists()


def test_objectives_constraints_and_options_are_taken_as_typed(call: Call) -> None:
    words = (
        "objectives=energy,max:coverage",
        "constraints=[memory.dgpu<=8 GB,latency<=10 s]",
        "options.samples=[1,2,4]",
    )
    code, out, err = call("--json", *QUICK, *words)
    document = json.loads(out)
    assert code == 0, err
    assert document["objectives"] == ["energy", "coverage"]
    assert all(p["values"]["latency"] <= 10 and p["values"]["memory.dgpu"] <= 8e9 for p in document["front"])
    assert {p["design"]["k"] for p in document["front"]} >= {1, 4}


def test_open_numbers_and_sources_are_taken_as_in_a_setting(call: Call) -> None:
    small, large = "{capacity: 16 GB, bandwidth: 40 GB/s}", "{capacity: 64 GB, bandwidth: 90 GB/s}"
    words = (
        f"target.memories.dram={{choices: {{small: {small}, large: {large}}}}}",
        "target.devices.cpu.launch_overhead={choices: [1 us, 10 us]}",
        "target.devices.dgpu.idle_power={value: 3 W, source: my meter, kind: measured}",
    )
    code, out, err = call("--json", *QUICK, *words)
    assert code == 0, err
    designs = [point["design"] for point in json.loads(out)["front"]]
    assert {design["memories.dram"] for design in designs} <= {"small", "large"}
    assert {design["devices.cpu.launch_overhead"] for design in designs} <= {"1 us", "10 us"}


def test_nothing_feasible_is_diagnosed_and_exits_1(call: Call) -> None:
    code, out, _ = call("--json", *QUICK, "constraints=latency<=1 ns")
    document = json.loads(out)
    assert code == 1 and document["front"] == [] and "latency<=1 ns" in document["diagnosis"]
    assert document["files"]["plan"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("target.memories=null", "workload=toy-decoder"), "unknown memory 'dram'"),
        ((*QUICK, "objectives=enrgy"), "unknown metric 'enrgy'. Did you mean 'energy'?"),
        ((*QUICK, "objectives=max:energy/nothing"), "unknown metric 'nothing'"),
        ((*QUICK, "constraints=memory.dgpu<=8 GB/s"), "needs B"),
        ((*QUICK, "constraints=latency"), "a constraint compares"),
        ((*QUICK, "optimizer=pgsam", "optimizer.momntum=1"), "Did you mean 'momentum'"),
        ((*QUICK, "options.sampels=1"), "Did you mean 'samples'?"),
        (
            (*QUICK, "optimizer.warm_start=none"),
            "'warm_start'. auto takes no options. pgsam has 'warm_start': optimizer=pgsam optimizer.warm_start=...",
        ),
        ((*QUICK, "optimizer.warmth=none"), "auto takes no options. `tradespace show optimizer NAME` lists those"),
        ((*QUICK, "optimizer=random", "optimizer.pop_size=9"), "Optimizers with 'pop_size': age_moea2, "),
        ((*QUICK, "workload.promt=1"), "Did you mean 'prompt'?"),
        ((*QUICK, "target.devices.dgpu.bandwidth=119 GB"), "'119 GB' is B, needs B/s"),
        ((*QUICK, "target.devices.dgpu.bandwidth=-1 GB/s"), "above 0"),
        ((*QUICK, "evaluator=qeill"), "Did you mean 'qeil'?"),
        ((*QUICK, "budget.evaluations=0"), "'evaluations' is a whole number of at least 1"),
        ((*QUICK, "budget.evaluations=null"), "a search needs a budget"),
        ((*QUICK, "budget.evaluations=1.5"), "whole number"),
        ((*QUICK, "budget.seconds=2 GB"), "needs s"),
        ((*QUICK, "seed=x"), "'x' is not a quantity"),
        ((*QUICK, "baseline=missing.yaml"), "missing.yaml"),
        ((*QUICK, "--experimental-rerun", "x.pickle"), "No such option"),
        ((*QUICK, "hydra/launcher=nothing"), "nothing"),
        ((*QUICK, "hydra.mode=MULTIRUN"), "told by -m"),
        (("no/such/config.json", "target=laptop"), "does not exist; got no/such/config.json"),
        (("missing.onnx", "target=laptop"), "workload: this file or folder does not exist; got missing.onnx"),
        (("workload=missing.tflite", "target=laptop"), "does not exist; got missing.tflite"),
        (("-m", *QUICK, "hydra.sweeper._target_=builtins.eval"), "only hydra and its installed plugins"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_written(
    call: Call, folder: Path, words: tuple[str, ...], message: str
) -> None:
    code, out, err = call(*words)
    assert (code, out) == (2, "") and message in err and "Traceback" not in err and err.count("\n") == 1, err
    assert list(folder.iterdir()) == []
    code, out, err = call("--json", *words)
    assert code == 2 and err == "" and message in json.loads(out)["error"]["message"]


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ("launcher", "_target_: os.system\ncommand: touch hacked\n"),
        ("job_logging", "version: 1\nhandlers: {h: {(): os.system, command: touch hacked}}\nroot: {handlers: [h]}\n"),
        (
            "hydra_logging",
            "version: 1\nhandlers: {h: {class: os.system, command: touch hacked}}\nroot: {handlers: [h]}\n",
        ),
        ("callbacks", "evil: {_target_: os.system, command: touch hacked}\n"),
    ],
)
@pytest.mark.parametrize("sweep", [(), ("-m",)])
def test_a_class_hidden_in_a_users_own_hydra_configuration_is_not_instantiated(
    call: Call, folder: Path, group: str, text: str, sweep: tuple[str, ...]
) -> None:
    evil = folder / "conf" / "hydra" / group
    evil.mkdir(parents=True)
    (evil / "evil.yaml").write_text(text)
    code, _, err = call(*sweep, *QUICK, f"hydra.searchpath=[file://{folder}/conf]", f"hydra/{group}=evil")
    assert code == 2 and "only hydra and its installed plugins; got os.system" in err
    assert not (folder / "hacked").exists()


def test_unwritable_places_are_named(call: Call, folder: Path) -> None:
    (folder / "file").touch()
    code, _, err = call(*QUICK, "out=file/below")
    assert code == 2 and "file/below" in err and err.count("\n") == 1


def test_ctrl_c_keeps_what_was_found(call: Call, faulty: Callable[[str], tuple[str, ...]], folder: Path) -> None:
    code, out, err = call("--json", *faulty("interrupt"))
    document = json.loads(out)
    assert code == 130, err
    assert 0 < document["evaluations"] < 2000 and document["front"] and document["stopped"] == "interrupted"
    assert all((folder / place).exists() for place in document["files"].values())


def test_ctrl_c_before_anything_was_found(call: Call, faulty: Callable[[str], tuple[str, ...]], folder: Path) -> None:
    code, out, err = call(*faulty("at once"))
    assert (code, out, err) == (130, "", "interrupted\n")
    assert [p.name for p in (folder / "out").iterdir()] == ["tradespace.db"]


def test_a_plugin_that_raises_is_named(call: Call, faulty: Callable[[str], tuple[str, ...]]) -> None:
    code, _, err = call(*faulty("price"))
    assert code == 2 and "a plugin must not raise; got ValueError: no price today" in err and "Traceback" not in err
    code, _, err = call(*faulty("explain"))
    assert code == 2 and "explain of Faulty: the plugin failed: LookupError: no words" in err
    code, _, err = call(*faulty("bind"))
    assert code == 2 and "ZeroDivisionError" in err and "Traceback" not in err


def test_a_sweep_goes_through_hydra_and_ends_with_a_comparison(call: Call, folder: Path) -> None:
    code, out, err = call("-m", *QUICK, "optimizer=random,pgsam", "seed=0,1")
    assert (code, err) == (0, "")
    for name in ("random", "pgsam"):
        assert all(f"toy-decoder-laptop-{name}-s{seed} ({name}, seed {seed})" in out for seed in (0, 1)), out
    assert out.count("hypervolume") == 1
    assert sorted(p.name for p in folder.iterdir()) == ["out"]


def test_a_sweeps_document_holds_every_run_and_a_refused_run_costs_only_itself(call: Call) -> None:
    code, out, _ = call("-m", "--json", *QUICK, "optimizer=random", "objectives=[energy,latency],[enrgy]")
    document = json.loads(out)
    assert code == 2
    assert [run["objectives"] for run in document["runs"]] == [["energy", "latency"]]
    assert [len(found["studies"]) for found in document["comparisons"]] == [1]
    assert "Did you mean 'energy'?" in document["errors"][0]


def test_ctrl_c_ends_a_sweep_and_compares_what_was_found(call: Call, faulty: Callable[[str], tuple[str, ...]]) -> None:
    code, out, err = call("-m", "--json", *faulty("interrupt"), "seed=0,1,2", "optimizer=random")
    document = json.loads(out)
    assert code == 130, err
    assert [run["stopped"] for run in document["runs"]] == ["interrupted"]  # the first; the others never began
    assert len(document["comparisons"][0]["studies"]) == 1


def test_what_a_launcher_sends_to_another_process_survives_the_way(folder: Path) -> None:
    from omegaconf import OmegaConf

    config = OmegaConf.create(
        {
            "workload": {"extends": "toy-decoder"},
            "target": {"extends": "laptop"},
            "optimizer": {"name": "random"},
            "budget": {"evaluations": 50},
            "objectives": ["energy"],
            "constraints": [],
            "options": {},
        }
    )
    task = pickle.loads(pickle.dumps(Task((), "tradespace search", sweep=True, quiet=True)))
    found = pickle.loads(pickle.dumps(task(config)))
    assert found.error is None and found.summary.evaluations == 50 and found.storage == "out/tradespace.db"
    refused = task(OmegaConf.merge(config, {"objectives": ["enrgy"]}))
    assert "Did you mean 'energy'?" in str(pickle.loads(pickle.dumps(refused)).error)


def test_presets_fill_everything_and_are_overridden_by_arguments(call: Call, folder: Path) -> None:
    preset = folder / "studies" / "mine"
    preset.mkdir(parents=True)
    (preset / "study.yaml").write_text(
        "title: mine\nworkload: {extends: toy-decoder, prompt: 64}\ntarget: laptop\noptimizer: {name: random}\n"
        "budget: {evaluations: 100}\nobjectives: [energy, latency]\nconstraints: [latency<=10 s]\nseed: 5\n"
    )
    code, out, err = call("--json", "study=mine")
    document = json.loads(out)
    assert code == 0, err
    assert (document["optimizer"], document["seed"], document["evaluations"]) == ("random", 5, 100)
    assert document["workload"] == "toy-decoder with prompt=64" and document["objectives"] == ["energy", "latency"]
    document = json.loads(call("--json", "study=mine", "optimizer=pgsam", "seed=6", "objectives=[loss,energy]")[1])
    assert (document["optimizer"], document["seed"], document["objectives"]) == ("pgsam", 6, ["loss", "energy"])
    for text, message in (("workload: '${oc.env:HOME}'", "no ${...}"), ("workloads: x", "unknown key 'workloads'")):
        (preset / "study.yaml").write_text(text)
        code, _, err = call("study=mine")
        assert code == 2 and message in err
        assert call("--cfg", "study=qeil-v2")[0] == 0  # the others are not affected


def test_a_plugin_brings_options_of_groups_in_its_conf_folder(call: Call, folder: Path) -> None:
    package = folder / "acme_conf"
    (package / "catalogue" / "conf" / "budget").mkdir(parents=True)
    (package / "catalogue" / "conf" / "budget" / "tiny.yaml").write_text(
        "evaluations: 33\nseconds: null\nstagnation: null\n"
    )
    (package / "catalogue" / "conf" / "optimizer").mkdir()
    (package / "catalogue" / "conf" / "optimizer" / "plain.yaml").write_text("name: pgsam\nmomentum: false\n")
    (package / "__init__.py").write_text(
        "from pathlib import Path\nfrom tradespace.hookspecs import hookimpl\n\n@hookimpl\n"
        "def tradespace_catalogue():\n    return str(Path(__file__).resolve().parent / 'catalogue')\n"
    )
    words = ("--plugin", "acme_conf", "workload=toy-decoder", "budget=tiny", "optimizer=plain", "--json")
    code, out, err = call(*words)
    assert code == 0, err
    assert (json.loads(out)["evaluations"], json.loads(out)["optimizer"]) == (33, "pgsam")
    code, out, err = call("-m", *words, "seed=0,1")
    assert code == 0, err
    assert [run["evaluations"] for run in json.loads(out)["runs"]] == [33, 33]


def test_the_composed_configuration_can_be_seen(call: Call) -> None:
    code, out, _ = call("--cfg", "--json", *QUICK, "target.devices.dgpu.bandwidth=300 GB/s")
    assert code == 0
    assert json.loads(out)["target"] == {"extends": "laptop", "devices": {"dgpu": {"bandwidth": "300 GB/s"}}}


def test_the_default_question_needs_no_words(call: Call) -> None:
    code, out, _ = call("--cfg", "--json", "study=null")
    document = json.loads(out)
    assert (
        code == 0 and document["workload"] == {"extends": "llama-3.2-1b"} and document["target"]["extends"] == "laptop"
    )


def test_an_unknown_name_names_the_plugins_that_failed(call: Call, folder: Path) -> None:
    (folder / "bad.py").write_text("raise ValueError('out of order')")
    code, _, err = call("--plugin", "bad.py", "target=box")
    assert (
        code == 2 and "unknown target 'box'" in err and "Plugin 'bad' failed to load: ValueError: out of order" in err
    )


def test_profile_says_where_the_time_went(call: Call) -> None:
    code, out, _ = call("--json", "--profile", *QUICK)
    seconds = json.loads(out)["profile"]
    parts = ("start and compose", "import", "load and tabulate", "build the optimizer", "search", "certified gap")
    inside = ("search: ask", "search: price", "search: tell", "search: log")
    assert code == 0 and all(seconds[part] > 0 for part in (*parts, *inside))
