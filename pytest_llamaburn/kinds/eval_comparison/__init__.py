"""Comparisons of evals, paired by question."""
