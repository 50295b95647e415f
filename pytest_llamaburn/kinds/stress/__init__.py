"""Stress runs: a load at several levels, and the points where the server degrades and fails."""
