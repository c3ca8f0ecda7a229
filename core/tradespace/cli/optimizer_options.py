"""Options of an optimizer that does not have them: which one does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tradespace.errors import TradespaceError, UnknownName, suggestion

if TYPE_CHECKING:
    from tradespace.plugins import Registry

_FEW = 4


def check_options(optimizer: str, options: Iterable[str], registry: Registry) -> None:
    """Refuse an option that ``optimizer`` lacks, and name the optimizers that have it.

    Raises:
        TradespaceError: `UnknownName` for such an option; an optimizer that is unknown or cannot be loaded.
    """
    known = _options(optimizer, registry)
    if known is None:
        return
    for key in options:
        if key not in known:
            raise UnknownName(
                f"option of {optimizer}",
                key,
                known,
                where="optimizer",
                remedy=_remedy(optimizer, key, known, registry),
            )


def _options(optimizer: str, registry: Registry) -> tuple[str, ...] | None:
    """Names of its options; None where the class does not say, which whoever builds it will refuse."""
    options = getattr(registry.load("optimizers", optimizer), "Options", None)
    return tuple(field.name for field in dataclasses.fields(options)) if dataclasses.is_dataclass(options) else None


def _remedy(optimizer: str, key: str, known: tuple[str, ...], registry: Registry) -> str:
    takers = []
    for name in registry.names("optimizers"):
        try:
            takers += [name] if key in (_options(name, registry) or ()) else []
        except TradespaceError:
            continue
    own = suggestion(key, known) if known else f"{optimizer} takes no options."
    if not takers:
        return own if known else f"{own} `tradespace show optimizer NAME` lists those of another."
    if len(takers) == 1:
        return f"{own} {takers[0]} has '{key}': optimizer={takers[0]} optimizer.{key}=..."
    return f"{own} Optimizers with '{key}': {', '.join(takers[:_FEW])}{', …' if len(takers) > _FEW else ''}."
