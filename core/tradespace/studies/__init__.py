"""Studies: the log of a search, resuming it, publishing it to Optuna, comparing it with others.

```python
from tradespace.studies import Store, StudySpec, start
from tradespace.studies.resume import resume
from tradespace.studies.publish import publish

with Store.open("sqlite:///out/tradespace.db") as store:
    front = start(store, "laptop", spec, problem, registry)  # or: store.create(...), then run(..., observers=[log])
    front = resume(store, "laptop", registry)  # after a kill or Ctrl-C, bit-identical
    publish(store, "laptop")  # the Optuna view, at any time
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradespace.studies.log import Store
    from tradespace.studies.provenance import Provenance
    from tradespace.studies.record import FrontRows, StudyRecord
    from tradespace.studies.resume import start
    from tradespace.studies.spec import StudySpec
    from tradespace.studies.writer import StudyLog

_HOME = {
    "FrontRows": "record",
    "Provenance": "provenance",
    "Store": "log",
    "StudyLog": "writer",
    "StudyRecord": "record",
    "StudySpec": "spec",
    "start": "resume",
}
# `resume`, `publish` and `compare` are functions of modules of the same name: import them from there.
__all__ = ["FrontRows", "Provenance", "Store", "StudyLog", "StudyRecord", "StudySpec", "start"]


def __getattr__(name: str) -> Any:
    """Names load at first use: SQLAlchemy costs half a second."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
