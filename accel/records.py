"""What files of text say, as values: bounded, of the types that are expected, and sealed by a digest.

JSON and TOML that people or programs hand us go through here, within `accel.errors.reading`. What Espalier itself
keeps to read again carries a SHA-256 (`sealed`), and is not believed without it (`unsealed`).
"""

import hashlib
import json
import math
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from reprlib import repr as shortened
from typing import Any, TypeVar

import msgspec

from accel.errors import EspalierError, reading
from accel.files import read_whole

Made = TypeVar("Made")
MOST_BYTES = 16 << 20  # of a file of text: the largest study takes 1 MiB, and a parser may take 25 times as much
SEAL = "sha256"


def _parts(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return the place that msgspec names, such as ``.points[3].rate``, and what is wrong there."""
    text = str(error)
    what, _, place = text.rpartition(" - at `$")
    return (place.rstrip("`"), what.replace("`", "")) if what else ("", text.replace("`", ""))


def _placed(place: str, what: str) -> str:
    return f"{place.removeprefix('.')}: {what}" if place else what


def text_of(path: str | os.PathLike[str]) -> str:
    """Return the text of a file.

    Raises
    ------
    EspalierError
        The file is not UTF-8, has more than `MOST_BYTES`, or is a folder, a pipe or a device.
    OSError
        The file cannot be read.
    """
    data = read_whole(path, MOST_BYTES)
    with reading(path):
        return data.decode("utf-8")


def parse_json(text: str | bytes) -> Any:
    """Return what JSON says; ``NaN``, ``Infinity`` and numbers as large are refused. Use within `reading`."""
    return msgspec.json.decode(text)


def parse_toml(text: str) -> dict[str, Any]:
    """Return what TOML says; use within `reading`."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise
    except ValueError as error:  # an integer of thousands of digits is none of tomllib's own
        raise EspalierError(f"is not TOML: {error}") from error


def record_of(kind: type[Made], record: Any, where: str = "") -> Made:
    """Return the dataclass `kind` of what a file says.

    Parameters
    ----------
    kind : type
        A dataclass, or a type of such and of numbers, texts, lists and dictionaries.
    record : object
        As `parse_json` and `parse_toml` give it.
    where : str
        Its place in the file, for messages.

    Raises
    ------
    EspalierError
        A field is missing, unknown, or of another type, or the dataclass refuses its value.

    Examples
    --------
    >>> record_of(dict[str, list[int]], {"rows": [3, "3"]}, "table")
    Traceback (most recent call last):
        ...
    accel.errors.EspalierError: table[...][1]: Expected int, got str
    """
    try:
        found = msgspec.convert(record, kind)
    except msgspec.ValidationError as error:
        place, what = _parts(error)
        raise EspalierError(_placed(where + place, what)) from error
    _check_known(record, found, where)
    return found


def row_type(name: str, fields: Mapping[str, Any]) -> Any:
    """Return the type of an object with such fields, by name, for `schema_of`; its name must be its own."""
    return msgspec.defstruct(name, [*fields.items()])


def schema_of(fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return JSON Schemas (draft 2020-12): of each field by its name, and what they refer to as ``#/$defs/...``.

    Parameters
    ----------
    fields : mapping of name to type
        As `record_of` takes types, or of `row_type`.

    Examples
    --------
    >>> schema_of({"rates": list[float]})
    ({'rates': {'type': 'array', 'items': {'type': 'number'}}}, {})
    """
    found, parts = msgspec.json.schema_components(fields.values(), ref_template="#/$defs/{name}")
    return dict(zip(fields, found, strict=True)), parts


def _check_known(record: Any, found: Any, where: str) -> None:
    """Raise EspalierError if a record has a field that no dataclass took, which msgspec leaves out in silence."""
    if is_dataclass(found) and isinstance(record, Mapping):
        known = [field.name for field in fields(found)]
        for name, item in record.items():
            if name not in known:
                raise EspalierError(_placed(where, f"has no field {name}; its fields are {', '.join(known)}"))
            _check_known(item, getattr(found, name), f"{where}.{name}")
    elif isinstance(found, Mapping) and isinstance(record, Mapping):
        for name, item in record.items():
            _check_known(item, found.get(name), f"{where}.{name}")
    elif isinstance(found, list | tuple) and isinstance(record, list | tuple):
        for index, (item, of) in enumerate(zip(record, found, strict=False)):
            _check_known(item, of, f"{where}[{index}]")


def json_text(record: Any, indent: int | None = None) -> str:
    """Return `record` as JSON, which has no NaN and no infinity.

    Raises
    ------
    EspalierError
        A number is not finite; the message names its place.

    Examples
    --------
    >>> json_text({"rates": [0.5, math.inf]})
    Traceback (most recent call last):
        ...
    accel.errors.EspalierError: cannot be written as JSON: rates[1] is inf, and numbers must be finite
    """
    try:
        return json.dumps(record, indent=indent, allow_nan=False)
    except ValueError as error:
        place, number = next(_not_finite(record, ""), ("a number", error))
        raise EspalierError(
            f"cannot be written as JSON: {place.lstrip('.')} is {number}, and numbers must be finite"
        ) from error


def _not_finite(item: Any, where: str) -> Iterator[tuple[str, float]]:
    if isinstance(item, float) and not math.isfinite(item):
        yield where or "the number", item
    elif isinstance(item, Mapping):
        for name, value in item.items():
            yield from _not_finite(value, f"{where}.{name}")
    elif isinstance(item, list | tuple):
        for index, value in enumerate(item):
            yield from _not_finite(value, f"{where}[{index}]")


def digest(record: Any) -> str:
    """Return the SHA-256 of a record: of its JSON without spaces, keys sorted, so that layout does not matter."""
    return hashlib.sha256(json.dumps(record, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain JSON values with their digest as one more field, the first; they are as they will be read.

    >>> unsealed(sealed({"rate": 0.5}))
    {'rate': 0.5}
    """
    plain = json.loads(json_text(dict(record)))
    return {SEAL: digest(plain), **plain}


def unsealed(record: Any) -> dict[str, Any]:
    """Return what `sealed` sealed.

    Raises
    ------
    EspalierError
        There is no digest, or it is of something else.
    """
    if not isinstance(record, dict):
        raise EspalierError(f"expected an object, got {shortened(record)}")
    rest = {name: value for name, value in record.items() if name != SEAL}
    if record.get(SEAL) != digest(rest):
        raise EspalierError("was cut or changed after it was written: its SHA-256 does not match")
    return rest
