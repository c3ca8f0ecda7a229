"""Columns of the dense tables, shared by the code that fills them and the compiled code that reads them."""

from __future__ import annotations

TIME, ENERGY, RESIDENT, MOVED = 0, 1, 2, 3
"""Columns of `EntryTables.costs` that are added up per device: s, J spent by the device, B, B."""

USEFUL, LOSS, MEMORY_ENERGY, BROKEN = 4, 5, 6, 7
"""Columns that are added up over all devices: s of arithmetic at peak, 1, J spent by the memory, 0 or 1."""

PER_DEVICE, COLUMNS = 4, 8

AMBIENT, RESISTANCE, LIMIT, LEAK0, SCALE, CRITICAL, LEAK_TA = 0, 1, 2, 3, 4, 5, 6
IDLE, CAPACITY = 7, 8
DEVICE_COLUMNS = 9
"""Constants of one device: K, K/W, K, W, K, W (runaway), W (leakage at ambient), W, B."""

THERMAL_COLUMNS = 7
"""The first of them are those of `thermal`."""
