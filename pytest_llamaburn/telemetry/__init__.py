"""Sensors: one module per provider, each of which reads one source."""
