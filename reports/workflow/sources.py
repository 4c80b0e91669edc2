"""Where a command takes its images from: what `--data` says, or the data set that a network or a Program names."""

import math
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.interchange.data import datasets
from accel.interchange.data.arrays import is_function
from accel.interchange.data.datasets import AUC, DATA_DIR_VARIABLE, ERROR, FOLDERS, MSE, NAMES, Dataset
from accel.interchange.data.machines import Machines
from accel.interchange.data.own_data import OwnData, Taker, elsewhere, is_own, name_of, open_own
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.signal import Signal
from reports.shared import notes
from reports.workflow.evaluate import AGREEMENT, METRICS, check_again

CALIBRATION_IMAGES = 512
KNOWN_RANGE = 0.0, 1.0  # of the pixels of every known data set
LARGER, SMALLER = 4, 8  # how many times a range exceeds another, or falls short of it, that is far from it
HOW = "a name, an .npz, IDX or CIFAR file, a folder of class folders, of such files or of sounds, or module:function"


@dataclass(frozen=True)
class Source:
    """Images for one network; splits are loaded when they are asked for, in any process.

    Parameters
    ----------
    taker : Taker
        The network, as the command names it.
    data : str
        A known data set's name, a path, or a function of Python.
    data_dir : str or None
        Where known data sets lie.
    metric : str
        By what outputs are judged: one of `reports.workflow.evaluate.METRICS`.
    network : bytes
        `PrunedNetwork.to_bytes`, whose classes are the images' labels where its agreement is the metric.
    """

    taker: Taker
    data: str
    data_dir: str | None
    metric: str = ERROR
    network: bytes = b""

    @property
    def own(self) -> bool:
        """Whether the images are the user's own."""
        return self.data not in NAMES

    @property
    def name(self) -> str:
        """What networks and reports call the images."""
        return named(self.data)

    def load(self, split: str, labelled: bool = True) -> Dataset:
        """Return a split, which fits the network, as its metric judges it; `labelled` says that labels are needed.

        Raises
        ------
        EspalierError
            There is none, it is damaged, or fits in shape or classes neither.
        OSError
            Something cannot be read.
        """
        datasets.check_choice("split", split, datasets.SPLITS)
        if self.metric == ERROR:
            return self._loaded(split, labelled)
        images = self._loaded(split, labelled=False)
        if self.metric == AUC and images.clips is None:
            raise EspalierError(
                f"{self.name}: has no recordings of machines; --metric auc needs train/normal_id_01_*.wav, "
                "test/normal_id_01_*.wav and test/anomaly_id_01_*.wav"
            )
        if self.metric in (MSE, AUC):
            return replace(images, metric=self.metric)
        return _labelled_by(self.network, images)

    def _loaded(self, split: str, labelled: bool) -> Dataset:
        if self.own:
            return self._opened.load(split, labelled)
        images, taker = datasets.load(self.data, split, self.data_dir), self.taker
        if images.shape != taker.shape:
            raise EspalierError(
                f"{taker.name}: takes images of shape {taker.shape}, those of {self.data} have {images.shape}"
            )
        if labelled and images.classes != taker.classes:
            raise EspalierError(f"{taker.name}: knows {taker.classes} classes, {self.data} has {images.classes}")
        return images

    def anywhere(self) -> "Source":
        """Return this source for a process that works in another folder."""
        data_dir = None if self.data_dir is None else os.path.realpath(self.data_dir)
        return replace(self, data=elsewhere(self.data) if self.own else self.data, data_dir=data_dir)

    def calibration(self) -> Dataset:
        """Return the training images from which steps are found; all that have no labels, for they are for that."""
        images = self.load("train", labelled=False)
        return images.take(min(CALIBRATION_IMAGES, len(images))) if images.labelled else images

    @property
    def _opened(self) -> OwnData | Machines:
        return open_own(Path(self.data), self.taker)


def source_of(
    name: str,
    made: PrunedNetwork | Program,
    data: str | None,
    data_dir: str | None,
    last: bool = False,
    metric: str = ERROR,
) -> Source:
    """Return where the images for a network are, and say on standard error what is done with a user's own.

    Parameters
    ----------
    name : str
        The network or Program, as the command was given it.
    made : PrunedNetwork or Program
    data : str or None
        What `--data` says; by default what `made` was made with.
    data_dir : str or None
    last : bool
        Where the shape of images could be read both ways, they are channels-last.
    metric : str
        By what outputs are judged: one of `reports.workflow.evaluate.METRICS`.

    Raises
    ------
    EspalierError
        Nothing says where images are, there is no such data set, or it does not fit.
    OSError
        Something cannot be read.
    """
    if data is None:
        if not made.data:
            how = "trained on" if isinstance(made, PrunedNetwork) else "made for"
            raise EspalierError(f"{name}: does not say which data set it was {how}; name one with --data ({HOW})")
        if made.data not in NAMES:
            raise EspalierError(
                f"{name}: was made with {made.data}, no data set known by name: say where it is with --data, "
                f"such as --data {'' if is_function(made.data) else 'path/to/'}{made.data}"
            )
    datasets.check_choice("metric", metric, [*METRICS])
    network = b""
    if metric == AGREEMENT:
        if isinstance(made, Program):
            raise EspalierError(f"{name}: is a Program; --metric agreement needs the network that it was made of")
        network = made.to_bytes()
    if metric in (MSE, AUC):
        graph = made.network if isinstance(made, PrunedNetwork) else made
        check_again(name, math.prod(graph.shapes[graph.output]), math.prod(graph.input_shape))
    taken = _checked(made.data if data is None else data)
    source = Source(_taker(name, made, last), taken, data_dir, metric, network)
    if metric != ERROR:
        notes.later(f"--metric {metric}: errors are {METRICS[metric]}")
    if source.own:
        notes.later(source._opened.note)
    return source


def source_if_any(
    name: str, made: PrunedNetwork | Program, data: str | None, data_dir: str | None, metric: str = ERROR
) -> Source | None:
    """Return what `source_of` does, or None where nothing says where images are: for what can do without them."""
    there = made.data in NAMES and (made.data not in FOLDERS or data_dir or os.environ.get(DATA_DIR_VARIABLE))
    return source_of(name, made, data, data_dir, metric=metric) if data is not None or there else None


def _labelled_by(network: bytes, images: Dataset) -> Dataset:
    """Return images whose labels are the classes that a float network gives them."""
    scores = PrunedNetwork.from_bytes(network).network.scores(images.pixels()).reshape(len(images), -1)
    return replace(images, labels=scores.argmax(axis=1), classes=scores.shape[1])


def _taker(name: str, made: PrunedNetwork | Program, last: bool) -> Taker:
    graph = made.network if isinstance(made, PrunedNetwork) else made
    return Taker(name, graph.input_shape, graph.shapes[graph.output][0], last)


def random_images(shape: tuple[int, int, int], count: int) -> NDArray[np.float32]:
    """Return random images (count, C, H, W), 0..1: what there is to calibrate with where there are none."""
    return np.random.default_rng(0).random((count, *shape), np.float32)


def check_range(images: Dataset, made: PrunedNetwork | Program, name: str) -> None:
    """Warn on standard error if pixels are far from what a network was trained with, or a Program calibrated.

    Of a Program its input's codes say it; of a network the range that is recorded, or its known data set.
    """
    usual = range_of(made)
    if usual is not None and far(images.range, usual):
        found = images.range
        print(
            f"warning: {images.name} ({images.split}): its pixels are {found[0]:g}..{found[1]:g}, but {name} was made "
            f"for {usual[0]:.3g}..{usual[1]:.3g}; scale them alike, or what comes out means little",
            file=sys.stderr,
        )


def range_of(made: PrunedNetwork | Program) -> tuple[float, float] | None:
    """Return the range of the pixels that something was made for, as far as it says so."""
    if isinstance(made, Program):
        return signal_range(made.input_signal)
    return made.input_range or (KNOWN_RANGE if made.data in NAMES else None)


def signal_range(signal: Signal) -> tuple[float, float]:
    """Return the lowest and the highest value that a signal's codes stand for."""
    return signal.format.min_code * signal.step, signal.format.max_code * signal.step


def named(data: str) -> str:
    """Return what networks and reports call the images that `data` says: a path is another one elsewhere."""
    return data if data in NAMES else name_of(Path(data))


def far(found: tuple[float, float], usual: tuple[float, float]) -> bool:
    """Return whether a range is far from another: several times larger or smaller, or negative where that is not.

    >>> far((0, 255), (0, 1)), far((0, 1), (0, 255)), far((-2, 2.6), (0, 1)), far((0, 0.9), (0, 1))
    (True, True, True, False)
    """
    reach, known = (max(map(abs, bounds)) for bounds in (found, usual))
    negative = usual[0] >= 0 and found[0] < -known / SMALLER
    return reach > LARGER * known or reach < known / SMALLER or negative


def _checked(data: str) -> str:
    if data in NAMES or is_own(data):
        return data
    try:
        datasets.check_choice("data set", data, NAMES)
    except EspalierError as error:
        raise EspalierError(f"{error}, or give {HOW.removeprefix('a name, ')}") from error
    return data
