"""Put what a search of `espalier optimize` delivered beside the uniform Programs of the study of trained networks.

    espalier optimize resnet8 --sram 128KiB --array 8x8 --max-error +0.5% --epochs 8 --bfloat16 --data-dir DIR -o FOLDER
    python -m reports.studies.optimize FOLDER

writes results.json, program.espalier and README.md into a folder beside this file, named after network and memory.
"""

from pathlib import Path

import click

from accel.files import write_whole
from reports.optimize.results import Results
from reports.shared.journal import RESULTS
from reports.studies.optimize.page import name_of, page
from reports.studies.optimize.uniform import uniform

HERE = Path(__file__).parent
PROGRAM = "program.espalier"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(folder: Path) -> None:
    """Put what the search of FOLDER delivered beside Programs of the same bits everywhere."""
    text = (folder / RESULTS).read_text()
    results = Results.from_json(text)
    words = page(results, uniform(results.asked.network, results.asked.array))
    out = HERE / name_of(results.asked)
    out.mkdir(exist_ok=True)
    program = folder / PROGRAM
    if program.exists():  # nothing is delivered where nothing is within the limits
        write_whole(out / PROGRAM, program.read_bytes())
    write_whole(out / RESULTS, text.encode())
    write_whole(out / "README.md", words.encode())


if __name__ == "__main__":
    main()
