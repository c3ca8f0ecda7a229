"""Search: the ask/tell loop, the archive of non-dominated designs, and what a front says. Names load at first use."""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradespace.search.api import make_optimizer, search, view_of
    from tradespace.search.archive import Archive
    from tradespace.search.contract import Batch, Budget, Observer, Optimizer, SearchView
    from tradespace.search.front import Front, FrontPoint
    from tradespace.search.loop import run

_HOME = {
    "Archive": "archive",
    "Batch": "contract",
    "Budget": "contract",
    "Front": "front",
    "FrontPoint": "front",
    "Observer": "contract",
    "Optimizer": "contract",
    "SearchView": "contract",
    "make_optimizer": "api",
    "run": "loop",
    "search": "api",
    "view_of": "api",
}

__all__ = [
    "Archive",
    "Batch",
    "Budget",
    "Front",
    "FrontPoint",
    "Observer",
    "Optimizer",
    "SearchView",
    "make_optimizer",
    "run",
    "search",
    "view_of",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"tradespace.search.{_HOME[name]}"), name)
    raise AttributeError(f"module 'tradespace.search' has no attribute '{name}'")


class _Callable(ModuleType):
    """``tradespace.search`` is this package to the import system and the function `search` to users: importing any
    module of the package binds the package over the lazy function, so the package is callable as the function."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.__getattr__("search")(*args, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.__getattr__("search"))


sys.modules[__name__].__class__ = _Callable
