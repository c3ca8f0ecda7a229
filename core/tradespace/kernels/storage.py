"""How fast files are read: random and sequential, 4 KB and 512 KB, past the page cache where the system lets us."""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import KernelError

SIZES = (4096, 512 * 1024)
_PIECE = 4 * 2**20


@dataclass(frozen=True)
class FileReads:
    """Times of single reads.

    Args:
        how: "O_DIRECT", "F_NOCACHE" (macOS), "page cache dropped by fadvise", or "page cache" (then it is memory that
            was measured, not the device).
        seconds: (pattern, block bytes) -> (n,) s of one read; pattern is "random" or "sequential".
    """

    how: str
    seconds: dict[tuple[str, int], NDArray[np.float64]]

    def bandwidth(self, pattern: str, size: int) -> NDArray[np.float64]:
        """(n,) B/s of each read."""
        return size / self.seconds[pattern, size]


def file_reads(folder: Path, *, size: int, reads: int, limit: float, rng: np.random.Generator) -> FileReads:
    """Write a file of `size` bytes into `folder`, read it in all four ways, remove it.

    Args:
        reads: of each kind, at most.
        limit: s of each kind; at least 3 reads are made.

    Raises:
        KernelError: no room, or a folder that cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".tradespace-read-") as file:
            _fill(file.fileno(), size, rng)
            with _opened(file.name) as (descriptor, how):
                seconds = {
                    (pattern, block): _read(descriptor, how, pattern, block, size, reads, limit, rng)
                    for block in SIZES
                    for pattern in ("random", "sequential")
                }
            return FileReads(how, seconds)
    except OSError as error:
        raise KernelError("a file for the storage probe must fit", value=error.strerror, where=str(folder)) from None


def _fill(descriptor: int, size: int, rng: np.random.Generator) -> None:
    piece = rng.integers(0, 256, _PIECE, np.uint8).tobytes()
    for start in range(0, size, _PIECE):
        os.write(descriptor, piece[: size - start])
    os.fsync(descriptor)


@contextlib.contextmanager
def _opened(name: str) -> Iterator[tuple[int, str]]:
    flags, how = os.O_RDONLY, "page cache"
    if hasattr(os, "O_DIRECT"):
        try:
            descriptor = os.open(name, flags | os.O_DIRECT)
            how = "O_DIRECT"
        except OSError:  # tmpfs and some overlays refuse
            descriptor = os.open(name, flags)
            how = "page cache dropped by fadvise" if hasattr(os, "posix_fadvise") else "page cache"
    else:
        descriptor = os.open(name, flags)
        if sys.platform == "darwin":
            import fcntl

            fcntl.fcntl(descriptor, 48, 1)  # F_NOCACHE
            how = "F_NOCACHE"
    try:
        yield descriptor, how
    finally:
        os.close(descriptor)


def _read(
    descriptor: int, how: str, pattern: str, block: int, size: int, reads: int, limit: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    blocks = size // block
    order = rng.permutation(blocks)[:reads] if pattern == "random" else np.arange(min(reads, blocks))
    if how.endswith("fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    seconds = []
    begin = time.perf_counter()
    with mmap.mmap(-1, max(block, mmap.PAGESIZE)) as buffer:  # O_DIRECT wants memory that starts on a page
        view = memoryview(buffer)[:block]
        try:
            for at in order:
                before = time.perf_counter()
                os.preadv(descriptor, [view], int(at) * block)
                after = time.perf_counter()
                seconds.append(after - before)
                if len(seconds) >= 3 and after - begin > limit:
                    break
        finally:
            view.release()
    return np.array(seconds)
