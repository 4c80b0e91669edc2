"""A user's own images: arrays (`accel.interchange.data.arrays`), or a folder of class folders; missing splits are made.

A folder holds a folder of pictures for each class, whose number is its place among the sorted names, or holds
``train``, ``validation`` and ``test`` with such folders. One of wav files is Speech Commands
(`accel.interchange.data.speech`), or sounds of machines (`accel.interchange.data.machines`).

Of a split that is missing, `SHARES` of the training images of each class are taken, drawn with a fixed seed; images
without labels judge nothing and are not split. Images with labels come in a drawn order, so that the first ones are
of all classes.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.interchange.data import arrays
from accel.interchange.data.datasets import SPLITS, Dataset, check_labels
from accel.interchange.data.machines import Machines, is_machines, open_machines
from accel.interchange.data.pictures import class_folders, folders, listed, read_pictures
from accel.interchange.data.speech import CLASSES, LISTS, SHAPE, Clip, clips_of, features_of, is_speech
from accel.signal import freeze

TRAIN = SPLITS[0]
SHARES = {"validation": 0.15, "test": 0.15}
SEED = 0
BYTE_SCALE = 255  # uint8 pixels are divided by it, as those of the known data sets are


@dataclass(frozen=True)
class Taker:
    """What takes the images: a network or a Program.

    Parameters
    ----------
    name : str
        For messages.
    shape : tuple of int
        (C, H, W) of an image.
    classes : int
        How many scores it gives.
    last : bool
        Where a shape could be read both ways, images are channels-last.
    """

    name: str
    shape: tuple[int, int, int]
    classes: int
    last: bool = False


@dataclass(frozen=True, eq=False)
class Part:
    """Images of one split, not necessarily unpacked yet.

    Parameters
    ----------
    items : array (N, ...)
        Images (N, C, H, W), the paths of pictures, or clips of speech.
    labels : int64 array (N,)
        (0,) where there are none.
    kinds : int
        How many different labels there are, in the part that it was taken from too.
    """

    items: NDArray[Any]
    labels: NDArray[np.int64]
    kinds: int

    def __post_init__(self) -> None:
        freeze(self, items=self.items, labels=self.labels)

    @property
    def labelled(self) -> bool:
        """Whether the images have labels."""
        return len(self.labels) > 0

    def at(self, places: NDArray[np.intp]) -> "Part":
        """Return the images at these places."""
        return replace(self, items=self.items[places], labels=self.labels[places])


@dataclass(frozen=True, eq=False)
class OwnData:
    """Images of a user's own, as a network takes them.

    Parameters
    ----------
    path : Path
    name : str
        What networks and reports call them: the name of the file, or of the folder with a ``/``.
    taker : Taker
    parts : mapping of split to Part
        Those that can be had.
    made : tuple of str
        The splits that were taken from the training images.
    how : str
        What is done to a pixel.
    """

    path: Path
    name: str
    taker: Taker
    parts: Mapping[str, Part]
    made: tuple[str, ...]
    how: str

    def load(self, split: str, labelled: bool = True) -> Dataset:
        """Return one split; `labelled` says that labels are needed.

        Raises
        ------
        EspalierError
            There is no such split, it has no labels or those of one class only, or a picture cannot be used.
        """
        if split not in self.parts:
            raise EspalierError(f"{self.path}: has no {split} images, and no training images to take them from")
        part = self.parts[split]
        if labelled and not part.labelled:
            raise EspalierError(f"{self.path}: its {split} images have no labels, which error rates need")
        if labelled and part.kinds < 2:
            raise EspalierError(
                f"{self.path}: all {split} labels are {part.labels[0]}; images of at least two classes are needed"
            )
        images = part.items
        if images.dtype == object:
            images = _unpacked(images, self.taker)
        classes = self.taker.classes if part.labelled else 0
        scale = BYTE_SCALE if images.dtype == np.uint8 else 1
        return Dataset(self.name, split, images, part.labels, classes=classes, full_scale=scale)

    @property
    def note(self) -> str:
        """What was done with the images, in one line."""
        counts = ", ".join(f"{len(part.items):,} {split}" for split, part in self.parts.items())
        if not any(part.labelled for part in self.parts.values()):
            return f"{self.path}: {len(self.parts[TRAIN].items):,} images without labels, {self.how}"
        line = f"{self.path}: {counts} images, {self.how}"
        if self.made:
            shares = " and ".join(f"{SHARES[split]:.0%} {split}" for split in self.made)
            line += f"; {shares} images taken from the training images, class by class (seed {SEED})"
        return line


def _unpacked(items: NDArray[Any], taker: Taker) -> NDArray[Any]:
    """Return the pictures at paths, or what is heard in clips."""
    return (
        features_of(list(items)) if isinstance(items[0], Clip) else read_pictures(list(items), taker.shape, taker.name)
    )


def is_own(text: str) -> bool:
    """Return whether `text` means a file, a folder or a function, not a data set: it is one, or is written like one."""
    written = text.endswith((".npz", "/")) or "/" in text or arrays.is_function(text)
    return bool(text) and (written or Path(text).exists())


def name_of(path: Path) -> str:
    """Return what networks and reports call own images: no path, for that is another one elsewhere.

    >>> name_of(Path("photos/shapes.npz"))
    'shapes.npz'
    """
    if arrays.is_function(str(path)):
        return arrays.function_name(str(path))
    name = os.path.basename(os.path.realpath(path)) + ("/" if path.is_dir() else "")
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def open_own(path: Path, taker: Taker) -> OwnData | Machines:
    """Return the images at `path`, which may be a function of Python; pictures and sounds are not unpacked yet.

    Raises
    ------
    EspalierError
        The file or folder is none of these, or images and labels do not fit each other or what takes them.
    OSError
        Something cannot be read.
    """
    if arrays.is_function(str(path)):
        return _arrays(path, taker, ())
    files = arrays.files(path)
    if path.is_dir() and not files:
        if is_machines(path):
            return open_machines(path, name_of(path), taker.name, taker.shape)
        return _speech(path, taker) if is_speech(path) else _folder(path, taker)
    states = [file.stat() for file in files or (path,)]
    return _arrays(path, taker, tuple((state.st_mtime_ns, state.st_size) for state in states))


def elsewhere(text: str) -> str:
    """Return what means the same images for a process that works in another folder."""
    return arrays.function_elsewhere(text) if arrays.is_function(text) else os.path.realpath(text)


@lru_cache(maxsize=2)  # a command loads one split after the other
def _arrays(path: Path, taker: Taker, stamp: tuple[tuple[int, int], ...]) -> OwnData:
    found = arrays.read(path)
    parts: dict[str, Part] = {}
    how: dict[str, str] = {}
    for split in SPLITS:
        prefix = f"{split}_" if f"{split}_images" in found else ""
        if prefix or (split == TRAIN and "images" in found):
            name = f"{prefix}images"
            images = _arranged(found[name], taker, path, name)
            how[split] = _how(images)
            parts[split] = _part(images, found.get(f"{prefix}labels"), taker, path, f"{prefix}labels")
    pixels = dict.fromkeys(how.values())
    return _split(path, taker, parts, "; ".join(pixels))


def _arranged(images: NDArray[Any], taker: Taker, path: Path, name: str) -> NDArray[Any]:
    """Return images as uint8 or float32 (N, C, H, W), whichever of its layouts they have."""
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise EspalierError(f"{path}: {name!r} holds {images.dtype} {images.shape}, expected uint8 or floats")
    if not len(images.shape) or not len(images):
        raise EspalierError(f"{path}: {name!r} holds no images, its shape is {images.shape}")
    channels, height, width = taker.shape
    one = images.shape[1:]
    first, last = one == taker.shape, one == (height, width, channels)
    if last and (taker.last or not first):
        images = np.moveaxis(images, -1, 1)
    elif not first and (one == (height, width) and channels == 1):
        images = images[:, None]
    elif not first and (one == (channels,) and height == width == 1):
        images = images[:, :, None, None]
    elif not first:
        raise EspalierError(f"{taker.name}: takes images of shape {taker.shape}, those of {path} have {one}")
    if images.dtype != np.uint8:
        with np.errstate(over="ignore"):  # found next
            images = images.astype(np.float32)
        if not np.isfinite(images).all():
            raise EspalierError(f"{path}: {name!r} holds a value that is not finite (or no float32)")
    return np.ascontiguousarray(images)


def _how(images: NDArray[Any]) -> str:
    if images.dtype == np.uint8:
        return f"uint8 pixels divided by {BYTE_SCALE}"
    return f"floats {images.min():g}..{images.max():g} taken as they are"


def _part(images: NDArray[Any], labels: NDArray[Any] | None, taker: Taker, path: Path, name: str) -> Part:
    if labels is None:
        return Part(images, np.zeros(0, np.int64), 0)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise EspalierError(
            f"{path}: {name!r} holds {labels.dtype} {labels.shape}, expected an integer for each of the "
            f"{len(images)} images"
        )
    if len(labels) != len(images):
        raise EspalierError(f"{path}: {len(images)} images but {len(labels)} of {name!r}; counts must be equal")
    check_labels(labels, taker.classes, f"{path}: {name!r} ({taker.name} has {taker.classes} classes)")
    return Part(images, labels.astype(np.int64), len(np.unique(labels)))


def _folder(path: Path, taker: Taker) -> OwnData:
    inside = class_folders(path)
    roots = {TRAIN: path}
    if any(name in SPLITS and folders(path / name) for name in inside):
        others = [name for name in inside if name not in SPLITS]
        if others:
            raise EspalierError(f"{path / others[0]}: is no split; beside {', '.join(SPLITS)} expected nothing else")
        roots = {split: path / split for split in SPLITS if split in inside}
    classes = sorted({name for root in roots.values() for name in class_folders(root)})
    if len(classes) != taker.classes:
        some = ", ".join([*classes[:4], *["..."][: len(classes) > 4]])
        raise EspalierError(
            f"{path}: has {len(classes)} class folders ({some}), but {taker.name} has {taker.classes} classes"
        )
    parts = {}
    for split, root in roots.items():
        files, labels = listed(root, classes)
        items = np.empty(len(files), object)
        items[:] = files
        parts[split] = Part(items, labels, len(np.unique(labels)))
    color = "gray" if taker.shape[0] == 1 else "RGB"
    return _split(path, taker, parts, f"read as {color} and divided by {BYTE_SCALE}")


def _speech(path: Path, taker: Taker) -> OwnData:
    """Return Speech Commands, which has all splits."""
    if (taker.shape, taker.classes) != (SHAPE, CLASSES):
        raise EspalierError(
            f"{taker.name}: takes images of shape {taker.shape} and knows {taker.classes} classes; MFCC of "
            f"{path} have {SHAPE} and {CLASSES}"
        )
    stamps = tuple(
        entry.stat().st_mtime_ns for entry in (path, *(path / name for name in LISTS.values())) if entry.exists()
    )
    parts = {}
    for split, (clips, labels) in _clips(path, stamps).items():
        items = np.empty(len(clips), object)
        items[:] = clips
        parts[split] = _mixed(Part(items, np.array(labels, np.int64), CLASSES), split)
    return OwnData(path, name_of(path), taker, parts, (), "MFCC of a second each, silence and unknown words drawn")


@lru_cache(maxsize=1)  # a hundred thousand files
def _clips(path: Path, stamps: tuple[int, ...]) -> Mapping[str, tuple[list[Clip], list[int]]]:
    return clips_of(path)


def _split(path: Path, taker: Taker, parts: Mapping[str, Part], how: str) -> OwnData:
    missing = tuple(split for split in SPLITS if split not in parts)
    found, made = dict(parts), missing
    if missing and TRAIN in parts:
        if parts[TRAIN].labelled:
            found |= _cut(parts[TRAIN], missing, path)
        else:
            found |= dict.fromkeys(missing, parts[TRAIN])
            made = ()
    ordered = {split: _mixed(found[split], split) for split in SPLITS if split in found}
    return OwnData(path, name_of(path), taker, ordered, made if TRAIN in parts else (), how)


def _cut(train: Part, missing: tuple[str, ...], path: Path) -> dict[str, Part]:
    """Return the missing splits, `SHARES` of each class, and what stays for training: at least one image of each."""
    rng = np.random.default_rng(SEED)
    owner = np.zeros(len(train.items), np.intp)
    for label in np.unique(train.labels):
        places = rng.permutation(np.flatnonzero(train.labels == label))
        first = 0
        for number, split in enumerate(missing, start=1):
            enough = len(places) > len(missing)
            count = max(round(SHARES[split] * len(places)), 1) if enough else 0
            owner[places[first : first + count]] = number
            first += count
    for number, split in enumerate(missing, start=1):
        if not (owner == number).any():
            raise EspalierError(
                f"{path}: no class has enough images to take {' and '.join(missing)} images from; expected more than "
                f"{len(missing)} of a class, or {split} images of their own"
            )
    named = enumerate((TRAIN, *missing))
    return {split: train.at(np.flatnonzero(owner == number)) for number, split in named}


def _mixed(part: Part, split: str) -> Part:
    """Return images with labels in a drawn order."""
    if not part.labelled:
        return part
    rng = np.random.default_rng((SEED, SPLITS.index(split)))
    return part.at(rng.permutation(len(part.items)))
