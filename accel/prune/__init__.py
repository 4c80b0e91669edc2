"""How to choose what goes: the space of masks, one file for each selector, and narrowing."""

from accel.prune.cluster import cluster
from accel.prune.magnitude import select as select_by_magnitude
from accel.prune.narrow import map_groups, narrow
from accel.prune.space import Space

__all__ = ["Space", "cluster", "map_groups", "narrow", "select_by_magnitude"]
