"""Right or wrong without a judge: one module a scorer, named as in eval sets; each has `score`."""
