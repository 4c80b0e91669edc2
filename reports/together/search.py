"""The best combination of choices, one of each stage: found exactly, the most promising first.

A* over beginnings of combinations. Of each beginning a bound is known, no more than the key of any combination that
begins so; the first whole combination that is no worse than every bound that is left is the best. What a combination
really costs is asked only of those that come to the top.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

Item = TypeVar("Item")
Whole = TypeVar("Whole")
Key = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Family(Generic[Item, Whole]):
    """Combinations that are bounded alike.

    Parameters
    ----------
    stages : sequence of sequence of Item
        A combination takes one item of each, in their order.
    bound : function
        From the first items of a combination to a key that none which begins so goes below; None where all of them
        are beyond a limit.
    exact : function
        From a combination to its key and what it is; None where it is beyond a limit.
    """

    stages: Sequence[Sequence[Item]]
    bound: Callable[[tuple[Item, ...]], Key | None]
    exact: Callable[[tuple[Item, ...]], tuple[Key, Whole] | None]


def best(families: Iterable[Family[Item, Whole]]) -> Whole | None:
    """Return the combination of the least key of all families; None if none is within its limits.

    >>> numbers = Family([[3, 1], [5, 2]], lambda chosen: (sum(chosen),), lambda chosen: ((sum(chosen),), chosen))
    >>> best([numbers])
    (1, 2)
    """
    heap: list[tuple[Key, bool, int, Family[Item, Whole], tuple[Item, ...], Whole | None]] = []
    numbers = count()  # of equal keys costed combinations come first, then those that were found first

    def push(family: Family[Item, Whole], begun: tuple[Item, ...]) -> None:
        bound = family.bound(begun)
        if bound is not None:
            heappush(heap, (bound, True, next(numbers), family, begun, None))

    for family in families:
        push(family, ())
    while heap:
        _, open_, _, family, begun, whole = heappop(heap)
        if not open_:
            return whole
        if len(begun) < len(family.stages):
            for item in family.stages[len(begun)]:
                push(family, (*begun, item))
        elif (found := family.exact(begun)) is not None:
            heappush(heap, (found[0], False, next(numbers), family, begun, found[1]))
    return None
