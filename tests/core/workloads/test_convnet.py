"""Networks of inverted residual blocks: golden counts, and two ways of decoding a design that must agree."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tradespace.errors import InputError
from tradespace.plugins import registry
from tradespace.workloads import load_workload
from tradespace.workloads.convnet import Block, ConvNet, NetOrigin, check_net, graph, layers
from tradespace.workloads.convnet_space import ConvNetSpace, Stage, make_divisible

MCUNET = ConvNetSpace(
    "small", (0.2, 0.35, 1.0), (48, 97, 160), (3, 5, 7), (1, 3, 6), 32, 16,
    (Stage(24, 2, (2, 3, 4)), Stage(40, 1, (1,)), Stage(96, 2, (1, 2))), 1280, 10,
)  # fmt: skip


def test_mobilenet_v2_has_its_published_size() -> None:
    """torchvision's model card: 3,504,872 parameters, of which batch norm's 2 x 17,056 fold into 17,056 biases; 0.3 G
    multiply-adds (300,774,272 by hand over table 2 of the paper)."""
    network = load_workload("mobilenet-v2", registry())
    assert network.parameters == 3_504_872 - 17_056
    assert network.operators.macs.sum() == 300_774_272
    assert network.is_chain and len(network.blocks) == 19


def test_width_follows_mobilenets_rounding() -> None:
    """Widths of table 2 at 0.35 and 1.4 as the reference implementation rounds them (never below 0.9 of the value)."""
    assert [make_divisible(c * 0.35) for c in (32, 16, 24, 32, 64, 96, 160, 320)] == [16, 8, 8, 16, 24, 32, 56, 112]
    assert [make_divisible(c * 1.4) for c in (32, 16, 24, 32, 64, 96, 160, 320)] == [48, 24, 32, 48, 88, 136, 224, 448]
    wide = load_workload({"extends": "mobilenet-v2", "width": 1.4}, registry())
    assert round(wide.operators.macs.sum() / 1e6) == 582  # arXiv 1801.04381 table 4: 585 M
    assert 6.0e6 < wide.parameters < 6.2e6


def test_one_block_by_hand() -> None:
    net = ConvNet(8, 4, (Block(3, 12, 4),), 0, 5)
    rows = layers(net)
    assert [r.name for r in rows] == [
        "stem.conv", "0.expand", "0.depthwise", "0.project", "0.add", "head.pool", "head.classifier",
    ]  # fmt: skip
    assert [r.macs for r in rows] == [16 * 27 * 4, 16 * 48, 16 * 9 * 12, 16 * 48, 0, 0, 20]
    assert rows[4].reads == (0, 3)
    operators = graph(net, NetOrigin("hand", "ours")).operators
    assert operators.gemm[3].tolist() == [1, 1, 12, 1, 0, 0, 1]  # groups
    assert operators.flop[2] == 2 * 16 * 9 * 12 + 12 * 16
    assert operators.weights[0] == 27 * 4 + 4


@pytest.mark.parametrize(
    ("block", "added"),
    [
        (Block(3, 12, 4), True),
        (Block(3, 12, 8), False),
        (Block(3, 12, 4, 2), False),
        (Block(3, 12, 4, 1, False), False),
    ],
)
def test_a_shortcut_needs_equal_shapes(block: Block, added: bool) -> None:
    assert any(r.kind == "elementwise" for r in layers(ConvNet(8, 4, (block,), 0, 5))) is added


@pytest.mark.parametrize("space", [MCUNET, dataclasses.replace(MCUNET, last=0, expansions=(3,))])
def test_arrays_and_single_networks_agree(space: ConvNetSpace) -> None:
    """Every number of every slot, for odd sizes too: 97 halves to 49, 25, 13."""
    designs = space.space.sample(200, np.random.default_rng(0))
    shapes = space.shapes(designs)
    for row in range(len(designs)):
        net = space.network(designs, row)
        at = np.flatnonzero(shapes.active[row])
        assert [b.middle for b in net.blocks] == shapes.middle[row, at].tolist()
        assert [b.out for b in net.blocks] == shapes.outputs[row, at].tolist()
        assert [b.kernel for b in net.blocks] == shapes.kernel[row, at].tolist()
        assert (net.resolution, net.stem, net.last) == (shapes.resolution[row], shapes.stem[row], shapes.last[row])
        rows = layers(net)
        depthwise = [r for r in rows if r.name.endswith("depthwise")]
        assert [r.height for r in depthwise] == shapes.height[row, at].tolist()
        assert [r.out_height for r in depthwise] == shapes.out_height[row, at].tolist()
        adds = sum(r.kind == "elementwise" for r in rows)
        assert adds == int(shapes.shortcut[row, at].sum())


def test_depth_is_a_prefix() -> None:
    """A block beyond the depth does not count: designs that differ only there are the same design and network."""
    space = MCUNET.space
    low, high = (space.parse({"depth1": 2, "kernel1": [3, 5, *rest], "expand1": 3}) for rest in ([3, 3], [7, 7]))
    assert low.digest[0] == high.digest[0]
    assert MCUNET.network(low) == MCUNET.network(high)
    deep = space.parse({"depth1": 4, "kernel1": [3, 5, 7, 7], "expand1": 3})
    assert len(MCUNET.network(deep).blocks) == len(MCUNET.network(low).blocks) + 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 0}, "resolution"),
        ({"blocks": ()}, "blocks"),
        ({"blocks": (Block(4, 8, 8),)}, "odd kernel"),
        ({"blocks": (Block(3, 0, 8),)}, "channels"),
        ({"blocks": (Block(3, 8, 8, 3),)}, "stride"),
        ({"classes": 10**9}, "classes"),
    ],
)
def test_networks_that_cannot_be_are_refused(change: dict[str, object], message: str) -> None:
    net = dataclasses.replace(ConvNet(8, 4, (Block(3, 12, 4),), 0, 5), **change)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        check_net(net, "test")
