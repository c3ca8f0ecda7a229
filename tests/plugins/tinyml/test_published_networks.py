"""The networks that MCUNet's authors publish: counts, memory against the TinyEngine tables, and their files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tradespace.costs.memory_planner_graph import depthwise, paddings, steps_of
from tradespace.errors import ProblemError, UnknownName
from tradespace.plugins import registry
from tradespace.problem import Declined
from tradespace.search import search
from tradespace.settings import Setting, bind
from tradespace.targets import load_target
from tradespace.testing.evaluators import check_evaluator
from tradespace.workloads import load_workload
from tradespace.workloads.convnet import ConvGraph
from tradespace.workloads.operators import OperatorGraph
from tradespace_tinyml.graphs import sizes_of_graph
from tradespace_tinyml.libraries import LIBRARIES
from tradespace_tinyml.mcunet import MCUNetFactory
from tradespace_tinyml.sizes import sizes_of

FILE = Path(__file__).parents[3] / "../shared/data/tinyengine/vww.tflite"
TINY = FILE.parents[1] / "mlperf-tiny"
has_file = pytest.mark.skipif(not FILE.exists(), reason=f"the published network is not at {FILE}")

# million multiply-adds, then KiB of SRAM and of Flash with TinyEngine on the STM32H743, as its repository prints them
PUBLISHED = {
    "vww0": (6.0, 59, 453), "vww1": (11.6, 92, 521), "vww2": (55.8, 174, 741), "in0": (6.4, 49, 842),
    "in1": (12.8, 96, 727), "in2": (67.3, 215, 830), "in3": (81.8, 260, 835), "in4": (125.9, 416, 1825),
}  # fmt: skip
INTERPRETED = {"vww0": 163, "vww1": 220, "in0": 161, "in1": 219}  # KiB of SRAM with TFLM and with CMSIS-NN


def net(name: str) -> ConvGraph:
    found = load_workload(name, registry())
    assert isinstance(found, ConvGraph) and found.net is not None
    return found


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_have_the_published_sizes(name: str) -> None:
    """SRAM to the kilobyte the table rounds to; Flash within half a per cent (its code is fitted on in1)."""
    macs, sram, flash = PUBLISHED[name]
    got = sizes_of(net(f"mcunet-{name}").net, LIBRARIES["tinyengine"])  # type: ignore[arg-type]
    assert round(got[0] / 1e6, 1) == macs
    assert abs(got[3] / 1024 - sram) <= 0.55
    assert got[2] / 1024 == pytest.approx(flash, rel=0.005)


@pytest.mark.parametrize("name", INTERPRETED)
def test_the_interpreter_keeps_what_the_tables_say(name: str) -> None:
    for library in ("tflm", "cmsis"):
        own = LIBRARIES[library]
        got = sizes_of(net(f"mcunet-{name}").net, own)[3] / 1024  # type: ignore[arg-type]
        assert abs(got - INTERPRETED[name]) <= 0.55
        bare = dataclasses.replace(own, kept=0, structures=dataclasses.replace(own.structures, value=0.0))
        assert sizes_of(net(f"mcunet-{name}").net, bare)[3] / 1024 < 0.9 * INTERPRETED[name]  # type: ignore[arg-type]


def test_cmsis_plans_its_columns_into_the_arena() -> None:
    """in2 peaks in a 7x7 depthwise convolution of 96 channels: 2 * 49 * 96 bytes more than TFLM, 9 KiB as published."""
    two = {name: sizes_of(net("mcunet-in2").net, LIBRARIES[name])[3] for name in ("tflm", "cmsis")}  # type: ignore[arg-type]
    assert two["cmsis"] - two["tflm"] == 2 * 49 * 96


@has_file
def test_a_file_and_its_description_agree() -> None:
    """vww.tflite is mcunet-vww1: equal to the byte where padding is fused; an interpreter runs the file's 63 operators,
    4 more than the description has."""
    graph = load_workload(str(FILE), registry())
    assert isinstance(graph, OperatorGraph) and len(graph.operators) == 63
    for name, library in LIBRARIES.items():
        macs, params, flash, sram = sizes_of(net("mcunet-vww1").net, library)  # type: ignore[arg-type]
        got = sizes_of_graph(graph, library)
        more = 0 if library.fused_pads else 4 * int(library.structures.value)
        assert (got["macs"], got["params"], got["flash"], got["sram"]) == (macs, params, flash, sram + more), name


@has_file
def test_limits_hold_for_files() -> None:
    own = bind(Setting(str(FILE), "stm32f746"), registry())
    assert own.evaluator_name == "mcunet" and {"tables"} <= set(own.others)
    assert check_evaluator(own.evaluator).passed
    small = {"extends": "stm32f746", "memories.sram.capacity": "90 kB"}
    tight = bind(Setting(str(FILE), small, options={"libraries": ["tinyengine"]}), registry()).evaluator
    assert tight.price(tight.space.homogeneous()).violations["memory.sram"][0] > 0
    plan = own.evaluator.explain(own.evaluator.space.parse({"library": "cmsis"}))
    assert len(plan.rows) == 63 and plan.design["library"] == "cmsis"


@has_file
def test_in_place_needs_the_file_to_be_seen_through_its_padding() -> None:
    graph = load_workload(str(FILE), registry())
    assert isinstance(graph, OperatorGraph)
    assert int(depthwise(graph).sum()) == 15 and int(paddings(graph).sum()) == 5  # four pads and a transpose
    fused, apart = (steps_of(graph, in_place=True, fused_pads=f) for f in (True, False))
    assert len(apart.ops) == 63 and len(fused.ops) == 58
    assert sum(op.in_place for op in fused.ops) == 15


@pytest.mark.parametrize(
    "name", ["ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "vww_96_int8", "vww_96_float"]
)
def test_other_files_run_or_say_why_not(name: str) -> None:
    path = TINY / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    target, graph = load_target("stm32f746", registry()), load_workload(str(path), registry())
    answer = MCUNetFactory().accepts(graph, target)
    if name == "vww_96_float":
        assert isinstance(answer, Declined) and "quantise" in answer.reason
        return
    prices = MCUNetFactory().bind(graph, target, {}).price(MCUNetFactory().bind(graph, target, {}).space.homogeneous())
    assert (prices["sram"] > 0).all() and (prices["sram"] < 320e3).all()
    assert (prices["flash"] > prices["params"]).all()


def test_language_models_are_declined() -> None:
    answer = MCUNetFactory().accepts(load_workload("llama-3.2-1b", registry()), load_target("stm32f746", registry()))
    assert isinstance(answer, Declined) and "attention" in answer.reason


# -- stage 1 ----------------------------------------------------------------------------------------------------------


def spaces(**options: object):  # type: ignore[no-untyped-def]
    setting = Setting("mcunet-in100", "stm32f746", "mcunet-spaces", options={"samples": 200, **options})
    return bind(setting, registry()).evaluator


def test_a_space_is_worth_the_mean_of_what_fits() -> None:
    """Against the evaluator of single networks, on the same draw."""
    own = spaces()
    whole = bind(Setting("mcunet-in100", "stm32f746", options={"libraries": ["tinyengine"]}), registry()).evaluator
    drawn = own.nets.space.sample(200, np.random.Generator(np.random.Philox(0)))
    fixed = {"width": np.full(200, 3), "resolution": np.full(200, 6), "library": np.zeros(200, int)}
    prices = whole.price(whole.space.designs({**drawn.columns, **fixed}))
    fits = np.all([v <= 0 for v in prices.violations.values()], axis=0)
    got = own.price(own.space.parse({"width": 0.5, "resolution": 144}))
    assert got["mean"][0] == prices["macs"][fits].mean() and got["fits"][0] == fits.mean()
    assert check_evaluator(own).passed


def test_the_schedule_decides_which_space_is_best() -> None:
    """In place, spaces of higher resolution keep networks that fit; the layer before pooling does not shrink."""
    best = {}
    for in_place in (True, False):
        own = spaces(in_place=in_place)
        prices = own.price(own.space.at(np.arange(own.space.size)))
        best[in_place] = float(prices["mean"].max())
        assert prices["mean"].min() >= 0 and (prices["mean"][prices["fits"] == 0] == 0).all()
    assert best[True] > 1.3 * best[False]
    assert own.nets.mixed(0.2) == 1280 and own.nets.mixed(1.0) == 1280


def test_bad_options_of_stage_1() -> None:
    for options in ({"samples": 0}, {"seed": -1}, {"samples": True}, {"in_place": "no"}):
        with pytest.raises(ProblemError):
            spaces(**options)
    for options in ({"library": "xcubee"}, {"order": "up"}, {"sample": 3}):
        with pytest.raises(UnknownName):
            spaces(**options)


# -- the study --------------------------------------------------------------------------------------------------------


def test_the_search_beats_the_papers_decision() -> None:
    """in3 is what the paper chose for this board. The front has networks with more multiply-adds in less SRAM and
    less Flash; accuracy is not predicted."""
    options = {"libraries": ["tinyengine"]}
    chosen = bind(Setting("mcunet-in3", "stm32f746", options=options), registry()).evaluator
    own = bind(Setting("mcunet-imagenet", "stm32f746", options=options), registry()).evaluator
    price = chosen.price(chosen.space.homogeneous())
    front = search(own, ["proxy", "sram", "flash"], optimizer="tinynas", evaluations=3000, seed=0)
    more, less = front.values[:, 0] >= price["proxy"][0], front.values[:, 1] <= price["sram"][0]
    assert (more & less & (front.values[:, 2] <= price["flash"][0])).any()
