"""Reading .npz files of numpy."""

import os
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError

# what numpy and zipfile raise for bytes that numpy did not write
_DAMAGE = (ArithmeticError, EOFError, LookupError, MemoryError, NotImplementedError, RuntimeError, ValueError)


def read_npz(path: str | os.PathLike[str], names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
    """Return the arrays of a ``.npz`` file by name, in the file's order.

    Parameters
    ----------
    path : path
    names : sequence of str, optional
        The arrays to read; names that the file does not have are left out. All by default.

    Raises
    ------
    EspalierError
        The file is no ``.npz``, was cut or changed, or holds objects.
    OSError
        The file cannot be read.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise EspalierError(f"{path}: is no .npz file")
            return {name: archive[name] for name in archive.files if names is None or name in names}
    except (*_DAMAGE, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, EspalierError):
            raise
        if "Object arrays" in str(error):
            raise EspalierError(f"{path}: is an array of objects, expected numbers") from error
        raise EspalierError(f"{path}: is no .npz file, or was cut or changed") from error
