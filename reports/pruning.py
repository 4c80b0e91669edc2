"""From a dense network to a pruned one: which stages a pattern's label asks for, in which order."""

from collections.abc import Callable
from dataclasses import replace

from accel.errors import EspalierError
from accel.interchange.zoo import DENSE
from accel.prune import Space, narrow, select_by_magnitude
from accel.pruned import PrunedNetwork
from accel.sparsity import FeatureMap, parse_pattern

FEATURE_MAP = str(FeatureMap())
DEFAULT_RATIO = 0.7  # of each layer's weights, where nobody says otherwise
DEFAULT_MAP_RATIO = 0.5  # of the feature maps, which take the kernels on both sides along

Retrain = Callable[[PrunedNetwork], PrunedNetwork]


def stages(label: str) -> list[str]:
    """Return the patterns to apply, in order: feature maps go first, because they leave for good.

    >>> stages("feature-map+kernel"), stages("kernel+ikss"), stages("dense")
    (['feature-map', 'kernel'], ['kernel+ikss'], [])
    """
    if label == DENSE:
        return []
    head, plus, rest = label.partition("+")
    parts = [head, rest] if head == FEATURE_MAP and plus else [label]
    for part in parts:
        _ = parse_pattern(part)
    return parts


def prune(
    dense: PrunedNetwork, label: str, ratios: dict[str, float] | None = None, retrain: Retrain | None = None
) -> PrunedNetwork:
    """Return `dense` pruned by magnitude as `label` says, and retrained after each stage if a way is given.

    Parameters
    ----------
    dense : PrunedNetwork
    label : str
        A pattern, or ``feature-map+PATTERN``.
    ratios : dict of pattern to float, optional
        Share of each layer's weights to prune at each stage.
    retrain : function, optional
        From a pruned network to the same with better weights.
    """
    if dense.masks or dense.pattern != DENSE:
        raise EspalierError(f"{dense.network.name}: is pruned already ({dense.pattern}); start from a dense network")
    pruned = dense
    for part in stages(label):
        ratio = (ratios or {}).get(part, DEFAULT_MAP_RATIO if part == FEATURE_MAP else DEFAULT_RATIO)
        masks = select_by_magnitude(Space.of(pruned.network, part), ratio)
        pruned = narrow(pruned, masks) if part == FEATURE_MAP else replace(pruned, masks=masks)
        pruned = retrain(pruned) if retrain else pruned
    return replace(pruned, pattern=label)
