"""What the settings of a study take on an array: computed from the settings again, without any training.

A setting whose units magnitude chose in the dense network keeps the same weights whichever the seed; where a group
lasso came first, or a search drew, only the training itself would tell, and nothing is said.
"""

from dataclasses import replace

from accel.cost import cost_of, total_cycles
from accel.demand import array_for
from accel.errors import EspalierError
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower, ordered_for
from reports.studies.pruning.definition import MAGNITUDE
from reports.studies.pruning.results import DENSE, Group, OnArray, Results
from reports.workflow.prune import prune
from reports.workflow.selection import kept_weights
from reports.workflow.sources import random_images

WIDTHS = Widths(8, 8)  # cycles depend on none


def on_array(results: Results, dense: PrunedNetwork, lanes: tuple[int, int]) -> Results:
    """Return results with what one image takes on an array, output lanes x pixel lanes, in every retrained setting.

    Raises
    ------
    EspalierError
        A setting keeps other weights of `dense` than those that were measured, or an array cannot have these lanes.
    """
    costs = {DENSE: _cost(dense, lanes)}
    for group in results.retrained:
        if group.task.selector == MAGNITUDE and not group.task.sparsify:
            pruned = prune(dense, group.task.granularity, group.task.ratios, spare=group.task.spare)
            _check(group, pruned)
            costs[group.setting] = _cost(pruned, lanes)
    return replace(results, array="x".join(map(str, lanes)), costs=costs)


def _check(group: Group, pruned: PrunedNetwork) -> None:
    kept = {name: list(pair) for name, pair in kept_weights(pruned).items()}
    if any(point.layers != kept for point in group.points):
        raise EspalierError(f"{group.setting}: keeps other weights than those that were measured: measure it again")


def _cost(pruned: PrunedNetwork, lanes: tuple[int, int]) -> OnArray:
    program = lower(pruned, WIDTHS, random_images(pruned.network.input_shape, 1))
    ordered = ordered_for(program, lanes[0], split=lanes[1] > 1)
    return OnArray(cost_of(ordered).total.macs, total_cycles(ordered, array_for(ordered, *lanes)))
