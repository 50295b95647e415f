"""Where evidence for questions is searched for: one public module a backend.

Each has `RANK` (a lower one is tried first), `available(options, environ)` (None, or why it cannot
be used) and `make(options, environ)`.
"""
