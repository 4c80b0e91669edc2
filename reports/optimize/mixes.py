"""Which pattern and ratio each layer gets: mixes of them, from the dense network to a small one.

For each layer, pattern and ratio it is known what the layer then takes (cycles of an array, or bits of memory) and what
it loses: half of the squares of the weights that go, weighted by how much the loss curves along the layer's weights; of
all squares the logarithm of the share that stays, which is the same where little goes, and without a bound where little
stays. Of a layer only the choices on the lower convex hull of these two count. Going down all hulls at once, each time
by the step that loses least for what it saves, gives mixes each of which no other of these choices betters at its own
price of a loss (Lagrange's multiplier; Shoham and Gersho's way to allocate bits, here for patterns).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from accel.cost import cost_of, cycles_of
from accel.demand import array_for
from accel.errors import EspalierError
from accel.interchange.zoo import DENSE
from accel.prune import Space, order_for_groups, select_by_magnitude
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower, ordered_for
from reports.workflow.sources import random_images

RATIOS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
BITS = 8  # at which layers are compared


@dataclass(frozen=True)
class Choice:
    """What becomes of one layer: its pattern and ratio, what it then takes, and what it loses."""

    pattern: str
    ratio: float
    cost: int
    loss: float


@dataclass(frozen=True)
class Mix:
    """What becomes of every layer that may be pruned, and what all of them take then."""

    choices: Mapping[str, Choice]
    cost: int

    @property
    def patterns(self) -> dict[str, str]:
        """The patterns of the layers that are pruned."""
        return {name: choice.pattern for name, choice in self.choices.items() if choice.pattern != DENSE}

    @property
    def ratios(self) -> dict[str, float]:
        """The ratios of these."""
        return {name: self.choices[name].ratio for name in self.patterns}

    @property
    def name(self) -> str:
        """Words that differ where mixes do."""
        parts = (f"{name} {x.pattern} {x.ratio:g}" for name, x in self.choices.items() if x.pattern != DENSE)
        return ", ".join(parts) or DENSE


def choices_of(
    dense: PrunedNetwork, patterns: Sequence[str], curvatures: Mapping[str, float], lanes: tuple[int, int], goal: str
) -> dict[str, list[Choice]]:
    """Return for each layer that can have one of the patterns what may become of it, dense first.

    Parameters
    ----------
    dense : PrunedNetwork
    patterns : sequence of str
        Without feature maps, which leave the network.
    curvatures : mapping of layer name to float
        By which the squares of lost weights are weighted.
    lanes : (int, int)
        Of the array, outputs and pixels.
    goal : {"fast", "small"}
        Whether cycles count or bits of memory.
    """
    found: dict[str, list[Choice]] = {}
    before = _costs(dense, lanes, goal)
    for pattern in patterns:
        try:
            space = Space.of(dense.network, pattern)
        except EspalierError:  # no layer can have it
            continue
        for name in space.patterns:
            found.setdefault(name, [Choice(DENSE, 0.0, before[name], 0.0)])
        for ratio in RATIOS:
            try:
                start = order_for_groups(dense, space, dict.fromkeys(space.patterns, ratio))
                masks = select_by_magnitude(Space.of(start.network, pattern), ratio)
            except EspalierError:  # a layer would have nothing left
                continue
            folded = PrunedNetwork(start.network, data=dense.data).folded()
            costs = _costs(PrunedNetwork(start.network, masks), lanes, goal)
            for name, mask in masks.items():
                weight = folded.network[name].weight.reshape(mask.kept.shape)  # type: ignore[attr-defined]
                squares = np.square(weight, dtype=np.float64)
                kept = squares[mask.kept].sum() / squares.sum()
                loss = -curvatures[name] * squares.sum() * np.log(max(kept, np.finfo(np.float64).tiny)) / 2
                found[name].append(Choice(pattern, ratio, costs[name], float(loss)))
    return found


def path(choices: Mapping[str, Sequence[Choice]], rest: int) -> list[Mix]:
    """Return the mixes from all layers dense to each at its least cost, `rest` being what all else takes.

    >>> layer = [Choice("dense", 0, 10, 0.0), Choice("kernel", 0.5, 6, 1.0), Choice("ikss", 0.5, 6, 2.0)]
    >>> [mix.name for mix in path({"one": layer}, 0)]
    ['dense', 'one kernel 0.5']
    """
    hulls = {name: _hull(options) for name, options in choices.items()}
    steps = [
        ((after.loss - before.loss) / (before.cost - after.cost), name, after)
        for name, hull in hulls.items()
        for before, after in pairwise(hull)
    ]
    now = {name: hull[0] for name, hull in hulls.items()}
    mixes = [Mix(dict(now), rest + sum(x.cost for x in now.values()))]
    for _, name, after in sorted(steps, key=lambda step: step[:2]):  # along a hull prices rise
        now[name] = after
        mixes.append(Mix(dict(now), rest + sum(x.cost for x in now.values())))
    return mixes


def spread(mixes: Sequence[Mix], shares: Sequence[float]) -> list[Mix]:
    """Return the mixes nearest to shares of the first one's cost, each once, in the order of their costs."""
    found = {
        id(mix): mix for share in shares for mix in [min(mixes, key=lambda x: abs(x.cost - share * mixes[0].cost))]
    }
    return sorted(found.values(), key=lambda mix: -mix.cost)


def _hull(options: Sequence[Choice]) -> list[Choice]:
    """Return the choices on the lower convex hull of cost and loss, from the dearest to the cheapest."""
    hull: list[Choice] = []
    for x in sorted(options, key=lambda x: (-x.cost, x.loss)):
        if hull and x.cost == hull[-1].cost:
            continue
        while hull and hull[-1].loss >= x.loss:  # dearer, and loses no less
            hull.pop()
        while len(hull) > 1 and _price(hull[-2], hull[-1]) >= _price(hull[-1], x):
            hull.pop()
        hull.append(x)
    return hull


def _price(before: Choice, after: Choice) -> float:
    return (after.loss - before.loss) / (before.cost - after.cost)


def _costs(pruned: PrunedNetwork, lanes: tuple[int, int], goal: str) -> dict[str, int]:
    """Return what each layer takes."""
    program = lower(pruned, Widths(BITS, BITS), random_images(pruned.network.input_shape, 1))
    if goal == "small":
        return {layer.name: layer.counts.parameter_memory_bits for layer in cost_of(program).layers}
    program = ordered_for(program, lanes[0], split=True)
    return {layer.name: layer.cycles for layer in cycles_of(program, array_for(program, *lanes))}


def rest_of(dense: PrunedNetwork, choices: Mapping[str, Sequence[Choice]], lanes: tuple[int, int], goal: str) -> int:
    """Return what the layers take that have no choice."""
    return sum(cost for name, cost in _costs(dense, lanes, goal).items() if name not in choices)
