"""Evaluators that several tests and benchmarks share."""
