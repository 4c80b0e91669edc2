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
earlier releases write and read.
"""

import hashlib
import json
import math
import os
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import IntEnum
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.files import write_whole

MAGIC = b"ESPALIER"
VERSION = 1
LATER = {"later": True}
_PREFIX = len(MAGIC) + 2 + 4
_DIGEST = hashlib.sha256().digest_size
_WORD_BITS = range(64)  # of a packed word; two's complement or unsigned, it fits int64
_DTYPES = ("|b1", "|i1", "|u1", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f4", "<f8")
# what a record makes that has a right digest and yet is none that `dump` wrote
_DAMAGE = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError, zlib.error)


def save(path: str | os.PathLike[str], kind: str, thing: Any) -> None:
    """Write the dataclass `thing` to `path`, whole or not at all; `kind` is what the file says it holds."""
    write_whole(path, dump(kind, thing))


def dump(kind: str, thing: Any) -> bytes:
    """Return the bytes that `save` writes."""
    arrays = _Arrays()
    header = json.dumps({"kind": kind, "record": _encode(thing, arrays), "arrays": arrays.entries}).encode()
    body = MAGIC + VERSION.to_bytes(2, "little") + len(header).to_bytes(4, "little") + header + bytes(arrays.payload)
    return body + hashlib.sha256(body).digest()


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
    return loads(Path(path).read_bytes(), kind, classes, path)


def loads(data: bytes, kind: str, classes: tuple[type, ...], path: str | os.PathLike[str] = "bytes") -> Any:
    """Return the dataclass of which `dump` made `data`; as `load`, where `path` is what errors call it."""
    header = _read_header(data, path)
    payload = data[_PREFIX + _header_length(data) : -_DIGEST]
    try:
        if header["kind"] != kind:
            raise EspalierError(f"holds a {header['kind']}, expected a {kind}")
        thing = _decode(header["record"], header["arrays"], payload, {cls.__name__: cls for cls in classes})
        _check_type(thing, classes[0], "its record")
        return thing
    except EspalierError as error:
        raise EspalierError(f"{path}: {' '.join(str(error).splitlines())}") from error  # names may hold anything
    except _DAMAGE as error:
        raise EspalierError(f"{path}: is damaged: {type(error).__name__} in its record") from error


def kind_of(path: str | os.PathLike[str]) -> str:
    """Return what the file at `path` says it holds; raises as `load` does."""
    return str(_read_header(Path(path).read_bytes(), path)["kind"])


def pack(codes: NDArray[Any], bits: int) -> bytes:
    """Return `codes` as a stream of two's complement words of `bits` bits each, lowest bit first."""
    words = (np.asarray(codes, np.int64).reshape(-1, 1) >> np.arange(bits)) & 1
    return np.packbits(words.astype(np.uint8).ravel(), bitorder="little").tobytes()


def unpack(data: bytes, count: int, bits: int, signed: bool) -> NDArray[np.int64]:
    """Return the `count` words that `pack` wrote."""
    stream = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits, bitorder="little")
    weights = 1 << np.arange(bits, dtype=np.int64)
    if signed and bits:
        weights[-1] = -weights[-1]
    return stream.reshape(count, bits).astype(np.int64) @ weights


def _header_length(data: bytes) -> int:
    return int.from_bytes(data[_PREFIX - 4 : _PREFIX], "little")


def _read_header(data: bytes, path: str | os.PathLike[str]) -> dict[str, Any]:
    if data[: len(MAGIC)] != MAGIC:
        hint = "; espalier import reads ONNX files" if os.fspath(path).endswith(".onnx") else ""
        raise EspalierError(f"{path}: is not an Espalier file: it starts with {data[:8]!r}, expected {MAGIC!r}{hint}")
    version = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 2], "little")
    whole = len(data) >= _PREFIX + _DIGEST and hashlib.sha256(data[:-_DIGEST]).digest() == data[-_DIGEST:]
    if not whole:
        raise EspalierError(f"{path}: was cut or changed after it was written: its SHA-256 does not match")
    if version != VERSION:
        raise EspalierError(f"{path}: has format version {version}, this release reads version {VERSION}")
    try:
        header = json.loads(data[_PREFIX : _PREFIX + _header_length(data)])
    except (RecursionError, ValueError) as error:
        raise EspalierError(f"{path}: is damaged: its header is not JSON") from error
    if not isinstance(header, dict) or not {"kind", "record", "arrays"} <= header.keys():
        raise EspalierError(f"{path}: is damaged: its header names no kind, record and arrays")
    return header


class _Arrays:
    """The payload as it grows, and where each array lies in it."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.payload = bytearray()

    def add(self, array: NDArray[Any], bits: int | None) -> int:
        entry: dict[str, Any] = {"shape": list(array.shape), "dtype": array.dtype.newbyteorder("<").str}
        if bits is not None:
            data = pack(array, bits)
            entry["bits"] = bits
        else:
            data = array.astype(entry["dtype"], order="C").tobytes()
            squeezed = zlib.compress(data, 9)
            if len(squeezed) < len(data):
                data, entry["zlib"] = squeezed, True
        entry |= {"offset": len(self.payload), "bytes": len(data)}
        self.payload += data
        self.entries.append(entry)
        return len(self.entries) - 1


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


def _decode(item: Any, entries: list[dict[str, Any]], payload: bytes, classes: dict[str, type]) -> Any:
    if isinstance(item, list):
        return tuple(_decode(value, entries, payload, classes) for value in item)
    if not isinstance(item, dict):
        return item
    if "array" in item:
        return _read_array(entries[item["array"]], payload)
    if "enum" in item:
        return classes[item["enum"]][item["name"]]  # type: ignore[index]  # an enumeration is indexed by name
    if "map" in item:
        return {key: _decode(value, entries, payload, classes) for key, value in item["map"].items()}
    content = {name: _decode(value, entries, payload, classes) for name, value in item["fields"].items()}
    hints = get_type_hints(classes[item["class"]])
    for name, value in content.items():
        _check_type(value, hints[name], f"{item['class']}.{name}")
    return classes[item["class"]](**content)


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


def _read_array(entry: dict[str, Any], payload: bytes) -> NDArray[Any]:
    shape, dtype, bits = tuple(entry["shape"]), entry["dtype"], entry.get("bits")
    data = payload[entry["offset"] : entry["offset"] + entry["bytes"]]
    count = math.prod(shape)
    if dtype not in _DTYPES or min(shape, default=0) < 0:
        raise EspalierError(f"is damaged: an array of {dtype!r} {shape}")
    if bits is None:
        if entry.get("zlib"):  # no more than expected, so that a small file cannot fill the memory
            data = zlib.decompressobj().decompress(data, count * np.dtype(dtype).itemsize + 1)
        raw = "|u1" if dtype == "|b1" else dtype  # a stored byte of a boolean may be neither 0 nor 1
        return np.frombuffer(data, raw).astype(dtype).reshape(shape)
    # words of no bits take no room in the file, but they stand beside stored ones that do
    if bits not in _WORD_BITS or len(data) != (count * bits + 7) // 8 or count > 8 * len(payload):
        raise EspalierError(f"is damaged: {len(data)} bytes do not hold {count} words of {bits} bits")
    return unpack(data, count, bits, signed=np.dtype(dtype).kind == "i").astype(dtype).reshape(shape)
