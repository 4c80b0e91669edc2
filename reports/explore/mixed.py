"""Word lengths of each layer: an allocation of a version, whose every step is a trial that may become a design.

The search is that of `espalier quantize --budget-error` (`accel.quantize.allocate`): the least memory of parameters and
signals, for errors that are within what was asked. What it measures on its way is kept, as far as nothing else that it
measured has fewer errors and less memory.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from accel.cost import cost_of
from accel.errors import EspalierError
from accel.program import Program
from accel.quantize import Calibration, Widths, allocate, lower_calibrated, operands_of
from accel.records import json_text
from accel.words import Words
from reports.explore.trials import calibration_of, engine_error_rate, words_record
from reports.workflow.images import Images
from reports.workflow.layer_bits import layer_bits
from reports.workflow.recommend import undominated
from reports.workflow.sources import Source

METHOD = 1  # to be raised when an allocation comes to find something else


@dataclass(frozen=True)
class Allocating:
    """An allocation to make, with everything that decides what comes out.

    Parameters
    ----------
    network : str
        Digest of a pruned network.
    calibration, judged : Images
        From which steps are found; by which error rates are measured.
    most : float
        The highest error rate on these that is within what was asked.
    weight_bits, signal_bits : (int, int)
        The least and the most bits of a layer.
    input_bits : int
    evaluations : int
        The most error rates to measure.
    method : int
        `METHOD`.
    """

    network: str
    calibration: Images
    judged: Images
    most: float
    weight_bits: tuple[int, int]
    signal_bits: tuple[int, int]
    input_bits: int
    evaluations: int
    method: int = METHOD

    @property
    def key(self) -> str:
        """The allocation as one line of text."""
        return json.dumps({"allocating": asdict(self)}, sort_keys=True)

    def within(self, widths: Widths) -> Widths:
        """Return widths of which none is beyond the range of its kind."""

        def weights(bits: int) -> int:
            return min(max(bits, self.weight_bits[0]), self.weight_bits[1])

        def signals(bits: int) -> int:
            return min(max(bits, self.signal_bits[0]), self.signal_bits[1])

        return replace(
            widths,
            weight_bits=weights(widths.weight_bits),
            signal_bits=signals(widths.signal_bits),
            weight_bits_of={name: weights(bits) for name, bits in widths.weight_bits_of.items()},
            signal_bits_of={name: signals(bits) for name, bits in widths.signal_bits_of.items()},
        )


@dataclass(frozen=True)
class Mix:
    """Word lengths of each layer that were measured.

    Parameters
    ----------
    layers : str
        As `layer_bits` writes them.
    weight_bits, signal_bits : int
        The most that a layer has, which the words of an array have.
    rate : float
        Of errors, 0..1.
    words : dict
        As `words_record` has them.
    """

    layers: str
    weight_bits: int
    signal_bits: int
    rate: float
    words: dict[str, Any]


def allocated(allocating: Allocating, network: bytes, source: Source) -> bytes:
    """Return the mixed word lengths that were found, as JSON: the work of a process.

    Parameters
    ----------
    allocating : Allocating
    network : bytes
        `PrunedNetwork.to_bytes`.
    source : Source
        Where the images are, on this machine too.
    """
    with threadpool_limits(1):
        search = _Search(allocating, calibration_of(network, allocating.calibration, source), source)
        return json_text([asdict(mix) for mix in search.mixes()]).encode()


def mixes_of(found: bytes) -> tuple[Mix, ...]:
    """Return what `allocated` found."""
    return tuple(Mix(**record) for record in json.loads(found))


class _Search:
    def __init__(self, asked: Allocating, calibration: Calibration, source: Source) -> None:
        self.asked, self.calibration, self.source = asked, calibration, source
        self.operands = operands_of(calibration.pruned)
        self.measured: dict[str, tuple[float, Widths]] = {}

    def mixes(self) -> list[Mix]:
        asked = self.asked
        lowest, highest = (pick(asked.weight_bits[i], asked.signal_bits[i]) for i, pick in enumerate((min, max)))
        with suppress(EspalierError):  # where no widths err so little, what was measured may be better by another limit
            allocate(
                self.operands,
                self.error_rate,
                lambda widths: cost_of(self.program(widths)).memory_bits,
                budget_error=asked.most,
                lowest=lowest,
                highest=highest,
                input_bits=asked.input_bits,
                evaluations=max(asked.evaluations, highest - lowest + 1),
            )
        found = [(rate, cost_of(self.program(widths)).memory_bits) for rate, widths in self.measured.values()]
        if not found:
            return []
        best = undominated(np.array(found, float), 2)
        rows = list(self.measured.items())
        return [self._mix(*rows[place]) for place in best if self._differs(rows[place][1][1])]

    def program(self, widths: Widths) -> Program:
        return lower_calibrated(self.calibration, self.asked.within(widths))

    def error_rate(self, widths: Widths) -> float:
        name = layer_bits(self.asked.within(widths), self.operands)
        if name not in self.measured:
            rate = engine_error_rate(self.program(widths), self.asked.judged, self.source)
            self.measured[name] = rate, self.asked.within(widths)
        return self.measured[name][0]

    def _bits(self, widths: Widths) -> list[list[int]]:
        of_kind = (("weights", widths.of_weights), ("signals", widths.of_signal))
        return [[bits(x.layer) for x in self.operands if x.kind == kind] for kind, bits in of_kind]

    def _differs(self, widths: Widths) -> bool:
        """Return whether these are no uniform widths, which are trials of their own."""
        return any(len(set(bits)) > 1 for bits in self._bits(widths))

    def _mix(self, name: str, found: tuple[float, Widths]) -> Mix:
        rate, widths = found
        weight_bits, signal_bits = (max(bits, default=widths.weight_bits) for bits in self._bits(widths))
        return Mix(name, weight_bits, signal_bits, rate, words_record(Words.of(self.program(widths))))
