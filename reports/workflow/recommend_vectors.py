"""What `reports.workflow.recommend` does, of designs that are vectors: no objects, but a vector of each figure.

Goals and limits take the vectors as they take one design. Places are indices of designs, in their order.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.workflow.limits import Limit, Use
from reports.workflow.recommend import COUNTED, TIES, Goal, undominated

Places = NDArray[np.intp]


def within_places(designs: Any, count: int, limits: Sequence[Limit]) -> Places:
    """Return the places of the designs that meet all limits, of `count`."""
    meets = np.ones(count, bool)
    for limit in limits:
        meets &= limit.meets(designs)
    return np.flatnonzero(meets)


def front_places(designs: Any, places: Places, figures: tuple[Use, ...] = COUNTED) -> Places:
    """Return those of the places that `recommend.front` leaves."""
    return places[undominated(_numbers(designs, places, (*figures, *TIES)), len(figures))]


def best_place(designs: Any, front: Places, goal: Goal) -> int | None:
    """Return the place of the best by a goal, of a front in its figures; None where there is none."""
    if not front.size:
        return None
    order = _numbers(designs, front, tuple(lambda p, n=n: goal.order(p)[n] for n in range(5)))  # type: ignore[misc]
    return int(front[np.lexsort(order.T[::-1])[0]])


def band_places(designs: Any, places: Places, goal: Goal, chosen: int, share: float) -> Places:
    """Return those of the places that are in the band around the chosen one, the best first."""
    values = _numbers(designs, places, (goal.value,))[:, 0]
    near = places[values <= (1 + share) * values[places == chosen][0] * (1 + 1e-12)]
    found = front_places(designs, near, (*COUNTED, *TIES))
    order = _numbers(designs, found, tuple(lambda p, n=n: goal.order(p)[n] for n in range(5)))  # type: ignore[misc]
    return found[np.lexsort(order.T[::-1])]


def _numbers(designs: Any, places: Places, uses: tuple[Use, ...]) -> NDArray[np.float64]:
    """Return what each use says of the designs at the places (places, uses)."""
    found = np.empty((places.size, len(uses)))
    for column, use in enumerate(uses):
        told = np.asarray(use(designs), float)
        found[:, column] = told[places] if told.ndim else told
    return found
