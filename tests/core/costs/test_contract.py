"""The device-model seam: cost tables, the roofline, and a foreign model with a column of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.support.edge import awkward, diamond

from tradespace.costs.contract import CostTable
from tradespace.costs.roofline import Roofline
from tradespace.costs.tables import TablesFactory
from tradespace.errors import PluginError
from tradespace.plugins import Registry, registry
from tradespace.targets import load_target
from tradespace.workloads.operators import Edges, OperatorGraph, Operators

ARRAY_MODEL = '''
"""The example of the architecture page: SCALE-Sim v2's weight-stationary array."""
import numpy as np
from tradespace.costs.contract import CostTable
from tradespace.hookspecs import hookimpl


class WeightStationary:
    constants = {"rows": "1", "cols": "1", "clock": "Hz"}
    runs = ("matmul", "conv")

    def table(self, operators, device, precisions):
        m, k, n, count = operators.gemm
        R, C = int(device.rows), int(device.cols)
        cycles = count * (-(-k // R) * -(-n // C) * (2 * R + C + m - 2) - 1)
        return CostTable(time=cycles / device.clock, cycles=cycles)


@hookimpl
def tradespace_device_models():
    return {"example-array": f"{__name__}:WeightStationary"}
'''
TOY_ARRAY = {
    "source": "SCALE-Sim v2 test folder",
    "memories": {"dram": {"bandwidth": "25.6 GB/s", "capacity": "4 GB"}},
    "devices": {
        "array": {"model": "example-array", "memory": "dram", "rows": 32, "cols": 32, "clock": "1 GHz"},
        "vector": {"model": "roofline", "memory": "dram", "peak": "25.6 GFLOPS"},
    },
}


@pytest.fixture
def with_array(tmp_path: Path) -> Registry:
    file = tmp_path / "toy_array_model.py"
    file.write_text(ARRAY_MODEL)
    return Registry.discover([file])


def alexnet_conv1() -> OperatorGraph:
    """55 x 55 positions, kernel 11 x 11 x 3, 96 outputs."""
    one = np.ones(1)
    m, k, n = 3025.0, 363.0, 96.0
    operators = Operators(
        ("conv1",), ("conv",), np.zeros(1, np.int32), one * m, one * k, one * n, one, 2 * m * k * n * one, k * n * one,
        one * 227 * 227 * 3, one * m * n, 0 * one, 0 * one, one, k * n * one, 0 * one,
    )  # fmt: skip
    none = np.zeros(0, np.int32)
    return OperatorGraph("alexnet-conv1", operators, ("conv1",), Edges(none, none, np.zeros(0), np.zeros(0)))


def test_a_foreign_model_brings_its_columns_as_metrics(with_array: Registry) -> None:
    evaluator = TablesFactory().bind(alexnet_conv1(), load_target(TOY_ARRAY, with_array), {}, with_array)
    on_array = evaluator.price(evaluator.space.parse({"placement": "array"}))
    assert on_array["cycles"][0] == 112_283  # SCALE-Sim v2's own count
    on_vector = evaluator.repair(evaluator.space.parse({"placement": "vector"}))
    assert evaluator.price(on_vector)["cycles"][0] == 0
    structure = evaluator.structure()
    assert structure is not None and structure.terms["cycles"].exact
    assert structure.terms["cycles"].unary.max() == 112_283


def test_blocks_that_no_device_runs_alone_are_placed_operator_by_operator(with_array: Registry) -> None:
    """The array has no norms and the narrowed vector unit no products: entries become operators by themselves."""
    narrow = {**TOY_ARRAY["devices"]["vector"], "runs": ["norm", "attention", "softmax", "elementwise"]}  # type: ignore[index]
    target = load_target({**TOY_ARRAY, "devices": {**TOY_ARRAY["devices"], "vector": narrow}}, with_array)  # type: ignore[dict-item]
    evaluator = TablesFactory().bind(diamond(), target, {}, with_array)
    assert len(evaluator.binding.entries.names) > len(diamond().blocks)
    designs = evaluator.space.sample(200, np.random.default_rng(0))
    before, after = evaluator.price(designs), evaluator.price(evaluator.repair(designs))
    assert (before.violations["runs"] > 0).all() and (after.violations["runs"] <= 0).all()
    assert len(np.unique(before.violations["runs"])) > 5  # graded by the number of entries


def test_repair_moves_to_the_fastest_device_that_can() -> None:
    evaluator = TablesFactory().bind(diamond(), awkward(registry()), {"precisions": ["fp16", "int8"]})
    design = evaluator.space.parse({"placement": "npu", "precision": "fp16"})  # the NPU has integers only
    repaired = evaluator.repair(design)
    costs = evaluator.binding.costs[0, :, :, 0, 0]
    assert repaired["placement"][0].tolist() == np.where(costs[:, 0] < costs[:, 2], 0, 2).tolist()
    before, after = evaluator.price(design), evaluator.price(repaired)
    assert before["latency"] > 5 * after["latency"] and before["energy"] > 2 * after["energy"]  # never attractive
    again = evaluator.repair(repaired)
    assert (again["placement"] == repaired["placement"]).all()
    able = evaluator.space.parse({"placement": "cpu", "precision": "fp16"})
    assert (evaluator.repair(able)["placement"] == able["placement"]).all()


def test_roofline_uses_the_formats_a_device_has() -> None:
    names = registry()
    target, graph = awkward(names), diamond()
    formats = [names.load("precisions", name) for name in ("fp32", "fp16", "int8", "int4")]
    ops = graph.operators
    gpu = Roofline().table(ops, target.device("gpu"), formats)
    product = np.array(ops.kind) == "matmul"
    for column, (weights, others) in enumerate(((1e12, 1e12), (4e12, 4e12), (8e12, 4e12), (4e12, 4e12))):
        np.testing.assert_allclose(gpu.time[product, column], ops.flop[product] / weights)
        np.testing.assert_allclose(gpu.time[~product, column], ops.flop[~product] / others)
    npu = Roofline().table(ops, target.device("npu"), formats)
    assert npu.unsupported is not None
    assert npu.unsupported[:, [0, 1]].all() and not npu.unsupported[:, 2].any()
    assert npu.unsupported[product, 3].all()  # int4 expands to fp16, which it lacks


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (CostTable(time=np.ones(3)), "shape"),
        (CostTable(time=np.full(2, np.inf)), "finite"),
        (CostTable(time=np.ones(2), overhead=-np.ones(2)), "negative"),
        (CostTable(time=np.ones(2), cycles=np.ones((2, 3))), "cycles"),
    ],
)
def test_bad_tables_are_refused(table: CostTable, text: str) -> None:
    with pytest.raises(PluginError, match=text):
        table.dense(2, 2, "device model 'x'")


def test_unsupported_pairs_may_hold_anything() -> None:
    table = CostTable(time=np.array([1.0, np.nan]), unsupported=np.array([False, True])).dense(2, 3, "x")
    assert table.time.shape == (2, 3) and (table.time == [[1.0], [0.0]]).all()
    assert table.unsupported is not None and table.unsupported.sum() == 3
