"""Sending timed requests: the only place with concurrency."""
