"""The zoo: trained networks that are shipped, dense and pruned, and files of a user's own.

Made by ``python -m reports.make_zoo``; a network is one folder, a pattern is one file in it.
"""

import os
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from accel.errors import EspalierError
from accel.interchange.datasets import check_choice
from accel.pruned import PrunedNetwork

DENSE = "dense"
SUFFIX = ".espalier"


def names() -> list[str]:
    """Return the networks of the zoo."""
    return sorted(folder.name for folder in _root().iterdir() if folder.is_dir() and _files(folder.name))


def patterns(name: str) -> list[str]:
    """Return the patterns for which the zoo has a pruned and retrained version of `name`, dense first."""
    found = sorted(label_of(file.name) for file in _files(name))
    return sorted(found, key=lambda label: label != DENSE)


def load(network: str | os.PathLike[str], pattern: str | None = None) -> PrunedNetwork:
    """Return a network of the zoo, or one from a file.

    Parameters
    ----------
    network : str or path
        A name of the zoo, or a file that `PrunedNetwork.save` wrote.
    pattern : str, optional
        Which version of a zoo network: ``"dense"`` by default. A file has one version.

    Raises
    ------
    EspalierError
        There is no such network or version, with the nearest name as a suggestion; or the file is damaged.
    """
    if is_file(network):
        pruned = PrunedNetwork.load(network)
        if pattern not in (None, pruned.pattern):
            raise EspalierError(f"{network}: holds the pattern {pruned.pattern}, not {pattern}")
        return pruned
    check_choice("network", str(network), names())
    label = pattern or DENSE
    check_choice(f"pattern of {network} in the zoo", label, patterns(str(network)))
    with resources.as_file(_root() / str(network) / file_name(label)) as path:
        return PrunedNetwork.load(path)


def is_file(network: str | os.PathLike[str]) -> bool:
    """Return whether `network` means a file: it exists, or it is written like one."""
    return Path(network).is_file() or str(network).endswith(SUFFIX) or os.sep in str(network)


def file_name(pattern: str) -> str:
    """Return the file of a pattern's label; ``:`` is no good in file names everywhere."""
    return pattern.replace(":", "of") + SUFFIX


def label_of(file: str) -> str:
    """Return the label that `file_name` was given."""
    stem = file.removesuffix(SUFFIX)
    head, of, tail = stem.partition("of")
    return f"{head}:{tail}" if of and head.isdigit() and tail.isdigit() else stem


def _root() -> Traversable:
    return resources.files("accel.interchange") / "zoo"


def _files(name: str) -> list[Traversable]:
    return [file for file in (_root() / name).iterdir() if file.name.endswith(SUFFIX)]
