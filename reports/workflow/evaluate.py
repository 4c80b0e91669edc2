"""How well outputs fit images: of the float network, and of a Program by the engine.

Whatever the metric, it is a rate of 0..1, the mean over images of what is wrong with each, so that limits, guard bands
and fronts are the same for all: a class is right or wrong; of an image that should come out again a share is missed.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.interchange.data.datasets import ERROR, MSE, Dataset
from accel.pruned import PrunedNetwork

if TYPE_CHECKING:
    from sim.engine import Engine

AGREEMENT = "agreement"
METRICS = {
    ERROR: "the share of images whose class is wrong",
    MSE: "the share of the images' variance that outputs miss, at most all of it for an image",
    AGREEMENT: "the share of images whose class is not the float network's",
}


def float_error_rate(pruned: PrunedNetwork, data: Dataset) -> float:
    """Return the error rate of the float network, 0..1, by the images' metric."""
    return rate_of(pruned.network.scores(data.pixels()), data, pruned.network.name)


def program_error_rate(
    engine: "Engine", codes: NDArray[np.integer[Any]], data: Dataset, threads: int | None = None
) -> float:
    """Return the error rate of a Program, 0..1, by the images' metric.

    Parameters
    ----------
    engine : Engine
    codes : int array (images, maps, height, width)
        The images as codes of its input.
    data : Dataset
    threads : int, optional
        All processors by default.
    """
    if data.metric == ERROR:
        return engine.error_rate(codes, data.labels, threads)
    program = engine.program
    outputs = engine.run(codes, threads).codes * program.signals[program.output].step
    return rate_of(outputs, data, program.name)


def rate_of(outputs: NDArray[Any], data: Dataset, name: str) -> float:
    """Return what is wrong with outputs (images, ...), 0..1, by the images' metric.

    The mean squared error of an image is told in the variance of all: 1 is what the mean image alone would miss.

    Raises
    ------
    EspalierError
        Outputs are to be images, and there are more or fewer of them than pixels.
    """
    if data.metric == ERROR:
        return float(np.count_nonzero(outputs.reshape(len(data), -1).argmax(axis=1) != data.labels) / len(data))
    wanted, found = data.pixels().reshape(len(data), -1), outputs.reshape(len(data), -1)
    check_again(name, found.shape[1], wanted.shape[1])
    variance = float(((wanted - wanted.mean(axis=0)) ** 2).mean()) or 1.0
    return float(np.minimum(((found - wanted) ** 2).mean(axis=1) / variance, 1.0).mean())


def check_again(name: str, outputs: int, pixels: int) -> None:
    """Raise EspalierError unless what gives so many numbers may give an image of so many pixels again."""
    if outputs != pixels:
        raise EspalierError(
            f"{name}: gives {outputs:,} numbers for an image of {pixels:,}; --metric mse is for networks that give the "
            "image again"
        )
