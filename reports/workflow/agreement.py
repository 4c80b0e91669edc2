"""A Program beside the quantised file that it comes from: both run on images, code for code, in onnxruntime.

On x64 processors without VNNI onnxruntime's fastest kernels saturate sums of two products at 16 bits, and give other
codes than the file says; they are told to be precise here.

Source: `session.x64quantprecision` of onnxruntime_session_options_config_keys.h
"""

import importlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.interchange.data.datasets import Dataset
from accel.interchange.onnx.reading.model import ImportedProgram
from accel.interchange.onnx.reading.seen import with_outputs
from accel.network import INPUT
from accel.preprocessing import Preprocessing
from accel.program import Program
from reports.shared.progress import bar
from sim import golden
from sim.engine import compile_program

CHUNK_BYTES = 1 << 27  # of all tensors of the images that run at a time
MOST_AT_ONCE = 64
RUNTIME = "onnxruntime"  # a peer, no dependency
QUIET = 4  # onnxruntime's number of "fatal errors alone"
INSTALL = 'pip install "espalier-hw[peers]"'


@dataclass(kw_only=True)
class TensorAgreement:
    """How many codes of a tensor are the file's, and by how much the others differ at most."""

    name: str
    words: int = 0
    equal: int = 0
    largest: int = 0

    def add(self, ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> None:
        """Count more codes."""
        self.words += ours.size
        self.equal += int(np.count_nonzero(ours == theirs))
        self.largest = max(self.largest, int(np.abs(ours - theirs).max(initial=0)))


@dataclass(kw_only=True)
class Agreement:
    """What came of some images.

    Parameters
    ----------
    tensors : tuple of TensorAgreement
        In running order, the image first.
    images, agreeing : int
        All, and those whose class has the highest score of the file too, alone or not.
    errors, file_errors : int
        Those whose class is not their label; 0 without labels.
    labelled : bool
    """

    tensors: tuple[TensorAgreement, ...]
    labelled: bool
    images: int = 0
    agreeing: int = 0
    errors: int = 0
    file_errors: int = 0


class UnmeasuredError(Exception):
    """There is nothing to compare with; the text says why."""


def agreement_of(path: str | os.PathLike[str], found: ImportedProgram, data: Dataset) -> Agreement:
    """Return how a Program and the file that it comes from agree on images.

    Raises
    ------
    UnmeasuredError
        onnxruntime is not there, or does not run the file.
    """
    file = _File(path, found)
    program, engine = found.result, compile_program(found.result)
    rows = {name: TensorAgreement(name=name) for name in (INPUT, *file.names)}
    total = Agreement(tensors=tuple(rows.values()), labelled=data.labelled)
    pixels, parts = data.pixels(), list(_parts(program, len(data), file.batch))
    with bar("comparing with onnxruntime", len(parts)) as shown:
        for part in parts:
            codes, feed = file.fed(program, pixels[part])
            ours = engine.run(codes, keep_tensors=True)
            rows[INPUT].add(codes, file.image_codes(feed, program))
            scores, theirs = file.run(feed)
            for name, codes_of in theirs.items():
                rows[name].add(found.seen[name].shown(ours.tensors[name]).reshape(len(codes), -1), codes_of)
            _count(total, ours.predictions, scores, data.labels[part] if data.labelled else None)
            shown.advance()
    return total


def agreement_of_layers(
    path: str | os.PathLike[str], found: ImportedProgram, data: Dataset
) -> tuple[TensorAgreement, ...]:
    """Return how each layer agrees with the file where it is given the file's own codes, by the golden model.

    What one layer makes otherwise is no difference of those after it.

    Raises
    ------
    UnmeasuredError
        onnxruntime is not there, or does not run the file.
    """
    file, program, pixels = _File(path, found), found.result, data.pixels()
    rows = {name: TensorAgreement(name=name) for name in file.names}
    for part in _parts(program, len(data), file.batch):
        codes, feed = file.fed(program, pixels[part])
        tensors, theirs = {INPUT: codes}, file.run(feed)[1]
        for layer in program.layers:
            ours = golden.codes_of(layer, *(tensors[source] for source in layer.inputs))
            if layer.name in theirs:
                shown = found.seen[layer.name]
                rows[layer.name].add(shown.shown(ours).reshape(len(codes), -1), theirs[layer.name])
                ours = shown.ours(theirs[layer.name], ours.shape[1:])
            tensors[layer.name] = ours
    return tuple(rows.values())


def file_error_rate(
    path: str | os.PathLike[str], data: Dataset, last: bool, before: Preprocessing | None = None
) -> float:
    """Return how often a float file errs on labeled images in onnxruntime, 0..1.

    Parameters
    ----------
    path : str or PathLike
    data : Dataset
    last : bool
        The file takes its images channels-last.
    before : Preprocessing, optional
        What the file takes in place of pixels.

    Raises
    ------
    UnmeasuredError
        onnxruntime is not there, or does not run the file.
    """
    session = _session(with_outputs(path, []))
    (taken, *_), (given, *_) = session.get_inputs(), session.get_outputs()
    sizes, pixels = taken.shape[1:], data.pixels() if before is None else before.applied(data.pixels())
    batch = taken.shape[0] if isinstance(taken.shape[0], int) and taken.shape[0] > 0 else None
    images = pixels.transpose(0, 2, 3, 1) if last else pixels
    shape = images.shape[1:] if len(sizes) == 3 else tuple(size for size in sizes if isinstance(size, int))
    wrong = counted = 0
    for first in range(0, len(data), batch or MOST_AT_ONCE):
        part = slice(first, first + (batch or MOST_AT_ONCE))
        feed = np.ascontiguousarray(images[part], np.float32)
        if batch in (None, len(feed)):
            try:
                scores = np.asarray(session.run([given.name], {taken.name: feed.reshape(-1, *shape)})[0])
            except Exception as error:  # onnxruntime's own may be anything
                raise UnmeasuredError(_reason(error)) from error
            wrong += int(np.count_nonzero(scores.reshape(len(feed), -1).argmax(axis=1) != data.labels[part]))
            counted += len(feed)
    return wrong / max(counted, 1)


def _count(total: Agreement, ours: NDArray[np.int64], scores: NDArray[Any], labels: NDArray[np.int64] | None) -> None:
    """Count some images' classes; `scores` (images, classes) are the file's."""
    total.images += len(ours)
    total.agreeing += int(np.count_nonzero(scores[np.arange(len(ours)), ours] == scores.max(axis=1)))
    if labels is not None:
        total.errors += int(np.count_nonzero(ours != labels))
        total.file_errors += int(np.count_nonzero(scores.argmax(axis=1) != labels))


class _File:
    """The file in onnxruntime, which also gives the tensors that the Program has."""

    def __init__(self, path: str | os.PathLike[str], found: ImportedProgram) -> None:
        self.seen = found.seen
        self.steps = {name: signal.step for name, signal in found.result.signals.items()}
        self.names = [name for name in found.result.shapes if name in found.seen and name != INPUT]
        self.session = _session(with_outputs(path, [self.seen[name].name for name in self.names]))
        self.input = self.session.get_inputs()[0]
        self.output = self.session.get_outputs()[0].name
        first = self.input.shape[0] if self.input.shape else 1
        self.batch = first if isinstance(first, int) and first > 0 else None

    def fed(self, program: Program, pixels: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return images as codes of the Program, and as the file takes them."""
        codes, image = program.input_signal.encode(pixels), self.seen[INPUT]
        if image.zero_point is None:
            return codes, image.shown(pixels.astype(np.float32))
        if image.ends is not None:
            codes = np.clip(codes, *image.ends)
        dtype = np.dtype(self.input.type.removeprefix("tensor(").removesuffix(")"))
        return codes, image.shown(codes + image.zero_point).astype(dtype)

    def image_codes(self, feed: NDArray[Any], program: Program) -> NDArray[np.int64]:
        """Return the codes that the file makes of what it is fed, in the Program's order of words."""
        image, shape = self.seen[INPUT], (len(feed), *program.input_shape)
        places = image.shown(np.arange(math.prod(program.input_shape))[None]).ravel()
        flat = np.empty((len(feed), places.size), np.int64)
        step = np.float32(program.input_signal.step)
        found = feed.astype(np.float32) / step if image.zero_point is None else feed
        flat[:, places] = image.codes(np.asarray(found), 1.0)
        form = program.input_signal.format
        return np.clip(flat, *(image.ends or (form.min_code, form.max_code))).reshape(shape)

    def run(self, feed: NDArray[Any]) -> tuple[NDArray[Any], dict[str, NDArray[np.int64]]]:
        """Return the scores (images, classes) and the codes (images, words) that the file gives, by its axes."""
        asked = [self.output, *(self.seen[name].name for name in self.names)]
        try:
            scores, *tensors = map(np.asarray, self.session.run(asked, {self.input.name: feed}))
        except Exception as error:  # onnxruntime's own may be anything
            raise UnmeasuredError(_reason(error)) from error
        pairs = zip(self.names, tensors, strict=True)
        codes = {name: self.seen[name].codes(x, self.steps[name]) for name, x in pairs}
        return scores.reshape(len(feed), -1), codes


def _parts(program: Program, images: int, batch: int | None) -> Iterator[slice]:
    """Yield runs of images that are small enough to keep their tensors, or of as many as the file takes."""
    words = sum(math.prod(shape) for shape in program.shapes.values())
    size = batch or max(1, min(MOST_AT_ONCE, CHUNK_BYTES // (8 * words)))
    for first in range(0, images - (images % batch if batch else 0), size):
        yield slice(first, min(first + size, images))


def _session(model: bytes) -> Any:
    """Return a session whose integers are exact: the graph optimised, or as it is written where that has no kernel."""
    try:
        runtime = importlib.import_module(RUNTIME)
    except ImportError as error:
        raise UnmeasuredError(f"onnxruntime is not there: {INSTALL}") from error
    levels, found = runtime.GraphOptimizationLevel, ""
    for level in (levels.ORT_ENABLE_EXTENDED, levels.ORT_DISABLE_ALL):
        options = runtime.SessionOptions()
        options.log_severity_level, options.graph_optimization_level = QUIET, level
        options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own may be anything
            found = _reason(error)
    raise UnmeasuredError(found)


def _reason(error: Exception) -> str:
    return f"onnxruntime does not run the file: {EspalierError(error)}"[:300]
