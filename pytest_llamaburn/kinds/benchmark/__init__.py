"""Benchmarks: timed requests, one after another."""
