"""Runs of optimizers that take minutes: they end by the processor's clock, and the page says how far they came."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.arena import appendix
from bench.arena.cells import Cell
from bench.arena.instances import all_instances
from bench.arena.runner import References
from bench.trials import run

LINE = all_instances(lambda name: name == "sum 8")


def test_a_run_ends_after_the_batch_in_which_its_time_is_used() -> None:
    whole = run(Cell("sum 8", "pgsam", 200, None, 0), LINE.instances["sum 8"], 60.0)
    assert whole["priced"] == 200 and whole["cpu"] < 60.0 and len(whole["front"])
    cut = run(Cell("sum 8", "pgsam", 200, None, 0), LINE.instances["sum 8"], 0.0)
    assert 0 < cut["priced"] < 200 and len(cut["front"])


@pytest.mark.parametrize("priced", [200, 64])
def test_the_page_tells_of_runs_that_were_cut_short(tmp_path: Path, priced: int) -> None:
    references = References(tmp_path / "references")
    (tmp_path / "references").mkdir()
    references._write(references._path("sum 8"), np.zeros(3), np.ones(3), np.full((1, 3), 0.5), "")
    row = {"instance": "sum 8", "optimizer": "smac", "evaluations": 200, "cpu": 61.0, "limit": 60.0}
    lines = [json.dumps(row | {"seed": s, "priced": priced, "front": [[0.5, 0.5, 0.5]]}) for s in range(2)]
    assert appendix.trials(tmp_path, LINE, references, {"sum 8": 0.432}) == ""
    (tmp_path / "trials.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    page = appendix.trials(tmp_path, LINE, references, {"sum 8": 0.432})
    assert f"| sum 8 | smac | 2 | 200 | {priced} ({priced}) | 0.500 (0.500) | 61.0 (61.0) |" in page
    assert ("2 of 2 runs priced fewer designs" in page) == (priced < 200)
