"""The points of a report: one Program each, with what was measured of it and what was counted, layer by layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from accel.cost import Counts, ProgramCost
from reports.report.sentences import encoding_reason


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """One layer of a Program, as the per-layer table shows it."""

    name: str
    pattern: str
    counts: Counts
    encoding: str
    encoding_reason: str
    accumulator_bits: int
    fft_multiplications: int | None = None  # real ones, of a convolution by FFT with the same kernels


@dataclass(frozen=True, kw_only=True)
class Point:
    """One Program: a network, a pattern and word lengths, with what was measured and what was counted."""

    network: str
    pattern: str
    weight_bits: int
    signal_bits: int
    error_rate: float  # of the bit-accurate engine on the test images, 0..1
    validation_error_rate: float  # and on the validation images, which decide what is recommended
    float_error_rate: float  # of the same pruned network in float
    signal_memory_bits: int
    cycles: int | None  # of one image on the report's array, where that runs the Program
    layers: tuple[LayerRow, ...]

    @cached_property
    def counts(self) -> Counts:
        """The sum over the layers."""
        return sum((layer.counts for layer in self.layers), Counts())

    @property
    def memory_bits(self) -> int:
        """On-chip memory in all: parameters and the peak of live signals."""
        return self.counts.parameter_memory_bits + self.signal_memory_bits


def layer_rows(cost: ProgramCost, ffts: Mapping[str, int] | None = None) -> tuple[LayerRow, ...]:
    """Return the rows of the layers that hold weights or constants; `ffts` are multiplications by FFT, by layer."""
    return tuple(
        LayerRow(
            name=layer.name,
            pattern=layer.pattern,
            counts=layer.counts,
            encoding=layer.encoding,
            encoding_reason=encoding_reason(layer),
            accumulator_bits=layer.accumulator_bits,
            fft_multiplications=(ffts or {}).get(layer.name),
        )
        for layer in cost.layers
        if layer.accumulator_bits
    )
