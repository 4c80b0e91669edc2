"""Pruning and quantising jointly: patterns, ratios and widths of each layer, searched and trained within a budget."""
