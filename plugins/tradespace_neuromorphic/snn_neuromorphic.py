"""SNN deployment on BrainChip's Akida: quantised networks whose cost is the activations that are not zero.

System: "Enabling Efficient Processing of Spiking Neural Networks with On-Chip Learning on Commodity Neuromorphic
Processors for Edge AI Systems", arXiv 2504.00957. Networks are checked against the chip's cores and memories, mapped in
one or several passes, and their last layer may learn on the chip. An Akida "SNN" is a quantised convolutional network
whose zeros are skipped; there are no dynamics in time to model.

Here: the workload type `active` (any network with a stated activity) and the rule by which a last layer of binary
weights learns. Cores, mapping and passes are `tradespace.costs.event_cores`, `core_allocation` and `event_mapping`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace import plugins
from tradespace.errors import InputError
from tradespace.workloads.load import load_workload
from tradespace.workloads.operators import OperatorGraph
from tradespace.workloads.transform import with_activity

Bits = NDArray[np.uint8]


def build(options: Mapping[str, Any]) -> OperatorGraph:
    """The workload type `active`: another workload with a stated share of non-zero activations.

    Keys: ``of`` (a workload type, which all other keys go to, or a workload's name, path or mapping, which they
    change), ``activity`` (a share, or {pattern of operator names: share}; default 1).

    Raises:
        InputError, UnknownName: no share, a pattern that matches nothing, a workload without operators.
    """
    registry = plugins.registry()
    rest = {key: value for key, value in options.items() if key not in ("of", "activity")}
    of, where = options.get("of"), f"workload {options.get('name', 'active')}"
    if not isinstance(of, str | Mapping):
        raise InputError("'of' is a workload type, or a workload", value=of, where=where)
    if isinstance(of, str) and of in registry.names("workloads"):
        graph = load_workload({**rest, "type": of}, registry)
    else:
        graph = load_workload({**rest, "extends": of} if isinstance(of, str) else {**of, **rest}, registry)
    if not isinstance(graph, OperatorGraph):
        raise InputError("only operators have activations", value=graph.kind, where=where)
    return with_activity(graph, options.get("activity", 1.0), f"{where}: activity")


@dataclass(frozen=True)
class BinaryLearner:
    """A last layer of binary weights that learns one labelled sample after another, as Akida 1.0's does.

    Every class has several neurons, and every neuron keeps the same number of connections. For a labelled sample the
    neuron of its class that answers most strongly wins; of its connections to inputs that are silent, some move to
    inputs that are active. Nothing else changes, so other classes keep what they know. The share that moves is the
    neuron's plasticity, which falls with every step that it learns.

    Source: BrainChip's user guide names the parameters and their defaults; how the winner is found and which
    connections move is ours.

    Args:
        classes, neurons: classes, and neurons of each (`num_classes` groups of equal size).
        weights: connections of a neuron (`num_weights`).
        plasticity, decay, least: `initial_plasticity`, `plasticity_decay` (a step, relative to the initial one) and
            `min_plasticity`.
    """

    classes: int
    neurons: int
    weights: int
    plasticity: float = 1.0
    decay: float = 0.25
    least: float = 0.1

    def fresh(self, inputs: int, rng: np.random.Generator) -> Bits:
        """(classes x neurons, inputs) random connections. Raises `InputError` for more connections than inputs."""
        if not 1 <= self.weights <= inputs or min(self.classes, self.neurons) < 1:
            rule = "a neuron has from 1 to as many connections as there are inputs"
            raise InputError(rule, value=(self.weights, inputs))
        order = rng.random((self.classes * self.neurons, inputs)).argsort(axis=1)
        return np.asarray(order < self.weights, np.uint8)

    def learn(self, table: Bits, samples: Bits, labels: NDArray[np.int64], rng: np.random.Generator) -> Bits:
        """The table after (N, inputs) binary samples of (N,) labels, in that order; ``table`` is not written to."""
        table = table.copy()
        age = np.zeros(len(table), np.int64)
        for sample, label in zip(samples, labels.tolist(), strict=True):
            own = slice(label * self.neurons, (label + 1) * self.neurons)
            scores = table[own].astype(np.int64) @ sample
            winner = own.start + int(np.lexsort((age[own], -scores))[0])
            silent = np.flatnonzero((table[winner] > 0) & (sample == 0))
            wanted = np.flatnonzero((table[winner] == 0) & (sample > 0))
            share = max(self.plasticity * (1.0 - self.decay * age[winner]), min(self.least, self.plasticity))
            moves = min(len(wanted), int(np.ceil(len(silent) * share)))
            table[winner, rng.permutation(silent)[:moves]] = 0
            table[winner, rng.permutation(wanted)[:moves]] = 1
            age[winner] += 1
        return table

    def classify(self, table: Bits, samples: Bits) -> NDArray[np.int64]:
        """(N,) class of the strongest neuron."""
        answers = samples.astype(np.int64) @ table.T.astype(np.int64)
        return np.asarray(answers.argmax(axis=1) // self.neurons, np.int64)
