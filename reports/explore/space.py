"""What is explored and what it must live with: word lengths, arrays, a question; and how each is written."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from accel.array import MacArray
from accel.quantize import Widths
from reports.workflow.limits import Budget, parse_error

Lanes = tuple[int, int]  # output lanes, pixel lanes
OUTPUT_LANES, PIXEL_LANES = (1, 2, 4, 8, 16, 32), (1, 2, 4, 8, 16)
ARRAYS: tuple[Lanes, ...] = tuple(product(OUTPUT_LANES, PIXEL_LANES))


@dataclass(frozen=True)
class Space:
    """Every choice but the version, and but the bits of single layers.

    Parameters
    ----------
    weight_bits, signal_bits : tuple of int
        Of every layer.
    arrays : tuple of (output lanes, pixel lanes)
    input_bits : int
        Of the image, whatever the network has.

    Raises
    ------
    EspalierError
        No Program has such words, or no array such lanes.
    """

    weight_bits: tuple[int, ...]
    signal_bits: tuple[int, ...]
    arrays: tuple[Lanes, ...] = ARRAYS
    input_bits: int = 8

    def __post_init__(self) -> None:
        for weight_bits, signal_bits in self.widths():
            _ = Widths(weight_bits, signal_bits, self.input_bits)
        for output_lanes, pixel_lanes in self.arrays:
            _ = MacArray(output_lanes=output_lanes, pixel_lanes=pixel_lanes, signal_words=pixel_lanes << 10)

    def widths(self) -> Iterator[tuple[int, int]]:
        """Yield the pairs of word lengths."""
        yield from product(self.weight_bits, self.signal_bits)


@dataclass(frozen=True)
class Question:
    """What is asked for, before it is known how much the network errs.

    Parameters
    ----------
    command : str
        That asks it.
    max_error : str
        As `parse_error` takes it.
    memory_bits, multipliers, images_per_s, clock_hz, lanes, area_um2, power_mw, energy_pj
        As `Budget` has them.
    goal : str
        What decides between the designs that meet the limits.
    confidence : float or None
        As `Decision` has it.
    band : float or None
        Share of the goal within which designs are told beside the best; None: none are.
    """

    command: str
    max_error: str
    memory_bits: int | None
    multipliers: int | None
    images_per_s: float | None
    clock_hz: float
    goal: str
    lanes: int | None = None
    area_um2: float | None = None
    power_mw: float | None = None
    confidence: float | None = None
    energy_pj: float | None = None
    band: float | None = None

    def budget(self, reference: float) -> Budget:
        """Return the limits, if the dense float network errs so often."""
        rate = parse_error(self.max_error, reference)
        measures = self.memory_bits, self.multipliers, self.images_per_s, self.clock_hz
        return Budget(rate, *measures, self.lanes, self.area_um2, self.power_mw, self.energy_pj)
