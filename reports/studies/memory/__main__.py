"""Measure everything that is not measured yet, and write results.json, the figures and the page.

    python -m reports.studies.memory
    python -m reports.studies.memory --page

It is written after every version, so that it goes on where it was stopped.
"""

from dataclasses import replace
from pathlib import Path

import click

from reports.shared import output
from reports.shared.journal import RESULTS
from reports.shared.progress import bar
from reports.shared.schema import saved
from reports.studies.memory.figures import render
from reports.studies.memory.measure import measured
from reports.studies.memory.page import page
from reports.studies.memory.results import Results
from reports.studies.memory.streaming import streamed

HERE = Path(__file__).parent


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=HERE, help="Where the study lies.")
@click.option("--page", "again", is_flag=True, help="Write the page and its figures again, from results.json alone.")
def main(out: Path, again: bool) -> None:
    """Measure networks in memories of several sizes."""
    results = saved(out / RESULTS, Results.from_json, Results())
    missing = [] if again else results.missing
    with bar("versions", len(missing)) as shown:
        for network, pattern, bits in missing:
            results = results.with_row(measured(network, pattern, bits))
            _write(out, results)
            shown.advance(f"{network} {pattern} {bits}")
    if not (again or results.streamed):
        results = replace(results, streamed=streamed())
    _write(out, results)


def _write(out: Path, results: Results) -> None:
    drawn = render(results)
    files = {RESULTS: results.to_json().encode(), **drawn, "README.md": page(results, drawn).encode()}
    output.write_folder(out, files)


if __name__ == "__main__":
    main()
