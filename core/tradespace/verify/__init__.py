"""Prove a plan on this machine: run its operators with the native kernels and set measured times beside predicted."""
