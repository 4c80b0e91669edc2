"""The expensive half of an exploration: one error rate, measured in whichever process, on whichever machine.

A trial names by digest what it is about, so that its result can be kept and never be taken for another's; a worker
loads the images by name and refuses others than those. All of it runs on one thread: workers do not get into each
other's way, and floating-point sums have one order.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from accel.errors import EspalierError
from accel.interchange.data.datasets import Dataset
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Widths, lower_calibrated, operands_of
from accel.records import json_text
from accel.signal import Signal
from accel.words import LayerWords, Words
from reports.workflow.evaluate import float_error_rate, program_error_rate
from reports.workflow.images import Images
from reports.workflow.layer_bits import with_layer_bits
from reports.workflow.sources import Source
from sim.engine import compile_program

METHOD = 1  # to be raised when a trial comes to mean something else: steps by l2, rounding RND, overflow SAT
FLOAT = 0  # bits of a network that is not quantised
CALIBRATION, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True)
class Trial:
    """One error rate to measure, with everything that decides what comes out.

    Parameters
    ----------
    network : str
        Digest of a pruned network.
    calibration, judged : Images
        From which steps are found; by which the error rate is measured.
    weight_bits, signal_bits : int
        `FLOAT` both for the network before quantisation.
    input_bits : int
    method : int
        `METHOD`.
    layers : str
        Bits of single layers, as `reports.workflow.layer_bits` writes them.
    """

    network: str
    calibration: Images
    judged: Images
    weight_bits: int
    signal_bits: int
    input_bits: int
    method: int = METHOD
    layers: str = ""

    @property
    def key(self) -> str:
        """The trial as one line of text, which is what it was before there were bits of single layers."""
        record = asdict(self)
        if not self.layers:
            del record["layers"]
        return json.dumps(record, sort_keys=True)


def measured(trial: Trial, network: bytes, source: Source) -> bytes:
    """Return what a trial gives, as JSON.

    Parameters
    ----------
    trial : Trial
    network : bytes
        `PrunedNetwork.to_bytes`.
    source : Source
        Where the images are, on this machine too.

    Returns
    -------
    bytes
        An object: ``rate``, 0..1, and ``words`` of the Program, so that its cost needs no lowering; or ``problem``:
        why no Program has these word lengths.
    """
    with threadpool_limits(1):
        found = _floating(trial, network, source) if trial.weight_bits == FLOAT else _lowered(trial, network, source)
    return json_text(found).encode()


def _floating(trial: Trial, network: bytes, source: Source) -> dict[str, Any]:
    return {"rate": float_error_rate(PrunedNetwork.from_bytes(network), _images(trial.judged, source))}


def _lowered(trial: Trial, network: bytes, source: Source) -> dict[str, Any]:
    widths = Widths(trial.weight_bits, trial.signal_bits, trial.input_bits)
    calibration = calibration_of(network, trial.calibration, source)
    if trial.layers:
        widths = with_layer_bits(widths, trial.layers, operands_of(calibration.pruned))
    try:
        program = lower_calibrated(calibration, widths)
    except EspalierError as error:
        return {"problem": str(error)}
    return {"rate": engine_error_rate(program, trial.judged, source), "words": words_record(Words.of(program))}


def engine_error_rate(program: Program, judged: Images, source: Source) -> float:
    """Return how often a Program errs, 0..1, by the bit-accurate engine; codes of images are remembered."""
    codes, images = _codes(program.input_signal, judged, source), _images(judged, source)
    return program_error_rate(compile_program(program), codes, images, threads=1)


def words_record(words: Words) -> dict[str, Any]:
    """Return the word lengths as plain numbers."""
    return {"layers": {name: asdict(layer) for name, layer in words.layers.items()}, "signals": dict(words.signals)}


def words_of(record: Mapping[str, Any], like: Words) -> Words | None:
    """Return the word lengths that `words_record` made a record of.

    Parameters
    ----------
    record : mapping
    like : Words
        Of any Program of the same masks, for what word lengths do not change.

    Returns
    -------
    Words or None
        None if the Program had other layers than that one: where signals are joined, steps may ask for more.
    """
    if record["layers"].keys() != like.layers.keys() or record["signals"].keys() != like.signals.keys():
        return None
    layers = {name: LayerWords(**bits) for name, bits in record["layers"].items()}
    return replace(like, layers=MappingProxyType(layers), signals=MappingProxyType(dict(record["signals"])))


# What a worker keeps, because one trial after another asks for it. Networks come in their order, images are few.


@lru_cache(maxsize=4)
def _images(images: Images, source: Source) -> Dataset:
    return images.load(source)


@lru_cache(maxsize=2)
def calibration_of(network: bytes, images: Images, source: Source) -> Calibration:
    """Return a network with the images by which it is quantised; the last ones are remembered."""
    return Calibration(PrunedNetwork.from_bytes(network), _images(images, source).pixels())


@lru_cache(maxsize=2)
def _codes(signal: Signal, images: Images, source: Source) -> NDArray[np.integer[Any]]:
    return _images(images, source).codes(signal)
