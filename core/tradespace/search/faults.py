"""What evaluators and optimizers raise, as an error that names the line it came from."""

from __future__ import annotations

import contextlib
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from tradespace.errors import PluginError, TradespaceError

_LIBRARIES = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), "<frozen")


@contextlib.contextmanager
def guarded(where: str) -> Iterator[None]:
    """Turn whatever user code raises into a `PluginError` that says where, chained to it; errors of the house pass."""
    try:
        yield
    except TradespaceError as error:
        _placed(error)
        raise
    except Exception as error:
        frame, line = _blamed(error)
        script = frame is not None and frame.f_globals.get("__name__") == "__main__"
        raise PluginError(
            "a plugin must not raise",
            value=f"{type(error).__name__}: {error}",
            where=where if frame is None else f"{where}, {_place(frame, line)}",
            remedy=None if script else "Run 'tradespace check' on it to see which rule it breaks.",
        ) from error


def _placed(error: TradespaceError) -> None:
    """Adds the line of user code whose call the house refused: "unknown design variable" alone leaves one searching."""
    frames = _frames(error)
    frame, line = _blamed(error)
    if frame is None or not _users(frame) or frame is frames[-1][0] or not error.args:
        return
    place = f" ({_place(frame, line)})"
    if not str(error.args[0]).endswith(place):  # one search may run inside another
        error.args = (f"{error.args[0]}{place}", *error.args[1:])


def _blamed(error: BaseException) -> tuple[FrameType | None, int]:
    """The innermost frame of the user's own files, else of the package that the house called."""
    outside = [(frame, line) for frame, line in _frames(error) if _package(frame) != "tradespace"]
    if not outside:
        return None, 0
    called = _package(outside[0][0])
    own = [(frame, line) for frame, line in outside if _users(frame)]
    return own[-1] if own else [(frame, line) for frame, line in outside if _package(frame) == called][-1]


def _frames(error: BaseException) -> list[tuple[FrameType, int]]:
    """Outermost first, without this module's own."""
    found, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename != __file__:
            found.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return found


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _users(frame: FrameType) -> bool:
    """Whether a frame is neither of the house nor of an installed library."""
    package = _package(frame)
    ours = package == "tradespace" or package.startswith("tradespace_")
    return not ours and not frame.f_code.co_filename.startswith(_LIBRARIES)


def _place(frame: FrameType, line: int) -> str:
    """ "file:line in function", the file as seen from the working folder."""
    file = Path(frame.f_code.co_filename)
    with contextlib.suppress(OSError, ValueError):
        file = file.relative_to(Path.cwd())
    return f"{file}:{line} in {frame.f_code.co_name}"
