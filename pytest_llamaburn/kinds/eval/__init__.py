"""Evals: a model answers the questions of a set, scorers and judges score the answers."""
