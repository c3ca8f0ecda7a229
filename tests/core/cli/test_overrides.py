"""From what people type to what hydra's grammar takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradespace.cli.compose import fits
from tradespace.cli.overrides import check_class, quote, rewrite, split
from tradespace.errors import TradespaceError

NAMES = {
    "workload": ("gpt2", "llama-3.2-1b"), "target": ("laptop", "phone"), "optimizer": ("pgsam", "nsga2"),
    "budget": ("quick",), "storage": ("default",), "study": ("qeil-v2",),
}  # fmt: skip


def _rewrite(*words: str, sweep: bool = False) -> Any:
    return rewrite(words, lambda group: NAMES[group], fits, sweep=sweep)


def _parsed(argument: str) -> Any:
    """The value as hydra understands it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(argument).value()


def _value(word: str, **options: Any) -> Any:
    (argument,) = _rewrite(word, **options).arguments
    return _parsed(argument)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("constraints=[memory.dgpu<=8 GB]", ["memory.dgpu<=8 GB"]),
        ('constraints=["memory.dgpu<=8 GB", latency<=1 s]', ["memory.dgpu<=8 GB", "latency<=1 s"]),
        ("constraints=memory.dgpu<=8 GB", ["memory.dgpu<=8 GB"]),
        ("objectives=energy,latency", ["energy", "latency"]),
        ("objectives=[ttft[a],min:a/(b+c)]", ["ttft[a]", "min:a/(b+c)"]),
        ("objectives=[]", []),
        ("options.note=a (b) × …", "a (b) × …"),
        ("options.samples=[1,2,4]", [1, 2, 4]),
        ("options.x=1e3", 1000.0),
        ("target.devices.dgpu.bandwidth=300 GB/s", "300 GB/s"),
        ("target.devices.dgpu.ambient=45 °C", "45 °C"),
        ("storage.url=postgresql://u:p@h/db?x=1&y=2", "postgresql://u:p@h/db?x=1&y=2"),
        ("storage.url=sqlite:///out/a b.db", "sqlite:///out/a b.db"),
        ("name=007", "007"),
        ('out=it\'s "mine"', 'it\'s "mine"'),
        ("out=~/a,b", "~/a,b"),
        ("baseline=null", None),
        ("seed=3", 3),
    ],
)
def test_values_arrive_as_they_were_meant(word: str, value: Any) -> None:
    assert _value(word) == value


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=30))
def test_any_text_survives_quoting(text: str) -> None:
    assert _parsed(f"x={quote(text)}") == text


def test_open_groups_take_any_key_and_leave_the_check_to_their_reader() -> None:
    assert _rewrite("optimizer.momentum=false", "workload.prompt=1024").arguments == (
        "++optimizer.momentum=false", "++workload.prompt=1024",
    )  # fmt: skip


def test_a_path_goes_first_and_becomes_an_option_of_the_group(tmp_path: Path) -> None:
    odd = tmp_path / "a=b (1).json"
    odd.touch()
    found = _rewrite(str(odd), "target=x/y.yaml")
    assert found.arguments == ("workload=file-1", "target=file-2")
    assert found.files == {("workload", "file-1"): str(odd), ("target", "file-2"): "x/y.yaml"}
    assert _rewrite("gpt2").arguments == ("workload=gpt2",)


def test_sweeps_keep_their_commas() -> None:
    assert _rewrite("optimizer=pgsam,nsga2", "seed=0,1", sweep=True).arguments == ("optimizer=pgsam,nsga2", "seed=0,1")
    assert _rewrite("seed=range(0,3)", sweep=True).arguments == ("seed=range(0,3)",)
    assert _rewrite("objectives=[a,b],[c]", sweep=True).arguments == ('objectives=["a","b"],["c"]',)
    assert _rewrite("workload=gpt2,x/config.json", sweep=True).arguments == ("workload=gpt2,file-1",)
    assert _rewrite("storage.url=a b,c", sweep=True).arguments == ('storage.url="a b","c"',)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizr=pgsam"], "unknown key 'optimizr'. Did you mean 'optimizer'?"),
        (["optimizer=pgsm"], "unknown optimizer 'pgsm'. Did you mean 'pgsam'?"),
        (["target=laptp"], "Did you mean 'laptop'?"),
        (["study=qeil"], "unknown study 'qeil'. Did you mean 'qeil-v2'?"),
        (["budget.evalutions=3"], "Did you mean 'evaluations'?"),
        (["seed.x=3"], "'seed' has no parts"),
        (["options={a: 1}"], "options are given one by one"),
        (["workload=gpt2", "fast"], "an override is KEY=VALUE"),
        (["optimizer=pgsam,nsga2"], "Add -m."),
        (["objectives=[a],[b]"], "Add -m."),
        (["name=${oc.env:HOME}"], "no ${...}"),
        (["workload.prompt=${oc.env:HOME}"], "no ${...}"),
        (["hydra.launcher._target_=os.system"], "only hydra and its installed plugins"),
        (["+hydra.callbacks.x._target_=subprocess.run"], "only hydra and its installed plugins"),
        (["seed=1"] * 300, "at most 200 overrides"),
        (["=1"], "unknown key ''"),
    ],
)
def test_what_cannot_be_used_is_refused_in_our_words(words: Sequence[str], message: str) -> None:
    with pytest.raises(TradespaceError) as caught:
        _rewrite(*words)
    assert message in str(caught.value)


def test_no_study_is_the_default() -> None:
    assert _rewrite("study=null", "seed=1").arguments == ("seed=1",)


def test_hydras_own_settings_pass() -> None:
    words = ("hydra/launcher=joblib", "hydra.verbose=true", "~hydra.x")
    assert _rewrite("workload=gpt2", *words).arguments[1:] == words
    check_class("hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher", "x")


def test_commas_split_outside_of_quotes_and_brackets() -> None:
    assert split('a,[b,c],"d,e",f(g,h)') == ["a", "[b,c]", '"d,e"', "f(g,h)"]
