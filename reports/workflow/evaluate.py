"""How well outputs fit images: of the float network, and of a Program by the engine.

Whatever the metric, it is a rate of 0..1, so that limits, guard bands and fronts are the same for all. It is the mean
over images of what is wrong with each: a class is right or wrong; of an image that should come out again a share is
missed. Only of recordings it is that of pairs of a normal one and an anomaly that are taken for each other.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.interchange.data.datasets import AUC, ERROR, MSE, Clips, Dataset
from accel.pruned import PrunedNetwork

if TYPE_CHECKING:
    from sim.engine import Engine

AGREEMENT = "agreement"
METRICS = {
    ERROR: "the share of images whose class is wrong",
    MSE: "the share of the images' variance that outputs miss, at most all of it for an image",
    AUC: "1 - AUC, the area under the receiver operating characteristic of anomalies, in the mean of the machines",
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
    return rate_of(program_outputs(engine, codes, threads), data, engine.program.name)


def program_outputs(engine: "Engine", codes: NDArray[np.integer[Any]], threads: int | None = None) -> NDArray[Any]:
    """Return the outputs of a Program (images, ...) in the values that its codes stand for."""
    program = engine.program
    return engine.run(codes, threads).codes * program.signals[program.output].step


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
    if data.metric == AUC:
        return 1 - float(np.mean(list(areas_of(outputs, data, name).values())))
    wanted = data.pixels().reshape(len(data), -1)
    variance = float(((wanted - wanted.mean(axis=0)) ** 2).mean()) or 1.0
    return float(np.minimum(_missed(outputs, data, name) / variance, 1.0).mean())


def areas_of(outputs: NDArray[Any], data: Dataset, name: str) -> dict[str, float]:
    """Return the AUC of each machine, by how badly the windows of its recordings come out again, in the mean.

    It is the share of pairs of a normal recording and an anomaly in which the anomaly's error is larger, equal ones
    counting half (source: Mann and Whitney; Hanley and McNeil, "The Meaning and Use of the Area Under a ROC Curve").

    Raises
    ------
    EspalierError
        Outputs are no images, or a machine has recordings of one kind only.
    """
    clips = data.clips
    assert isinstance(clips, Clips)  # `Source.load` has seen to it
    counts = np.bincount(clips.of, minlength=len(clips.machines))
    sums = np.bincount(clips.of, _missed(outputs, data, name), len(clips.machines))
    areas = {}
    for machine in sorted(set(clips.machines)):
        there = (np.array(clips.machines) == machine) & (counts > 0)
        errors, anomalous = sums[there] / counts[there], clips.anomalous[there]
        if anomalous.all() or not anomalous.any():
            raise EspalierError(
                f"{data.name} ({data.split}): {machine} has recordings of one kind only; AUC needs both"
            )
        areas[machine] = _area(errors[~anomalous], errors[anomalous])
    return areas


def _area(normal: NDArray[Any], anomalous: NDArray[Any]) -> float:
    """Return the share of pairs in which the anomalous score is higher; equal ones count half."""
    ordered = np.sort(normal)
    below, not_above = (np.searchsorted(ordered, anomalous, side).sum() for side in ("left", "right"))
    return float(below + not_above) / (2 * len(normal) * len(anomalous))


def _missed(outputs: NDArray[Any], data: Dataset, name: str) -> NDArray[Any]:
    """Return the mean squared error of each image that should come out again."""
    wanted, found = data.pixels().reshape(len(data), -1), outputs.reshape(len(data), -1)
    check_again(name, found.shape[1], wanted.shape[1])
    return squared_errors(found, wanted)


def squared_errors(found: NDArray[Any], wanted: NDArray[Any]) -> NDArray[Any]:
    """Return the mean squared error of each image (images,), of as many numbers found (images, n) as are wanted."""
    return np.asarray(((found - wanted) ** 2).mean(axis=1))


def check_again(name: str, outputs: int, pixels: int) -> None:
    """Raise EspalierError unless what gives so many numbers may give an image of so many pixels again."""
    if outputs != pixels:
        raise EspalierError(
            f"{name}: gives {outputs:,} numbers for an image of {pixels:,}; --metric mse and auc are for networks that "
            "give the image again"
        )
