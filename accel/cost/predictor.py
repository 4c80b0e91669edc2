"""What an array takes on an FPGA and in standard cells, and at which clock, predicted without building it.

Look-up tables, flip-flops, cell area and clock periods are sums of `accel.cost.hardware_terms`, with coefficients that
`python -m reports.studies.predictor fit` finds on a sweep of arrays that were built; ``predictor.json`` beside this
file holds them, with the sweep's digest and how far off arrays were that had no part in the fit. Multipliers and block
RAMs are counted. Beyond the sweep's range nobody has looked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from accel.array import MacArray
from accel.cost.hardware_terms import BITS, Numbers, Sizes, multipliers_of, terms
from accel.cost.macros import blocks
from accel.cost.technology import load_technology
from accel.errors import EspalierError, reading
from accel.records import parse_json, record_of, unsealed

FILE = "predictor.json"
FPGA, BLOCK = "ecp5-45f", "EBR"  # the technology, and its block RAM, that the sweep was built for
LUT, FF, AREA, FPGA_PERIOD, CELL_PERIOD, CELL_FF = FIGURES = ("lut", "ff", "cell_um2", "fpga_ns", "cell_ns", "cell_ff")
BUILDS = ("ECP5", "SkyWater 130")  # what arrays were built in
RANGED = ("output_lanes", "pixel_lanes", "macs_per_cycle", *BITS[:4])


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A figure as a sum of terms.

    Parameters
    ----------
    arrays : int
        That it was fitted on.
    median_error, worst_error : float
        Relative, of arrays that had no part in the fit.
    coefficients : mapping
        From the names of terms to what a unit of each takes; never negative.
    """

    arrays: int
    median_error: float
    worst_error: float
    coefficients: Mapping[str, float]

    def at(self, found: Mapping[str, Numbers]) -> Any:
        """Return the figure where the terms are `found`, numbers or vectors."""
        return sum(part * found[name] for name, part in self.coefficients.items())


@dataclass(frozen=True, kw_only=True)
class Model:
    """All fits, and what they are of.

    Parameters
    ----------
    origin : str
        The command that fitted it.
    sweep : str
        The digest of the results of the sweep.
    fpga, library : str
        What was built for.
    ranges : mapping
        Of each of `BUILDS` the least and the most of each of `RANGED` that the sweep has.
    fits : mapping
        Of each of `FIGURES`.
    """

    origin: str
    sweep: str
    fpga: str
    library: str
    ranges: Mapping[str, Mapping[str, tuple[int, int]]]
    fits: Mapping[str, Fit]

    def __post_init__(self) -> None:
        if set(self.fits) != set(FIGURES) or set(self.ranges) != set(BUILDS):
            raise EspalierError(f"expected fits of {', '.join(FIGURES)} and ranges of {', '.join(BUILDS)}")


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What an array takes.

    Parameters
    ----------
    lut, ff, multipliers, block_ram : int
        On an ECP5, as nextpnr packs it; multipliers of 18 x 18 bits, memories of 18 kbit.
    fpga_mhz : float
        The clock there after place and route.
    cell_um2 : float
        Of SkyWater's cells of 130 nm, without memories, before place and route.
    cell_mhz : float
        The clock there.
    outside : tuple of str
        What the sweep has nothing like, in words; nothing within its range.
    """

    lut: int
    ff: int
    multipliers: int
    block_ram: int
    fpga_mhz: float
    cell_um2: float
    cell_mhz: float
    outside: tuple[str, ...]


@cache
def model() -> Model:
    """Return the model that is shipped."""
    with reading(FILE):
        text = (resources.files("accel.cost") / FILE).read_text(encoding="utf-8")
        return record_of(Model, unsealed(parse_json(text)))


def predict(array: MacArray, using: Model | None = None) -> Prediction:
    """Return what an array takes, without a synthesis run."""
    using = using or model()
    found = {name: x.item() for name, x in predictions(Sizes.of(array), using).items()}
    return Prediction(
        **found, multipliers=multipliers_of(array), block_ram=block_ram(array), outside=outside(array, using)
    )


def predictions(sizes: Sizes, using: Model | None = None) -> dict[str, Any]:
    """Return what is not counted of `Prediction`, of one array or of many at once, by the names of its fields."""
    found, fits = terms(sizes), (using or model()).fits
    names = (LUT, FF, AREA, FPGA_PERIOD, CELL_PERIOD)
    lut, ff, area, fpga_ns, cell_ns = (np.asarray(fits[name].at(found), float) for name in names)
    return {
        "lut": np.rint(lut).astype(np.int64),
        "ff": np.rint(ff).astype(np.int64),
        "fpga_mhz": np.round(1e3 / fpga_ns, 1),
        "cell_um2": np.round(area),
        "cell_mhz": np.round(1e3 / cell_ns, 1),
    }


def flip_flops(sizes: Sizes, using: Model | None = None) -> Any:
    """Return the flip-flops of the array in standard cells, of one array or of many at once; not rounded."""
    return (using or model()).fits[CELL_FF].at(terms(sizes))


def outside(array: MacArray, using: Model | None = None) -> tuple[str, ...]:
    """Return in what an array lies outside of the sweep's range, such as ``16 output lanes``, and what it has."""
    return tuple(
        f"{getattr(array, name)} {name.replace('_', ' ')}, in {build} the sweep has {least}..{most}"
        for build, ranges in (using or model()).ranges.items()
        for name, (least, most) in ranges.items()
        if not least <= getattr(array, name) <= most
    )


def block_ram(array: MacArray) -> int:
    """Return the memories of 18 kbit of an ECP5; those that are shallow are made of look-up tables."""
    macro = next(macro for macro in load_technology(FPGA).macros if macro.name == BLOCK)
    deep = [memory for memory in array.memories if not memory.shallow]
    return sum(memory.banks * blocks(macro, memory.words, memory.width_bits)[0] for memory in deep)
