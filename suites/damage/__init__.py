"""Damage of quantizations."""
