"""Writing results: a file appears whole or not at all, and a failure says what to do."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from tradespace.errors import TradespaceError

_REMEDIES = {
    errno.ENOSPC: "The disk is full: free some space or choose another folder.",
    errno.EDQUOT: "The quota is used up: free some space or choose another folder.",
    errno.EACCES: "Choose a folder you may write to.",
    errno.EPERM: "Choose a folder you may write to.",
    errno.EROFS: "The file system is read-only: choose another folder.",
    errno.ENOTDIR: "A part of the path is a file: choose another folder.",
    errno.EISDIR: "The path is a folder: name a file.",
}


def write_atomic(path: str | Path, content: str | bytes) -> Path:
    """Write beside the target and rename. Folders are made. A failure leaves what was there before.

    Raises:
        TradespaceError: the file cannot be written; says where, why and what to do.
    """
    target = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary: str | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        raise TradespaceError(
            "results must be written",
            value=error.strerror or str(error),
            where=str(target),
            remedy=_REMEDIES.get(error.errno or 0, "Choose another place."),
        ) from None
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
    return target


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
