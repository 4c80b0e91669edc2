"""One version of a network at every width: lowered, run and costed, by whichever process."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.cost import Invariants, cost_of
from accel.errors import EspalierError
from accel.interchange.data.datasets import Dataset
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Widths, in_order, lane_orders
from accel.signal import Signal
from accel.words import Words
from reports.report.designing import Hardware, designs_of, fft_multiplications
from reports.report.designs import Design
from reports.report.points import Point, layer_rows
from reports.workflow.evaluate import float_error_rate, program_error_rate
from reports.workflow.lowering import lowered
from sim.engine import compile_program


@dataclass(frozen=True, eq=False)
class Splits:
    """The images of a report: steps are found from some, decisions made by others, the rest show what came of it."""

    calibration: Dataset
    validation: Dataset
    test: Dataset


@dataclass
class VersionResults:
    """What was found of one version.

    Parameters
    ----------
    float_rate : float
        Its error rate before quantisation, on test images.
    points : list of Point
        At equal widths of weights and signals.
    designs : list of Design
        At all widths; those that were made before the array refused a layer.
    program : bytes
        Of the first width.
    not_on_array : str
        Why the array does not run it; empty if it does.
    """

    float_rate: float
    points: list[Point] = field(default_factory=list)
    designs: list[Design] = field(default_factory=list)
    program: bytes = b""
    not_on_array: str = ""


def measured(network: bytes, bits: Sequence[int], images: Splits, hardware: Hardware) -> VersionResults:
    """Return what there is to know of a version at every width.

    Parameters
    ----------
    network : bytes
        `PrunedNetwork.to_bytes`.
    bits : sequence of int
    images : Splits
    hardware : Hardware

    Raises
    ------
    EspalierError
        The network cannot be lowered.
    """
    return _Version(PrunedNetwork.from_bytes(network), images, hardware).at(bits)


class _Version:
    """A version that is being measured."""

    def __init__(self, pruned: PrunedNetwork, images: Splits, hardware: Hardware) -> None:
        self.images, self.hardware = images, hardware
        self.found = VersionResults(float_error_rate(pruned, images.test))
        self.calibration = Calibration(pruned, images.calibration.pixels())
        self.invariants: Invariants | None = None  # its output maps in the order that suits the array
        self.encoded: dict[tuple[str, Signal], NDArray[np.integer[Any]]] = {}

    def at(self, bits: Sequence[int]) -> VersionResults:
        """Make designs of all pairs of widths, and points of equal ones."""
        for signal_bits in bits:
            for weight_bits in bits:
                program = lowered(self.calibration, Widths(weight_bits, signal_bits))
                cycles = self._design(program, (weight_bits, signal_bits))
                if weight_bits == signal_bits:
                    self.found.points.append(self._point(program, weight_bits, cycles))
                    self.found.program = self.found.program or program.to_bytes()
        return self.found

    def _design(self, program: Program, widths: tuple[int, int]) -> int | None:
        """Add the designs of a Program; return its cycles, or None where the array does not run it."""
        if self.found.not_on_array:
            return None
        try:
            words = Words.of(program)
            designs = [*designs_of(self._facts(program, words), words, program.pattern, widths, self.hardware)]
        except EspalierError as error:
            self.found.not_on_array = str(error)
            return None
        self.found.designs += designs
        return designs[0].cycles

    def _facts(self, program: Program, words: Words) -> Invariants:
        """Return what the masks say, once for all Programs that differ in words alone."""
        if self.invariants is None or not self.invariants.serves(words):
            orders = lane_orders(program, self.hardware.output_lanes, split=self.hardware.pixel_lanes > 1)
            self.invariants = Invariants(in_order(program, orders))
        return self.invariants

    def _point(self, program: Program, width: int, cycles: int | None) -> Point:
        cost = cost_of(program)
        validation_rate, test_rate = self._error_rates(program)
        return Point(
            network=program.name,
            pattern=program.pattern,
            weight_bits=width,
            signal_bits=width,
            error_rate=test_rate,
            validation_error_rate=validation_rate,
            float_error_rate=self.found.float_rate,
            signal_memory_bits=cost.signal_memory_bits,
            cycles=cycles,
            layers=layer_rows(cost, fft_multiplications(program)),
        )

    def _error_rates(self, program: Program) -> tuple[float, float]:
        """Return the error rates of a Program on the validation and on the test images, 0..1."""
        engine = compile_program(program)
        validation, test = (
            program_error_rate(engine, self._codes(images, program), images, 1)
            for images in (self.images.validation, self.images.test)
        )
        return validation, test

    def _codes(self, images: Dataset, program: Program) -> NDArray[np.integer[Any]]:
        """Return images as codes of the Program's input, encoded once for all Programs that share it."""
        key = images.split, program.input_signal
        if key not in self.encoded:
            self.encoded[key] = images.codes(program.input_signal)
        return self.encoded[key]
