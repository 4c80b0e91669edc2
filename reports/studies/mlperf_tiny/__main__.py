"""Measure MLPerf Tiny's networks, have Verilator run some of their Programs, and write the page.

    python -m reports.studies.mlperf_tiny measure
    python -m reports.studies.mlperf_tiny verify
    python -m reports.studies.mlperf_tiny sample --weights ad01.h5 --sample normal_id_01_00000000_hist_librosa.bin

Each writes results.json, the figure and the page; `measure` after every version, so that it goes on where it was
stopped. Random weights come from PyTorch's extra (``train``); `verify` needs Verilator, `sample` the extra ``referees``
and two files of MLPerf Tiny's repository, below `benchmark`: `training/anomaly_detection/trained_models` has the
weights, `reference_submissions/anomaly_detection/datasets/dcase01` the recording.
"""

from dataclasses import replace
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
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
OUT = click.option("--out", type=click.Path(path_type=Path), default=HERE, help="Where the page goes.")
TRAINED = HERE.parent / "trained" / RESULTS


@click.group()
def main() -> None:
    """Study MLPerf Tiny's networks: `measure` versions, `verify` hardware, run a `sample`, write the `page` again."""


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
    _write(out, replace(_found(out), runs=runs))  # rows may have come meanwhile
    raise SystemExit(any(run.errors for run in runs))


@main.command("sample")
@OUT
@click.option("--weights", type=FILE, required=True, help="The trained autoencoder: ad01.h5.")
@click.option("--sample", "recording", type=FILE, required=True, help="Log-mel energies of its recording.")
def run_sample(out: Path, weights: Path, recording: Path) -> None:
    """Say what the trained autoencoder misses of a recording, by pattern and word length."""
    from reports.studies.mlperf_tiny.sample import losses, trained, windows

    _write(out, replace(_found(out), losses=tuple(losses(trained(weights), windows(recording)))))


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
