"""The stress modes, one module each.

`plan` is a generator: it yields the steps of a load, and receives the requests of each step.
`steps` returns the possible steps before the run.
"""
