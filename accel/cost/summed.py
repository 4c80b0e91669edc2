"""Records of numbers that add up, field by field."""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Self


@dataclass(frozen=True)
class Summed:
    """A record whose fields are numbers, 0 by default; ``+`` and ``sum()`` add records of one kind up."""

    def __add__(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in _names(type(self))})  # type: ignore[arg-type]  # a class is hashable

    def __radd__(self, other: Any) -> Self:
        return self if other == 0 else NotImplemented


@cache
def _names(kind: type[Summed]) -> tuple[str, ...]:
    return tuple(x.name for x in fields(kind))
