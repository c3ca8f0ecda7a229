"""Any change to a good target is either another good target or one readable paragraph."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradespace.errors import TradespaceError
from tradespace.plugins import Registry
from tradespace.targets import load_target, target_names

SCALAR = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["1 GB/s", "-3 W", "45 degC", "1e400", "8 us", "dram", "cpu", "roofline", "substitute"])
)  # fmt: skip
VALUE = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "source", "kind", "fp16", "x", "extends", "model"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def _paths(body: Any, path: str = "") -> list[str]:
    if not isinstance(body, dict):
        return [path]
    inner = [found for key, value in body.items() for found in _paths(value, f"{path}.{key}" if path else key)]
    return [*inner, *([path] if path else [])]


LAPTOP = Path(__file__).parents[3] / "plugins/tradespace_edge/catalogue/targets/laptop.yaml"
PATHS = _paths(yaml.safe_load(LAPTOP.read_text())["laptop"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(PATHS) | st.text(max_size=8), VALUE, min_size=1, max_size=3))
def test_a_changed_target_is_good_or_refused(changes: dict[str, Any], registry: Registry) -> None:
    try:
        target = load_target({"extends": "laptop", **changes}, registry)
    except TradespaceError as error:
        assert len(str(error)) < 1000
        return
    assert target.devices
    for sourced in target.sources:
        assert math.isfinite(float(sourced.value)) and sourced.source and sourced.kind
    for one in target.devices:
        for other in target.devices:
            assert target.path(one.name, other.name).time(1.0) >= 0


def test_the_fuzzer_reaches_the_laptop(registry: Registry) -> None:
    assert "laptop" in target_names(registry)
    assert {"devices.npu.peak.int8", "links.pcie.between", "devices.cpu", "memories"} <= set(PATHS)
