"""The kinds of result files: one package for each, which exports its `KIND`."""
