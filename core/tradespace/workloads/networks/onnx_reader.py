"""Networks from ONNX files, through the format's own package; external data and weights are never read."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.networks.graph import Origin, build
from tradespace.workloads.networks.isolation import read_apart
from tradespace.workloads.operators import OperatorGraph
from tradespace.workloads.options import check_keys, integer, text

KEYS = ("name", "title", "axes", "values", "trips")
MAX_AXES = 1000


class OnnxReader:
    """Reads ONNX networks: shapes, operators and sizes."""

    name = "onnx"
    reads = "ONNX network (.onnx; the format has no identifier)"

    def recognises(self, path: Path) -> bool:
        """The suffix: an ONNX file has no identifier."""
        try:
            return path.suffix == ".onnx" and path.is_file()
        except OSError:
            return False

    def read(self, path: Path, options: Mapping[str, Any]) -> OperatorGraph:
        """One inference of the network. `axes` sets open axes (`axes.batch=1`), `values` inputs that hold one whole
        number and decide what runs (`values.sr=16000`), `trips` how often a Loop runs whose trip count the file does
        not hold (1).

        Raises:
            InputError, UnknownName: a damaged or hostile file, an unknown option, an open axis without a size.
        """
        where = str(path)
        check_keys(options, KEYS, f"workload {path.name}")
        trips = integer(options, "trips", where, high=10**9, default=1)
        axes = _numbers(options, "axes", where, low=1)
        values = _numbers(options, "values", where, low=-(10**9))
        name = text(options, "name", where, default=path.stem[:200])
        title = text(options, "title", where, default=path.name[:200])
        if importlib.util.find_spec("onnx") is None:
            raise InputError(
                "reading ONNX files needs the package 'onnx'", where=where,
                remedy="Install it: pip install tradespace[onnx].",
            )  # fmt: skip
        try:
            network = read_apart(path, {"axes": axes, "values": values, "trips": trips}, where)
        except OSError as error:
            raise InputError("the file cannot be read", value=error.strerror or error, where=where) from None
        return build(network, Origin(name, title, f"ONNX file {path.name}"[:300], where))


def _numbers(options: Mapping[str, Any], key: str, where: str, *, low: int) -> dict[str, int]:
    given = options.get(key)
    if given is None:
        return {}
    if not isinstance(given, Mapping) or len(given) > MAX_AXES:
        raise InputError(f"'{key}' maps names to whole numbers", value=repr(given)[:80], where=where)
    return {str(name): integer(given, name, f"{where}: {key}", low=low, high=10**9, default=None) for name in given}
