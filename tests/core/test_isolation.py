"""A plugin that breaks when it is used costs only its own names: everything else goes on, and the reason is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tradespace as ts
from tradespace.cli.main import main
from tradespace.errors import PluginError
from tradespace.plugins import Registry

PLUGIN = """
from pathlib import Path
from tradespace.hookspecs import hookimpl

@hookimpl
def tradespace_catalogue(): return str(Path(__file__).parent / "catalogue")
@hookimpl
def tradespace_evaluators():
    return {"absent": "nowhere.at.all:X", "unbuilt": "mine:Unbuilt", "raising": "mine:Raising", "exits": "mine:Exits",
            "shapeless": "mine:Shapeless", "tables": "mine:Raising"}
@hookimpl
def tradespace_readers(): return {"absent": "nowhere.at.all:X", "raising": "mine:RaisingReader"}
@hookimpl
def tradespace_optimizers(): return {"absent": "nowhere.at.all:X", "random": "mine:Other"}
@hookimpl
def tradespace_device_models(): return {"absent": "nowhere.at.all:X"}
@hookimpl
def tradespace_precisions(): return {"absent": "nowhere.at.all:X"}

class Unbuilt:
    fidelity = 99
    def __init__(self): raise KeyError("unbuilt")
class Raising:
    fidelity = 99
    def accepts(self, workload, target): raise RuntimeError("raising")
class Exits:
    fidelity = 99
    def accepts(self, workload, target): raise SystemExit(7)
class Shapeless:
    def accepts(self, workload, target): return "yes"
class RaisingReader:
    name, reads = "raising", "anything"
    def recognises(self, path): raise RuntimeError("raising")
    def read(self, path, options): raise RuntimeError("raising")
class Other: pass
"""
CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 256,
    "max_position_embeddings": 512, "tie_word_embeddings": True, "torch_dtype": "float16",
}  # fmt: skip


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    for kind in ("targets", "workloads"):
        (tmp_path / "catalogue" / kind).mkdir(parents=True)
        (tmp_path / "catalogue" / kind / "torn.yaml").write_text("torn: [unclosed\n")
        (tmp_path / "catalogue" / kind / "empty.yaml").write_text("")
    (tmp_path / "catalogue/targets/phone.yaml").write_text("phone: {extends: laptop}\n")  # a name that is taken
    (tmp_path / "mine.py").write_text(PLUGIN)
    return tmp_path / "mine.py"


@pytest.fixture
def found(plugin: Path) -> Registry:
    registry = Registry.discover([plugin])
    assert all(status.error is None for status in registry.plugins)
    return registry


def test_other_evaluators_are_bound_and_the_broken_ones_say_why(found: Registry) -> None:
    bound = ts.bind(ts.Setting("toy-decoder", "laptop"), found)
    assert bound.evaluator_name == "qeil"
    assert {"absent", "unbuilt", "raising", "exits", "shapeless", "tables"} <= set(bound.declined)
    assert "nowhere" in bound.declined["absent"] and "raising" in bound.declined["raising"]
    assert "claimed by" in bound.declined["tables"]


def test_a_broken_evaluator_that_is_asked_for_by_name_is_refused_in_one_sentence(found: Registry) -> None:
    for name in ("absent", "unbuilt", "raising", "tables"):
        with pytest.raises(ts.TradespaceError, match=name):
            ts.bind(ts.Setting("toy-decoder", "laptop", evaluator=name), found)


def test_other_readers_read_on(found: Registry, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert ts.load_workload(tmp_path / "config.json", found).kind == "operator-graph"


def test_other_optimizers_search_on(found: Registry) -> None:
    evaluator = ts.bind(ts.Setting("toy-decoder", "laptop"), ts.registry()).evaluator
    front = ts.search(evaluator, ["latency", "energy"], optimizer="pgsam", evaluations=200, registry=found)
    assert len(front.designs)
    for name, reason in (("absent", "nowhere"), ("random", "claimed by")):
        with pytest.raises(PluginError, match=reason):
            ts.search(evaluator, ["latency"], optimizer=name, evaluations=10, registry=found)


def test_other_targets_and_workloads_load(found: Registry) -> None:
    assert ts.load_target("laptop", found).devices and ts.load_workload("toy-decoder", found)
    for name in ("torn", "empty", "phone"):
        with pytest.raises(ts.TradespaceError):
            ts.load_target(name, found)


@pytest.mark.parametrize(
    "words",
    [
        ("plugins",),
        ("list",),
        *(("list", kind) for kind in ("targets", "workloads", "metrics", "evaluators", "optimizers", "device-models")),
        ("show", "laptop"),
        ("inspect", "toy-decoder"),
        ("check", "laptop"),
    ],
)
def test_commands_go_on(plugin: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--plugin", str(plugin), "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_a_search_goes_on(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["search", "workload=toy-decoder", "target=laptop", "budget.evaluations=200", "--plugin", str(plugin)]
    assert main([*words, "--json"]) == 0, capsys.readouterr()
    assert json.loads(capsys.readouterr().out)["front"]
