"""What device models say of numbers that do not fit together, when a target file is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tradespace.errors import InputError

if TYPE_CHECKING:
    from tradespace.targets.model import Device


def check_whole(device: Device, names: Sequence[str], high: int) -> None:
    """Raises `InputError` unless every named constant is a whole number from 1 to ``high``."""
    for name in names:
        value = device.numbers[name]
        if value != int(value) or not 1 <= value <= high:
            raise InputError(f"'{name}' is a whole number from 1 to {high} (no unit)", value=f"{value:g}")


def check_share(device: Device, names: Sequence[str]) -> None:
    """Raises `InputError` unless every named constant is a share: above 0, at most 1."""
    for name in names:
        if not 0 < device.numbers[name] <= 1:
            raise InputError(f"'{name}' is a share, above 0 and at most 1 (no unit)", value=f"{device.numbers[name]:g}")
