"""What may be pruned: a pattern for each layer of a network that can have it, except the layers to spare."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from accel.errors import EspalierError
from accel.kernel_patterns import Kernel
from accel.layers import Conv2d, Linear, Weighted
from accel.network import Network
from accel.pattern import Pattern
from accel.prune.remove_maps import map_groups
from accel.sparsity import Dense, FeatureMap, LayerMask, parse_pattern

Ratio = float | Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Space:
    """The layers that a selector may prune.

    Parameters
    ----------
    network : Network
    patterns : mapping of layer name to Pattern
        Layers that are not named stay dense.
    within : mapping of layer name to LayerMask, optional
        What earlier rounds left: a selector keeps nothing that these masks do not keep. Layers that are not named are
        whole. Feature maps are no matter of `within`: they leave the network (`accel.prune.remove_maps`).

    Raises
    ------
    EspalierError
        A layer cannot have its pattern, or a mask of `within` does not fit its layer.
    """

    network: Network
    patterns: Mapping[str, Pattern]
    within: Mapping[str, LayerMask] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, pattern in self.patterns.items():
            layer = self.network[name]
            if not isinstance(layer, Weighted) or not can_have(self.network, layer, pattern):
                raise EspalierError(f"{name}: cannot have the pattern {pattern}")
            if name in self.within and self.within[name].kept.shape != layer.lowered_shape:
                raise EspalierError(f"{name}: a mask of shape {self.within[name].kept.shape} does not fit this layer")

    @classmethod
    def of(
        cls,
        network: Network,
        pattern: str | Pattern,
        spare: Collection[str] | None = None,
        within: Mapping[str, LayerMask] | None = None,
    ) -> "Space":
        """Return the space in which every layer that can have `pattern` has it.

        Parameters
        ----------
        network : Network
        pattern : str or Pattern
            ``CONV/FC`` gives convolutions and fully connected layers patterns of their own, of which one may be
            ``dense``: ``kernel/block-4``.
        spare : collection of str, optional
            Layers to leave dense; `default_spare` by default.
        within : mapping of layer name to LayerMask, optional
            What earlier rounds left.

        Raises
        ------
        EspalierError
            A layer to spare does not exist, or no layer is left.
        """
        spared = set(default_spare(network) if spare is None else spare)
        for name in spared:
            _ = network[name]
        groups = map_groups(network)
        tied = spared.union(*(groups.get(name, ()) for name in spared))
        kinds = _kinds(pattern)
        patterns = {}
        for layer in network.weighted:
            kind = next((kinds[x] for x in kinds if isinstance(layer, x)), None)
            # a map that a residual addition ties to a spared one stays with it
            stays = tied if isinstance(kind, FeatureMap) else spared
            if kind is not None and layer.name not in stays and can_have(network, layer, kind):
                patterns[layer.name] = kind
        if not patterns:
            names = ", ".join(sorted(tied if FeatureMap() in kinds.values() else spared)) or "none"
            raise EspalierError(f"{network.name}: no layer can have the pattern {pattern}; spared: {names}")
        return cls(network, patterns, {name: mask for name, mask in (within or {}).items() if name in patterns})

    def ratios(self, ratio: Ratio) -> dict[str, float]:
        """Return the share to prune of each layer; `ratio` is one for all, or one for each layer.

        Raises
        ------
        EspalierError
            A ratio is missing, is not at least 0 and less than 1, or is for a layer that the space does not have; or
            layers whose feature maps are tied by an addition have different ones.
        """
        ratios = {name: ratio.get(name, math.nan) if isinstance(ratio, Mapping) else ratio for name in self.patterns}
        for name, share in ratios.items():
            if not 0 <= share < 1:
                raise EspalierError(f"{name}: ratio must be at least 0 and less than 1, got {share}")
        for name in ratio if isinstance(ratio, Mapping) else ():
            if name not in ratios:
                raise EspalierError(f"{name}: has a ratio but is not pruned; the layers are {', '.join(ratios)}")
        for name, group in self.groups.items():
            for member in group:
                if ratios[member] != ratios[name]:
                    shares = f"{ratios[name]} and {ratios[member]}"
                    raise EspalierError(
                        f"{name} and {member}: an addition ties their maps, but the ratios are {shares}"
                    )
        return ratios

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The layers that lose whole maps, with all layers of the space whose maps are tied to theirs, in order."""
        mapped = [name for name, pattern in self.patterns.items() if isinstance(pattern, FeatureMap)]
        groups = map_groups(self.network) if mapped else {}
        return {name: tuple(member for member in mapped if member in groups[name]) for name in mapped}


def default_spare(network: Network) -> tuple[str, ...]:
    """Return the layers that stay dense where nobody says otherwise: the first if it is a convolution, and the last.

    Both are small and their loss hurts most: CP does not prune the first convolution, and the classifier's outputs are
    the classes. A first layer that is fully connected holds most of the weights, and is pruned.
    """
    weighted = network.weighted
    first = [layer.name for layer in weighted[:1] if isinstance(layer, Conv2d)]
    return tuple(dict.fromkeys([*first, *(layer.name for layer in weighted[-1:])]))


def _kinds(pattern: str | Pattern) -> dict[type[Weighted], Pattern]:
    """Return the patterns that a label ``PATTERN`` or ``CONV/FC`` has for each kind of layer."""
    if isinstance(pattern, Pattern):
        return {Weighted: pattern}
    parts = [parse_pattern(part) for part in pattern.split("/", 1)]
    if len(parts) == 1:
        return {Weighted: parts[0]}
    kinds: dict[type[Weighted], Pattern] = {Conv2d: parts[0], Linear: parts[1]}
    return {kind: part for kind, part in kinds.items() if not isinstance(part, Dense)}


def can_have(network: Network, layer: Weighted, pattern: Pattern) -> bool:
    """Return whether a pattern says anything about a layer of a network.

    Where convolutions are separable, kernels are those that mix maps: the 1x1 convolution's, for the depthwise one
    before it has a single kernel for each map. Where there are no convolutions, the weights of matrices are kernels.
    """
    convolutions = [x for x in network.layers if isinstance(x, Conv2d)]
    if isinstance(pattern, Kernel) and not convolutions:
        return True
    if isinstance(pattern, Kernel) and isinstance(layer, Conv2d) and _separable(convolutions):
        return not layer.depthwise
    return pattern.suits(layer.lowered_shape)


def _separable(convolutions: list[Conv2d]) -> bool:
    """Return whether some are depthwise, and some mix what these make."""
    return any(x.depthwise for x in convolutions) and any(x.groups == x.window.taps == 1 for x in convolutions)
