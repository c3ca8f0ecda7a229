"""The scoreboard of all systems, and the memory of priced settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tradespace.cli import main
from tradespace.plugins import registry
from tradespace.studies.reproduction import memory, scoreboard
from tradespace.studies.reproduction.document import read_published
from tradespace.studies.reproduction.memory import Memory, key_of
from tradespace.studies.reproduction.priced import Priced
from tradespace.studies.reproduction.pricing import Pricer
from tradespace.studies.reproduction.run import SystemResult, reproduce

ROWS = """
system: small
source: ours
rows:
  - {id: A, metric: latency, unit: ms, value: 1e3, band: {ratio: [0.9, 1.1]},
     setting: {workload: toy-decoder, target: laptop, design: {placement: cpu}}}
  - {id: B, metric: latency, unit: s, value: 1e-6, band: {at_least: 1e-9},
     setting: {workload: toy-decoder, target: laptop, design: {placement: cpu}}}
  - {id: C, value: 3, role: context, reason: "nobody </script> knows"}
"""


@pytest.fixture
def small(tmp_path: Path) -> SystemResult:
    path = tmp_path / "small.yaml"
    path.write_text(ROWS)
    return reproduce(read_published(path), registry())


def test_rows_are_counted_by_verdict(small: SystemResult) -> None:
    score = scoreboard.Score.of(small)
    assert score.cells == ("small", "1", "1", "0", "0", "0", "1", "1/2 (50%)")
    assert scoreboard.total([score, score]).cells[-1] == "2/4 (50%)"


def test_the_readme_keeps_what_is_around_the_scoreboard(small: SystemResult) -> None:
    once = scoreboard.in_readme(f"# Studies\n\n{scoreboard.BEGIN}\nold\n{scoreboard.END}\n\nmore\n", [small])
    assert once.startswith("# Studies\n") and once.endswith("more\n") and "old" not in once
    assert "| [small](small/README.md) | 1 | 1 |" in once
    assert scoreboard.in_readme(once, [small]) == once


def test_the_page_draws_what_has_two_numbers_and_nothing_breaks_out(small: SystemResult) -> None:
    page = scoreboard.page([small])
    data = json.loads(page.partition("const data=")[2].partition(",dark=")[0])
    assert [(p["id"], p["verdict"]) for p in data] == [("A", "outside"), ("B", "inside")]
    assert "nobody </script>" not in page


def test_what_was_priced_is_not_priced_again_unless_the_setting_or_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Memory(tmp_path / "m" / "x.jsonl")
    setting = {"workload": "toy-decoder", "target": "laptop", "design": {"placement": "cpu"}}
    first = Pricer(registry(), kept).price(setting)
    again = Memory(kept.path)
    monkeypatch.setattr(Pricer, "_price", lambda self, setting: pytest.fail("priced again"))
    assert Pricer(registry(), again).price(setting).values == first.values
    assert Pricer(registry(), again).price(setting).report("design.placement.head") == "cpu"
    assert again.get({**setting, "target": "phone"}) is None
    assert Memory(kept.path, fresh=True).get(setting) is None


def test_the_key_of_a_setting_covers_the_files_it_names(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("a: 1")
    before = key_of({"target": str(file)})
    file.write_text("a: 2")
    assert key_of({"target": str(file)}) != before


def test_a_torn_or_foreign_line_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    good = Memory(path)
    good.keep({"workload": "a"}, Priced({"latency": 1.0}, {}, {}))
    path.write_text(path.read_text() + '{"key": "b", "pri\n{"key": 1}\n[]\n')
    assert Memory(path).get({"workload": "a"}) is not None


def test_the_digest_covers_code_and_catalogues(monkeypatch: pytest.MonkeyPatch) -> None:
    before = memory.code_digest(registry())
    assert memory.code_digest(registry()) == before
    monkeypatch.setattr(memory, "file_digest", lambda path: "other" if path.name == "laptop.yaml" else "same")
    one = memory.code_digest(registry())
    monkeypatch.setattr(memory, "file_digest", lambda path: "same")
    assert memory.code_digest(registry()) != one


def test_all_gives_a_scoreboard_in_json_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "studies" / "small"
    folder.mkdir(parents=True)
    (folder / "published.yaml").write_text(ROWS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tradespace.studies.catalogue._roots", lambda registry: (Path("studies"),))
    assert main(["reproduce", "--all", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["scoreboard"][-1]["inside"] == 1
    assert (tmp_path / "out" / "scoreboard.html").stat().st_size > 100_000
