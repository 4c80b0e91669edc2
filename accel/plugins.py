"""Patterns and selectors of other packages, which they register as entry points."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from types import MappingProxyType
from typing import Any

from accel.errors import EspalierError

PATTERNS = "espalier.patterns"
SELECTORS = "espalier.selectors"


@cache
def entry_points(group: str) -> Mapping[str, metadata.EntryPoint]:
    """Return what installed packages register in `group`, by name; what it is looked up as stays for this process.

    Raises
    ------
    EspalierError
        Two packages register the same name.
    """
    found: dict[str, metadata.EntryPoint] = {}
    for point in sorted(metadata.entry_points(group=group), key=lambda point: (point.name, point.value)):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise EspalierError(f"{group}: {other.value} and {point.value} both register the name {point.name!r}")
    return MappingProxyType(found)


@cache
def load(group: str, name: str) -> Any:
    """Return the object that an entry point names.

    Raises
    ------
    EspalierError
        Its module cannot be imported, or has no such object.
    """
    point = entry_points(group)[name]
    try:
        return point.load()
    except Exception as error:  # whatever a module of somebody else's does when it is imported
        said = re.sub(r"\s+", " ", str(error)) or type(error).__name__
        raise EspalierError(f"{group}: {name} ({point.value}) cannot be loaded: {said}") from error


def forget() -> None:
    """Look for packages anew, because one was installed since."""
    entry_points.cache_clear()
    load.cache_clear()
