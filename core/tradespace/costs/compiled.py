"""The one place where numba is configured: cache folder, flags, threads."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

THREADS = min(2, os.cpu_count() or 1)
SPLIT = 2048
"""Designs below which a second thread costs more than it saves."""


def cache_folder() -> Path:
    """``$NUMBA_CACHE_DIR``, else a folder of the user's cache named by a digest of the compiled modules.

    The digest is needed because numba does not notice that a function or constant compiled into another was edited.
    """
    own = os.environ.get("NUMBA_CACHE_DIR")
    if own:
        return Path(own)
    import platformdirs

    digest = hashlib.blake2b(digest_size=6)
    here = Path(__file__).parent
    for file in (*sorted(here.glob("*.py")), *sorted((here.parent / "search").glob("*.py"))):
        source = file.read_bytes()
        if file.stem == "columns" or b"@njit" in source:
            digest.update(source)
    return Path(platformdirs.user_cache_dir("tradespace")) / "numba" / digest.hexdigest()


@functools.cache
def _numba() -> Any:
    import numba

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        numba.config.CACHE_DIR = str(folder)
    except OSError:  # an unwritable home: numba falls back to its own choice
        pass
    return numba


def njit(function: Callable[..., Any]) -> Any:
    """Compile with the house's flags: cached on disk, no GIL, no reordering of sums (prices are bit-reproducible)."""
    return _numba().njit(cache=True, nogil=True, fastmath=False, error_model="numpy")(function)


def njit_plain(function: Callable[..., Any]) -> Any:
    """`njit` for functions that create no array: without reference counts, which cost a loop of small functions half
    its time. Never return or store an array."""
    return _numba().njit(cache=True, nogil=True, fastmath=False, error_model="numpy", _nrt=False)(function)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="tradespace-price")


def in_two(kernel: Callable[[int, int], Any], n: int) -> None:
    """Run ``kernel(lo, hi)`` over ``range(n)``, in threads where that pays. The kernel must release the GIL."""
    if n < SPLIT or THREADS < 2:
        kernel(0, n)
        return
    edges = [n * i // THREADS for i in range(THREADS + 1)]
    jobs = [_pool().submit(kernel, lo, hi) for lo, hi in itertools.pairwise(edges[1:])]
    kernel(edges[0], edges[1])
    for job in jobs:
        job.result()
