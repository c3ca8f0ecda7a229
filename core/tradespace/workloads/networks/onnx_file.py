"""From an ONNX file to a `Network`: load, bound, set axes, inline functions, infer shapes, walk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tradespace.workloads.networks.network import Network
from tradespace.workloads.networks.onnx_model import check_values, expand_functions, infer, load, set_axes, strip
from tradespace.workloads.networks.onnx_walk import walk_model


def read_network(path: Path, where: str, *, axes: Mapping[str, int], values: Mapping[str, int], trips: int) -> Network:
    """The network in an ONNX file, read in this process.

    Args:
        axes: open axis -> size.
        values: input that holds one whole number -> that number; conditions and sizes that hang on it become known.
        trips: how often a Loop runs whose trip count is not constant.

    Raises:
        InputError, UnknownName: a damaged or hostile file, an axis that is not given or not there.
    """
    model = load(path, where)
    strip(model)
    notes = set_axes(model, axes, where)
    check_values(model, values, where)
    model = expand_functions(model, where)
    return walk_model(model, infer(model, where, values), where, values=values, trips=trips, notes=notes)
