"""Arrays of images and labels by name, from whatever holds them: an .npz, IDX or CIFAR files, a function of Python.

The names are ``images``, perhaps with ``labels``, or ``train_images``, ``validation_labels`` and so on, split by split;
one array alone may have any name. The names of files say which split they are:

| files | train | validation | test |
| --- | --- | --- | --- |
| IDX (``...images...``, ``...labels...``) | ``train`` or none | ``validation``, ``val`` | ``test``, ``t10k`` |
| CIFAR-10's binary version | ``data_batch_*.bin`` | ``validation*.bin`` | ``test*.bin`` |

A function, ``package.module:function`` or ``file.py:function``, takes nothing and returns such arrays by name, a pair
of images and labels, or images alone.
"""

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.interchange.data.cifar import read_cifar10
from accel.interchange.data.datasets import SPLITS
from accel.interchange.data.idx import read_idx
from accel.interchange.data.npz import read_npz

Arrays = dict[str, NDArray[Any]]

KINDS = "images", "labels"
_PREFIXES = ("", *(f"{split}_" for split in SPLITS))
NAMES = {f"{prefix}{kind}" for prefix in _PREFIXES for kind in KINDS}
_FUNCTION = re.compile(r"([^:]+\.py|[^\W\d][\w.]*):([^\W\d]\w*)")
_IDX = re.compile(r"(.*)(images|labels)([-_.].*)?\bidx\d?([-_.]u?byte)?(\.gz)?", re.IGNORECASE)
_SPLIT_OF = {"t10k": "test", "test": "test", "val": "validation", "valid": "validation", "validation": "validation"}


def read(path: Path) -> Arrays:
    """Return the arrays at `path`, each by one of `NAMES`.

    Raises
    ------
    EspalierError
        A file is damaged, a function cannot be called, or names are missing or contradict each other.
    OSError
        Something cannot be read.
    """
    if is_function(str(path)):
        return _named(path, _called(str(path)))
    if chosen := files(path):
        return _named(path, _joined(path, chosen))
    return _named(path, read_npz(path))


def files(path: Path) -> tuple[Path, ...]:
    """Return the IDX or CIFAR files that `path` means, which is one of them or their folder; none if there are none.

    Beside one file of IDX images, its labels count too.
    """
    if path.is_dir():
        inside = sorted(file for file in path.iterdir() if _readable(file) and file.is_file())
        if len({file.suffix == ".bin" for file in inside}) > 1:
            raise EspalierError(f"{path}: holds IDX and CIFAR files; expected files of one kind")
        return tuple(inside)
    if not _readable(path):
        return ()
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1"))
    return (path, beside) if path.suffix != ".bin" and beside != path and beside.is_file() else (path,)


def _readable(path: Path) -> bool:
    return path.suffix == ".bin" or bool(_IDX.fullmatch(path.name))


def _joined(path: Path, chosen: tuple[Path, ...]) -> Arrays:
    """Return the arrays of files; batches of a split follow each other in the order of their names."""
    alone = not path.is_dir()
    parts: dict[str, list[NDArray[Any]]] = {}
    for file in chosen:
        prefix = "" if alone else f"{_split_of(file)}_"
        if file.suffix == ".bin":
            pairs = zip(KINDS, read_cifar10(file), strict=True)
        else:
            kind = "labels" if "labels" in file.name else "images"
            pairs = zip((kind,), (read_idx(file, 1 if kind == "labels" else None),), strict=True)
        for kind, array in pairs:
            parts.setdefault(f"{prefix}{kind}", []).append(array)
    for name, arrays in parts.items():
        if len({array.shape[1:] for array in arrays}) > 1:
            raise EspalierError(f"{path}: its files of {name!r} have images of different shapes")
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _split_of(file: Path) -> str:
    """Return the split that a file's name begins with; training images if it names none."""
    word = re.match(r"[a-z]+\d*k?", file.name.lower())
    return _SPLIT_OF.get(word.group() if word else "", SPLITS[0])


def is_function(text: str) -> bool:
    """Return whether `text` names a function of Python, and no file.

    >>> is_function("shapes:load"), is_function("data/shapes.py:load"), is_function("shapes.npz")
    (True, True, False)
    """
    return bool(_FUNCTION.fullmatch(text)) and not os.path.lexists(text)


def function_name(text: str) -> str:
    """Return what reports call the images of a function: the same wherever its file lies.

    >>> function_name("data/shapes.py:load"), function_name("data.shapes:load")
    ('shapes:load', 'shapes:load')
    """
    where, _, name = text.rpartition(":")
    return f"{Path(where).stem if where.endswith('.py') else where.rpartition('.')[2]}:{name}"


def function_elsewhere(text: str) -> str:
    """Return the name of the same function for a process that works in another folder."""
    where, _, name = text.rpartition(":")
    file = where if where.endswith(".py") else _module(text, where).__file__
    return f"{os.path.realpath(str(file))}:{name}"


def _called(text: str) -> Arrays:
    """Return what a function returns, as arrays by name."""
    where, _, name = text.rpartition(":")
    function = getattr(_module(text, where), name, None)
    if not callable(function):
        raise EspalierError(f"{text}: {where} has no function {name!r}")
    try:
        made = function()
    except Exception as error:  # the user's own code may raise anything
        raise EspalierError(f"{text}: raised {_line(error)}") from error
    if isinstance(made, tuple) and len(made) == len(KINDS):
        made = dict(zip(KINDS, made, strict=True))
    if not isinstance(made, Mapping):
        made = {KINDS[0]: made}
    try:
        return {str(key): np.asarray(value) for key, value in made.items()}
    except ValueError as error:
        raise EspalierError(f"{text}: returned no arrays: {_line(error)}") from error


def _module(text: str, where: str) -> ModuleType:
    """Return a module by its name, looked for in this folder too, or by its file."""
    here = os.getcwd()
    try:
        if not where.endswith(".py"):
            sys.path.insert(0, here)
            try:
                return importlib.import_module(where)
            finally:
                sys.path.remove(here)
        spec = importlib.util.spec_from_file_location(Path(where).stem, where)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except Exception as error:  # a module may raise anything when it is imported
        raise EspalierError(f"{text}: cannot be imported: {_line(error)}") from error


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _named(path: Path, found: Arrays) -> Arrays:
    """Return the arrays that have names of ours; an array that is alone is the images."""
    if len(found) == 1 and not any(name.endswith("labels") for name in found):
        (array,) = found.values()
        name = next(iter(found))
        return {name if name.endswith("_images") and name.removesuffix("_images") in SPLITS else "images": array}
    known = {name: array for name, array in found.items() if name in NAMES}
    for kind in _PREFIXES:
        if f"{kind}labels" in known and f"{kind}images" not in known:
            raise EspalierError(f"{path}: holds '{kind}labels' without '{kind}images'")
    if not known:
        raise EspalierError(
            f"{path}: holds {', '.join(found) or 'nothing'}; expected 'images', perhaps with 'labels', or "
            "'train_images', 'validation_images', 'test_images'"
        )
    if {"images", f"{SPLITS[0]}_images"} <= known.keys():
        raise EspalierError(f"{path}: holds 'images' and 'train_images', which mean the same; expected one of them")
    return known
