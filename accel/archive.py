"""One file that holds frozen dataclasses: a JSON header, their arrays, and a digest of it all. No pickle.

Layout, little endian::

    8 bytes   b"ESPALIER"
    2 bytes   version of this layout
    4 bytes   length of the header
    header    JSON: what the file holds, the record, where each array lies
    payload   the arrays, each on a byte boundary
    32 bytes  SHA-256 of everything before

A dataclass field with the metadata ``{"packed": "NAME"}`` is an integer array of which exactly as many bits a word are
stored as the attribute NAME says, so that a file holds the bits that the cost model counts. A field that came later has
the default None, or the metadata `LATER`; where it has its default it is not written, so that such a file is what
earlier releases write and read. A field with the metadata `CLAIM` is a shape of which the class makes an array; it
counts among the bytes that a file unpacks to, which `accel.limits` bounds before any is unpacked.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from functools import cache
from types import UnionType
from typing import Any, BinaryIO, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from accel.errors import EspalierError, reading
from accel.files import opened, write_whole
from accel.limits import MOST_DIMENSIONS, MOST_FILE_BYTES, MOST_HEADER_BYTES, check_limit, check_unpacked

MAGIC = b"ESPALIER"
INSTEAD = {  # what to do about a file that holds one kind where another is wanted
    ("network", "program"): "; `espalier quantize {path} -o program.espalier` makes one of it",
    ("program", "network"): "; give the network that it was made of, a Program has its word lengths already",
}
VERSION = 1
LARGE, SAMPLE, MOST_LEFT = 1 << 24, 1 << 18, 0.9  # bytes of an array, and of its piece; what may be left of that
LATER = {"later": True}
CLAIM = {"claim": True}
_PREFIX = len(MAGIC) + 2 + 4
_DIGEST = hashlib.sha256().digest_size
_WORD_BITS = range(64)  # of a packed word; two's complement or unsigned, it fits int64
_DTYPES = ("|b1", "|i1", "|u1", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f4", "<f8")
_CLAIM_BYTES = 2  # of a mask and of what is made of it on the way
_WORDS_AT_ONCE = 1 << 16  # that are packed and unpacked: a multiple of 8, so that each piece begins at a byte
_CHUNK_BYTES = 1 << 20


def save(path: str | os.PathLike[str], kind: str, thing: Any) -> None:
    """Write the dataclass `thing` to `path`, whole or not at all; `kind` is what the file says it holds."""
    write_whole(path, dump(kind, thing))


def dump(kind: str, thing: Any) -> bytes:
    """Return the bytes that `save` writes."""
    arrays = _Arrays()
    header = json.dumps({"kind": kind, "record": _encode(thing, arrays), "arrays": arrays.entries}).encode()
    parts = [MAGIC, VERSION.to_bytes(2, "little"), len(header).to_bytes(4, "little"), header, *arrays.parts]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return b"".join([*parts, digest.digest()])  # once: networks have hundreds of MB


def load(path: str | os.PathLike[str], kind: str, classes: tuple[type, ...]) -> Any:
    """Return the dataclass that `save` wrote to `path`.

    Parameters
    ----------
    path : path
    kind : str
        What the file must say it holds.
    classes : tuple of type
        What the record must be, then the dataclasses and enumerations that it may be made of; no other is ever made.

    Raises
    ------
    EspalierError
        The file is not one of ours, is of another kind or version, was cut or changed, or holds values that the
        classes refuse.
    OSError
        The file cannot be read.
    """
    with _checked(path) as (file, size):
        header = _read_header(file.read, path)
        begin = file.tell()

        def read(offset: int, length: int) -> bytes:
            file.seek(begin + offset)
            return file.read(length)

        return _loads(header, _Payload(read, size - _DIGEST - begin), size, kind, classes, path)


def loads(data: bytes, kind: str, classes: tuple[type, ...], path: str | os.PathLike[str] = "bytes") -> Any:
    """Return the dataclass of which `dump` made `data`; as `load`, where `path` is what errors call it."""
    _check_digest(data[:_PREFIX], hashlib.sha256(memoryview(data)[:-_DIGEST]).digest(), data[-_DIGEST:], path)
    stream = io.BytesIO(data)
    header, payload = _read_header(stream.read, path), memoryview(data)[stream.tell() : -_DIGEST]
    held = _Payload(lambda offset, length: bytes(payload[offset : offset + length]), len(payload))
    return _loads(header, held, len(data), kind, classes, path)


def kind_of(path: str | os.PathLike[str]) -> str:
    """Return what the file at `path` says it holds, of which the beginning is read alone: `load` checks the rest.

    Raises
    ------
    EspalierError
        The file is not one of ours, is of another version, or its header was cut or changed.
    OSError
        The file cannot be read.
    """
    try:
        with opened(path, MOST_FILE_BYTES) as file:
            _check_start(file.read(_PREFIX), path)
            file.seek(0)
            return str(_read_header(file.read, path)["kind"])
    except EspalierError:
        with _checked(path):  # that it was cut or changed comes first
            raise


def _loads(
    header: dict[str, Any],
    payload: "_Payload",
    file_bytes: int,
    kind: str,
    classes: tuple[type, ...],
    path: str | os.PathLike[str],
) -> Any:
    if header["kind"] != kind:
        found = str(header["kind"])  # of a damaged file it may be anything
        raise EspalierError(
            f"{path}: holds a {found}, expected a {kind}{INSTEAD.get((found, kind), '').format(path=path)}"
        )
    with reading(path, "is damaged: its record is not as it was written"):
        arrays = _Stored(header["arrays"], payload, file_bytes)
        thing = _decode(header["record"], arrays, {cls.__name__: cls for cls in classes})
        _check_type(thing, classes[0], "its record")
        return thing


def pack(codes: NDArray[Any], bits: int) -> bytes:
    """Return `codes` as a stream of two's complement words of `bits` bits each, lowest bit first."""
    words = np.asarray(codes).ravel()
    return b"".join(_pack(words[i : i + _WORDS_AT_ONCE], bits) for i in range(0, words.size, _WORDS_AT_ONCE))


def _pack(words: NDArray[Any], bits: int) -> bytes:
    if bits == 8:
        return words.astype(np.uint8).tobytes()
    stream = (words.astype(np.int64)[:, None] >> np.arange(bits)) & 1
    return np.packbits(stream.astype(np.uint8).ravel(), bitorder="little").tobytes()


def unpack(
    data: bytes | memoryview, count: int, bits: int, signed: bool, dtype: npt.DTypeLike = np.int64
) -> NDArray[Any]:
    """Return the `count` words that `pack` wrote, as `dtype`."""
    if bits == 8:  # which is a byte already
        return np.frombuffer(data, np.int8 if signed else np.uint8, count).astype(dtype)
    stream, words = np.frombuffer(data, np.uint8), np.zeros(count, dtype)
    weights = 1 << np.arange(bits, dtype=np.int64)
    if signed and bits:
        weights[-1] = -weights[-1]
    for start in range(0, count if bits else 0, _WORDS_AT_ONCE):
        many = min(_WORDS_AT_ONCE, count - start)
        piece = np.unpackbits(stream[start * bits // 8 :], count=many * bits, bitorder="little")
        words[start : start + many] = piece.reshape(many, bits).astype(np.int64) @ weights
    return words


@contextlib.contextmanager
def _checked(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file of ours and give its size too; one that is not, was cut or changed is refused, read once in pieces.

    Of what it holds, which may be hundreds of MB, nothing is in memory then.
    """
    with opened(path, MOST_FILE_BYTES) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(_PREFIX)
        _check_start(start, path)
        file.seek(0)
        digest, left = hashlib.sha256(), size - _DIGEST
        while left > 0 and (chunk := file.read(min(_CHUNK_BYTES, left))):
            digest.update(chunk)
            left -= len(chunk)
        _check_digest(start, digest.digest(), file.read(_DIGEST + 1), path)
        file.seek(0)
        yield file, size


def _check_start(start: bytes, path: str | os.PathLike[str]) -> None:
    if start[: len(MAGIC)] != MAGIC:
        hint = "; espalier import reads ONNX files" if os.fspath(path).endswith(".onnx") else ""
        raise EspalierError(f"{path}: is not an Espalier file: it starts with {start[:8]!r}, expected {MAGIC!r}{hint}")
    if len(start) < _PREFIX:
        raise EspalierError(f"{path}: was cut or changed after it was written: it ends after {len(start)} bytes")


def _check_digest(start: bytes, digest: bytes, stored: bytes, path: str | os.PathLike[str]) -> None:
    _check_start(start, path)
    if digest != stored:
        raise EspalierError(f"{path}: was cut or changed after it was written: its SHA-256 does not match")


def _read_header(read: Callable[[int], bytes], path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the header of what `read` gives from its beginning on, so many bytes at a time."""
    start = read(_PREFIX)
    version, length = (int.from_bytes(start[i:j], "little") for i, j in ((len(MAGIC), -4), (-4, _PREFIX)))
    if version != VERSION:
        raise EspalierError(f"{path}: has format version {version}, this release reads version {VERSION}")
    check_limit(f"{path}: is damaged", "bytes of its header", length, MOST_HEADER_BYTES)
    with reading(path, "is damaged: its header is not JSON"):
        header = json.loads(read(length))
    if not isinstance(header, dict) or not {"kind", "record", "arrays"} <= header.keys():
        raise EspalierError(f"{path}: is damaged: its header names no kind, record and arrays")
    return header


class _Arrays:
    """The parts of the payload as it grows, and where each array lies in it."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.parts: list[bytes | memoryview] = []
        self.bytes = 0

    def add(self, array: NDArray[Any], bits: int | None) -> int:
        entry: dict[str, Any] = {"shape": list(array.shape), "dtype": array.dtype.newbyteorder("<").str}
        if bits is not None:
            data: bytes | memoryview = pack(array, bits)
            entry["bits"] = bits
        else:
            data = plain = np.ascontiguousarray(array, entry["dtype"]).reshape(-1).view(np.uint8).data
            if _shrinks(plain) and len(squeezed := zlib.compress(plain, 9)) < len(plain):
                data, entry["zlib"] = squeezed, True
        entry |= {"offset": self.bytes, "bytes": len(data)}
        self.bytes += len(data)
        self.parts.append(data)
        self.entries.append(entry)
        return len(self.entries) - 1


def _shrinks(data: memoryview) -> bool:
    """Return whether it is worth while to compress data; of many MB a piece in the middle says so for all."""
    if len(data) < LARGE:
        return True
    piece = data[len(data) // 2 :][:SAMPLE]
    return len(zlib.compress(piece, 1)) < MOST_LEFT * len(piece)


def _encode(item: Any, arrays: _Arrays, bits: int | None = None) -> Any:
    if isinstance(item, np.ndarray):
        return {"array": arrays.add(item, bits)}
    if isinstance(item, IntEnum):
        return {"enum": type(item).__name__, "name": item.name}
    if is_dataclass(item):
        content = {}
        for field in fields(item):
            value, packed = getattr(item, field.name), field.metadata.get("packed")
            later = field.default is None or "later" in field.metadata
            if later and type(value) is type(field.default) and value == field.default:
                continue
            content[field.name] = _encode(value, arrays, getattr(item, packed) if packed else None)
        return {"class": type(item).__name__, "fields": content}
    if isinstance(item, Mapping):
        return {"map": {key: _encode(value, arrays) for key, value in item.items()}}
    if isinstance(item, tuple | list):
        return [_encode(value, arrays) for value in item]
    if isinstance(item, np.generic):
        return item.item()
    if item is None or isinstance(item, str | bool | int | float):
        return item
    raise TypeError(f"cannot store a {type(item).__name__}")


def _decode(item: Any, arrays: "_Stored", classes: dict[str, type]) -> Any:
    if isinstance(item, list):
        return tuple(_decode(value, arrays, classes) for value in item)
    if not isinstance(item, dict):
        return item
    if "array" in item:
        return arrays.take(item["array"])
    if "enum" in item:
        return classes[item["enum"]][item["name"]]  # type: ignore[index]  # an enumeration is indexed by name
    if "map" in item:
        return {key: _decode(value, arrays, classes) for key, value in item["map"].items()}
    content = {name: _decode(value, arrays, classes) for name, value in item["fields"].items()}
    cls = classes[item["class"]]
    hints = _hints(cls)
    for name, value in content.items():
        _check_type(value, hints[name], f"{item['class']}.{name}")
    for field in fields(cls):
        if "claim" in field.metadata and field.name in content:
            arrays.spend(_CLAIM_BYTES * math.prod(content[field.name]), f"{item['class']} {content.get('name', '')!r}")
    return cls(**content)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)  # slowly


def _check_type(value: Any, hint: Any, what: str) -> None:
    if not _fits(value, hint):
        raise EspalierError(f"is damaged: {what} is of type {type(value).__name__}")


def _fits(value: Any, hint: Any) -> bool:
    """Return whether `value` is what the annotation `hint` of a field promises."""
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin is UnionType:
        return any(_fits(value, choice) for choice in arguments)
    if origin is tuple and isinstance(value, tuple):
        hints = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        return len(hints) == len(value) and all(map(_fits, value, hints))
    if origin is Mapping and isinstance(value, dict):
        return all(_fits(item, arguments[1]) for item in value.values())  # JSON's keys are text already
    if origin in (int, float):
        return type(value) is int or type(value) is origin  # but no bool
    return isinstance(value, origin)


@dataclass(frozen=True)
class _Payload:
    """What stands between header and digest: a piece, from an offset on and so long, is `read` when it is wanted."""

    read: Callable[[int, int], bytes]
    size: int

    def piece(self, offset: int, length: int) -> bytes:
        """Return a piece, or what there is of it."""
        first = min(max(offset, 0), self.size)
        return self.read(first, min(max(offset + length, first), self.size) - first)


class _Stored:
    """The arrays of a file, each of which is unpacked once, and how much the file has unpacked to so far."""

    def __init__(self, entries: Sequence[dict[str, Any]], payload: _Payload, file_bytes: int) -> None:
        self.entries, self.payload, self.file_bytes = entries, payload, file_bytes
        self.unpacked = 0
        self.taken: set[int] = set()

    def spend(self, unpacked_bytes: int, what: str) -> None:
        """Count what is about to be unpacked; raise EspalierError if that is too much for such a file."""
        self.unpacked += unpacked_bytes
        check_unpacked(self.unpacked, self.file_bytes, f"is damaged: with {what}")

    def take(self, index: int) -> NDArray[Any]:
        """Return an array, read-only."""
        index = range(len(self.entries))[index]
        entry = self.entries[index]
        shape, dtype = tuple(entry["shape"]), entry["dtype"]
        if dtype not in _DTYPES or min(shape, default=0) < 0 or len(shape) > MOST_DIMENSIONS:
            raise EspalierError(f"is damaged: an array of {str(dtype)[:9]!r} {shape[:MOST_DIMENSIONS]}")
        if index in self.taken:
            raise EspalierError(f"is damaged: array {index} stands in two places")
        self.taken.add(index)
        count = math.prod(shape)
        self.spend(count * np.dtype(dtype).itemsize, f"an array of {dtype} {shape}")
        array = self._read(entry, count, np.dtype(dtype))
        array.setflags(write=False)
        return array.reshape(shape)

    def _read(self, entry: dict[str, Any], count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        data = self.payload.piece(entry["offset"], entry["bytes"])
        bits = entry.get("bits")
        if bits is None:
            if entry.get("zlib"):  # no more than expected, so that a small file cannot fill the memory
                data = zlib.decompressobj().decompress(data, count * dtype.itemsize + 1)
            if len(data) != count * dtype.itemsize:
                raise EspalierError(f"is damaged: {len(data)} bytes do not hold {count} elements of {dtype}")
            if dtype.kind == "b":  # a stored byte of a boolean may be neither 0 nor 1
                return np.frombuffer(data, np.uint8).astype(dtype)
            return np.frombuffer(data, dtype)  # no copy
        # words of no bits take no room in the file, but they stand beside stored ones that do
        if bits not in _WORD_BITS or len(data) != (count * bits + 7) // 8 or count > 8 * self.payload.size:
            raise EspalierError(f"is damaged: {len(data)} bytes do not hold {count} words of {bits} bits")
        return unpack(data, count, bits, dtype.kind == "i", dtype)
