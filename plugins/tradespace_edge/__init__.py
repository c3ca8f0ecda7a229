"""Edge systems."""
