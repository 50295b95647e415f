"""Stress modes, one module each.

`plan` yields the steps of a load and is sent the requests of each; `steps` says before the run
which steps these may be.
"""
