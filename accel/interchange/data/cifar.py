"""Reading CIFAR-10's binary files."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from accel.errors import EspalierError
from accel.files import read_whole

IMAGE_SHAPE = (3, 32, 32)  # red, green and blue planes of 32 rows of 32 pixels
PIXEL_BYTES = 3 * 32 * 32
RECORD_BYTES = 1 + PIXEL_BYTES
CLASSES = 10


def read_cifar10(path: str | os.PathLike[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Read one batch file of CIFAR-10's binary version.

    A file is records of 3,073 bytes: the label, then the red, the green and the blue plane, each 32 rows of 32 pixels.

    Parameters
    ----------
    path
        One of `data_batch_1.bin` .. `data_batch_5.bin` and `test_batch.bin`, or a file laid out like them.

    Returns
    -------
    images, labels : numpy.ndarray
        uint8 of shape (N, 3, 32, 32) and uint8 of shape (N,) with values 0..9.

    Raises
    ------
    EspalierError
        The file cannot be read, is not a whole number of records, is empty, or has a label above 9.

    Notes
    -----
    Source: A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html, section "Binary version".
    """
    path = Path(path)
    try:
        data = read_whole(path)
    except OSError as error:
        raise EspalierError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not data or len(data) % RECORD_BYTES:
        raise EspalierError(
            f"{path}: holds {len(data)} bytes, expected a whole number of CIFAR-10 records of {RECORD_BYTES} bytes"
        )
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, RECORD_BYTES)
    labels = records[:, 0].copy()
    wrong = np.flatnonzero(labels >= CLASSES)
    if wrong.size:
        at = int(wrong[0])
        raise EspalierError(f"{path}: label of image {at} is {labels[at]}, expected 0..{CLASSES - 1}")
    return records[:, 1:].reshape(-1, *IMAGE_SHAPE), labels
