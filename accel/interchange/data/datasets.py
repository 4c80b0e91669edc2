"""The data sets: one frozen object for a split of images and labels, and how to load each by name."""

import difflib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.errors import EspalierError
from accel.interchange.data.cifar import read_cifar10
from accel.interchange.data.idx import read_idx
from accel.signal import Signal, freeze

SPLITS = ("train", "validation", "test")
FOLDERS = {"mnist": "mnist", "fashion-mnist": "fashion-mnist", "cifar-10": "cifar-10-batches-bin"}
NAMES = ("digits", *FOLDERS)
DATA_DIR_VARIABLE = "ESPALIER_DATA"

DIGITS_SPLITS = {"train": slice(0, 1197), "validation": slice(1197, 1447), "test": slice(1447, 1797)}
DIGITS_FULL_SCALE = 16
PART = 1000  # images that are encoded at once

IDX_HELD_OUT = 10_000  # the last training images of MNIST and Fashion-MNIST are the validation split
IDX_IMAGE_SHAPE = (28, 28)
IDX_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "validation": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
CIFAR_FILES = {
    "train": ("data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin"),
    "validation": ("data_batch_5.bin",),
    "test": ("test_batch.bin",),
}


ERROR, MSE, AUC = METRICS = ("error", "mse", "auc")


@dataclass(frozen=True, eq=False)
class Clips:
    """The recordings that images are windows of.

    Parameters
    ----------
    of : int64 array (N,)
        The recording of each image.
    anomalous : bool array (recordings,)
    machines : tuple of str
        What each is a recording of.
    """

    of: npt.NDArray[np.int64]
    anomalous: npt.NDArray[np.bool_]
    machines: tuple[str, ...]

    def __post_init__(self) -> None:
        freeze(self, of=self.of, anomalous=self.anomalous)
        if len(self.anomalous) != len(self.machines) or not np.isin(self.of, np.arange(len(self.machines))).all():
            raise EspalierError("clips: each image needs a recording, and each recording a machine and a kind")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and their labels: one split of one data set.

    The arrays are read-only; a writable array is copied, so that nobody can change a data set from outside.

    Attributes
    ----------
    name, split
        What it is, for messages and reports.
    images
        uint8, (N, C, H, W), pixels 0..full_scale; or float32, finite, as a network takes them. N at least 1.
    labels
        int64, (N,), values 0..classes-1; (0,) where images have none.
    classes
        How many classes there are, at least 1; 0 where images have no labels.
    full_scale
        The pixel value that stands for 1.0, 1..255: 16 for digits, 255 for the others; 1 for floats.
    metric
        By what outputs are judged, one of `METRICS`: by how often the highest is not the label's, or, where outputs are
        images again (an autoencoder), by how much of the images' variance they miss, or by how badly that tells which
        recordings are anomalies.
    clips
        The recordings that images are windows of, where they are.

    Raises
    ------
    EspalierError
        A dtype, a shape, the number of labels, a label or a pixel is not as above.
    """

    name: str
    split: str
    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    classes: int
    full_scale: int
    metric: str = ERROR
    clips: Clips | None = None

    def __post_init__(self) -> None:
        self._check_arrays()
        if self.labels.size and self.classes < 1:
            raise EspalierError(f"{self._title}: classes must be at least 1, got {self.classes}")
        if not 1 <= self.full_scale <= 255:
            raise EspalierError(f"{self._title}: full_scale must be 1..255, got {self.full_scale}")
        check_labels(self.labels, self.classes, self._title)
        if self.clips is not None and len(self.clips.of) != len(self.images):
            raise EspalierError(f"{self._title}: {len(self.images)} images but {len(self.clips.of)} of a recording")
        lowest, highest = self.images.min(), self.images.max()
        if self._whole and highest > self.full_scale:
            raise EspalierError(f"{self._title}: pixels must be 0..{self.full_scale}, got {highest}")
        if not np.isfinite([lowest, highest]).all():  # the minimum of anything with a NaN is NaN
            raise EspalierError(f"{self._title}: images hold a value that is not finite")
        object.__setattr__(self, "images", _frozen(self.images))
        object.__setattr__(self, "labels", _frozen(self.labels))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one image: (C, H, W)."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @property
    def labelled(self) -> bool:
        """Whether the images have labels."""
        return self.classes > 0

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest pixel that `pixels` gives."""
        return float(self.images.min()) / self.full_scale, float(self.images.max()) / self.full_scale

    def pixels(self) -> npt.NDArray[np.float32]:
        """Return the images as float32 of shape (N, C, H, W): scaled to 0..1, or the floats that they are."""
        if not self._whole:
            return self.images  # type: ignore[return-value]
        return np.divide(self.images, np.float32(self.full_scale), dtype=np.float32)

    def codes(self, signal: Signal) -> npt.NDArray[np.integer[Any]]:
        """Return the images' codes as `signal`, (N, C, H, W), in the narrowest of int8, uint8, int16 and int64.

        What `signal` makes of `pixels()`; each of the at most 256 values of whole pixels is encoded once.
        """
        kinds = (np.iinfo(kind) for kind in (np.int8, np.uint8, np.int16))
        fitting = (x.dtype for x in kinds if x.min <= signal.format.min_code and signal.format.max_code <= x.max)
        narrow = next(fitting, np.dtype(np.int64))
        if not self._whole:
            return np.concatenate([signal.encode(part).astype(narrow) for part in _parts(self.images)])
        table = signal.encode(np.divide(np.arange(self.full_scale + 1), np.float32(self.full_scale), dtype=np.float32))
        return table.astype(narrow)[self.images]

    def take(self, count: int) -> "Dataset":
        """Return the first `count` images with their labels.

        Raises
        ------
        EspalierError
            `count` is not 1..N.
        """
        if not 1 <= count <= len(self):
            raise EspalierError(f"{self._title}: count must be 1..{len(self)}, got {count}")
        clips = self.clips and replace(self.clips, of=self.clips.of[:count])
        return replace(self, images=self.images[:count], labels=self.labels[:count], clips=clips)

    @property
    def _whole(self) -> bool:
        return self.images.dtype == np.uint8

    @property
    def _title(self) -> str:
        return f"{self.name} ({self.split})"

    def _check_arrays(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype not in (np.uint8, np.float32) or images.ndim != 4 or 0 in images.shape:
            raise EspalierError(
                f"{self._title}: images must be uint8 or float32 of shape (N, C, H, W) with no size 0, "
                f"got {images.dtype} of shape {images.shape}"
            )
        if labels.dtype != np.int64 or labels.ndim != 1:
            raise EspalierError(
                f"{self._title}: labels must be int64 of shape (N,), got {labels.dtype} of shape {labels.shape}"
            )
        if len(images) != len(labels) and not (self.classes == 0 == len(labels)):
            raise EspalierError(f"{self._title}: {len(images)} images but {len(labels)} labels; counts must be equal")


def load(name: str, split: str, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Load one split of a data set.

    ============= ============ ============================== ================== ============ ===========
    name          (C, H, W)    train                          validation         test         full scale
    ============= ============ ============================== ================== ============ ===========
    digits        (1, 8, 8)    1,197                          the next 250       the last 350 16
    mnist         (1, 28, 28)  all but the last 10,000        the last 10,000    t10k files   255
    fashion-mnist (1, 28, 28)  all but the last 10,000        the last 10,000    t10k files   255
    cifar-10      (3, 32, 32)  data_batch_1 to data_batch_4   data_batch_5       test_batch   255
    ============= ============ ============================== ================== ============ ===========

    All have 10 classes. `digits` is part of the software: the 1,797 images that scikit-learn distributes, the test set
    of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository,
    https://doi.org/10.24432/C50P49), licensed CC BY 4.0; here packed into one file and shuffled once, pixels unchanged.

    Parameters
    ----------
    name
        One of `NAMES`.
    split
        One of `SPLITS`.
    data_dir
        The folder that holds `mnist/`, `fashion-mnist/` and `cifar-10-batches-bin/`; None means what the environment
        variable ESPALIER_DATA names. An IDX file may be there with or without `.gz`. Not needed for `digits`.

    Raises
    ------
    EspalierError
        The name or the split is unknown, no data directory is given, or a file is missing or damaged.

    Examples
    --------
    >>> digits = load("digits", "test")
    >>> len(digits), digits.shape, digits.classes
    (350, (1, 8, 8), 10)
    """
    check_choice("data set", name, NAMES)
    check_choice("split", split, SPLITS)
    if name == "digits":
        images, labels = _load_digits(split)
        return Dataset(name, split, images, labels, classes=10, full_scale=DIGITS_FULL_SCALE)
    folder = data_folder(data_dir) / FOLDERS[name]
    read = _load_cifar10 if name == "cifar-10" else _load_idx
    images, labels = read(name, split, folder)
    return Dataset(name, split, images, labels, classes=10, full_scale=255)


def data_folder(data_dir: str | os.PathLike[str] | None) -> Path:
    """Return the folder of the data sets: `data_dir`, or what the environment variable ESPALIER_DATA names.

    Raises
    ------
    EspalierError
        Neither is given.
    """
    chosen = data_dir if data_dir is not None else os.environ.get(DATA_DIR_VARIABLE)
    if not chosen:
        raise EspalierError(
            f"no data directory: pass --data-dir or set {DATA_DIR_VARIABLE} to the folder that holds mnist/, "
            "fashion-mnist/, cifar-10-batches-bin/ (`espalier data fetch NAME --data-dir DIR` makes one)"
        )
    return Path(chosen)


def check_choice(what: str, given: str, choices: Sequence[str]) -> None:
    """Raise an EspalierError, with the nearest choice as a suggestion, unless `given` is one of `choices`."""
    if given in choices:
        return
    near = difflib.get_close_matches(str(given).lower(), choices, n=1, cutoff=0.4)
    suggestion = f"did you mean '{near[0]}'? " if near else ""
    raise EspalierError(f"unknown {what} '{given}': {suggestion}(known: {', '.join(choices)})")


def _load_digits(split: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    packed = resources.files("accel.interchange.data").joinpath("digits.npz").read_bytes()
    part = DIGITS_SPLITS[split]
    with np.load(io.BytesIO(packed), allow_pickle=False) as file:
        return file["images"][part, np.newaxis], file["labels"][part].astype(np.int64)


def _load_idx(name: str, split: str, folder: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    image_file, label_file = (_existing(name, folder, file, (file, f"{file}.gz")) for file in IDX_FILES[split])
    images = read_idx(image_file, dimensions=3)
    labels = read_idx(label_file, dimensions=1)
    if images.shape[1:] != IDX_IMAGE_SHAPE:
        rows, columns = images.shape[1:]
        raise EspalierError(f"{image_file}: images are {rows} x {columns}, expected 28 x 28")
    if len(images) != len(labels):
        raise EspalierError(
            f"{image_file} holds {len(images)} images but {label_file} holds {len(labels)} labels; counts must be equal"
        )
    check_labels(labels, 10, str(label_file))
    least = 1 if split == "test" else IDX_HELD_OUT + 1
    if len(images) < least:
        raise EspalierError(f"{image_file}: holds {len(images)} images, expected at least {least}")
    part = {"train": slice(0, -IDX_HELD_OUT), "validation": slice(-IDX_HELD_OUT, None), "test": slice(None)}[split]
    return images[part, np.newaxis], labels[part].astype(np.int64)


def _load_cifar10(name: str, split: str, folder: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    batches = [read_cifar10(_existing(name, folder, file, (file,))) for file in CIFAR_FILES[split]]
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    return images, labels.astype(np.int64)


def _existing(name: str, folder: Path, file: str, alternatives: Sequence[str]) -> Path:
    """Return the first of `alternatives` that is in `folder`."""
    for alternative in alternatives:
        if os.path.isfile(folder / alternative):  # Path.is_file() raises where a parent folder cannot be entered
            return folder / alternative
    ending = "" if len(alternatives) == 1 else " (with or without .gz)"
    raise EspalierError(f"{folder / file}: no such file{ending}; `espalier data fetch {name}` downloads it")


def check_labels(labels: npt.NDArray[Any], classes: int, where: str) -> None:
    """Raise an EspalierError, which names `where`, the image and its label, unless all are 0..classes-1."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        at = int(wrong[0])
        raise EspalierError(f"{where}: label of image {at} is {labels[at]}, expected 0..{classes - 1}")


def _parts(images: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Return the images in parts that are small as codes of 64 bits."""
    return [images[first : first + PART] for first in range(0, len(images), PART)]


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return `array` read-only: itself if it is, else a copy, since the caller may go on writing to the original."""
    if array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array
