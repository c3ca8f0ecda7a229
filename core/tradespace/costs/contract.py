"""The seam between chips and operators: a device model turns (operators, device, precisions) into a table of costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import PluginError

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device
    from tradespace.workloads.operators import Operators

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

RESERVED = ("time", "overhead", "energy", "refetched", "kept", "unsupported")


@dataclass(frozen=True, slots=True)
class Column:
    """What a further column of a device model means as a metric.

    Args:
        unit, direction, meaning: of the metric; direction is min or max.
        over: another column: the metric is the mean of this one weighted by that one, so the model gives this column
            multiplied by that one. None: the column adds up.
    """

    unit: str = "1"
    direction: Literal["min", "max"] = "min"
    meaning: str = ""
    over: str | None = None


@dataclass(frozen=True, init=False)
class CostTable:
    """What one execution of each of n operators costs on one device, in each of P precisions.

    Args:
        time: s on the device's own resources, ``(n,)`` or ``(n, P)``. The engine takes the maximum of it and the
            memory time, so a model must not count the device's main memory itself.
        overhead: s added after that maximum, beyond the device's ``launch_overhead``, which the engine adds.
        energy: J above idle, main memory excluded. Without it the engine uses the device's power (see `energies`).
        refetched: B that cross the main memory beyond each tensor once, which the engine counts (a small buffer).
        kept: B of activations that never cross it, as they stay on the chip (a large buffer).
        copies: devices like this one, each with a memory of its own, that share every operator evenly (chips of a
            host). Times and bytes are given as those of the whole operator on all of them; the engine multiplies
            bandwidth and power by their number, and divides what is resident among them.
        unsupported: bool, True where the device cannot run the operator in that precision; its other numbers are
            ignored there. Never write inf or nan.
        columns: any further named quantities (``cycles=...``); they become metrics, and add up over a plan unless the
            model's `columns` says that one is a mean.
    """

    time: Floats
    overhead: Floats | None
    energy: Floats | None
    refetched: Floats | None
    kept: Floats | None
    unsupported: Bools | None
    copies: float
    columns: Mapping[str, Floats] = field(default_factory=dict)

    def __init__(
        self,
        time: Any,
        *,
        overhead: Any = None,
        energy: Any = None,
        refetched: Any = None,
        kept: Any = None,
        unsupported: Any = None,
        copies: float = 1.0,
        **columns: Any,
    ) -> None:
        put = object.__setattr__
        put(self, "time", np.asarray(time, np.float64))
        put(self, "overhead", None if overhead is None else np.asarray(overhead, np.float64))
        put(self, "energy", None if energy is None else np.asarray(energy, np.float64))
        put(self, "refetched", None if refetched is None else np.asarray(refetched, np.float64))
        put(self, "kept", None if kept is None else np.asarray(kept, np.float64))
        put(self, "unsupported", None if unsupported is None else np.asarray(unsupported, bool))
        put(self, "copies", float(copies))
        put(self, "columns", {name: np.asarray(column, np.float64) for name, column in columns.items()})

    def dense(self, n: int, p: int, where: str) -> CostTable:
        """Every column as ``(n, p)``, zeros where unsupported. Raises `PluginError` for bad shapes or values."""
        unsupported = _spread(self.unsupported, n, p, bool, f"{where}.unsupported")
        out: dict[str, Any] = {}
        for name in ("time", "overhead", "energy", "refetched", "kept", *self.columns):
            raw = self.columns[name] if name in self.columns else getattr(self, name)
            if raw is None and name in ("energy", "refetched", "kept"):
                continue
            column = np.where(unsupported, 0.0, _spread(raw, n, p, np.float64, f"{where}.{name}"))
            if not (np.isfinite(column).all() and (column >= 0).all()):
                raise PluginError(
                    "a cost column is finite and not negative",
                    where=f"{where}.{name}",
                    remedy="Mark pairs that cannot run in 'unsupported'.",
                )
            out[name] = column
        return CostTable(out.pop("time"), unsupported=unsupported, copies=self.copies, **out)


@dataclass(frozen=True)
class Run:
    """What executing operators once costs a part of a composite device; every column is (n, P).

    Args:
        work: s, the longer of arithmetic and memory traffic, alone.
        overhead: s before it.
        energy: J above idle.
        moved: B between memory and the part.
        unsupported: bool.
    """

    work: Floats
    overhead: Floats
    energy: Floats
    moved: Floats
    unsupported: Bools

    @property
    def time(self) -> Floats:
        return self.work + self.overhead


@dataclass(frozen=True, eq=False)
class Part:
    """A device that a composite device is made of.

    Args:
        device: it.
        handoff: s until another device of its memory may read what it wrote.
        run: prices operators on it, whole ones or what the composite's model cuts off them.
    """

    device: Device
    handoff: float
    run: Callable[[Operators], Run]


class DeviceModel(Protocol):
    """How fast a kind of chip runs operators. Registered by the hook ``tradespace_device_models``.

    Called once per (workload, device) with the *distinct* operators, so `table` may be a plain loop. It must be pure.

    Attributes:
        constants: constant -> SI unit; " or zero" and " by precision" or " by point" may follow (in that order).
            Read from the YAML.
        runs: operator kinds it can execute.
        defaults: optional, constant -> SI value.
        columns: optional, name of a further column -> `Column`.
        parts: optional, how many other devices a device of this model is made of (`of: [gpu, npu]` in the file). Then
            `table` takes them as a fourth argument, a tuple of `Part`; its time includes their memory traffic.
        check: optional static method, raises `InputError` for a device whose numbers do not fit together.
    """

    constants: Mapping[str, str]
    runs: tuple[str, ...]

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable: ...


def _spread(column: Any, n: int, p: int, dtype: Any, where: str) -> NDArray[Any]:
    array = np.asarray(0 if column is None else column, dtype)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim > 2 or (array.ndim == 2 and (array.shape[0] != n or array.shape[1] not in (1, p))):
        raise PluginError(f"a cost column has shape ({n},) or ({n}, {p})", value=array.shape, where=where)
    return np.array(np.broadcast_to(array, (n, p)))
