"""`tradespace plugins`, `list`, `show` and `check` as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tradespace.cli.main import main
from tradespace.plugins import registry

Run = Callable[..., tuple[int, str, str]]
HEAD = "from tradespace.hookspecs import hookimpl\n\n@hookimpl\n"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def document(run: Run) -> Callable[..., Any]:
    def call(*arguments: str, code: int = 0) -> Any:
        got, out, err = run(*arguments, "--json")
        assert got == code, out + err
        return json.loads(out)

    return call


# -- plugins ----------------------------------------------------------------------------------------------------------


def test_plugins_lists_names_and_versions(run: Run, document: Callable[..., Any]) -> None:
    code, out, _ = run("plugins")
    assert code == 0 and "optimizers: " in out and "pgsam" in out and "failed" not in out
    listed = {plugin["name"]: plugin for plugin in document("plugins")["plugins"]}
    assert "pgsam" in listed["optimizers"]["names"]["optimizers"]
    assert listed["edge"]["catalogue"].endswith("catalogue")


def test_a_broken_plugin_file_is_named_and_the_rest_works(run: Run, document: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("raise ValueError('out of order')")
    code, out, _ = run("plugins", "--plugin", str(bad))
    assert code == 0 and "1 failed; everything else works without it" in out and "out of order" in out
    found = document("plugins", "--plugin", str(bad))
    assert found["failed"] == ["bad"]
    code, _, err = run("show", "pgsan", "--plugin", str(bad))
    assert (
        code == 2 and "Did you mean 'pgsam'" in err and "Plugin 'bad' failed to load: ValueError: out of order" in err
    )
    assert run("show", "pgsam", "--plugin", str(bad))[0] == 0


def test_a_name_that_two_plugins_claim_is_told_and_refused(run: Run, document: Any, tmp_path: Path) -> None:
    rival = tmp_path / "rival.py"
    rival.write_text(HEAD + "def tradespace_optimizers(): return {'pgsam': 'os:sep'}\n")
    _, out, _ = run("plugins", "--plugin", str(rival))
    assert "names that cannot be used" in out
    (conflict,) = document("plugins", "--plugin", str(rival))["conflicts"]
    assert "'optimizers'" in conflict and "'rival'" in conflict
    code, _, err = run("show", "optimizer", "pgsam", "--plugin", str(rival))
    assert code == 2 and "is claimed by" in err
    listed = {entry["name"]: entry for entry in document("list", "optimizers", "--plugin", str(rival))["names"]}
    assert "is claimed by" in listed["pgsam"]["error"] and listed["random"]["error"] is None


def test_names_cannot_write_control_codes_to_the_terminal(run: Run, tmp_path: Path) -> None:
    evil = tmp_path / "evil.py"
    evil.write_text("raise ValueError('\\x1b[2Jgone')")
    _, out, _ = run("plugins", "--plugin", str(evil))
    assert "\x1b" not in out and "gone" in out


def test_a_missing_plugin_file_is_refused(run: Run, tmp_path: Path) -> None:
    code, _, err = run("plugins", "--plugin", str(tmp_path / "none.py"))
    assert code == 2 and "a plugin is a Python file or a package folder" in err


# -- list -------------------------------------------------------------------------------------------------------------


def test_list_without_a_kind_shows_every_kind(run: Run, document: Any) -> None:
    code, out, _ = run("list")
    assert code == 0 and "metrics" in out
    kinds = document("list")["kinds"]
    assert (
        "laptop" in kinds["targets"] and "llama-3.2-1b" in kinds["workloads"] and "roofline" in kinds["device-models"]
    )


@pytest.mark.parametrize("word", ["targets", "target", "Targets"])
def test_a_kind_may_be_written_as_people_do(document: Any, word: str) -> None:
    found = document("list", word)
    assert found["kind"] == "targets" and all(entry["meaning"] for entry in found["names"])


@pytest.mark.parametrize(
    "kind",
    ["optimizers", "device_models", "precisions", "evaluators", "readers", "workload-types", "kernels", "policies"],
)
def test_every_kind_can_be_listed(run: Run, document: Any, kind: str) -> None:
    assert run("list", kind)[0] == 0
    assert isinstance(document("list", kind)["names"], list)


def test_a_long_path_leaves_room_for_what_a_plugin_provides(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    folder = tmp_path / ("x" * 90)
    folder.mkdir()
    (folder / "far.py").write_text(HEAD + "def tradespace_kernels(): return {'distant': 'os:sep'}\n")
    out = run("plugins", "--plugin", str(folder / "far.py"))[1]
    assert "kernels: distant" in out and "\nedge " in out and all(len(line) <= 100 for line in out.splitlines())


def test_studies_are_listed_and_shown_by_the_name_that_reproduces_them(run: Run, document: Any, tmp_path: Path) -> None:
    folder = tmp_path / "catalogue" / "studies" / "tiny"  # as a plugin ships it
    folder.mkdir(parents=True)
    (folder / "published.yaml").write_text("title: '\"Tiny systems\"'\nrows: [{id: A, role: identity, expr: '1'}]\n")
    plugin = tmp_path / "small.py"
    plugin.write_text(HEAD + f"def tradespace_catalogue(): return {str(tmp_path / 'catalogue')!r}\n")
    listed = {entry["name"]: entry for entry in document("list", "studies", "--plugin", str(plugin))["names"]}
    assert listed["tiny"]["plugin"] == "small" and listed["tiny"]["meaning"] == "Tiny systems" and "qeil-v2" in listed
    assert "published" not in listed and "study" not in listed
    shown = document("show", "tiny", "--plugin", str(plugin))
    assert shown["kind"] == "study" and shown["commands"] == ["tradespace reproduce tiny"]
    assert "studies (files): tiny" in run("plugins", "--plugin", str(plugin))[1]
    assert "tradespace search study=qeil-v2" in document("show", "qeil-v2")["commands"]


def test_an_optimizer_is_described_without_importing_it() -> None:
    code = (
        "import sys; from tradespace.cli import main; main(['list', 'optimizers']);"
        "print(sorted({'pymoo', 'optuna', 'numba', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]" and "nsga2" in done.stdout


def test_listing_plugins_imports_nothing_heavy() -> None:
    code = (
        "import sys; from tradespace.cli import main; main(['plugins']);"
        "print(sorted({'numpy', 'yaml', 'numba', 'sqlalchemy', 'pymoo'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_metrics_are_listed_for_a_pair(run: Run, document: Any) -> None:
    found = document("list", "metrics", "--workload", "toy-decoder", "--target", "phone")
    tables = {metric["name"]: metric for metric in found["evaluators"]["tables"]}
    assert tables["latency"]["unit"] == "s" and "memory.npu" in tables and tables["throughput"]["direction"] == "max"
    assert "latency" in run("list", "metrics")[1]
    code, _, err = run("list", "metrics", "--target", "phon")
    assert code == 2 and "Did you mean 'phone'" in err


def test_an_evaluator_that_declines_or_breaks_says_why(document: Any, tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text(
        HEAD
        + "def tradespace_evaluators(): return {'odd': 'odd:Odd', 'gone': 'odd:Gone', 'shy': 'odd:Shy'}\n\n"
        + "class Odd:\n    def accepts(self, workload, target): raise RuntimeError('oops')\n\n"
        + "class Shy:\n    def accepts(self, workload, target):\n"
        + "        from tradespace import Declined\n        return Declined('only on Sundays')\n"
    )
    declined = document("list", "metrics", "--plugin", str(file))["declined"]
    assert "evaluator 'odd': the plugin failed: RuntimeError: oops" in declined["odd"]
    assert declined["shy"] == "only on Sundays"
    assert "no attribute 'Gone'" in declined["gone"]


def test_an_unknown_kind_gets_a_suggestion(run: Run) -> None:
    code, _, err = run("list", "optimisers")
    assert code == 2 and "Did you mean 'optimizers'" in err


def test_a_broken_target_file_costs_only_itself(run: Run, document: Any, tmp_path: Path) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/bad.yaml").write_text("bad: {devices: {cpu: {model: roofline}}}\n")
    (tmp_path / "mine.py").write_text(HEAD + f"def tradespace_catalogue(): return {str(tmp_path)!r}\n")
    entries = {e["name"]: e for e in document("list", "targets", "--plugin", str(tmp_path / "mine.py"))["names"]}
    assert entries["bad"]["error"] and entries["bad"]["plugin"] == "mine"
    assert entries["laptop"]["error"] is None
    assert "cannot be used" in run("list", "targets", "--plugin", str(tmp_path / "mine.py"))[1]


# -- show -------------------------------------------------------------------------------------------------------------


def test_show_gives_every_number_of_a_target_with_its_source(run: Run, document: Any) -> None:
    from tradespace.targets import load_target

    found = document("show", "target", "laptop")
    target = load_target("laptop", registry())
    assert [number["path"] for number in found["numbers"]] == [entry.path for entry in target.sources]
    assert all(number["source"] and number["kind"] for number in found["numbers"])
    assert found["substitutes"] == [entry.path for entry in target.substitutes]
    text = run("show", "laptop")[1]
    assert target.title in text.replace("\n", " ") and "GB/s" in text and "degC" in text


@pytest.mark.parametrize("group", ["optimizers", "device_models", "precisions", "evaluators", "readers", "kernels"])
def test_every_registered_name_can_be_shown(run: Run, document: Any, group: str) -> None:
    for name in registry().names(group):
        found = document("show", group, name)
        assert found["name"] == name and found["plugin"] and ":" in found["path"]
        assert run("show", group, name)[0] == 0


def test_show_finds_the_kind_of_a_name(document: Any) -> None:
    kinds = {
        name: document("show", name)["kind"] for name in ("laptop", "llama-3.2-1b", "pgsam", "int4", "edge", "latency")
    }
    assert list(kinds.values()) == ["target", "workload", "optimizer", "precision", "plugin", "metric"]
    assert {option["option"] for option in document("show", "optimizer", "pgsam")["options"]}


def test_an_optimizer_says_what_it_supports(run: Run, document: Any) -> None:
    found = document("show", "optimizer", "cpsat")["supports"]
    assert found["variables"] == ["Choice", "Composition"] and found["needs"] == "tradespace[exact]"
    assert (found["objectives"], found["batch"]) == ("1 or more", "8 solves") and "structure" in found["note"]
    assert document("show", "optimizer", "optuna_random")["supports"]["constraints"] == "not looked at"
    text = " ".join(run("show", "optimizer", "cpsat")[1].split())
    assert "variables Choice, Composition conditions yes constraints exact where in the structure" in text
    assert "suggests plans" in run("show", "list_schedulers")[1]
    assert "tradespace show optimizer NAME" in run("list", "optimizers")[1]
    assert "tradespace show optimizer NAME" not in run("list", "precisions")[1]


def test_an_optimizer_of_a_plugin_may_leave_out_what_it_supports(run: Run, document: Any, tmp_path: Path) -> None:
    plugin = tmp_path / "mute.py"
    plugin.write_text(HEAD + "def tradespace_optimizers(): return {'mute': 'mute:Mute'}\n\nclass Mute: pass\n")
    assert document("show", "mute", "--plugin", str(plugin))["supports"] is None
    assert "supports" not in run("show", "mute", "--plugin", str(plugin))[1]


def test_a_name_of_several_kinds_asks_which(run: Run, tmp_path: Path) -> None:
    twin = tmp_path / "twin.py"
    twin.write_text(HEAD + "def tradespace_kernels(): return {'laptop': 'os:sep'}\n")
    code, _, err = run("show", "laptop", "--plugin", str(twin))
    assert code == 2 and "'laptop' is a name in each of targets, kernels" in err and "'targets laptop'" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lapto",), "Did you mean 'laptop'"),
        (("target", "lapto"), "unknown target 'lapto'. Did you mean 'laptop'"),
        (("metric", "latenc"), "Did you mean 'latency'"),
        (("plugin", "edg"), "Did you mean 'edge'"),
        (("a", "b", "c"), "a kind and a name, or a name alone"),
    ],
)
def test_show_refuses_unknown_names(run: Run, words: tuple[str, ...], message: str) -> None:
    code, out, err = run("show", *words)
    assert code == 2 and message in err and out == ""


# -- check ------------------------------------------------------------------------------------------------------------


def test_check_counts_and_passes(run: Run, document: Any) -> None:
    code, out, _ = run("check", "random")
    assert code == 0 and "random: 2 kits, 23 checks, 22 passed, 0 failed, 1 not applicable" in out
    found = document("check", "tradespace.costs.roofline:Roofline")
    assert found["passed"] and [kit["kit"] for kit in found["kits"]] == ["device model kit"]
    assert all(check["rule"] and check["outcome"] for kit in found["kits"] for check in kit["checks"])
    assert "rule" not in run("check", "laptop")[1] and "loads_twice_equal" in run("check", "laptop", "-v")[1]


def test_check_runs_a_whole_plugin_from_a_file_and_fails_it(run: Run, document: Any, tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(
        HEAD
        + "def tradespace_device_models(): return {'stuck': 'wrong:Stuck', 'gone': 'wrong:Gone'}\n\n"
        + "class Stuck:\n    '''Never gets slower.'''\n    constants = {'rate': 'FLOP/s'}\n    runs = ('matmul',)\n"
        + "    def table(self, operators, device, precisions):\n"
        + "        from tradespace.costs.contract import CostTable\n"
        + "        return CostTable(time=operators.m * 0 + 1)\n"
    )
    found = document("check", str(file), code=1)
    failed = {(kit["subject"], c["name"]) for kit in found["kits"] for c in kit["checks"] if c["outcome"] == "failed"}
    assert failed == {("stuck", "constants_are_used"), ("device model 'gone'", "can_be_imported")}
    code, out, _ = run("check", str(file))
    assert code == 1 and "'rate' changes nothing" in out and "rule: " in out


def test_check_takes_objects_that_nobody_registered(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loose_evaluator.py").write_text(
        "from tradespace.testing.problems import ToyChain\n\nclass Mine(ToyChain):\n    pass\n\ninstance = Mine()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for subject in ("loose_evaluator:Mine", "loose_evaluator:instance"):
        code, out, _ = run("check", subject)
        assert code == 0 and f"evaluator kit {subject}: 13 checks" in out


def test_check_goes_on_after_a_class_that_cannot_be_built(document: Any, tmp_path: Path) -> None:
    file = tmp_path / "stuck.py"
    file.write_text(
        HEAD
        + "def tradespace_evaluators(): return {'stuck': 'stuck:Stuck'}\n"
        + "@hookimpl\ndef tradespace_kernels(): return {'other': 'stuck:Stuck'}\n\n"
        + "class Stuck:\n    '''Needs a key.'''\n    def __init__(self): raise SystemExit('no key')\n"
    )
    found = document("check", str(file), code=1)
    failed = [(kit["subject"], c["name"]) for kit in found["kits"] for c in kit["checks"] if c["outcome"] == "failed"]
    assert failed == [("evaluator 'stuck'", "can_be_built"), ("kernel 'other'", "can_be_built")]


def test_check_takes_yaml_files(run: Run, tmp_path: Path) -> None:
    target, workload = tmp_path / "desk.yaml", tmp_path / "job.yaml"
    target.write_text("desk: {extends: laptop, title: A desk}\n")
    workload.write_text("job: {extends: toy-decoder, batch: 2}\n")
    assert "target kit" in run("check", str(target))[1]
    code, out, _ = run("check", str(workload))
    assert code == 0 and "workload kit" in out


def test_check_takes_an_importable_package_that_is_not_installed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loose_plugin").mkdir()
    code = HEAD + "def tradespace_kernels(): return {'x': 'loose_plugin.parts:X'}\n"
    (tmp_path / "loose_plugin/__init__.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    code, out, _ = run("check", "loose_plugin")
    assert code == 1 and "plugin kit loose_plugin: 3 checks, 3 passed" in out and "no module named" in out.lower()
    assert run("check", "fractions")[0] == 2  # importable, but no plugin


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("randon",), "unknown plugin or name 'randon'. Did you mean 'random'"),
        (("os:spe",), "'os' has no attribute 'spe'"),
        (("os:sep",), "no kit fits this object"),
        (("no.where:X",), "No module named 'no'"),
        (("--kind", "target", "lapto"), "Did you mean 'laptop'"),
        (("--kind", "optimizer", "randon"), "Did you mean 'random'"),
        (("--kind", "planet", "x"), "unknown kind of name 'planet'"),
        (("--kind", "metric", "latency"), "there is no kit for metrics"),
    ],
)
def test_check_refuses_what_is_not_there(run: Run, words: tuple[str, ...], message: str) -> None:
    code, _, err = run("check", *words)
    assert code == 2 and message in err
