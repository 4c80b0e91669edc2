"""Fitting the predictor: two steps of nonnegative least squares of relative errors, and how far off it is.

The first step gives the bits of each kind of which arrays are made (`rtl.structure`) as sums of terms, on
arrays that nobody has to build. The second says what a bit of each kind takes in look-up tables,
flip-flops or area, on the sweep: a few coefficients, so that few arrays tell them, and drawn a little to what such a
bit takes by itself (`ALONE`; a ridge, Hoerl and Kennard, Technometrics 12, 1970). Clock periods are sums of levels of
logic and, of an FPGA, of wires to the blocks of the largest memory. Both steps are those of Lawson and Hanson (Solving
Least Squares Problems, 1974, chapter 23), in SciPy.

Errors are held out: each array is predicted by coefficients that all others gave.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median

import numpy as np
from scipy.optimize import nnls

from accel.array import MacArray
from accel.cost.hardware_terms import Sizes, terms
from accel.cost.predictor import AREA, BUILDS, CELL_FF, CELL_PERIOD, FF, FPGA_PERIOD, LUT, RANGED, Fit, Model
from accel.errors import EspalierError
from accel.records import digest
from reports.studies.predictor.definition import BUILT_FOR, LIBRARY
from reports.studies.predictor.results import CELLS, FPGA, WHOLE, Entry, Results, Structure
from rtl.structure import (
    CHOICES,
    COMPARISONS,
    GATES,
    PRODUCTS,
    REGISTERS,
    SUMS,
    TURNS,
)

Coefficients = dict[str, float]
LEAST = 4  # arrays that a figure is fitted on
ORIGIN = "python -m reports.studies.predictor fit"
ONE, TABLES, LOADED, ROW = "one", "table_memories", "loaded_bits", "first_row_bits"
# what each kind of bits is a sum of
STRUCTURE: Mapping[str, Sequence[str]] = {
    REGISTERS: (
        ONE, "layer_bits", "loaded_bits", "address_bits", "entry_bits", "tile_bits", "constant_bits", "bank_bits",
        "bank_address_bits", "pixel_lanes", "pixel_bits", "weight_row_bits", "weight_operand_bits",
        "signal_operand_bits", "combined_bits", "product_bits", "lane_sum_bits", "first_row_bits", "scaled_bits",
        "scaled_high_bits", "split_sum_bits", "offset_bits", "bound_bits", "pool_bits", "looked_up_bits",
        "streamed_bits", "flat_lanes", "flat_bits",
    ),
    SUMS: (
        ONE, "address_bits", "lane_sum_bits", "first_row_bits", "scaled_bits", "scaled_high_bits", "split_sum_bits",
        "offset_bits", "bank_address_bits", "pixel_lanes", "product_bits", "flat_bits", "streamed_bits",
        "weight_operand_bits", "looked_up_bits", "entry_bits",
    ),
    CHOICES: (
        ONE, "layer_bits", "address_bits", "entry_bits", "loaded_bits", "pixel_lanes", "pixel_bits", "first_row_bits",
        "lane_sum_bits", "combined_bits", "weight_row_bits", "scaled_bits", "bound_bits", "pool_bits",
        "looked_up_bits", "streamed_bits", "flat_lanes", "flat_bits", "split_sum_bits",
    ),
    TURNS: ("turned_bits", "bank_address_bits", "gap_address_bits", "bank_choice_bits"),
    COMPARISONS: (
        ONE, "address_bits", "pixel_lanes", "pixel_bits", "bank_choice_bits", "flat_lanes", "flat_bits", "bound_bits",
        "pool_bits", "first_row_bits", "tile_bits", "weight_row_bits",
    ),
    PRODUCTS: ("multiplied_bits", "scaled_low_bits"),
    GATES: (
        ONE, "pixel_lanes", "pixel_bits", "bank_bits", "weight_row_bits", "scaled_bits", "scaled_high_bits",
        "split_sum_bits", "offset_bits", "first_row_bits", "address_bits", "flat_lanes", "looked_up_bits",
        "signal_operand_bits", "weight_operand_bits",
    ),
}  # fmt: skip
# What a bit of each kind takes by itself. In look-up tables of 4 inputs: one for a bit of a sum and, where operands are
# chosen, half of one; less for a choice that an enable takes in; six for a memory of 16 x 4 bits. In the library: a
# flip-flop, a full adder, a multiplexer; a gate and a full adder for each pair of bits that are multiplied. Of all
# registers four in five are read by something. The FPGA's frame has one for each bit that is loaded, and of a row.
ALONE: Mapping[str, Mapping[str, float]] = {
    LUT: {SUMS: 1.5, CHOICES: 0.4, TURNS: 1.3, COMPARISONS: 0.2, GATES: 0.1, TABLES: 6.0, ROW: 1.0},
    FF: {REGISTERS: 0.8, LOADED: 0.5, ROW: 2.0},
    AREA: {REGISTERS: 22.0, SUMS: 25.0, CHOICES: 10.0, TURNS: 10.0, COMPARISONS: 10.0, PRODUCTS: 25.0, GATES: 5.0},
    CELL_FF: {REGISTERS: 1.0},
}
PULL = 0.001  # of a coefficient that is off by all of that, in squares of relative errors
LEVELS: Mapping[str, Sequence[str]] = {  # of logic, of which clock periods are sums
    FPGA_PERIOD: (ONE, "output_levels", "pixel_levels", "largest_bits"),
    CELL_PERIOD: (ONE, "sum_levels", "pixel_levels", "scaled_levels"),
}


@dataclass(frozen=True, kw_only=True)
class Held:
    """What an array takes, and what was predicted by a fit that it had no part in."""

    name: str
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """Relative, with its sign."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Figure:
    """A figure that is a sum of `bases`, each of them a sum of terms.

    `samples` are terms and value of each array, `alone` what a unit of each base takes by itself, where that is known.
    """

    bases: Mapping[str, Coefficients]
    samples: Mapping[str, tuple[Mapping[str, float], float]]
    alone: Mapping[str, float] = field(default_factory=dict)

    def coefficients(self, without: str = "") -> Coefficients:
        """Return the coefficients of terms by all arrays, or all but one."""
        kept = [sample for name, sample in self.samples.items() if name != without]
        rows = [[_value(base, found) for base in self.bases.values()] for found, _ in kept]
        shares = least_squares(rows, [value for _, value in kept], [*self.alone.values()])
        whole: Coefficients = {}
        for share, base in zip(shares, self.bases.values(), strict=True):
            for name, part in base.items():
                whole[name] = whole.get(name, 0.0) + share * part
        return {name: float(f"{part:.6g}") for name, part in whole.items() if part}

    @cached_property
    def held_out(self) -> list[Held]:
        """Every array, and what the others predict of it."""
        return [
            Held(name=name, measured=value, predicted=_value(self.coefficients(name), found))
            for name, (found, value) in self.samples.items()
        ]

    def fit(self) -> Fit:
        """Return what the predictor takes."""
        errors = [abs(one.error) for one in self.held_out]
        return Fit(
            arrays=len(self.samples),
            median_error=round(median(errors), 4),
            worst_error=round(max(errors), 4),
            coefficients=self.coefficients(),
        )


def least_squares(rows: Sequence[Sequence[float]], values: Sequence[float], alone: Sequence[float] = ()) -> list[float]:
    """Return nonnegative weights with which each row comes nearest to its value, relative to that.

    Weights are drawn to those that they have `alone`, if these are given, by `PULL`.
    """
    matrix = np.array(rows) / np.array(values)[:, None]
    pull = np.sqrt(PULL) * np.diag(1 / np.array(alone)) if alone else np.zeros((0, matrix.shape[1]))
    aims = np.concatenate([np.ones(len(values)), np.full(len(pull), np.sqrt(PULL))])
    found, _ = nnls(np.concatenate([matrix, pull]), aims)
    return [float(x) for x in found]


def structural(structures: Sequence[Structure]) -> dict[str, Coefficients]:
    """Return the bits of each kind as a sum of terms, and terms that are a kind of their own."""
    found: dict[str, Coefficients] = {name: {name: 1.0} for name in (TABLES, LOADED, ROW)}
    for kind, names in STRUCTURE.items():
        samples = [(_terms(one.mac_array), float(one.bits[kind])) for one in structures if one.bits[kind]]
        rows = [[row[name] for name in names] for row, _ in samples]
        weights = least_squares(rows, [value for _, value in samples])
        found[kind] = {name: x for name, x in zip(names, weights, strict=True) if x}
    return found


def _range(results: Results, part: str) -> dict[str, tuple[int, int]]:
    """Return the least and the most of everything in the arrays of which a part is measured."""
    arrays = [entry.mac_array for entry in results.entries if entry.has(part)]
    values = {name: [getattr(array, name) for array in arrays] for name in RANGED}
    return {name: (min(found), max(found)) for name, found in values.items()}


def figures(results: Results, structures: Sequence[Structure]) -> dict[str, Figure]:
    """Return each figure of the predictor with the arrays of which it is measured."""
    kinds = structural(structures)
    bases = {name: {kind: kinds[kind] for kind in alone} for name, alone in ALONE.items()}
    bases |= {name: {level: {level: 1.0} for level in chosen} for name, chosen in LEVELS.items()}
    found: dict[str, Figure] = {}
    for name, base in bases.items():
        samples = {x.name: (_terms(x.mac_array), value) for x in results.entries if (value := _of(x, name))}
        found[name] = Figure(base, samples, ALONE.get(name, {}))
    return found


def model_of(results: Results, structures: Sequence[Structure]) -> Model:
    """Return the predictor, fitted on a sweep.

    Raises
    ------
    EspalierError
        A figure is measured of fewer than `LEAST` arrays.
    """
    fitted = figures(results, structures)
    for name, figure in fitted.items():
        if len(figure.samples) < LEAST:
            raise EspalierError(f"{name}: is measured of {len(figure.samples)} arrays, a fit takes {LEAST}")
    return Model(
        origin=ORIGIN,
        sweep=digest(json.loads(results.to_json())),
        fpga=BUILT_FOR,
        library=f"{LIBRARY}; {results.yosys}; {results.timing}",
        ranges={build: _range(results, part) for build, part in zip(BUILDS, (FPGA, CELLS), strict=True)},
        fits={name: figure.fit() for name, figure in fitted.items()},
    )


def _of(entry: Entry, figure: str) -> float | None:
    """Return what was measured of a figure of an array, if it was."""
    whole = entry.modules.get(WHOLE)
    if figure in (LUT, FF):
        return entry.fpga.get(figure)
    if figure == FPGA_PERIOD:
        return 1e3 / entry.mhz if entry.mhz else None
    if whole is None:
        return None
    if figure == CELL_FF:
        return float(whole.flip_flops)
    return whole.area if figure == AREA else whole.mhz and 1e3 / whole.mhz


def _terms(array: MacArray) -> dict[str, float]:
    return {name: float(x) for name, x in terms(Sizes.of(array)).items()}


def _value(coefficients: Mapping[str, float], found: Mapping[str, float]) -> float:
    return sum(part * found[name] for name, part in coefficients.items())
