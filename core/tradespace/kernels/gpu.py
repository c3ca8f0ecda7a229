"""An NVIDIA GPU, if there is one and PyTorch can use it: peaks by matrix products, bandwidth by copies. Untried here.

PyTorch is an optional extra, never required; without it the GPU is named and said not to be measured.
"""

from __future__ import annotations

import functools
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIDE = 4096
_COPY = 512 * 2**20


@dataclass(frozen=True)
class GPU:
    """One GPU: samples in SI under the names of a roofline device's numbers, or why there are none."""

    name: str
    capacity: int
    samples: dict[str, NDArray[np.float64]]
    missing: str = ""


def find_gpu(repeat: int) -> GPU | None:
    """None without an NVIDIA driver. Never raises: whatever goes wrong is in `missing`."""
    if not Path("/proc/driver/nvidia/version").exists():
        return None
    if importlib.util.find_spec("torch") is None:
        return GPU(*_named(), {}, "it takes PyTorch to measure it: pip install torch")
    try:
        return _measure(repeat)
    except Exception as error:  # a driver that does not fit PyTorch, a full memory: the CPU is still worth a target
        return GPU(*_named(), {}, f"PyTorch cannot use it: {' '.join(str(error).split())[:120]}")


def _named() -> tuple[str, int]:
    """(name, B) from NVIDIA's management library, if its Python package is there."""
    try:
        import pynvml  # type: ignore[import-not-found, unused-ignore]

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        return str(pynvml.nvmlDeviceGetName(handle)), int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    except Exception:
        return "an NVIDIA GPU", 0


def _measure(repeat: int) -> GPU:
    import torch  # type: ignore[import-not-found, unused-ignore]

    device = torch.device("cuda", 0)
    free, _ = torch.cuda.mem_get_info(device)
    samples: dict[str, NDArray[np.float64]] = {}
    for name, kind in (("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)):
        a = torch.randn(_SIDE, _SIDE, device=device).to(kind)
        samples[f"peak.{name}"] = 2.0 * _SIDE**3 / _times(torch, functools.partial(torch.matmul, a, a), repeat)
    q = torch.randint(-127, 127, (_SIDE, _SIDE), device=device, dtype=torch.int8)
    samples["peak.int8"] = 2.0 * _SIDE**3 / _times(torch, lambda: torch._int_mm(q, q.t()), repeat)
    block = torch.empty(_COPY, dtype=torch.uint8, device=device)
    into = torch.empty_like(block)
    samples["bandwidth"] = 2.0 * _COPY / _times(torch, lambda: into.copy_(block), repeat)
    host = torch.empty(_COPY // 4, dtype=torch.uint8).pin_memory()
    samples["link"] = _COPY / 4 / _times(torch, lambda: block[: _COPY // 4].copy_(host), repeat)
    one = torch.zeros(1, device=device)
    samples["launch_overhead"] = _times(torch, lambda: [one.add_(1) for _ in range(100)], repeat) / 100
    return GPU(torch.cuda.get_device_name(device), int(free), samples)


def _times(torch: Any, run: Callable[[], object], repeat: int) -> NDArray[np.float64]:
    seconds = np.empty(repeat)
    for i in range(-3, repeat):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        run()
        torch.cuda.synchronize()
        seconds[max(i, 0)] = time.perf_counter() - begin
    return seconds
