"""A pattern and a selector for Espalier, from outside of it: columns of groups of outputs, and magnitude with noise."""

from espalier_columns.pattern import ColumnLists, Columns, parse
from espalier_columns.selector import NoisyMagnitude

__all__ = ["ColumnLists", "Columns", "NoisyMagnitude", "parse"]
