"""What a user may write for a workload, and what each mistake is answered."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradespace.errors import InputError, PluginError, TradespaceError, UnknownName
from tradespace.plugins import Registry, registry
from tradespace.workloads import OperatorGraph, load_workload, workload_names

TOY_YAML = "type: decoder\nvocab: 100\nhidden: 32\nlayers: 2\nheads: 4\nffn: 64\n"


def load(ref: Any, names: Registry | None = None) -> OperatorGraph:
    workload = load_workload(ref, names or registry())
    assert isinstance(workload, OperatorGraph)
    return workload


def test_a_mapping_changes_a_catalogue_entry() -> None:
    step = load({"extends": "llama-3.2-1b", "phase": "decode", "context": 256})
    assert step.name == "llama-3.2-1b"
    assert step.facts["context"] == 256 and step.tokens == 1
    assert step.sources["shape"] == load("llama-3.2-1b").sources["shape"]


def test_extends_chains_and_the_last_word_counts() -> None:
    assert load("llama-3.1-8b-int4").native_precision == "int4"
    assert load({"extends": "llama-3.1-8b-int4", "native_precision": "int8"}).native_precision == "int8"


def test_a_mapping_of_its_own() -> None:
    made = load({"type": "decoder", "vocab": 100, "hidden": 32, "layers": 2, "heads": 4, "ffn": 64})
    assert made.facts["layers"] == 2 and made.sources["shape"] == "given by the user"


@pytest.mark.parametrize("nested", [False, True])
def test_a_yaml_file(tmp_path: Path, nested: bool) -> None:
    file = tmp_path / "mine.yaml"
    text = "mine:\n" + "".join(f"  {line}\n" for line in TOY_YAML.splitlines()) if nested else TOY_YAML
    file.write_text(text)
    assert load(str(file)).name == load(file).name == "mine"
    assert load({"extends": str(file), "layers": 7}).facts["layers"] == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("type: decoder\ntype: decoder\n", "stands twice"),
        ("- 1\n- 2\n", "must hold one mapping"),
        ("a: [1\n", "valid YAML"),
        ("!!python/object/apply:os.system ['true']\n", "valid YAML"),
        ("[" * 5000, "nested at most"),
        ("extends: 7\n", "name or path"),
        ("vocab: 10\n", "names its 'type'"),
    ],
)
def test_yaml_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        load(file)


def test_extends_in_a_file_is_meant_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(TOY_YAML)
    (tmp_path / "mine.yaml").write_text("extends: base.yaml\nlayers: 3\n")
    assert load(tmp_path / "mine.yaml").facts["layers"] == 3


def test_a_circle_of_extends_ends(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(f"extends: {two}\n")
    two.write_text(f"extends: {one}\n")
    with pytest.raises(InputError, match="'extends' ends"):
        load(one)


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    file.write_bytes(b"#" * (1_000_001))
    with pytest.raises(InputError, match="at most 1000000 bytes"):
        load(file)


@pytest.mark.parametrize(
    ("ref", "error", "message"),
    [
        ("llama-3.2-1", UnknownName, "Did you mean 'llama-3.2-1b'"),
        ("models/none", InputError, "does not exist; got models/none"),
        ("none.json", InputError, "does not exist"),
        ("none.onnx", InputError, "does not exist"),
        ("None.PTH", InputError, "does not exist"),
        ("x" * 5000, UnknownName, "unknown workload"),
        ("a\0b", UnknownName, "unknown workload"),
        ({"extends": "gpt2", "phas": "decode"}, UnknownName, "Did you mean 'phase'"),
        ({"extends": "gpt2", "native_precision": "fp15"}, UnknownName, "Did you mean 'fp16'"),
        ({"extends": "gpt2", "layers.x": 1}, InputError, "'layers' is a mapping"),
        ({"extends": "gpt2", "layers": {"choices": [1, 2]}}, InputError, "whole number"),
        ({"type": "decodr"}, UnknownName, "Did you mean 'decoder'"),
        ({}, InputError, "Types: "),
    ],
)
def test_mistakes_are_answered(ref: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        load(ref)


def test_a_folder_that_no_reader_knows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Readers: .*gguf: .*hf-config: "):
        load(tmp_path)


def test_names_are_the_files_of_the_catalogue() -> None:
    names = workload_names(registry())
    assert names == tuple(sorted(names))
    for name in names:
        assert load_workload(name, registry()).name == name


STRANGE = """
from tradespace.hookspecs import hookimpl

@hookimpl
def tradespace_workloads():
    return {"strange-raises": "strange:raises", "strange-nothing": "strange:nothing"}

@hookimpl
def tradespace_readers():
    return {"strange": "strange:Strange"}

def raises(options):
    raise ZeroDivisionError("oops")

def nothing(options):
    return 7

class Strange:
    name, reads = "strange", "strange files"
    def recognises(self, path):
        if path.suffix == ".strange":
            return True
        if path.suffix == ".angry":
            raise OSError("no")
        return False
    def read(self, path, options):
        return nothing(options)
"""


def test_plugins_that_break_the_contract_are_named(tmp_path: Path) -> None:
    (tmp_path / "strange.py").write_text(STRANGE)
    names = Registry.discover([tmp_path / "strange.py"])
    files = {suffix: tmp_path / f"x.{suffix}" for suffix in ("strange", "angry")}
    for file in files.values():
        file.write_text("")
    for ref, message in [
        ({"type": "strange-raises"}, "strange-raises.*ZeroDivisionError"),
        ({"type": "strange-nothing"}, "strange-nothing.*name, a kind and sources"),
        (files["strange"], "reader 'strange'.*name, a kind and sources"),
    ]:
        with pytest.raises(PluginError, match=message):
            load_workload(ref, names)
    with pytest.raises(InputError, match=r"strange failed: .*OSError"):  # a broken reader does not stop the others
        load_workload(files["angry"], names)


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=200) | st.from_regex(r"(type|extends|vocab|[a-z.]+): .{0,20}(\n(.*))?", fullmatch=True))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("yaml") / "any.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(TradespaceError):  # anything else would be a crash
        assert load(file).operators


def test_the_workload_file_is_the_file_of_its_path(tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(TOY_YAML)
    found = load({"extends": "file", "path": str(tmp_path / "toy.yaml"), "layers": 3})
    assert found.facts["layers"] == 3
    for ref in ("file", {"extends": "file"}, {"extends": "file", "path": ""}, {"extends": "file", "path": 7}):
        with pytest.raises(InputError, match="needs a 'path'"):
            load(ref)


RANKED = """
from tradespace.hookspecs import hookimpl

@hookimpl
def tradespace_readers():
    return {"a-greedy": "ranked:Greedy", "z-sure": "ranked:Sure"}

class Greedy:
    name, reads = "a-greedy", "anything"
    priority = -1
    def recognises(self, path):
        return path.suffix == ".ranked"
    def read(self, path, options):
        raise RuntimeError("asked first")

class Sure(Greedy):
    name, priority = "z-sure", 20
    def read(self, path, options):
        from tradespace.workloads.request_trace import request_trace
        return request_trace("sure", [0], [1], [1], sources={})
"""


def test_the_reader_of_highest_priority_is_asked_first(tmp_path: Path) -> None:
    (tmp_path / "ranked.py").write_text(RANKED)
    (tmp_path / "x.ranked").write_text("")
    found = load_workload(tmp_path / "x.ranked", Registry.discover([tmp_path / "ranked.py"]))
    assert found.name == "sure"
