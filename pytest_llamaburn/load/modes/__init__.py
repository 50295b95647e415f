"""Stress modes: one module each, with `plan`, which asks for loads and is told what they did."""
