"""Two maps a step: each output lane takes, of two input maps that a step reads, the one that it keeps.

A group of output lanes runs the union of what its lanes keep, and where they agree on little most slots are lost. The
banks deliver twice as many words as there are pixel lanes: the same row of a second map, if maps lie `pixel lanes`
words apart beyond whole turns of the banks (`accel.places`) and one of the two has an even number, the other an odd
one. A lane that keeps both takes them in two steps.

How few steps hold all maps at one tap is known. Let steps be edges between maps. A lane can have every map that it
keeps in a step of its own unless it keeps all maps of a tree, which has one edge less than maps. So a set of maps of
which no lane keeps all, not all of them even or odd, takes a step less than it has maps, and nothing takes less (Hall):
n maps in s such sets, apart from each other, take ::

    n - s

steps, in which maps without a set have a step alone. As many pairs as there are come first (a maximum matching of even
with odd maps), sets of what is left over next; then one or two sets and what is left over are parted anew as long as
that makes one set more.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.pattern import Mask, keeps_everything
from accel.program_layers import MacLayer

Integers = NDArray[np.int64]
Keepers = Mapping[int, int]  # of each map the lanes that keep it, as the bits of a number
MOST_WORK = 30_000  # maps x maps that are parted anew, for one group of lanes at one tap


@dataclass(frozen=True, eq=False)
class Combined:
    """The steps of a layer, for each group of output lanes.

    Parameters
    ----------
    columns : tuple of int arrays (steps, 2)
        The lowered columns that each step reads, of one tap, the lower map first; -1 where there is no second one.
    taken : tuple of int arrays (steps, output lanes)
        The column that each lane takes; -1 where it takes none.
    """

    columns: tuple[Integers, ...]
    taken: tuple[Integers, ...]

    def second(self, group: int, together: int) -> NDArray[np.bool_]:
        """Return which lanes of a group, so many of which share a multiplier, take the second column (steps, ...)."""
        taken, other = self.taken[group], self.columns[group][:, 1:]
        sets = np.arange(0, taken.shape[1], together)
        return np.logical_or.reduceat((taken == other) & (taken >= 0), sets, axis=1)


@lru_cache(maxsize=64)  # asked for by every part of an estimate, on arrays of any memories
def combined(layer: MacLayer, lanes: int, together: int) -> Combined:
    """Return the steps of a convolution on groups of output lanes, of which `together` share a multiplier.

    Those take the same map, as they have one signal. Steps stand in the order of their maps, then of their taps.
    """
    outputs, _, taps = layer.shape
    found = []
    for first in range(0, outputs, lanes):
        kept = layer.kept[first : first + lanes]
        shared = np.logical_or.reduceat(kept, np.arange(0, len(kept), together), axis=0)
        columns, taken = _group(shared)
        if not len(columns):  # a tile has a step
            columns, taken = np.array([[0, -1]]), np.full((1, len(shared)), -1)
        order = np.lexsort((columns[:, 0] % taps, columns[:, 1] // taps, columns[:, 0] // taps))
        taken = np.repeat(taken, together, axis=1)[:, : len(kept)]
        there = kept.reshape(len(kept), -1)[np.arange(len(kept)), taken] & (taken >= 0)
        padded = np.full((len(taken), lanes), -1)
        padded[:, : len(kept)] = np.where(there, taken, -1)
        found.append((columns[order], padded[order]))
    return Combined(*(tuple(group) for group in zip(*found, strict=True)))


def pays(layer: MacLayer, array: MacArray) -> bool:
    """Return whether a layer may take fewer steps with two maps in each: lanes that share none keep different maps."""
    return array.combines and layer.window is not None and layer.shape[1] > 1 and not keeps_everything(layer.kept)


def _group(kept: Mask) -> tuple[Integers, Integers]:
    """Return the columns (steps, 2) of lanes that keep some (lanes, maps, taps), and what each takes (steps, lanes).

    Taps at which lanes keep the same maps have the same steps.
    """
    lanes, _, taps = kept.shape
    alike: dict[bytes, list[int]] = {}
    for tap in range(taps):
        alike.setdefault(kept[:, :, tap].tobytes(), []).append(tap)
    columns, taken = [np.zeros((0, 2), np.int64)], [np.zeros((0, lanes), np.int64)]
    for places in alike.values():
        for maps, taking in zip(_steps(kept[:, :, places[0]]), (columns, taken), strict=True):
            taking += [np.where(maps >= 0, maps * taps + tap, -1) for tap in places]
    return np.concatenate(columns), np.concatenate(taken)


def _steps(kept: Mask) -> tuple[Integers, Integers]:
    """Return the maps of the steps at one tap (steps, 2), and the one that each lane takes (steps, lanes).

    `kept` says which maps the lanes keep (lanes, maps).
    """
    sets = sets_of(kept)
    pairs, more = ([one for one in sets if (len(one) > 2) == larger] for larger in (False, True))
    alone = {*np.flatnonzero(kept.any(axis=0)).tolist()}.difference(*sets)
    ends = [*([place, -1] for place in sorted(alone)), *map(sorted, pairs)]
    maps, keeps = np.array(ends, np.int64).reshape(-1, 2), np.append(kept, np.zeros((len(kept), 1), bool), axis=1)
    takes = np.where(keeps[:, maps[:, 0]], maps[:, 0], np.where(keeps[:, maps[:, 1]], maps[:, 1], -1)).T
    trees = [step for one in more for step in _tree(one, kept)]
    return (
        np.concatenate([maps, np.array([maps for maps, _ in trees], np.int64).reshape(-1, 2)]),
        np.concatenate([takes, np.array([takes for _, takes in trees], np.int64).reshape(-1, len(kept))]),
    )


def _tree(one: Sequence[int], kept: Mask) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the maps of each step of a set, and which of them each lane takes.

    Steps are the first even map with all odd ones, and the first odd map with the other even ones. A lane begins at a
    map that it does not keep, and takes from every step the map that is further from there.
    """
    hubs = min(x for x in one if x % 2 == 0), min(x for x in one if x % 2)
    roots = [next(place for place in one if not keeps[place]) for keeps in kept]
    beside = [place for place in one if place not in hubs and place % 2]  # the even hub has these
    further = [hubs[1] if root == hubs[0] or root in beside else hubs[0] for root in roots]
    yield sorted(hubs), [place if keeps[place] else -1 for keeps, place in zip(kept, further, strict=True)]
    for leaf in sorted({*one}.difference(hubs)):
        hub = hubs[1 - leaf % 2]
        further = [hub if root == leaf else leaf for root in roots]
        yield sorted([leaf, hub]), [place if keeps[place] else -1 for keeps, place in zip(kept, further, strict=True)]


def sets_of(kept: Mask) -> list[list[int]]:
    """Return many sets of the maps that lanes keep (lanes, maps), of which no lane keeps all, nor are all even or odd.

    >>> sets_of(np.array([[1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 0, 1]], bool))  # lane 0 keeps maps 0 and 2, ...
    [[0, 3], [2, 1]]
    """
    columns = np.packbits(kept, axis=0, bitorder="little").T
    bits = [int.from_bytes(column.tobytes(), "little") for column in columns]
    keepers = {place: lanes for place, lanes in enumerate(bits) if lanes}
    sets = _pairs(kept, sorted(keepers, key=lambda place: (-keepers[place].bit_count(), place)))
    more, left = _parted(keepers.keys() - {place for one in sets for place in one}, keepers)
    return _improved(sets + more, left, keepers)


def _pairs(kept: Mask, places: Sequence[int]) -> list[list[int]]:
    """Return as many pairs of an even and an odd map that no lane keeps both of as there are.

    Even maps that come first are paired if they can be (augmenting paths).
    """
    odd = np.array([place for place in places if place % 2], np.int64)
    bits = np.packbits(kept, axis=0).T
    fits = np.all(bits[:, None] & bits[odd] == 0, axis=2)  # of every map with every odd one
    met = np.zeros(odd.size, bool)  # in this search, or in one that found nothing: then it is of no use to any other
    mates: dict[int, int] = {}  # the index in `odd` of each even map's
    for place in (place for place in places if place % 2 == 0):
        unpaired = fits[place].copy()
        unpaired[[*mates.values()]] = False
        before = met.copy()
        if unpaired.any():
            mates[place] = int(unpaired.argmax())
        elif _augments(place, fits, met, mates):
            met = before
    return [[even, int(odd[index])] for even, index in sorted(mates.items())]


def _augments(place: int, fits: NDArray[np.bool_], met: NDArray[np.bool_], mates: dict[int, int]) -> bool:
    """Return whether an even map, and all that have mates, can have some; it has one then."""
    owners = {index: even for even, index in mates.items()}
    came, queue = dict[int, int](), [place]
    for even in queue:
        for index in np.flatnonzero(fits[even] & ~met).tolist():
            met[index], came[index] = True, even
            if index in owners:
                queue.append(owners[index])
                continue
            while came[index] != place:  # back along the path each even map takes the odd one behind it
                mates[came[index]], index = index, mates[came[index]]
            mates[place] = index
            return True
    return False


def _parted(places: Iterable[int], keepers: Keepers, heavy: int = -1) -> tuple[list[list[int]], set[int]]:
    """Return sets of some of the maps, and the maps that are left over.

    A set begins with a map that many lanes keep, and takes the one each time that leaves the fewest lanes which keep
    all; among those the one that fewest lanes keep, or the most with `heavy` 1.
    """
    found: list[list[int]] = []
    free, left = sorted(places, key=lambda place: (-keepers[place].bit_count(), place)), set[int]()
    while free:
        one, common, rest = [free[0]], keepers[free[0]], free[1:]
        while rest and (common or not _mixed(one)):
            costs = [
                ((keepers[x] & common).bit_count(), (x - one[0]) % 2 == 0, -heavy * keepers[x].bit_count())
                for x in rest
            ]
            one.append(rest.pop(costs.index(min(costs))))
            common &= keepers[one[-1]]
        if common or not _mixed(one):
            left.add(free.pop(0))
        else:
            found.append(one)
            free = rest
    return found, left


def _improved(sets: list[list[int]], left: set[int], keepers: Keepers) -> list[list[int]]:
    """Return more sets, if one or two of them with what is left over give one more."""
    most, work = _most(keepers), MOST_WORK
    gains = True
    while gains and left and len(sets) < most:
        gains = False
        for some, heavy in product([*combinations(sets, 1), *combinations(sets, 2)], (-1, 1)):
            places = left.union(*some)
            work -= len(places) ** 2
            if work < 0:
                break
            more, rest = _parted(places, keepers, heavy)
            if gains := len(more) > len(some):
                sets, left = [one for one in sets if one not in some] + more, rest
                break
    return sets


def _most(keepers: Keepers) -> int:
    """Return how many sets there are at most: each has an even map, an odd one, and one that a lane does not keep."""
    odd, lanes = sum(place % 2 for place in keepers), max(map(int.bit_length, keepers.values()), default=0)
    loads = [sum(lanes >> lane & 1 for lanes in keepers.values()) for lane in range(lanes)]
    return min([odd, len(keepers) - odd, *(len(keepers) - load for load in loads)])


def _mixed(one: Sequence[int]) -> bool:
    """Return whether a set has even and odd maps."""
    return len({place % 2 for place in one}) == 2
