"""How to choose what goes: the space of masks, a file for each selector, their evaluation, and the removal of maps."""

from accel.progress import Progress
from accel.prune.evaluate import Evaluator
from accel.prune.genome import Genome, magnitudes
from accel.prune.group_order import order_for_groups
from accel.prune.lasso_groups import lasso_groups
from accel.prune.layer_adaptive import layer_ratios
from accel.prune.locus import Locus
from accel.prune.remove_maps import map_groups, remove_maps
from accel.prune.rounds import Retrain, Sparsify, prune_in_rounds, reached
from accel.prune.selectors.activation_sum import ActivationSum
from accel.prune.selectors.best_of_n import BestOfN
from accel.prune.selectors.magnitude import Magnitude, select_by_magnitude
from accel.prune.selectors.particle_filter import ParticleFilter
from accel.prune.selectors.random_masks import Random
from accel.prune.selectors.registry import SEARCHES, SELECTORS, Choose, chooser, selector, selector_names
from accel.prune.space import Ratio, Space, default_spare
from accel.prune.trial import DEFAULT_BUDGET, ErrorRate, MaskSearch, Selector, Trial

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
    "MaskSearch",
    "ParticleFilter",
    "Progress",
    "Random",
    "Ratio",
    "Retrain",
    "Selector",
    "Space",
    "Sparsify",
    "Trial",
    "chooser",
    "default_spare",
    "lasso_groups",
    "layer_ratios",
    "magnitudes",
    "map_groups",
    "order_for_groups",
    "prune_in_rounds",
    "reached",
    "remove_maps",
    "select_by_magnitude",
    "selector",
    "selector_names",
]
