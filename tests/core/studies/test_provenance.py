from __future__ import annotations

from pathlib import Path

import pytest

from tradespace.errors import StudyError
from tradespace.plugins import Registry
from tradespace.settings import Setting
from tradespace.studies import Provenance
from tradespace.studies.provenance import file_digest


def test_catalogue_entries_and_what_they_extend_are_digested(registry: Registry) -> None:
    found = Provenance.of(
        Setting("llama-3.1-8b-int4", {"extends": "laptop", "devices.cpu.dynamic_power": "9 W"}), registry
    )
    assert list(found.files) == [
        "edge: targets/laptop.yaml",
        "edge: workloads/llama-3.1-8b-int4.yaml",
        "edge: workloads/llama-3.1-8b.yaml",
    ]
    catalogue = dict(path for path in ((p.name, p) for _, p in registry.catalogue_files("targets")))
    assert found.files["edge: targets/laptop.yaml"] == file_digest(catalogue["laptop.yaml"])
    assert {"tradespace", "numpy", "numba", "python"} <= set(found.versions)
    assert "edge" in found.plugins


def test_files_of_the_user_are_followed(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "base.yaml").write_text("base: {extends: laptop}\n")
    (tmp_path / "mine.yaml").write_text("mine:\n  extends: base.yaml\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "weights.bin").write_bytes(b"x")
    found = Provenance.of(Setting(str(tmp_path / "model"), str(tmp_path / "mine.yaml")), registry)
    names = [Path(name).name if name.startswith("/") else name for name in found.files]
    assert sorted(names) == ["base.yaml", "config.json", "edge: targets/laptop.yaml", "mine.yaml"]


def test_an_endless_chain_ends(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "a.yaml").write_text("a: {extends: b.yaml}\n")
    (tmp_path / "b.yaml").write_text("b: {extends: a.yaml}\n")
    found = Provenance.of(Setting("toy-decoder", str(tmp_path / "a.yaml")), registry)
    assert any(name.endswith("a.yaml") for name in found.files)


def test_long_files_are_read_to_a_bound_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tradespace.studies import provenance

    monkeypatch.setattr(provenance, "_HEAD", 4)
    digests = []
    for content in (b"abcdxxxx", b"abcdyyyy", b"abcdxxxxx", b"abceyyyy"):
        (tmp_path / "f").write_bytes(content)
        digests.append(file_digest(tmp_path / "f"))
    assert digests[0] == digests[1] and len(set(digests)) == 3


def test_changes_are_named_and_new_plugins_do_not_count() -> None:
    was = Provenance({"numpy": "2.0"}, {"edge": "tradespace 0.1", "mine": "mine 1"}, {"a.yaml": "11", "b.yaml": "22"})
    now = Provenance({"numpy": "2.1"}, {"edge": "tradespace 0.1", "new": "x 1"}, {"a.yaml": "12", "c.yaml": "3"})
    assert was.changes(now) == (
        "numpy was 2.0, is 2.1",
        "plugin mine is not there",
        "file a.yaml was 11, is 12",
        "file b.yaml is not there",
        "file c.yaml is new",
    )
    assert was.changes(was) == ()


def test_its_text_is_checked() -> None:
    with pytest.raises(StudyError, match="provenance holds text"):
        Provenance.from_json('{"versions": {"a": 1}, "plugins": {}, "files": {}}', "x")
