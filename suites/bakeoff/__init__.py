"""Bake-offs."""
