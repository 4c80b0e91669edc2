"""From a dense network to a pruned one: which stages a pattern's label asks for, in which order."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.zoo import DENSE
from accel.network import Network
from accel.prune import (
    Choose,
    Ratio,
    Retrain,
    Space,
    Sparsify,
    layer_ratios,
    order_for_groups,
    prune_in_rounds,
    reached,
    select_by_magnitude,
)
from accel.pruned import PrunedNetwork
from accel.sparsity import FeatureMap, Masks, NOfM, parse_pattern

FEATURE_MAP = str(FeatureMap())
ALL = "all"  # of a ratio: the share of all weights of the network, whichever layers they go from
Followed = tuple[PrunedNetwork, Callable[[Network, float], Masks]]
DEFAULT_RATIO = 0.7  # of each layer's weights, where nobody says otherwise
DEFAULT_MAP_RATIO = 0.5  # of the feature maps, which take the kernels on both sides along


def stages(label: str) -> list[str]:
    """Return the patterns to apply, in order: feature maps go first, because they leave for good.

    A label is ``dense``, a pattern, ``feature-map+PATTERN``, or two of these as ``CONV/FC``, for the convolutions and
    for the fully connected layers.

    >>> stages("feature-map+kernel"), stages("kernel+ikss"), stages("dense")
    (['feature-map', 'kernel'], ['kernel+ikss'], [])
    >>> stages("feature-map+kernel/block-4")
    ['feature-map/dense', 'kernel/block-4']

    Raises
    ------
    EspalierError
        A part of the label names no pattern, or both kinds of layers are to stay dense.
    """
    if label == DENSE:
        return []
    conv, slash, fully_connected = label.partition("/")
    if not slash:
        return [part for part in _maps_and_rest(label) if part != DENSE]
    found = []
    for left, right in zip(_maps_and_rest(conv), _maps_and_rest(fully_connected), strict=True):
        if (left, right) != (DENSE, DENSE):
            found.append(left if left == right else f"{left}/{right}")
    if not found:
        raise EspalierError(f"the pattern {label} prunes nothing; say {DENSE}")
    return found


def prune(
    dense: PrunedNetwork,
    label: str,
    ratios: Mapping[str, Ratio] | None = None,
    retrain: Retrain | None = None,
    *,
    choose: Choose = select_by_magnitude,
    rounds: int = 1,
    steps: str = "geometric",
    spare: Collection[str] | None = None,
    sparsify: Sparsify | None = None,
) -> PrunedNetwork:
    """Return `dense` pruned as `label` says, and retrained after each stage if a way is given.

    Where the label prunes nothing, it is retrained alone, once a round.

    Parameters
    ----------
    dense : PrunedNetwork
    label : str
        As `stages` takes it.
    ratios : mapping of pattern to ratio, optional
        Share to prune of each layer that a stage gives the pattern: one, or one for each layer by name. Or ``all``: of
        all weights of the network, as `accel.prune.layer_ratios` spreads it.
    retrain : function, optional
        From a pruned network to the same with better weights.
    choose : function
        From a space and a ratio to masks: magnitude, or what `accel.prune.chooser` makes of another selector.
    rounds : int
        In how many rounds each stage reaches its ratio; with retraining after each.
    steps : {"geometric", "linear", "cubic"}
        From a round's ratio to the next one's.
    spare : collection of str, optional
        Layers to leave dense; `accel.prune.default_spare` by default.
    sparsify : function, optional
        From a pruned network and groups of its weights to the same with whole groups weaker, before each choice.

    Raises
    ------
    EspalierError
        The label is wrong, a ratio is for a pattern that it does not have, `dense` is pruned already, or no layer can
        have a pattern, or would have anything left.
    """
    if dense.masks or dense.pattern != DENSE:
        raise EspalierError(f"{dense.network.name}: is pruned already ({dense.pattern}); start from a dense network")
    parts = stages(label)
    given = dict(ratios or {})
    patterns = {pattern for part in parts for pattern in part.split("/")}
    for pattern in given:
        if pattern not in patterns and (pattern != ALL or len(parts) != 1):
            raise EspalierError(f"a ratio is given for {pattern}, which is no part of {label}")
    pruned = dense
    if retrain is not None and not parts:
        for _ in range(rounds):
            pruned = retrain(pruned)
    for part in parts:
        pruned = prune_in_rounds(
            pruned,
            part,
            lambda space: _ratios(space, given),
            choose,
            retrain,
            rounds=rounds,
            steps=steps,
            spare=spare,
            sparsify=sparsify,
        )
    return replace(pruned, pattern=label)


def following(
    dense: PrunedNetwork, label: str, ratios: Mapping[str, Ratio] | None = None, spare: Collection[str] | None = None
) -> Followed:
    """Return `dense` with its maps in the order that groups of kernels want, and which of its masks follow its weights.

    Those come from a network of these layers and how far the pruning is, 0..1: ratios grow along a cubic curve to what
    is given, and the weakest units are gone. `accel.train.Gradual` takes the function.

    Parameters
    ----------
    dense, label, ratios, spare
        As for `prune`.

    Raises
    ------
    EspalierError
        As `prune` raises it; or feature maps are to go, which leave for good, or the label has more stages than one.
    """
    parts, given = stages(label), dict(ratios or {})
    if len(parts) != 1 or FEATURE_MAP in parts[0].split("/"):
        raise EspalierError(f"masks of {label} cannot follow the weights: only those of one stage without feature maps")
    return _following(
        dense,
        lambda network: Space.of(network, parts[0], spare),
        lambda space, done: _ratios(space, given, done),
    )


def following_layers(dense: PrunedNetwork, patterns: Mapping[str, str], ratios: Mapping[str, float]) -> Followed:
    """Return what `following` does where each layer that is pruned has a pattern and a ratio of its own, by its name.

    Raises
    ------
    EspalierError
        A pattern is none, or its layer cannot have it.
    """
    parsed = {name: parse_pattern(pattern) for name, pattern in patterns.items()}
    return _following(
        dense,
        lambda network: Space(network, parsed),
        lambda space, done: {name: reached(ratio, done) for name, ratio in ratios.items()},
    )


def _following(
    dense: PrunedNetwork, space_of: Callable[[Network], Space], ratios_of: Callable[[Space, float], dict[str, float]]
) -> Followed:
    def masks(network: Network, done: float) -> Masks:
        space = space_of(network)
        return select_by_magnitude(space, ratios_of(space, done))

    space = space_of(dense.network)
    return order_for_groups(dense, space, space.ratios(ratios_of(space, 1.0))), masks


def _maps_and_rest(label: str) -> tuple[str, str]:
    """Return what a label without ``/`` does to feature maps and what it does then; ``dense`` if nothing."""
    head, plus, rest = label.partition("+")
    parts = (head, rest) if head == FEATURE_MAP and plus else (label, DENSE) if label == FEATURE_MAP else (DENSE, label)
    for part in parts:
        _ = parse_pattern(part)
    return parts


def _ratios(space: Space, given: Mapping[str, Ratio], done: float = 1.0) -> dict[str, float]:
    """Return the ratio of each layer of a stage when `done` of the way to what is given, or usual, is behind."""
    if ALL in given:
        share = given[ALL]
        assert not isinstance(share, Mapping)
        return layer_ratios(space, reached(share, done))
    found = {}
    for name, pattern in space.patterns.items():
        usual = DEFAULT_MAP_RATIO if str(pattern) == FEATURE_MAP else DEFAULT_RATIO
        ratio = given.get(str(pattern), usual)
        if isinstance(ratio, Mapping):
            if name not in ratio:
                raise EspalierError(f"{name}: has no ratio; those of {pattern} are for {', '.join(ratio)}")
            ratio = ratio[name]
        found[name] = reached(ratio, done)
    return found


def parse_ratios(text: str | None, label: str) -> dict[str, Ratio]:
    """Return the ratio of each pattern of `label`, as `reports.workflow.prune.prune` takes them.

    Parameters
    ----------
    text : str or None
        One number; ``all=NUMBER``, of all weights; or a list of NAME=NUMBER, where a name is a layer, a part of the
        label, or ``PART:LAYER``.
    label : str

    Raises
    ------
    EspalierError
        The text is written in another way, a number is outside 0..1, or a ratio is for a pattern that has its own.

    Examples
    --------
    >>> parse_ratios("0.7", "kernel"), parse_ratios("conv2=0.5,conv3=0.8", "kernel")
    ({'kernel': 0.7}, {'kernel': {'conv2': 0.5, 'conv3': 0.8}})
    >>> parse_ratios("feature-map=0.5,kernel:conv2=0.6", "feature-map+kernel")
    {'feature-map': 0.5, 'kernel': {'conv2': 0.6}}
    """
    parts = [part for stage in stages(label) for part in stage.split("/") if part != zoo.DENSE]
    free = [part for part in dict.fromkeys(parts) if not isinstance(parse_pattern(part), NOfM)]
    if text is None:
        return {}
    if not free:
        raise EspalierError(f"--ratio {text}: {label} says itself how much goes; leave --ratio out")
    if "=" not in text:
        return dict.fromkeys(free, _share(text, text))
    if text.startswith(f"{ALL}="):
        if len(stages(label)) > 1 or FEATURE_MAP in free:
            raise EspalierError(f"--ratio {text}: is for one stage without feature maps, which {label} is not")
        return {ALL: _share(text.removeprefix(f"{ALL}="), text)}
    found: dict[str, Ratio] = {}
    layers: dict[str, dict[str, float]] = {}
    for item in text.split(","):
        name, _, number = item.strip().partition("=")
        share = _share(number, text)
        part, _, layer = name.rpartition(":")
        if name in free:
            found[name] = share
        else:
            for known in [part] if part else free:
                layers.setdefault(known, {})[layer] = share
    mixed = found.keys() & layers.keys()
    if mixed:
        raise EspalierError(f"--ratio {text}: {mixed.pop()} has one ratio for all layers, and others for some")
    return {**found, **layers}


def _share(number: str, text: str) -> float:
    if not re.fullmatch(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?", number.strip()):
        raise EspalierError(f"--ratio {text}: expected a number, such as 0.7, or LAYER=NUMBER,LAYER=NUMBER")
    if not 0 <= float(number) < 1:
        raise EspalierError(f"--ratio {text}: a ratio must be at least 0 and less than 1, got {number.strip()}")
    return float(number)
