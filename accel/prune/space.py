"""What may be pruned: a pattern for each layer of a network that can have it, except the layers to spare."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from accel.errors import EspalierError
from accel.network import Conv2d, Network, Weighted
from accel.prune.narrow import map_groups
from accel.sparsity import FeatureMap, Kernel, KernelStrided, Pattern, Strided, parse_pattern


@dataclass(frozen=True, eq=False)
class Space:
    """The layers that a selector may prune.

    Parameters
    ----------
    network : Network
    patterns : mapping of layer name to Pattern
        Layers that are not named stay dense.
    """

    network: Network
    patterns: Mapping[str, Pattern]

    def __post_init__(self) -> None:
        for name, pattern in self.patterns.items():
            layer = self.network[name]
            if not isinstance(layer, Weighted) or not can_have(layer, pattern):
                raise EspalierError(f"{name}: cannot have the pattern {pattern}")

    @classmethod
    def of(cls, network: Network, pattern: str | Pattern, spare: Collection[str] | None = None) -> "Space":
        """Return the space in which every layer that can have `pattern` has it.

        Parameters
        ----------
        network : Network
        pattern : str or Pattern
        spare : collection of str, optional
            Layers to leave dense; by default the first and the last that hold weights, which are small and whose loss
            hurts most (CP does not prune the first convolution; the classifier's outputs are the classes).

        Raises
        ------
        EspalierError
            A layer to spare does not exist, or no layer is left.
        """
        kind = parse_pattern(pattern) if isinstance(pattern, str) else pattern
        weighted = network.weighted
        spared = {x.name for x in weighted[:1] + weighted[-1:]} if spare is None else set(spare)
        for name in spared:
            _ = network[name]
        if isinstance(kind, FeatureMap):  # a map that a residual addition ties to a spared one stays with it
            groups = map_groups(network)
            spared = spared.union(*(groups.get(name, ()) for name in spared))
        patterns = {x.name: kind for x in weighted if x.name not in spared and can_have(x, kind)}
        if not patterns:
            names = ", ".join(sorted(spared)) or "none"
            raise EspalierError(f"{network.name}: no layer can have the pattern {kind}; spared: {names}")
        return cls(network, patterns)


def can_have(layer: Weighted, pattern: Pattern) -> bool:
    """Return whether a pattern says anything about a layer: kernels and their taps need a kernel of several taps."""
    if isinstance(pattern, Kernel | Strided | KernelStrided):
        return isinstance(layer, Conv2d) and layer.window.taps > 1
    return True
