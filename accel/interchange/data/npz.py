"""Reading .npz files of numpy: anybody's, so that every size is checked before an array is made."""

import math
import os
import warnings
import zipfile
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError, reading
from accel.files import opened
from accel.limits import MOST_DIMENSIONS, MOST_MEMBERS, check_unpacked

KINDS = "biufSU"  # booleans, integers, floats, text: nothing that runs code, and no records
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what numpy writes
_ENCRYPTED = 1  # of a member's flags
_ENDING = ".npy"
_CHUNK_BYTES = 1 << 20


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
        The file is no ``.npz``, was cut or changed, is encrypted or packed as numpy does not, holds objects, or would
        unpack to more than `accel.limits` allows.
    OSError
        The file cannot be read.
    """
    if os.fspath(path).endswith(_ENDING):
        raise EspalierError(f"{path}: is one array; expected an .npz: numpy.savez(name, images=..., labels=...)")
    with (
        opened(path) as file,
        reading(path, "is no .npz file, or was cut or changed"),
        zipfile.ZipFile(file) as archive,
    ):
        members = _members(archive)
        size = os.fstat(file.fileno()).st_size
        if sum(member.compress_size for member in members.values()) > size:  # members that share their bytes
            raise EspalierError(f"says that its arrays take more bytes than the {size} of the file")
        check_unpacked(sum(member.file_size for member in members.values()), size, "its arrays")
        chosen = {name: member for name, member in members.items() if names is None or name in names}
        return {name: _read_member(archive, member, repr(name)) for name, member in chosen.items()}


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members by the array's name, checked to be what numpy writes."""
    entries = archive.infolist()
    if len(entries) > MOST_MEMBERS:
        raise EspalierError(f"holds {len(entries)} arrays, expected at most {MOST_MEMBERS}")
    members: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename.removesuffix(_ENDING)
        if name == entry.filename or not name.isprintable() or name in members:
            raise EspalierError(f"has a member {entry.filename[:80]!r}, expected arrays (.npy), each name once")
        if entry.compress_type not in COMPRESSIONS or entry.flag_bits & _ENCRYPTED:
            raise EspalierError(f"{name!r} is encrypted or packed in another way than numpy's savez does")
        members[name] = entry
    return members


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> NDArray[Any]:
    with archive.open(member) as stream:
        shape, fortran, dtype = _read_header(stream, where)
        if dtype.kind not in KINDS or len(shape) > MOST_DIMENSIONS:
            raise EspalierError(f"{where}: is an array of {dtype} {shape}, expected numbers or text")
        count = math.prod(shape)
        if min(shape, default=0) < 0 or count * dtype.itemsize > member.file_size:
            raise EspalierError(f"{where}: {member.file_size} bytes do not hold {dtype} {shape}")
        data = np.empty(count * dtype.itemsize, np.uint8)
        _fill(stream, data.data, where)
    array = data.view(dtype) if dtype.itemsize and count else np.empty(count, dtype)
    array = array.reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether the order is Fortran's, and dtype; `stream` stands at the data afterwards."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
        (3, 0): np.lib.format.read_array_header_2_0,  # differs only in the names of records, of which we read none
    }
    if version not in readers:
        raise EspalierError(f"{where}: is in version {version} of numpy's format, expected 1.0, 2.0 or 3.0")
    with warnings.catch_warnings(action="ignore"):  # what Python 2 wrote is read like the rest
        return readers[version](stream)


def _fill(stream: IO[bytes], data: memoryview, where: str) -> None:
    """Fill `data` from `stream`, which must end there: reading to the end is what checks the member's sum."""
    filled = 0
    while filled < len(data) and (chunk := stream.read(min(_CHUNK_BYTES, len(data) - filled))):
        data[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    if filled != len(data) or stream.read(1):
        raise EspalierError(f"{where}: holds {'fewer' if filled < len(data) else 'more'} bytes than its header says")
