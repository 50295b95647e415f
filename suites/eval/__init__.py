"""The eval."""
