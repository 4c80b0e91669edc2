"""Folders of pictures: one folder for each class, perhaps below train/, validation/ and test/."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError, reading
from accel.files import opened

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG")
SUFFIXES = (".png", ".jpg", ".jpeg")
MODES = {1: "L", 3: "RGB"}  # what a picture becomes, by the channels that the network takes
EIGHT_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # Pillow cuts off what others have more


def folders(path: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted; hidden ones are left out."""
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def class_folders(path: Path) -> list[str]:
    """Return the classes of a folder: the names of its folders, sorted.

    Raises
    ------
    EspalierError
        There are none.
    OSError
        The folder cannot be read.
    """
    found = folders(path)
    if not found:
        raise EspalierError(f"{path}: holds no class folders; expected one folder of PNG or JPEG files for each class")
    return found


def listed(path: Path, classes: Sequence[str]) -> tuple[list[Path], NDArray[np.int64]]:
    """Return the pictures of a folder of class folders in the order of their names, with their labels.

    Parameters
    ----------
    path : Path
    classes : sequence of str
        A label is a place among these.

    Raises
    ------
    EspalierError
        A class has no pictures, or something else beside them.
    OSError
        A folder cannot be read.
    """
    files: list[Path] = []
    labels: list[int] = []
    for name in class_folders(path):
        inside = sorted(entry for entry in (path / name).iterdir() if not entry.name.startswith("."))
        for entry in inside:
            if entry.suffix.lower() not in SUFFIXES or not entry.is_file():
                raise EspalierError(f"{entry}: is no picture; a class folder holds {', '.join(SUFFIXES)} only")
        if not inside:
            raise EspalierError(f"{path / name}: a class folder without a picture")
        files += inside
        labels += [classes.index(name)] * len(inside)
    return files, np.array(labels, np.int64)


def read_pictures(files: Sequence[Path], shape: tuple[int, int, int], network: str) -> NDArray[np.uint8]:
    """Return pictures (N, C, H, W), 0..255: gray for one channel, RGB for three, as Pillow converts them.

    Parameters
    ----------
    files : sequence of Path
    shape : (C, H, W)
        Of every picture; one of another size is refused before it is unpacked.
    network : str
        What takes this shape, for messages.

    Raises
    ------
    EspalierError
        A file is no picture, was cut or changed, has more than 8 bits a channel or another size; or the network takes
        other channels than pictures have.
    OSError
        A file cannot be read.
    """
    channels, height, width = shape
    if channels not in MODES:
        raise EspalierError(
            f"{network}: takes images of shape {shape}; pictures have 1 or 3 channels: give an .npz file"
        )
    images = np.empty((len(files), height, width, channels), np.uint8)
    for place, path in enumerate(files):
        images[place] = _read(path, shape, network).reshape(height, width, channels)
    images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    images.setflags(write=False)
    return images


def _read(path: Path, shape: tuple[int, int, int], network: str) -> NDArray[np.uint8]:
    from PIL import Image  # whoever has no pictures need not wait for it

    what = "is no PNG or JPEG picture, or was cut or changed"
    with opened(path) as file, warnings.catch_warnings(), reading(path, what, (Image.DecompressionBombError,)):
        warnings.simplefilter("ignore")  # of metadata that is odd, which changes no pixel
        with Image.open(file, formats=FORMATS) as picture:
            _check(picture, shape, network)
            return np.asarray(picture.convert(MODES[shape[0]]))


def _check(picture: "Image.Image", shape: tuple[int, int, int], network: str) -> None:
    if (picture.height, picture.width) != shape[1:]:
        raise EspalierError(
            f"has the height and width {(picture.height, picture.width)}; all must have {shape[1:]}, for "
            f"{network} takes images of shape {shape}"
        )
    if picture.mode not in EIGHT_BIT:
        raise EspalierError(f"has pixels of Pillow's mode {picture.mode}; expected 8 bits a channel")
