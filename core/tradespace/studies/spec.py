"""A study written down: everything a search was asked for, as plain values that rebuild it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tradespace.errors import StudyError
from tradespace.studies import jsontext

if TYPE_CHECKING:
    from tradespace.search.contract import Budget
    from tradespace.settings import Setting

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NONE = type(None)
_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "setting": (dict, _NONE),
    "objectives": list,
    "constraints": list,
    "optimizer": str,
    "optimizer_options": dict,
    "evaluations": (int, _NONE),
    "seconds": (float, int, _NONE),
    "stagnation": (int, _NONE),
    "seed": int,
    "batch": (int, _NONE),
    "plugins": list,
    "start": list,
}
_SETTING: Mapping[str, type | tuple[type, ...]] = {
    "workload": (str, dict),
    "target": (str, dict),
    "evaluator": (str, _NONE),
    "options": dict,
}


@dataclass(frozen=True)
class StudySpec:
    """A search as its user asked for it. References are names or paths, never objects.

    Attributes:
        setting: workload, target, evaluator and options; None when the evaluator was an object of a program, which
            only that program can resume.
        objectives, constraints: as the user wrote them, after defaults were filled in.
        optimizer, optimizer_options: a name of the registry and its options.
        evaluations, seconds (s), stagnation (batches): the budget; None = no such limit.
        seed: of every random number of the search.
        batch: designs asked for at once; None = what the optimizer likes.
        plugins: unpackaged plugin files that were loaded (``--plugin``).
        start: designs that were priced first, as a person reads them.
    """

    setting: Setting | None
    objectives: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    optimizer: str = "auto"
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    evaluations: int | None = 10_000
    seconds: float | None = None
    stagnation: int | None = None
    seed: int = 0
    batch: int | None = None
    plugins: tuple[str, ...] = ()
    start: tuple[Mapping[str, Any], ...] = ()

    @property
    def budget(self) -> Budget:
        from tradespace.search.contract import Budget

        return Budget(self.evaluations, self.seconds, self.stagnation)

    def to_json(self) -> str:
        """One JSON document. Raises `StudyError` for values that are not plain."""
        setting = self.setting
        document = {key: getattr(self, key) for key in _KEYS if key != "setting"}
        document["setting"] = setting and {key: getattr(setting, key) for key in _SETTING}
        return jsontext.dump(document, "study")

    @classmethod
    def from_json(cls, text: str, where: str = "study") -> StudySpec:
        """The spec of `to_json`. Raises `StudyError` naming an unknown, missing or misfitting key."""
        from tradespace.settings import Setting

        document = jsontext.load(text, where)
        if isinstance(document, dict):
            document.setdefault("start", [])  # studies written before there were starts
        found = jsontext.fields(document, _KEYS, where)
        found["start"] = jsontext.mappings(found["start"], f"{where}.start")
        for key in ("objectives", "constraints", "plugins"):
            found[key] = jsontext.texts(found[key], f"{where}.{key}")
        if found["setting"] is not None:
            found["setting"] = Setting(**jsontext.fields(found["setting"], _SETTING, f"{where}.setting"))
        return cls(**found)


def check_name(name: str) -> str:
    """A study's name: letters, digits, dot, dash, underscore, at most 100 characters. Raises `StudyError`."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise StudyError(
            "a study's name has 1 to 100 letters, digits, '.', '_' or '-' and starts with a letter or digit",
            value=repr(name),
            remedy="Choose another name.",
        )
    return name
