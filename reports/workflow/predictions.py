"""What an array is predicted to take, in words and as plain numbers, and how far off such predictions are."""

from dataclasses import asdict
from typing import Any

from accel.array import MacArray
from accel.cost.predictor import AREA, CELL_PERIOD, FF, FPGA_PERIOD, LUT, model, predict

TOLD = {LUT: "LUT", FF: "FF", FPGA_PERIOD: "MHz", AREA: "area", CELL_PERIOD: "MHz"}


def lines(array: MacArray) -> list[str]:
    """Return what an array takes on an ECP5 and in SkyWater's cells, and how far to trust that."""
    found, using = predict(array), model()
    return [
        f"predicted, ECP5: {found.lut:,} LUT, {found.ff:,} FF, {found.multipliers:,} multipliers, "
        f"{found.block_ram:,} block RAM, {found.fpga_mhz:.0f} MHz",
        f"predicted, SkyWater 130: {found.cell_um2 / 1e6:.3f} mm2 of cells without memories, {found.cell_mhz:.0f} MHz",
        f"... from a sweep of {using.fits[LUT].arrays} and {using.fits[AREA].arrays} arrays; errors of arrays held out "
        f"(median, worst): {_errors((LUT, FF, FPGA_PERIOD))}; {_errors((AREA, CELL_PERIOD))}",
        *([f"... outside of that sweep: {'; '.join(found.outside)}"] if found.outside else []),
    ]


def brief(array: MacArray) -> str:
    """Return the most important of it in a line."""
    found = predict(array)
    fpga = f"{found.lut:,} LUT at {found.fpga_mhz:.0f} MHz on an ECP5"
    cells = f"{found.cell_um2 / 1e6:.3f} mm2 of cells at {found.cell_mhz:.0f} MHz in SkyWater 130"
    return f"predicted: {fpga}, {cells}{' (beyond the sweep)' if found.outside else ''}"


def record(array: MacArray) -> dict[str, Any]:
    """Return the prediction of an array and the errors of its figures, as JSON takes them."""
    using = model()
    errors = {
        name: {"arrays": fit.arrays, "median_error": fit.median_error, "worst_error": fit.worst_error}
        for name, fit in using.fits.items()
    }
    return {**asdict(predict(array)), "sweep": using.sweep, "errors": errors}


def _errors(names: tuple[str, ...]) -> str:
    fits = model().fits
    return ", ".join(f"{TOLD[x]} {fits[x].median_error:.1%}, {fits[x].worst_error:.1%}" for x in names)
