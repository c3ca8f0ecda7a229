"""What each optimizer supports, as one table: ``python -m tradespace_optimizers.supports``.

Each declares it as a class attribute; the table in docs/optimizers.md and the declarations are held equal, and tried,
by tests.
"""

from __future__ import annotations

from tradespace.plugins import registry
from tradespace.search.abilities import KINDS, Supports, declared, row, table

__all__ = ["KINDS", "Supports", "declared", "row", "table"]

if __name__ == "__main__":
    print(table(registry()))
