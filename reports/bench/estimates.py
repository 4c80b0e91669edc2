"""How fast the cost model is: whole-network estimates a second, at word lengths and on arrays that a search walks."""

import time
from itertools import product

from accel.cost import Invariants, Limits, estimate_of, load_technology
from accel.program import Program

ARRAYS = ((4, 4), (8, 8), (16, 8), (16, 16))
WIDTHS = tuple(product(range(2, 9), repeat=2))  # of weights, of signals


def estimates_per_second(program: Program) -> float:
    """Return the rate at which designs of one Program are costed, the first on each array included.

    The time is what the processor gave this thread.
    """
    technology, limits, start = load_technology(), Limits(), time.thread_time()
    invariants = Invariants(program)
    for lanes, widths in product(ARRAYS, WIDTHS):
        words = invariants.words.scaled(*widths)
        _ = estimate_of(invariants, words, invariants.array(words, *lanes), technology, limits).fits
    return len(ARRAYS) * len(WIDTHS) / (time.thread_time() - start)


def estimates_line(rate: float, golden_images_per_second: float) -> str:
    """Return the rate in words, and as a ratio to the golden model, which leaves the machine out.

    >>> estimates_line(2000.0, 125.0)
    'Cost model: 2,000 estimates/s on one thread, 16 for each image of the golden model'
    """
    ratio = rate / golden_images_per_second
    return f"Cost model: {rate:,.0f} estimates/s on one thread, {ratio:,.0f} for each image of the golden model"
