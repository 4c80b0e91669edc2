"""Reading IDX files: the format of MNIST and Fashion-MNIST, gzipped or not."""

import contextlib
import gzip
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from accel.errors import EspalierError
from accel.files import opened
from accel.limits import check_unpacked

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 0x08
MAX_DIMENSIONS = 4  # count, channels, rows, columns: nothing that we read has more
_CHUNK_BYTES = 1 << 20


def read_idx(path: str | os.PathLike[str], dimensions: int | None = None) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes: images (count, rows, columns) or labels (count,).

    The format is two zero bytes, one byte for the element type, one for the number of dimensions, each dimension as a
    big-endian 32-bit integer, then the elements in C order. Gzip is recognized by its first two bytes, not by the name.

    Parameters
    ----------
    path
        The file.
    dimensions
        How many dimensions the file must have: 3 for images, 1 for labels. None accepts 1 to 4.

    Returns
    -------
    numpy.ndarray
        uint8, read-only, of the shape that the file's header gives.

    Raises
    ------
    EspalierError
        The file cannot be read, its gzip stream is damaged, it is not an IDX file of unsigned bytes, it has another
        number of dimensions than asked for, or it holds fewer or more bytes than its header says.

    Notes
    -----
    Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", section "File formats".
    """
    path = Path(path)
    with _opened(path) as stream:
        shape = _read_header(stream, path, dimensions)
        size = math.prod(shape)
        check_unpacked(size, path.stat().st_size, path)
        payload = _read_at_most(stream, size + 1)
    if len(payload) != size:
        fault = "the file is cut short" if len(payload) < size else "bytes follow the last element"
        raise EspalierError(f"{path}: {fault}: the header says {_times(shape)} = {size} bytes of data")
    return np.frombuffer(payload, dtype=np.uint8).reshape(shape)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open `path`, unzipped on the way if it is gzipped, and turn every failure to read it into an EspalierError."""
    try:
        with opened(path) as raw:
            zipped = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            raw.seek(0)
            if zipped:
                with gzip.GzipFile(fileobj=raw) as unzipped:
                    yield unzipped  # type: ignore[misc]  # a GzipFile reads like any binary file
            else:
                yield raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise EspalierError(f"{path}: the gzip stream is damaged or cut short ({error}); fetch it again") from error
    except OSError as error:
        raise EspalierError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_header(stream: BinaryIO, path: Path, dimensions: int | None) -> tuple[int, ...]:
    """Return the shape that the header gives; `stream` stands at the first element afterwards."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise EspalierError(
            f"{path}: not an IDX file: it begins with [{magic.hex(' ')}], expected [00 00 08] and the dimension count"
        )
    if magic[2] != UNSIGNED_BYTE:
        raise EspalierError(f"{path}: IDX element type is 0x{magic[2]:02x}, expected 0x08 (unsigned byte)")
    count = magic[3]
    if not 1 <= count <= MAX_DIMENSIONS or (dimensions is not None and count != dimensions):
        expected = f"1..{MAX_DIMENSIONS}" if dimensions is None else str(dimensions)
        raise EspalierError(f"{path}: number of IDX dimensions is {count}, expected {expected}")
    sizes = stream.read(4 * count)
    if len(sizes) < 4 * count:
        raise EspalierError(f"{path}: the file is cut short: it ends within the IDX header of {4 + 4 * count} bytes")
    return tuple(int.from_bytes(sizes[at : at + 4], "big") for at in range(0, len(sizes), 4))


def _read_at_most(stream: BinaryIO, limit: int) -> bytes:
    """Read up to `limit` bytes.

    In chunks, because one read of `limit` bytes would allocate whatever a damaged header asks for. Reading to the end
    of a gzip stream is also what checks its sum.
    """
    data = bytearray()
    while len(data) < limit and (chunk := stream.read(min(_CHUNK_BYTES, limit - len(data)))):
        data += chunk
    return bytes(data)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)
