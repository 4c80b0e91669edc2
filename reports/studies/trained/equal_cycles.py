"""Pruning until an image takes so many cycles: at equal cycles patterns are compared, not at equal sparsity."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping

from accel.cost import total_cycles
from accel.demand import array_for
from accel.errors import EspalierError
from accel.program import Program
from accel.prune import Ratio
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower, ordered_for
from reports.workflow.prune import prune
from reports.workflow.sources import random_images

LANES = (8, 8)  # output lanes x pixel lanes
STEPS = 80  # the highest ratio of a version is a multiple of one part of so many


def cycles_of(program: Program) -> int:
    """Return the cycles of one image on the array of the study, output maps in the order in which lanes agree most."""
    ordered = ordered_for(program, LANES[0], split=True)
    return total_cycles(ordered, array_for(ordered, *LANES))


def of_floats(pruned: PrunedNetwork) -> Program:
    """Return a Program with the masks of `pruned` in 8 bits, for what follows of masks and widths alone."""
    return lower(pruned, Widths(8, 8), random_images(pruned.network.input_shape, 1))


def ratios_within(dense: PrunedNetwork, pattern: str, usual: Mapping[str, Ratio], share: float) -> Mapping[str, Ratio]:
    """Return ratios at which an image takes at most a share of the dense network's cycles, when it is pruned by size.

    Parameters
    ----------
    dense : PrunedNetwork
    pattern : str
        As `reports.workflow.prune.prune` takes it.
    usual : mapping of pattern to ratio
        One ratio or one for each layer. All are scaled alike, by the least factor that suffices.
    share : float
        0..1.

    Raises
    ------
    EspalierError
        No factor suffices that leaves something of every layer.
    """
    most, highest = share * cycles_of(of_floats(dense)), max(_numbers(usual))

    def scaled(step: int) -> dict[str, Ratio]:
        factor = step / STEPS / highest
        return {
            name: {layer: x * factor for layer, x in ratio.items()} if isinstance(ratio, Mapping) else ratio * factor
            for name, ratio in usual.items()
        }

    def suffices(step: int) -> bool:
        return cycles_of(of_floats(prune(dense, pattern, scaled(step)))) <= most

    steps = range(1, STEPS)
    found = bisect_left(steps, True, key=suffices)
    if found == len(steps):
        raise EspalierError(f"{dense.network.name}: {pattern} cannot take {1 - share:.0%} of the cycles away")
    return scaled(steps[found])


def _numbers(ratios: Mapping[str, Ratio]) -> Iterable[float]:
    for ratio in ratios.values():
        yield from ratio.values() if isinstance(ratio, Mapping) else (ratio,)
