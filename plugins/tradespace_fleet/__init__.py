"""Fleets: task graphs and data streams on many machines."""
