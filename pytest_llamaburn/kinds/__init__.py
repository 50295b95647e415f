"""Kinds of result files, a package each with `KIND`; `_kind.py` says what a kind is."""
