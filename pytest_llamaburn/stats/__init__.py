"""Statistics of samples: distributions and intervals, agreement, drift, comparison of runs."""
