"""Sizes of batches against the twin that goes layer by layer, and the evaluator and files around them."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from tradespace.costs.memory_planner import ORDERS, Order, buffers_of, plan
from tradespace.costs.memory_planner_batch import live_peaks, peaks
from tradespace.errors import InputError, ProblemError, TradespaceError, UnknownName
from tradespace.plugins import registry
from tradespace.settings import Setting, bind
from tradespace.targets import load_target
from tradespace.workloads import load_workload
from tradespace.workloads.convnet import ConvGraph, layers
from tradespace.workloads.convnet_space import ConvNetSpace
from tradespace_tinyml.libraries import LIBRARIES
from tradespace_tinyml.mcunet import MCUNetEvaluator, MCUNetFactory
from tradespace_tinyml.sizes import buffers, sizes, sizes_of, tensors_of

BOARDS = ("stm32f412", "stm32f746", "stm32f765", "stm32h743")


def space(**changes: Any) -> ConvNetSpace:
    found = load_workload("mcunet-in100", registry())
    assert isinstance(found, ConvNetSpace)
    return dataclasses.replace(found, **changes)


def evaluator(target: str = "stm32f746", **options: Any) -> MCUNetEvaluator:
    bound = bind(Setting("mcunet-in100", target, options=options), registry()).evaluator
    assert isinstance(bound, MCUNetEvaluator)
    return bound


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("library", LIBRARIES.values(), ids=list(LIBRARIES))
@pytest.mark.parametrize(
    "changes", [{}, {"last": 0, "expansions": (1, 3), "resolutions": (50, 97)}], ids=["paper", "odd"]
)
def test_a_batch_equals_its_networks(library: Any, order: Order, changes: dict[str, Any]) -> None:
    nets = space(**changes)
    designs = nets.space.sample(150, np.random.default_rng(5))
    found = sizes(nets.shapes(designs), library, order)
    table = np.stack([found.macs, found.params, found.flash, found.sram], axis=1)
    twin = [sizes_of(nets.network(designs, i), library, order) for i in range(len(designs))]
    assert np.array_equal(table, twin)


def test_in_place_depthwise_saves_up_to_what_it_can() -> None:
    """N channels in place need N + 1 instead of 2 N: at most a factor of two. The paper's 1.6 (figure 5) is one network
    whose peak is a stride-1 block; where the peak is the first stride-2 block, as in most of this space, less."""
    nets = space()
    shapes = nets.shapes(nets.space.sample(500, np.random.default_rng(6)))
    two = dataclasses.replace(LIBRARIES["tinyengine"], in_place=False)
    ratio = peaks(buffers(shapes, two)) / peaks(buffers(shapes, LIBRARIES["tinyengine"]))
    assert 1.0 <= ratio.min() < ratio.mean() < ratio.max() < 2.0
    assert ratio.max() > 1.2 and (ratio > 1.0).mean() > 0.5


def test_the_plan_is_close_to_its_lower_bound() -> None:
    nets = space()
    packed = buffers(nets.shapes(nets.space.sample(1000, np.random.default_rng(7))), LIBRARIES["tinyengine"])
    ratio = peaks(packed) / live_peaks(packed)
    assert ratio.min() >= 1.0 and (ratio == 1.0).mean() > 0.9


def test_published_network_needs_what_a_hand_check_says() -> None:
    """mcunet-vww1, worked out by hand over its 63 operators: 87.5 KiB of activations in place, 93.75 KiB with two
    buffers, 157.7 KiB with padding of its own; 11.58 M multiply-adds, 420.5 k weights."""
    network = load_workload("mcunet-vww1", registry())
    assert isinstance(network, ConvGraph) and network.net is not None
    assert round(network.operators.macs.sum() / 1e6, 2) == 11.58
    rows = layers(network.net)
    assert round(sum(r.weights for r in rows) / 1e3, 1) == 420.5
    arena = {}
    for name in ("tinyengine", "xcube", "cmsis"):
        library = LIBRARIES[name]
        tensors, ops = tensors_of(rows, library)
        arena[name] = plan(buffers_of(tensors, ops, in_place=library.in_place)).peak / 1024
    assert arena == {"tinyengine": 87.5, "xcube": 93.75, "cmsis": pytest.approx(157.69, abs=0.01)}


def test_a_fixed_network_is_priced_as_its_twin() -> None:
    own = bind(Setting("mcunet-vww1", "stm32h743"), registry())
    assert own.evaluator_name == "mcunet" and "tables" in own.others
    network = load_workload("mcunet-vww1", registry())
    assert isinstance(network, ConvGraph) and network.net is not None
    for name, library in LIBRARIES.items():
        prices = own.evaluator.price(own.evaluator.space.parse({"library": name}))
        got = tuple(int(prices[k][0]) for k in ("macs", "params", "flash", "sram"))
        assert got == sizes_of(network.net, library)


def test_prices_add_up() -> None:
    own = evaluator("stm32h743")
    designs = own.space.sample(64, np.random.default_rng(8))
    prices = own.price(designs)
    rate = {"tinyengine": 236.97e6, "xcube": 183.92e6, "cmsis": 118.49e6, "tflm": 10.505e6}
    names = [designs.show(i)["library"] for i in range(64)]
    assert set(names) == set(rate)
    assert prices["latency"] == pytest.approx(prices["macs"] / [rate[n] for n in names])
    assert np.array_equal(prices["proxy"], prices["macs"])
    assert prices["energy"] == pytest.approx(prices["latency"] * 0.122)
    assert prices.violations["memory.sram"] == pytest.approx(prices["sram"] / 512e3 - 1)
    assert prices.violations["memory.flash"] == pytest.approx(prices["flash"] / 2e6 - 1)


def test_the_library_widens_what_fits() -> None:
    """The same networks: more of them fit with TinyEngine than with two buffers than with an interpreter."""
    own = evaluator("stm32f746", libraries=["tinyengine", "cmsis"])
    two = evaluator("stm32f746", libraries=["tinyengine"], in_place=False)
    nets = own.space.sample(1500, np.random.default_rng(9))
    columns = {k: v for k, v in nets.columns.items() if k != "library"}
    fits = {}
    for name in ("tinyengine", "cmsis"):
        code = own.space.parse({"library": name}).columns["library"]
        fits[name] = (own.price(own.space.designs({**columns, "library": np.repeat(code, 1500)})).violations)[
            "memory.sram"
        ]
    plain = two.price(two.space.designs(columns)).violations["memory.sram"]
    share = [(v <= 0).mean() for v in (fits["tinyengine"], plain, fits["cmsis"])]
    assert share[0] > share[1] > share[2] > 0


def test_larger_boards_take_what_smaller_ones_take() -> None:
    feasible = {}
    for board in BOARDS:
        own = evaluator(board, libraries=["tinyengine"])
        prices = own.price(own.space.sample(800, np.random.default_rng(10)))
        feasible[board] = np.all([v <= 0 for v in prices.violations.values()], axis=0)
    for small, large in itertools.pairwise(BOARDS):
        assert (feasible[large] | ~feasible[small]).all()
        assert feasible[large].sum() > feasible[small].sum()


def test_ranking_of_the_papers_spaces() -> None:
    """MCUNet figure 3: mean multiply-adds of the networks that fit, for four spaces, are ordered as published."""
    published = {(0.5, 144): 52.0, (0.5, 128): 46.9, (0.4, 144): 46.9, (0.3, 160): 32.5}
    own = evaluator(libraries=["tinyengine"])
    ours = {}
    for width, resolution in published:
        designs = own.space.sample(500, np.random.default_rng(0))
        chosen = own.space.parse({"width": width, "resolution": resolution}).columns
        fixed = {k: np.repeat(chosen[k], 500, axis=0) for k in ("width", "resolution")}
        prices = own.price(own.space.designs({**designs.columns, **fixed}))
        fits = np.all([v <= 0 for v in prices.violations.values()], axis=0)
        ours[width, resolution] = prices["macs"][fits].mean() / 1e6
    assert sorted(ours, key=ours.__getitem__)[0] == (0.3, 160)
    assert sorted(ours, key=ours.__getitem__)[-1] == (0.5, 144)
    assert 0.75 < ours[0.5, 144] / 52.0 < 1.3


def test_no_substitute_is_hidden() -> None:
    named = {s.path for s in evaluator("stm32f412").substitutes}
    assert {"devices.core.tinyengine", "devices.core.dynamic_power"} <= named
    assert all(
        number.kind == "fitted" and "in1" in number.source for lib in LIBRARIES.values() for number in lib.numbers
    )
    assert all(s.source for s in load_target("stm32h743", registry()).sources)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"libraries": []}, ProblemError),
        ({"libraries": ["tflite"]}, UnknownName),
        ({"libraries": ["xcube"]}, UnknownName),  # its rate on this chip is not known
        ({"libraries": ["cmsis", "cmsis"]}, ProblemError),
        ({"libraries": 3}, ProblemError),
        ({"libraries": [["cmsis"]]}, UnknownName),
        ({"order": "height"}, UnknownName),
        ({"order": ["size"]}, UnknownName),
        ({"in_place": "yes"}, ProblemError),
        ({"inplace": True}, UnknownName),
    ],
)
def test_hostile_options(options: dict[str, Any], error: type[TradespaceError]) -> None:
    with pytest.raises(error):
        MCUNetFactory().bind(load_workload("mcunet-in100", registry()), load_target("stm32f746", registry()), options)


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        (("llama-3.2-1b", "stm32f746"), "convolutional networks and spaces"),
        (("mcunet-in100", "laptop"), "one device"),
    ],
)
def test_what_it_does_not_take_it_declines(pair: tuple[str, str], why: str) -> None:
    workload, target = load_workload(pair[0], registry()), load_target(pair[1], registry())
    assert why in MCUNetFactory().accepts(workload, target).reason  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "change",
    [
        {"widths": []},
        {"widths": ["0.5"]},
        {"widths": [0.5, 0.5]},
        {"widths": [float("nan")]},
        {"resolutions": [10**9]},
        {"kernels": [4]},
        {"expansions": [True]},
        {"stages": [[24, 2]]},
        {"stages": [[24, 3, [2]]]},
        {"stages": [[24, 2, []]]},
        {"stages": [[24, 2, [10**6]]]},
        {"stages": "many"},
        {"stages": [[24, 2, [2]]] * 17},
        {"stem": -1},
        {"classes": None},
        {"kernel": [3]},
    ],
)
def test_hostile_spaces(change: dict[str, Any]) -> None:
    with pytest.raises((InputError, UnknownName)):
        load_workload({"extends": "mcunet-in100", **change}, registry())


@pytest.mark.parametrize(
    "change",
    [{"blocks": [[3, 8]]}, {"blocks": [[2, 8, 8, 1]]}, {"blocks": [[3, 8, 8, 1, 1]]}, {"width": 0}, {"blocks": [None]}],
)
def test_hostile_networks(change: dict[str, Any]) -> None:
    with pytest.raises((InputError, UnknownName)):
        load_workload({"extends": "mobilenet-v2", **change}, registry())


def test_a_fixed_network_runs_on_a_board_and_on_a_laptop() -> None:
    """The cross product: the tables engine takes the network, whatever the target's chips are."""
    board = bind(Setting("mobilenet-v2", "stm32h743", "tables", {"precisions": ["int8"]}), registry()).evaluator
    laptop = bind(Setting("mobilenet-v2", "laptop", "tables", {"precisions": ["int8"]}), registry()).evaluator
    slow, fast = (float(e.price(e.space.homogeneous())["latency"].min()) for e in (board, laptop))
    assert slow == pytest.approx(300.8e6 / 238.5e6, rel=0.05)
    assert fast < slow / 20
