"""Kinds of result files: one module each, with FOLDER, the model File and how one is built."""
