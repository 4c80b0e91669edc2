"""Records of numbers that add up, field by field."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache, reduce
from operator import add
from typing import Any, Self


@dataclass(frozen=True)
class Summed:
    """A record whose fields are numbers, 0 by default; ``+`` and ``sum()`` add records of one kind up."""

    def __add__(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in _names(type(self))})  # type: ignore[arg-type]  # a class is hashable

    def __radd__(self, other: Any) -> Self:
        return self if other == 0 else NotImplemented


def added(numbers: Iterable[float]) -> float:
    """Return the sum of numbers, one added after the other, as of vectors: `sum` rounds otherwise from Python 3.12 on.

    >>> added([0.1, 0.2, 0.3])
    0.6000000000000001
    """
    return reduce(add, numbers)


@cache
def _names(kind: type[Summed]) -> tuple[str, ...]:
    return tuple(x.name for x in fields(kind))
