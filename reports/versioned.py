"""Results as versioned JSON: how they are written, and what is said of a file that holds something else.

Every kind of results has one `Kind`. Another version is refused, and so is a field that is missing, that nobody knows,
or that is of another type than its dataclass says: each in one line that names the place.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from reprlib import repr as shortened
from types import NoneType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from accel.errors import EspalierError

Made = TypeVar("Made")
_WORDS = {int: "an integer", float: "a number", str: "a text", bool: "true or false", NoneType: "null"}


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Parameters
    ----------
    name : str
        Its ``format``.
    version : int
        That is written, and the only one that is read.
    what : str
        What such a file holds, for messages.
    """

    name: str
    version: int
    what: str

    def written(self, head: Mapping[str, Any], **lists: Iterable[Any]) -> str:
        """Return JSON of `head` and, behind it, of lists with an item a line."""
        text = json.dumps({"format": self.name, "version": self.version, **head}, indent=1).removesuffix("\n}")
        for name, items in lists.items():
            rows = ",\n".join(map(json.dumps, items))
            text += f',\n "{name}": [\n{rows}\n]'
        return text + "\n}\n"

    def read(self, text: str, make: Callable[[dict[str, Any]], Made]) -> Made:
        """Return what `make` makes of the fields of a file.

        Raises
        ------
        EspalierError
            The file is of another kind or version, or `make` stumbles over what it holds.
        """
        try:
            record = json.loads(text)
            found = record.pop("format", None), record.pop("version", None)
            if found != (self.name, self.version):
                raise EspalierError(f"expected {self.name} version {self.version}, got {found[0]} version {found[1]}")
            return make(record)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise EspalierError(f"not {self.what}: {error}") from error


def record_of(kind: type[Made], record: Any, where: str = "") -> Made:
    """Return the dataclass `kind` of a JSON object, or of a row of its values in their order.

    Parameters
    ----------
    kind : type
        A dataclass whose fields are numbers, texts, lists, dictionaries or such dataclasses; what is one already stays.
    record : dict or list
    where : str
        Its place in the file, for messages.

    Raises
    ------
    EspalierError
        A field is missing, unknown, or of another type.

    Examples
    --------
    >>> record_of(Kind, {"name": "n", "version": "1", "what": "w"}, "kinds[2]")
    Traceback (most recent call last):
        ...
    accel.errors.EspalierError: kinds[2].version: expected an integer, got '1'
    """
    known, needed = _fields(cast(Any, kind))
    if isinstance(record, list):
        if len(record) != len(known):
            raise EspalierError(f"{_at(where)}expected {len(known)} values, got {len(record)}")
        record = dict(zip(known, record, strict=True))
    if not isinstance(record, Mapping):
        raise EspalierError(f"{_at(where)}expected fields, got {shortened(record)}")
    for name in record:
        if name not in known:
            raise EspalierError(f"{_at(where)}a field {name} is not known")
    for name in needed:
        if name not in record:
            raise EspalierError(f"{_at(where)}the field {name} is missing")
    return kind(**{name: _value(known[name], value, f"{where}.{name}".lstrip(".")) for name, value in record.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    """Return a value as the annotation `kind` has it."""
    origin, inside = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (tuple, list):
        return _list(origin, inside, value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise EspalierError(f"{_at(where)}expected an object, got {shortened(value)}")
        return {key: _value(inside[1], item, f"{where}.{key}") for key, item in value.items()}
    if NoneType in inside:  # this or nothing
        (kind,) = set(inside) - {NoneType}
        return None if value is None else _value(kind, value, where)
    if isinstance(kind, type) and is_dataclass(kind):
        return value if isinstance(value, kind) else record_of(kind, value, where)
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise EspalierError(f"{_at(where)}expected {_WORDS[kind]}, got {shortened(value)}")
    return value


def _list(origin: type, inside: Sequence[Any], value: Any, where: str) -> Any:
    if not isinstance(value, list | tuple):
        raise EspalierError(f"{_at(where)}expected a list, got {shortened(value)}")
    fixed = origin is tuple and inside[-1] is not Ellipsis
    if fixed and len(value) != len(inside):
        raise EspalierError(f"{_at(where)}expected {len(inside)} values, got {len(value)}")
    kinds = inside if fixed else [inside[0]] * len(value)
    return origin(_value(kinds[index], item, f"{where}[{index}]") for index, item in enumerate(value))


@cache
def _fields(kind: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the types of a dataclass's fields by name, and which fields have no default."""
    hints = get_type_hints(kind)
    needed = [x.name for x in fields(kind) if x.default is MISSING and x.default_factory is MISSING]
    return {x.name: hints[x.name] for x in fields(kind)}, needed


def _at(where: str) -> str:
    return f"{where}: " if where else ""
