"""Stage 1 of TinyNAS as an evaluator: what is left of a whole search space when networks that do not fit are gone.

System: MCUNet (arXiv 2007.10319), section 3.1. For a pair of width and resolution, networks are drawn at random; each
is sized by the library's memory plan; the space is worth the mean of the multiply-adds of those that fit. Nothing is
trained. The same networks are drawn in every space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.memory_planner import ORDERS, Order
from tradespace.costs.option_numbers import Bounded, read_numbers
from tradespace.designs import Choice, Designs, Space
from tradespace.errors import ProblemError
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric, Prices
from tradespace.targets.model import Sourced, Target
from tradespace.workloads.convnet_space import ConvNetSpace
from tradespace_tinyml.libraries import LIBRARIES, Library
from tradespace_tinyml.mcunet import MCUNetFactory, read_options
from tradespace_tinyml.sizes import sizes

WORDS = ("library", "in_place", "order")
NUMBERS = {"samples": Bounded(1000, 1, 100_000, whole=True), "seed": Bounded(0, 0, 2**32 - 1, whole=True)}
OUTER = ("width", "resolution")

METRICS = (
    Metric("mean", "1", "max", "mean multiply-adds of the networks that fit; 0 where none does"),
    Metric("p80", "1", "max", "multiply-adds that a fifth of the networks that fit exceed; 0 where none does"),
    Metric("fits", "1", "max", "share of the space's networks that fit"),
)


@dataclass(frozen=True)
class SpacesOptions:
    """How a space is sized up.

    Args:
        library: whose memory plan decides; None: the leanest that the target states.
        in_place: False: two buffers for a depthwise convolution.
        order: of the first-fit planner.
        samples: networks drawn (the paper: 1,000).
        seed: of the draw.
    """

    library: str | None = None
    in_place: bool = True
    order: Order = "size"
    samples: int = 1000
    seed: int = 0


class SpacesFactory:
    """Takes spaces of convolutional networks on a microcontroller with memories `sram` and `flash`.

    Options: ``library``, ``in_place``, ``order`` (size or lifetime), ``samples`` (1 to 100,000), ``seed``.
    """

    fidelity = 10

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        if not isinstance(workload, ConvNetSpace):
            name = getattr(workload, "name", workload)
            return Declined(f"sizes up spaces of convolutional networks, not '{name}'", other_kind=True)
        return MCUNetFactory().accepts(workload, target)

    def bind(
        self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry | None = None
    ) -> SpacesEvaluator:
        """Raises `UnknownName` or `ProblemError` for options that do not fit."""
        answer = self.accepts(workload, target)
        if isinstance(answer, Declined):
            raise ProblemError("evaluator 'mcunet-spaces' does not take this pair", value=answer.reason)
        return SpacesEvaluator(workload, target, _read(options, target), dict(options))


@dataclass(frozen=True, eq=False)
class SpacesEvaluator:
    """Prices pairs of width and resolution on one chip. Pure: the draw depends on the seed alone."""

    nets: ConvNetSpace
    target: Target
    options: SpacesOptions
    given: Mapping[str, Any] = field(default_factory=dict)

    metrics = METRICS
    default_objectives = ("mean",)

    @cached_property
    def space(self) -> Space:
        return Space(Choice("width", self.nets.widths), Choice("resolution", self.nets.resolutions))

    @cached_property
    def library(self) -> Library:
        found = LIBRARIES[str(self.options.library)]
        return replace(found, in_place=found.in_place and self.options.in_place)

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        """Of the capacities and of the library's code."""
        read = {"memories.sram.capacity", "memories.flash.capacity"}
        code = (number for number in self.library.numbers if number.kind == "substitute")
        return (*(s for s in self.target.substitutes if s.path in read), *code)

    @cached_property
    def _drawn(self) -> Designs:
        rng = np.random.Generator(np.random.Philox(self.options.seed))
        return self.nets.space.sample(self.options.samples, rng)

    @cached_property
    def _known(self) -> dict[tuple[int, int], tuple[float, float, float]]:
        return {}

    def price(self, designs: Designs) -> Prices:
        pairs = np.stack([np.asarray(designs[name], np.int64).reshape(len(designs)) for name in OUTER], axis=1)
        table = np.array([self._of(int(w), int(r)) for w, r in pairs]).reshape(len(designs), len(METRICS))
        return Prices({metric.name: np.ascontiguousarray(table[:, i]) for i, metric in enumerate(METRICS)})

    def _of(self, width: int, resolution: int) -> tuple[float, float, float]:
        """(mean, 80th percentile, share that fits) of a space; each is sized up once."""
        if (width, resolution) not in self._known:
            self._known[width, resolution] = self._measure(width, resolution)
        return self._known[width, resolution]

    def _measure(self, width: int, resolution: int) -> tuple[float, float, float]:
        n = self.options.samples
        fixed: dict[str, NDArray[Any]] = {"width": np.full(n, width), "resolution": np.full(n, resolution)}
        found = sizes(
            self.nets.shapes(self.nets.space.designs({**self._drawn.columns, **fixed})),
            self.library,
            self.options.order,
        )
        room = {name: self.target.memories[name].capacity for name in ("sram", "flash")}
        fits = (found.sram <= room["sram"]) & (found.flash <= room["flash"])
        if not fits.any():
            return 0.0, 0.0, 0.0
        macs = found.macs[fits].astype(np.float64)
        return float(macs.mean()), float(np.quantile(macs, 0.8)), float(fits.mean())


def _read(raw: Mapping[str, Any], target: Target) -> SpacesOptions:
    """Checked options. Raises `UnknownName` for unknown keys and words, `ProblemError` for other values."""
    from tradespace_tinyml.mcu import rates

    numbers = read_numbers(raw, NUMBERS, WORDS)
    known = rates(target.devices[0])
    shared = {key: raw[key] for key in ("in_place", "order") if key in raw}
    name = raw.get("library", next(iter(known)))
    plain = read_options({**shared, "libraries": [name]}, known)
    assert plain.order in ORDERS
    return SpacesOptions(str(name), plain.in_place, plain.order, int(numbers["samples"]), int(numbers["seed"]))
