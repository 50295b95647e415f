"""Rates by depth."""
