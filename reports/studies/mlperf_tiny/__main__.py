"""Measure MLPerf Tiny's networks, have Verilator run some of their Programs, and write the page.

    python -m reports.studies.mlperf_tiny measure
    python -m reports.studies.mlperf_tiny verify

Each writes results.json, the figure and the page; `measure` after every version, so that it goes on where it was
stopped. Random weights come from PyTorch's extra (``train``); `verify` needs Verilator.
"""

from pathlib import Path

import click

from reports.shared import output
from reports.shared.journal import RESULTS
from reports.shared.progress import bar
from reports.shared.schema import saved
from reports.studies.mlperf_tiny.figures import render
from reports.studies.mlperf_tiny.page import page, rates_of
from reports.studies.mlperf_tiny.results import Results

HERE = Path(__file__).parent
OUT = click.option("--out", type=click.Path(path_type=Path), default=HERE, help="Where the page goes.")
TRAINED = HERE.parent / "trained" / RESULTS


@click.group()
def main() -> None:
    """Study MLPerf Tiny's networks: `measure` the versions, `verify` hardware, or write the `page` again."""


@main.command()
@OUT
def measure(out: Path) -> None:
    """Measure every version that is not measured yet."""
    from reports.studies.mlperf_tiny.measure import measured

    results = _found(out)
    with bar("versions", len(results.missing)) as shown:
        for network, pattern in results.missing:
            results = results.with_row(measured(network, pattern))
            _write(out, results)
            shown.advance(f"{network} {pattern}")


@main.command()
@OUT
def verify(out: Path) -> None:
    """Have Verilator run one image of each network, dense and pruned in groups, at 8 and 4 bits."""
    from reports.studies.mlperf_tiny.verify import verified

    runs = tuple(verified())
    _write(out, Results(_found(out).rows, runs))  # rows may have come meanwhile
    raise SystemExit(any(run.errors for run in runs))


@main.command("page")
@OUT
def again(out: Path) -> None:
    """Write the page and its figure from results.json again."""
    _write(out, _found(out))


def _found(out: Path) -> Results:
    return saved(out / RESULTS, Results.from_json, Results())


def _write(out: Path, results: Results) -> None:
    drawn = render(results)
    text = page(results, drawn, rates_of(TRAINED))
    output.write_folder(out, {RESULTS: results.to_json().encode(), **drawn, "README.md": text.encode()})


if __name__ == "__main__":
    main()
