"""What a load's requests say about a server: points, queue, recovery. Pure functions, no I/O."""
