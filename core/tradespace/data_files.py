"""Public data that cannot travel with the project: found in the user's own folders, known by their digests."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from tradespace.errors import InputError

VARIABLE = "TRADESPACE_DATA"
MAX_BYTES = 64 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class MissingData(InputError):
    """A file of published data that is not on this machine. A row that needs it is not reproducible here."""


def data_folders() -> tuple[Path, ...]:
    """``$TRADESPACE_DATA`` (several, joined as in PATH), then ``data`` of the user's data folder."""
    import platformdirs

    own = [Path(p).expanduser() for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    return (*own, Path(platformdirs.user_data_dir("tradespace")) / "data")


def find_data(name: str, sha256: str, origin: str, where: str) -> bytes:
    """The content of the file ``name`` whose SHA-256 is ``sha256``.

    Raises:
        InputError: no plain file name, no digest, or a file of another digest or beyond `MAX_BYTES`.
        MissingData: it is in none of the folders.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError("a data file is a plain name, without folders", value=repr(name)[:80], where=where)
    if not isinstance(sha256, str) or not _DIGEST.fullmatch(sha256):
        raise InputError("'sha256' is the file's digest, 64 hexadecimal digits", value=repr(sha256)[:80], where=where)
    for folder in data_folders():
        path = folder / name
        if not path.is_file():
            continue
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"a data file has at most {MAX_BYTES} bytes", value=path.stat().st_size, where=str(path))
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise InputError("the data file is the published one", value=f"SHA-256 {found}", where=str(path))
        return content
    rule = f"the published file '{name}' is not on this machine"
    raise MissingData(rule, where=where, remedy=f"Get it from {origin}, and name its folder in ${VARIABLE}.")
