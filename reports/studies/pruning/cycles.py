"""What the settings of a study take on an array: computed from the settings again, without any training.

A setting whose units magnitude chose in the dense network keeps the same weights whichever the seed. Where a group
lasso came first, seeds keep different ones: the masks of one seed are in the results, where no feature maps went, and
stand for the others. Of anything else nothing is said.
"""

from dataclasses import replace

from accel.cost import cost_of, total_cycles
from accel.demand import array_for
from accel.errors import EspalierError
from accel.layers import Conv2d
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower, ordered_for
from accel.sparsity import LayerMask
from reports.studies.pruning.definition import MAGNITUDE
from reports.studies.pruning.results import DENSE, Group, OnArray, Results, unpacked
from reports.workflow.prune import FEATURE_MAP, prune, stages
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
    costs = {DENSE: cost_on(dense, lanes)}
    for group in results.retrained:
        pruned = _version(results, group, dense)
        if pruned is not None:
            costs[group.setting] = cost_on(pruned, lanes)
    return replace(results, array="x".join(map(str, lanes)), costs=costs)


def _version(results: Results, group: Group, dense: PrunedNetwork) -> PrunedNetwork | None:
    """Return `dense` without what a setting prunes, if that is known."""
    task = group.task
    if task.selector == MAGNITUDE and not task.sparsify:
        pruned = prune(dense, task.granularity, task.ratios, spare=task.spare)
    elif results.pictured.get(task.granularity) == group.points[0] and FEATURE_MAP not in stages(task.granularity)[0]:
        pruned = _masked(results, task.granularity, dense)
    else:
        return None
    kept = {name: list(pair) for name, pair in kept_weights(pruned).items()}
    if group.points[0].layers != kept:
        raise EspalierError(f"{group.setting}: keeps other weights than those that were measured: measure it again")
    return pruned


def _masked(results: Results, granularity: str, dense: PrunedNetwork) -> PrunedNetwork:
    """Return `dense` under the masks that results have of a granularity of one stage, which leaves all maps there."""
    patterns, masks = granularity.split("/"), {}
    for name, record in results.pictures[granularity].items():
        kept = unpacked(record)
        if not kept.all():
            masks[name] = LayerMask(patterns[0 if isinstance(dense.network[name], Conv2d) else -1], kept)
    return replace(dense, masks=masks, pattern=granularity)


def cost_on(pruned: PrunedNetwork, lanes: tuple[int, int]) -> OnArray:
    """Return what one image takes on an array of so many output lanes and pixel lanes."""
    program = lower(pruned, WIDTHS, random_images(pruned.network.input_shape, 1))
    ordered = ordered_for(program, lanes[0], split=lanes[1] > 1)
    return OnArray(cost_of(ordered).total.macs, total_cycles(ordered, array_for(ordered, *lanes)))
