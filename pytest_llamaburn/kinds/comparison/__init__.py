"""Comparisons of benchmarks, and the engine that all comparisons share."""
