"""How to choose what goes: the space of masks, one file for each selector, their evaluation, and narrowing."""

from accel.progress import Progress
from accel.prune.cluster import cluster
from accel.prune.evaluate import Evaluator
from accel.prune.genome import Genome
from accel.prune.groups import groups_of
from accel.prune.magnitude import select as select_by_magnitude
from accel.prune.narrow import map_groups, narrow
from accel.prune.particle_filter import Options
from accel.prune.schedule import Retrain, Sparsify, prune_in_rounds
from accel.prune.search import DEFAULT_BUDGET, ErrorRate
from accel.prune.selectors import SEARCHES, SELECTORS, Choose, chooser, selector
from accel.prune.space import Ratio, Space, default_spare

__all__ = [
    "DEFAULT_BUDGET",
    "SEARCHES",
    "SELECTORS",
    "Choose",
    "ErrorRate",
    "Evaluator",
    "Genome",
    "Options",
    "Progress",
    "Ratio",
    "Retrain",
    "Space",
    "Sparsify",
    "chooser",
    "cluster",
    "default_spare",
    "groups_of",
    "map_groups",
    "narrow",
    "prune_in_rounds",
    "select_by_magnitude",
    "selector",
]
