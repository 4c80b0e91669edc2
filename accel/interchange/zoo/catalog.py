"""The zoo: trained networks that are shipped, dense and pruned, and files of a user's own.

Made by ``python -m reports.maintain.zoo``; a network is one folder, a pattern is one file in it.
"""

import json
import os
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from accel.errors import EspalierError
from accel.interchange.data.datasets import check_choice
from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.pruned import PrunedNetwork

DENSE = "dense"
SUFFIX = ".espalier"
CATALOGUE = "zoo.json"  # what the folder of a network holds, with the error rates that were measured


def names() -> list[str]:
    """Return the networks of the zoo."""
    return sorted(folder.name for folder in _root().iterdir() if (folder / CATALOGUE).is_file())


def patterns(name: str) -> list[str]:
    """Return the patterns for which the zoo has a version of `name`, dense first, in the order of the catalogue.

    A wheel leaves out versions that are large (``pyproject.toml``).
    """
    return [*error_rates(name)]


def error_rates(name: str) -> dict[str, float]:
    """Return the share of test images that each version of `patterns` gets wrong, in float, as it was measured."""
    if name in ARCHITECTURES and name not in names():
        raise EspalierError(
            f"{name}: its weights are not part of this installation; install from a clone of the repository "
            f"(pip install -e .), or train it: python -m reports.maintain.zoo {name}"
        )
    check_choice("network", name, names())
    rows = json.loads((_root() / name / CATALOGUE).read_text())["files"]
    return {row["pattern"]: row["test_error_rate"] for row in rows if (_root() / name / row["file"]).is_file()}


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
    label = pattern or DENSE
    check_choice(f"pattern of {network} in the zoo", label, patterns(str(network)))
    with resources.as_file(_root() / str(network) / file_name(label)) as path:
        return PrunedNetwork.load(path)


def is_file(network: str | os.PathLike[str]) -> bool:
    """Return whether `network` means a file: it exists, or it is written like one."""
    return Path(network).is_file() or str(network).endswith(SUFFIX) or os.sep in str(network)


def file_name(pattern: str) -> str:
    """Return the file of a pattern's label; ``:`` and ``/`` are no good in file names everywhere.

    >>> file_name("2:4"), file_name("kernel/block-4")
    ('2of4.espalier', 'kernel,block-4.espalier')
    """
    return pattern.replace(":", "of").replace("/", ",") + SUFFIX


def _root() -> Traversable:
    return resources.files("accel.interchange") / "zoo"
