"""NAS-Bench-201: numbering, counts, hostile tables, and the bar on measured latencies where they are at hand."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from tradespace.errors import InputError, UnknownName
from tradespace.search import search
from tradespace.search.indicators import Box, hypervolume, nondominated
from tradespace.testing.evaluators import check_evaluator
from tradespace_tinyml.nasbench import (
    CELLS,
    EDGES,
    FIXED_MACS,
    OPERATIONS,
    LatencyTable,
    NasBench201,
    cell,
    numbering,
    read_table,
)

DATA = Path(__file__).parents[3] / "../shared/data/help/nasbench201_latency.csv.gz"
measured = pytest.mark.skipif(not DATA.exists(), reason=f"the measured latencies of HELP are not at {DATA}")
READS = CELLS * 5 // 100


def synthetic(seed: int = 0) -> LatencyTable:
    """Additive latencies with a little noise, in the benchmark's numbering."""
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0.0, 1.0, (len(EDGES), len(OPERATIONS)))
    codes = np.indices((len(OPERATIONS),) * len(EDGES)).reshape(len(EDGES), -1)
    seconds = 1.0 + sum(cost[e, codes[e]] for e in range(len(EDGES))) + rng.uniform(0, 0.05, CELLS)
    table = np.empty(CELLS)
    table[numbering()] = seconds
    return LatencyTable(("made-up",), table[None, :])


@pytest.mark.parametrize(
    ("number", "operations"),
    [
        (0, "avg_pool_3x3 nor_conv_1x1 skip_connect nor_conv_1x1 skip_connect skip_connect"),
        (9, "avg_pool_3x3 none none skip_connect none nor_conv_3x3"),
        (123, "avg_pool_3x3 avg_pool_3x3 nor_conv_1x1 none avg_pool_3x3 nor_conv_3x3"),
    ],
)
def test_the_numbering_is_the_benchmarks(number: int, operations: str) -> None:
    """The three cells that the benchmark's own code asserts."""
    assert " ".join(cell(number)) == operations


def test_every_cell_has_one_number() -> None:
    assert np.array_equal(np.sort(numbering()), np.arange(CELLS))


def test_multiply_adds_are_the_benchmarks() -> None:
    """The benchmark's table gives 220.12 M for six 3x3 convolutions and 7.78 M for the empty cell."""
    evaluator = NasBench201(synthetic(), "made-up")
    price = {name: float(evaluator.price(evaluator.space.parse({"edge": name}))["macs"][0]) for name in OPERATIONS}
    assert round(price["nor_conv_3x3"] / 1e6, 2) == 220.12
    assert round(price["none"] / 1e6, 2) == 7.78
    assert price["skip_connect"] == price["avg_pool_3x3"] == FIXED_MACS
    assert price["nor_conv_3x3"] - price["none"] == 9 * (price["nor_conv_1x1"] - price["none"])


def test_the_evaluator_passes_its_kit() -> None:
    report = check_evaluator(NasBench201(synthetic(), "made-up"))
    assert report.passed, str(report)


def ratio(evaluator: NasBench201, optimizer: str, seed: int) -> float:
    """Hypervolume of a search with 5 % of the table read, over that of the whole table's front."""
    prices = evaluator.price(evaluator.space.at(np.arange(CELLS)))
    whole = np.stack([prices["latency"], -prices["macs"]], axis=1)
    front = whole[nondominated(whole)]
    box = Box(front.min(axis=0), front.max(axis=0), "the whole table")
    found = search(evaluator, ["latency", "macs"], optimizer=optimizer, evaluations=READS, seed=seed)
    assert found.evaluations <= READS
    return hypervolume(found.minimised, box) / hypervolume(front, box)


def test_a_twentieth_of_an_additive_table_is_enough() -> None:
    evaluator = NasBench201(synthetic(3), "made-up")
    found = [ratio(evaluator, name, 0) for name in ("nas_evolution", "tinynas", "random")]
    assert min(found[:2]) > 0.99 > found[2]


@measured
@pytest.mark.parametrize("device", ["pixel2", "titan_rtx_1", "gold_6240"])
def test_a_twentieth_of_a_measured_table_is_enough(device: str) -> None:
    evaluator = NasBench201(read_table(DATA), device)
    ours = np.median([ratio(evaluator, "nas_evolution", seed) for seed in range(5)])
    random = np.median([ratio(evaluator, "random", seed) for seed in range(5)])
    assert ours > 0.97
    assert ours > random + 0.02


@measured
def test_the_numbering_makes_latencies_additive() -> None:
    """With the cells in another order nothing explains the latencies; in this one a sum over edges does (R2 > 0.99)."""
    table = read_table(DATA)
    seconds = table.seconds[table.devices.index("1080ti_256")]
    codes = np.indices((len(OPERATIONS),) * len(EDGES)).reshape(len(EDGES), -1)
    hot = (codes[:, :, None] == np.arange(len(OPERATIONS))).transpose(1, 0, 2).reshape(CELLS, -1).astype(float)

    def explained(values: np.ndarray) -> float:
        fit = hot @ np.linalg.lstsq(hot, values, rcond=None)[0]
        return float(1 - ((values - fit) ** 2).sum() / ((values - values.mean()) ** 2).sum())

    assert explained(seconds[numbering()]) > 0.999
    assert explained(seconds) < 0.1


# -- hostile tables ---------------------------------------------------------------------------------------------------


def write(path: Path, rows: list[str], header: str = "architecture,a,b") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def good_rows() -> list[str]:
    return [f"{i},1.5,{2 + i / CELLS}" for i in range(CELLS)]


def test_a_good_table_reads(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.csv", good_rows()))
    assert table.devices == ("a", "b") and table.seconds.shape == (2, CELLS)
    assert table.seconds[0, 0] == 1.5e-3
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    assert np.array_equal(read_table(packed).seconds, table.seconds)


@pytest.mark.parametrize(
    ("change", "header"),
    [
        (lambda rows: rows[:-1], "architecture,a,b"),
        (lambda rows: [*rows[:-1], "15624,nan,1"], "architecture,a,b"),
        (lambda rows: [*rows[:-1], "15624,-1,1"], "architecture,a,b"),
        (lambda rows: [*rows[:-1], "15624,x,1"], "architecture,a,b"),
        (lambda rows: [*rows[:-1], "15624,1"], "architecture,a,b"),
        (lambda rows: rows[::-1], "architecture,a,b"),
        (lambda rows: rows, "architecture,a,a"),
        (lambda rows: rows, "number,a,b"),
        (lambda rows: [], ""),
    ],
)
def test_a_broken_table_is_refused(change, header: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError):
        read_table(write(tmp_path / "t.csv", change(good_rows()), header))


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    broken = tmp_path / "t.csv.gz"
    broken.write_bytes(gzip.compress(b"architecture,a\n0,1\n")[:-9])
    for path in (tmp_path / "absent.csv", broken, tmp_path):
        with pytest.raises(InputError):
            read_table(path)
    with pytest.raises(UnknownName):
        NasBench201(synthetic(), "phone")
