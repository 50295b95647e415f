"""Web and document search for questions: one public module per search.

Each has `RANK` (the lowest is tried first), `available(options, environ)` (None, or why it cannot
be used) and `make(options, environ)`.
"""
