"""The study of silicon: gates that run images, the estimate beside them, and the page.

    python -m reports.studies.silicon run --liberty sky130_fd_sc_hd__tt_025C_1v80.lib.gz --work build/silicon
    python -m reports.studies.silicon page

The runs need the extra ``fpga``, OpenSTA, Verilator, MNIST and the library of SkyWater's open cells of 130 nm. Each
takes minutes and leaves a file in ``--work``, as do arrays that are mapped, so that it goes on where it was stopped.
"""

from pathlib import Path

import click

from reports.shared import output
from reports.shared.journal import RESULTS
from reports.shared.progress import bar
from reports.shared.schema import saved
from reports.studies.silicon.definition import SRAM
from reports.studies.silicon.estimated import calibrated
from reports.studies.silicon.figures import render
from reports.studies.silicon.measure import gathered, swept
from reports.studies.silicon.page import page
from reports.studies.silicon.results import Results
from rtl.asic import liberty
from rtl.asic.sram import read_sram

HERE = Path(__file__).parent
PLACE = click.Path(path_type=Path)
OUT = click.option("--out", type=PLACE, default=HERE, help="Where the study lies.")


@click.group()
def main() -> None:
    """Run images on gates, and write what they took."""


@main.command()
@OUT
@click.option("--liberty", "library", type=PLACE, required=True, help="SkyWater's cells of 130 nm, .lib.gz.")
@click.option("--sram-library", "sram", type=PLACE, default=Path(SRAM), help="Macros of memories.")
@click.option("--work", type=PLACE, required=True, help="Folder for netlists, and for the file of each run.")
def run(out: Path, library: Path, sram: Path, work: Path) -> None:
    """Run what is missing: the first image of the test set on the gates of each array."""
    cells, macros = liberty.read(library), read_sram(sram)
    work.mkdir(parents=True, exist_ok=True)
    known = saved(out / RESULTS, Results.from_json, Results())
    wanted = gathered(work, known).missing
    with bar("runs", len(wanted)) as shown:
        for task in swept(wanted, cells, macros, work):
            output.write_folder(out, {RESULTS: gathered(work, known).to_json().encode()})
            shown.advance(task.name)


@main.command("page")
@OUT
def write_page(out: Path) -> None:
    """Write the page and its figure from results.json, and tell what the calibrated table is."""
    results = saved(out / RESULTS, Results.from_json)
    drawn = render(results)
    output.write_folder(out, {**drawn, "README.md": page(results, drawn).encode()})
    print(calibrated(results))


if __name__ == "__main__":
    main()
