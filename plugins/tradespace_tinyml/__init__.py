"""Microcontrollers and small networks."""
