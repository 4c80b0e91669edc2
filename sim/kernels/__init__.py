"""Loops over arrays and integers, compiled by numba: no validation, no objects."""
