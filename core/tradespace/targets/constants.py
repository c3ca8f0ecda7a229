"""Which numbers a target file may hold: the engine-common ones, and those a device model declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tradespace.errors import InputError, PluginError, UnitError, UnknownName
from tradespace.plugins import Registry
from tradespace.units import dimension

BY_PRECISION = " by precision"
BY_POINT = " by point"
OR_ZERO = " or zero"
MAX_POINTS = 4096
"""Most points of one table."""
MAX_SIZES, MAX_DIGITS = 6, 9


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a target file.

    Args:
        unit: SI unit; "K" is a temperature, "delta K" a difference.
        zero: whether 0 makes sense.
        default: SI value if the file does not say; None: the file must (or the memory does, see `MEMORY_GIVES`).
        by_precision: a mapping precision -> number, or one number for all.
        by_point: a mapping from sizes ("4096x4096x128") to numbers: a measured table.
        why: for a default, why this one; it becomes the number's source.
    """

    unit: str
    zero: bool = False
    default: float | None = None
    by_precision: bool = False
    why: str = ""
    by_point: bool = False


MEMORY_GIVES = ("bandwidth", "capacity")
"""Numbers that a device takes from its memory if the file does not give them."""

DEVICE: Mapping[str, Number] = {
    "bandwidth": Number("B/s"),
    "capacity": Number("B"),
    "idle_power": Number("W", True, 0.0, why="counted as 0 W"),
    "dynamic_power": Number("W", True, 0.0, why="counted as 0 W"),
    "thermal_resistance": Number("K/W", True, 0.0, why="stays at ambient temperature"),
    "ambient": Number("K", False, 298.15, why="a room at 25 degC"),
    "max_temperature": Number("K", False, 373.15, why="silicon commonly throttles near 100 degC"),
    "launch_overhead": Number("s", True, 0.0, why="counted as 0 s"),
    "leakage_power": Number("W", True, 0.0, why="counted as 0 W"),
    "reference_temperature": Number("K", False, 298.15, why="a room at 25 degC"),
    "leakage_scale": Number("delta K", False, 30.0, why="leakage doubles about every 20 K"),
}
MEMORY: Mapping[str, Number] = {
    "bandwidth": Number("B/s"),
    "capacity": Number("B"),
    "energy_per_byte": Number("J/B", True, 0.0, why="counted in the power of the devices"),
    "handoff": Number("s", True, 10e-6, why="an event signalled between two drivers"),
}
LINK: Mapping[str, Number] = {
    "bandwidth": Number("B/s"),
    "latency": Number("s", True, 0.0, why="counted as 0 s"),
    "energy_per_byte": Number("J/B", True, 0.0, why="counted in the power of the devices"),
}
DEVICE_KEYS = ("model", "memory", "runs", "of")
_RESERVED = ("name", "numbers", "by_precision", "points", "at", *DEVICE_KEYS, *DEVICE)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a device model class declares: its constants, the operator kinds it can execute, of how many other devices
    its devices are made (0: of none), and what it says of numbers that do not fit together."""

    constants: Mapping[str, Number]
    runs: tuple[str, ...]
    parts: int = 0
    check: Callable[[Any], None] | None = None


def model_facts(name: str, registry: Registry, where: str) -> ModelFacts:
    """Read the declarations of a device model.

    The class attribute `constants` maps constant -> unit. A unit may end in " or zero" (0 is allowed) and then in
    " by precision" (one number a precision) or " by point" (a table over sizes); `defaults` maps constant -> SI value;
    `runs` lists operator kinds; `parts` is the number of devices that a device of this model is made of; `check` is a
    static method that raises `InputError` for a device whose numbers do not fit together.

    Raises:
        UnknownName: no such model.
        PluginError: the class breaks the contract.
    """
    try:
        model = registry.load("device_models", name)
    except UnknownName as error:
        hint = registry.hint(name, error.known)
        raise UnknownName("device model", name, error.known, where=where, remedy=hint) from None
    who = f"device model '{name}'"
    constants, defaults = getattr(model, "constants", None), getattr(model, "defaults", {})
    runs = getattr(model, "runs", None)
    if not isinstance(constants, Mapping) or not isinstance(defaults, Mapping):
        raise PluginError("'constants' and 'defaults' are mappings from constant names", where=who)
    if not isinstance(runs, (tuple, list)) or not runs or not all(isinstance(kind, str) for kind in runs):
        raise PluginError("'runs' is a tuple of operator kinds", value=runs, where=who)
    if unknown := set(defaults) - set(constants):
        raise PluginError("'defaults' names only constants", value=sorted(unknown), where=who)
    parts = getattr(model, "parts", 0)
    if isinstance(parts, bool) or not isinstance(parts, int) or parts < 0 or parts == 1:
        raise PluginError("'parts' is a number of devices, 2 or more", value=parts, where=who)
    declared = {str(k): _declared(k, v, defaults, who) for k, v in constants.items()}
    return ModelFacts(declared, tuple(runs), parts, getattr(model, "check", None))


def _declared(key: Any, declaration: Any, defaults: Mapping[str, Any], who: str) -> Number:
    if not isinstance(key, str) or not key.isidentifier() or key in _RESERVED or key.startswith("_"):
        raise PluginError("a constant has a name that no device number has", value=key, where=who)
    if not isinstance(declaration, str):
        raise PluginError(f"constant '{key}' declares its unit as text", value=declaration, where=who)
    unit = declaration.removesuffix(BY_PRECISION)
    by_precision = unit != declaration
    by_point = unit.endswith(BY_POINT)
    unit = unit.removesuffix(BY_POINT)
    zero = unit.endswith(OR_ZERO)
    unit = unit.removesuffix(OR_ZERO)
    try:
        dimension(unit)
    except UnitError as error:
        raise PluginError(f"constant '{key}' declares a unit: {error.rule}", value=declaration, where=who) from None
    default = defaults.get(key)
    if default is not None and (isinstance(default, bool) or not isinstance(default, (int, float))):
        raise PluginError(f"the default of '{key}' is a number in {unit}", value=default, where=who)
    value = None if default is None else float(default)
    if by_point and (by_precision or value is not None):
        raise PluginError(f"constant '{key}' is a table: it has no default and no precision", where=who)
    return Number(unit, zero, value, by_precision, f"default of {who}", by_point)


def read_point(text: str) -> tuple[int, ...] | None:
    """The sizes of "4096x4096x128"; None if it is no such text."""
    parts = text.split("x")
    if not all(part.isascii() and part.isdigit() and len(part) <= MAX_DIGITS for part in parts):
        return None
    sizes = tuple(map(int, parts))
    return sizes if min(sizes) > 0 and len(sizes) <= MAX_SIZES else None


def check_precision(name: str, registry: Registry, where: str) -> None:
    """Raises `UnknownName` for a precision that no plugin provides (none at all: nothing to check against)."""
    known = registry.names("precisions")
    if known and name not in known:
        raise UnknownName("precision", name, known, where=where, remedy=registry.hint(name, known))


def check_kinds(kinds: Any, facts: ModelFacts, model: str, where: str) -> tuple[str, ...]:
    """The operator kinds a file narrows a model to.

    Raises:
        InputError: not a list of kinds.
        UnknownName: a kind that the model does not run.
    """
    if not isinstance(kinds, (list, tuple)) or not kinds or not all(isinstance(kind, str) for kind in kinds):
        raise InputError("'runs' is a list of operator kinds", value=repr(kinds), where=where)
    for kind in kinds:
        if kind not in facts.runs:
            raise UnknownName(f"operator kind for model '{model}':", kind, facts.runs, where=where)
    return tuple(dict.fromkeys(kinds))
