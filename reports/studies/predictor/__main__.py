"""The sweep of arrays that the predictor is fitted on, its fit, and the page that shows how far off it is.

    python -m reports.studies.predictor sweep --liberty sky130_fd_sc_hd__tt_025C_1v80.lib.gz
    python -m reports.studies.predictor structures
    python -m reports.studies.predictor fit

The sweep needs the extra ``fpga``, OpenSTA and the library of SkyWater's open cells of 130 nm; it is written after
every measurement, so that it goes on where it was stopped. The structures need nothing. The fit needs SciPy (the extra
``predictor``); it writes the file that `accel.cost.predictor` reads, the figure and the page.
"""

import json
from dataclasses import asdict
from pathlib import Path

import click

from accel.cost import predictor
from accel.files import write_whole
from accel.records import sealed
from reports.shared import output
from reports.shared.journal import RESULTS
from reports.shared.progress import bar
from reports.shared.schema import saved
from reports.studies.predictor.definition import ARRAYS, looked_at
from reports.studies.predictor.figures import render
from reports.studies.predictor.fit import figures, model_of
from reports.studies.predictor.page import page
from reports.studies.predictor.results import CELLS, CLOCK, FPGA, STRUCTURES, Results, Structure, Structures
from reports.studies.predictor.sweep import missing, swept
from rtl.asic import liberty
from rtl.fpga.synthesis import fingerprint
from rtl.structure import structure_of

HERE = Path(__file__).parent
SHIPPED = Path(predictor.__file__).with_name(predictor.FILE)
PARTS = (FPGA, CELLS, CLOCK)
PLACE = click.Path(path_type=Path)
OUT = click.option("--out", type=PLACE, default=HERE, help="Where the study lies.")


@click.group()
def main() -> None:
    """Sweep arrays, and fit the predictor on what they take."""


@main.command()
@OUT
@click.option("--liberty", "library", type=PLACE, required=True, help="SkyWater's cells of 130 nm, .lib.gz.")
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, default=PARTS, help="What is measured.")
@click.option("--array", "names", type=click.Choice([*ARRAYS]), multiple=True, default=[*ARRAYS], help="Which arrays.")
def sweep(out: Path, library: Path, parts: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Measure what is missing: counts of an ECP5, standard cells, the clock after place and route."""
    mark = fingerprint(next(iter(ARRAYS.values())))
    results = saved(out / RESULTS, Results.from_json, Results())
    wanted = missing(results, parts, names, mark)
    with bar("sweep", len(wanted)) as shown:
        for part, name, found in swept(results, wanted, liberty.read(library), mark):
            output.write_folder(out, {RESULTS: found.to_json().encode()})
            shown.advance(f"{part} of {name}")


@main.command()
@OUT
def structures(out: Path) -> None:
    """Count what arrays are made of, those of the sweep and others, before any tool has seen them."""
    there = saved(out / STRUCTURES, Structures.from_json, Structures()).arrays
    known = {structure.mac_array: structure for structure in there}
    found: list[Structure] = []
    arrays = looked_at()
    with bar("structures", len(arrays)) as shown:
        for array in arrays:
            found.append(known.get(array) or Structure(array=asdict(array), bits=structure_of(array)))
            output.write_folder(out, {STRUCTURES: Structures(arrays=tuple(found)).to_json().encode()})
            shown.advance()


@main.command()
@OUT
@click.option("--model", "file", type=PLACE, default=SHIPPED, help="Where the coefficients go.")
def fit(out: Path, file: Path) -> None:
    """Fit the predictor on what is there of the sweep, and write the page."""
    results = saved(out / RESULTS, Results.from_json)
    counted = saved(out / STRUCTURES, Structures.from_json).arrays
    made, fitted = model_of(results, counted), figures(results, counted)
    drawn_figures = render(fitted)
    output.write_folder(out, {**drawn_figures, "README.md": page(results, made, fitted, drawn_figures).encode()})
    write_whole(file, (json.dumps(sealed(asdict(made)), indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
