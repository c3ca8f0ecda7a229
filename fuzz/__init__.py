"""Mutated files for every reader: `python -m fuzz [--count N] [--seed S] [reader ...]`.

Each file must become a workload or a `TradespaceError` within 5 s of processor time and 1 GB of memory. Anything else
is kept in `fuzz/regressions/<reader>/`, which a test replays.
"""
