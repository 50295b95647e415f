"""What sensors say: one module a provider, each reading one source and nothing else."""
