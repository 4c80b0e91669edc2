"""How to choose what goes: the space of masks, one file for each selector, their evaluation, and narrowing."""

from accel.progress import Progress
from accel.prune.activation_sum import ActivationSum
from accel.prune.best_of_n import BestOfN
from accel.prune.cluster import cluster
from accel.prune.evaluate import Evaluator
from accel.prune.genome import Genome, magnitudes
from accel.prune.groups import groups_of
from accel.prune.locus import Locus
from accel.prune.magnitude import Magnitude, select_by_magnitude
from accel.prune.narrow import map_groups, narrow
from accel.prune.particle_filter import ParticleFilter
from accel.prune.random_masks import Random
from accel.prune.schedule import Retrain, Sparsify, prune_in_rounds
from accel.prune.selectors import SEARCHES, SELECTORS, Choose, chooser, selector, selector_names
from accel.prune.space import Ratio, Space, default_spare
from accel.prune.trial import DEFAULT_BUDGET, ErrorRate, Search, Selector, Trial

__all__ = [
    "DEFAULT_BUDGET",
    "SEARCHES",
    "SELECTORS",
    "ActivationSum",
    "BestOfN",
    "Choose",
    "ErrorRate",
    "Evaluator",
    "Genome",
    "Locus",
    "Magnitude",
    "ParticleFilter",
    "Progress",
    "Random",
    "Ratio",
    "Retrain",
    "Search",
    "Selector",
    "Space",
    "Sparsify",
    "Trial",
    "chooser",
    "cluster",
    "default_spare",
    "groups_of",
    "magnitudes",
    "map_groups",
    "narrow",
    "prune_in_rounds",
    "select_by_magnitude",
    "selector",
    "selector_names",
]
