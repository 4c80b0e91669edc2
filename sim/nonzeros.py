"""Where signals are not zero, counted over many images that the engine runs."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.engine import Engine
from sim.kernels.dots import LANES

ROOM_WORDS = 1 << 25  # of all tensors that are kept at a time, 8 bytes each


def count_nonzeros(engine: Engine, codes: ArrayLike, threads: int | None = None) -> dict[str, NDArray[np.int64]]:
    """Return of how many images each code of every tensor is not zero, ``"input"`` included.

    Parameters
    ----------
    engine : Engine
    codes : int array (images, maps, height, width)
        Of the Program's input signal.
    threads : int, optional
        All processors by default.

    Returns
    -------
    dict of str to int64 array
        In the shape of each tensor without the batch. It says how often any weight meets a zero, for a border is
        zeros for every image.

    Raises
    ------
    EspalierError
        The codes do not fit the Program's input, or `threads` is less than one.
    """
    shapes, images = engine.program.shapes, np.asarray(codes)
    counts = {name: np.zeros(shape, np.int64) for name, shape in shapes.items()}
    together = max(LANES, ROOM_WORDS // sum(map(math.prod, shapes.values())))
    for first in range(0, len(images), together):
        found = engine.run(images[first : first + together], threads, keep_tensors=True)
        for name, tensor in found.tensors.items():
            counts[name] += np.count_nonzero(tensor, axis=0)
    return counts
