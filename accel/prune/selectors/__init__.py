"""Selectors: how the masks of a space are chosen, a file for each, and all of them by name."""
