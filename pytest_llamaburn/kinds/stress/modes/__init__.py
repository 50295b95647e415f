"""Stress modes: one module each.

`plan` asks for loads and is told what they did; `steps` says before the run which those may be.
"""
