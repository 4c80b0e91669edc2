"""How to choose what goes: the space of masks, one file for each selector, their evaluation, and narrowing."""

from accel.progress import Progress
from accel.prune.cluster import cluster
from accel.prune.evaluate import Evaluator
from accel.prune.genome import Genome, magnitudes
from accel.prune.lasso_groups import groups_of
from accel.prune.locus import Locus
from accel.prune.remove_maps import map_groups, narrow
from accel.prune.rounds import Retrain, Sparsify, prune_in_rounds
from accel.prune.selectors.activation_sum import ActivationSum
from accel.prune.selectors.best_of_n import BestOfN
from accel.prune.selectors.magnitude import Magnitude, select_by_magnitude
from accel.prune.selectors.particle_filter import ParticleFilter
from accel.prune.selectors.random_masks import Random
from accel.prune.selectors.registry import SEARCHES, SELECTORS, Choose, chooser, selector, selector_names
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
