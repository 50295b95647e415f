"""Where results are kept: journals, result files, finishing and resuming a run."""
