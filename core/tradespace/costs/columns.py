"""Columns of the dense tables, shared by the code that fills them and the compiled code that reads them."""

from __future__ import annotations

TIME, ENERGY, USEFUL, MOVED, RESIDENT, LOSS, MEMORY_ENERGY, BROKEN = 0, 1, 2, 3, 4, 5, 6, 7
COLUMNS = 8
"""Last axis of `EntryTables.costs`: s, J of the device, s of arithmetic, B, B, 1, J of the memory, 0 or 1."""

AMBIENT, RESISTANCE, LIMIT, LEAK0, SCALE, CRITICAL, LEAK_TA = 0, 1, 2, 3, 4, 5, 6
IDLE, CAPACITY = 7, 8
DEVICE_COLUMNS = 9
"""Constants of one device: K, K/W, K, W, K, W (runaway), W (leakage at ambient), W, B."""

THERMAL_COLUMNS = 7
"""The first of them are those of `thermal`."""
