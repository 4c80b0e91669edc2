"""Which version of a network a command means."""

import os
from pathlib import Path

from accel import archive
from accel.files import opened
from accel.interchange import zoo
from accel.program import KIND, Program
from accel.pruned import PrunedNetwork
from reports.shared import notes

ONNX = ".onnx"


def version_of(network: str, pattern: str | None) -> PrunedNetwork:
    """Return the version of a zoo network that `pattern` names, or a file, pruned by magnitude if asked for."""
    if not zoo.is_file(network):
        return zoo.load(network, pattern)
    return _pruned(zoo.load(network), pattern)


def sizeable(network: str, pattern: str | None) -> PrunedNetwork | Program:
    """Return what `version_of` does, or what else has a size: a Program, and an ONNX file, of which shapes are enough.

    Raises
    ------
    EspalierError
        There is no such thing, or `pattern` cannot be had without the values of weights.
    """
    if is_onnx(network):
        from accel.interchange.onnx.reading.model import import_model  # not waited for where there is no ONNX file

        found = import_model(network, valued=False)
        for note in found.notes:
            notes.say(f"{network}: {note}")
        return _pruned(found.result, pattern) if isinstance(found.result, PrunedNetwork) else found.result
    return Program.load(network) if is_program(network) else version_of(network, pattern)


def is_program(network: str) -> bool:
    """Return whether a command was given a file of ours that holds a Program."""
    return zoo.is_file(network) and not is_onnx(network) and archive.kind_of(network) == KIND


def is_onnx(network: str | os.PathLike[str]) -> bool:
    """Return whether a command was given a file that is called as ONNX files are, and is none of ours."""
    path = Path(network)
    if path.suffix != ONNX or not path.is_file():
        return False
    with opened(path) as file:
        return file.read(len(archive.MAGIC)) != archive.MAGIC


def _pruned(given: PrunedNetwork, pattern: str | None) -> PrunedNetwork:
    if pattern in (None, given.pattern):
        return given
    from reports.workflow.prune import prune  # nor this where nothing is pruned

    given.check_values(f"pruning ({pattern})")
    return prune(given, pattern)


DEFAULT_PATTERNS = ("dense", "feature-map", "kernel", "kernel@8", "ikss", "kernel+ikss", "block-4", "irregular")
