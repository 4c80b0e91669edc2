"""Eyeriss v2's PE, which skips zeros, in Sparseloop's artifact: its cycles beside our effective MACs."""
