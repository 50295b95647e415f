"""Comparisons of stress runs, level by level."""
