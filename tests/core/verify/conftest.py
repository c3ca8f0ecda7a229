"""A machine with round numbers that is this one, and a decoder small enough to run in a millisecond."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tradespace.kernels.build import KernelError
from tradespace.kernels.running import usable_cpus

SMALL = {"extends": "toy-decoder", "hidden": 256, "head_dim": 32, "ffn": 512}

BODY = """
local:
  kind: measured
  source: a test
  memories: {dram: {bandwidth: 100 GB/s, capacity: 8 GB}}
  devices:
    cpu:
      model: cpu-kernels
      memory: dram
      here: 1
      threads: 1
      cores: 1
      stream_one: {int8: 10 GB/s, int4: 10 GB/s, int2: 10 GB/s, q4_k: 10 GB/s}
      short_one: {int8: 10 GB/s, int4: 10 GB/s, int2: 10 GB/s, q4_k: 10 GB/s}
      cached_one: {int8: 20 GB/s, int4: 20 GB/s, int2: 20 GB/s, q4_k: 20 GB/s}
      gemm_one: {int8: 100 GFLOP/s, int4: 100 GFLOP/s, int2: 100 GFLOP/s, q4_k: 100 GFLOP/s}
      prepare_one: {int8: 1 GHz, int4: 1 GHz, int2: 1 GHz, q4_k: 1 GHz}
      attention_one: 10 GFLOP/s
      pointwise_one: 1 GFLOP/s
      dispatch_one: 100 ns
"""


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A target file that says it is this machine."""
    if not usable_cpus():
        pytest.skip("threads cannot be placed on this system")
    try:
        from tradespace.kernels.products import product_kernel

        product_kernel("int2")
    except KernelError as error:
        pytest.skip(f"no native kernels: {error}")
    path = tmp_path / "local.yaml"
    path.write_text(BODY)
    return path


@pytest.fixture
def small() -> Mapping[str, Any]:
    return SMALL
