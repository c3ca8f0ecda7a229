"""Compile C once for this machine and load it: one shared library per source digest in the user's cache folder."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tradespace.errors import TradespaceError

COMMON_FLAGS = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC", "-std=c11", "-pthread")
ISAS = ("native", "avx2", "scalar")
"""Instruction sets a shipped kernel can be compiled for: all this processor has, AVX2 and nothing newer, plain C."""

_SHIPPED = Path(__file__).parent / "c"
_TIMEOUT = 120
_LINUX = sys.platform == "linux"


class KernelError(TradespaceError):
    """A native kernel that cannot be built or run here."""


def flags_for(isa: str = "native") -> tuple[str, ...]:
    """Compiler flags. Raises `KernelError` for an instruction set that this processor or this name does not have."""
    machine = platform.machine().lower()
    if isa == "native":
        return (*COMMON_FLAGS, "-mcpu=native" if machine in ("arm64", "aarch64") else "-march=native")
    if isa == "avx2" and machine in ("x86_64", "amd64") and (b"avx2" in _processor() or not _LINUX):
        return (*COMMON_FLAGS, "-march=haswell")
    if isa == "scalar":
        return (*COMMON_FLAGS, "-DTRADESPACE_SCALAR")
    raise KernelError(f"this {machine} must know the instruction set, one of {', '.join(ISAS)}", value=isa)


@cache
def compiler() -> tuple[str, ...]:
    """The C compiler as a command: ``$CC``, else gcc or clang, else the ziglang wheel. Raises `KernelError`."""
    if os.environ.get("CC"):
        command = tuple(os.environ["CC"].split())
        if shutil.which(command[0]):
            return command
        raise KernelError("$CC must name a compiler on the PATH", value=command[0])
    for name in ("gcc", "clang", "cc"):
        if shutil.which(name):
            return (name,)
    if subprocess.run([sys.executable, "-c", "import ziglang"], capture_output=True, check=False).returncode == 0:
        return (sys.executable, "-m", "ziglang", "cc")
    raise KernelError(
        "native kernels need a C compiler",
        remedy="Install gcc or clang, or 'pip install ziglang', or point $CC at a compiler.",
    )


def cache_folder() -> Path:
    """Where compiled libraries live: ``$TRADESPACE_CACHE`` or the user's cache folder."""
    if os.environ.get("TRADESPACE_CACHE"):
        return Path(os.environ["TRADESPACE_CACHE"])
    import platformdirs

    return Path(platformdirs.user_cache_dir("tradespace"))


def load_shipped(name: str, isa: str = "native") -> ctypes.CDLL:
    """The library of ``c/<name>.c``, see `load`."""
    return load(_SHIPPED / f"{name}.c", isa)


@cache
def load(source: Path, isa: str = "native") -> ctypes.CDLL:
    """Compile ``source`` if its cached library is missing, and load it. Raises `KernelError` with the first errors.

    The name of the library is the digest of the source and the headers beside it, flags, compiler version and
    processor, so an edited source or another machine on a shared home never meets a stale library. Written to a
    temporary name, then moved.
    """
    command, flags = compiler(), flags_for(isa)
    text = b"".join(file.read_bytes() for file in (source, *sorted(source.parent.glob("*.h"))))
    key = hashlib.blake2b(text + repr((flags, command)).encode() + _version(command) + _processor(), digest_size=12)
    library = cache_folder() / "kernels" / f"{source.stem}-{key.hexdigest()}.so"
    if not library.exists():
        try:
            library.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=library.parent, suffix=".so")
            os.close(handle)
        except OSError as error:
            raise KernelError(
                "the cache folder must be writable",
                value=error.strerror,
                where=str(library.parent),
                remedy="Set TRADESPACE_CACHE to a folder you can write.",
            ) from None
        _compile([*command, *flags, str(source), "-o", partial, "-lm"], source)
        os.replace(partial, library)
    return ctypes.CDLL(str(library))


def _compile(command: list[str], source: Path) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelError("the C compiler must run", value=error, where=source.name) from None
    if done.returncode:
        raise KernelError(
            "the kernel must compile",
            value=done.stderr.strip()[:400],
            where=source.name,
            remedy=f"Compiler: {command[0]}.",
        )


@cache
def _version(command: tuple[str, ...]) -> bytes:
    return subprocess.run([*command, "--version"], capture_output=True, check=False).stdout


@cache
def _processor() -> bytes:
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace").split("\n\n")[0]
        return "\n".join(line for line in text.splitlines() if line.startswith(("model name", "flags"))).encode()
    except OSError:
        return platform.processor().encode()
