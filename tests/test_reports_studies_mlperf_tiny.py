"""MLPerf Tiny's networks: what is committed holds together, is made by what it says, and is what Verilator saw."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from accel.interchange.zoo import DENSE
from accel.interchange.zoo.architectures import ARCHITECTURES
from reports.shared.schema import saved
from reports.studies.mlperf_tiny import __main__ as command
from reports.studies.mlperf_tiny import verify
from reports.studies.mlperf_tiny.definition import (
    BITS,
    FIXED,
    GONE,
    LANES,
    MOST,
    NETWORKS,
    PATTERNS,
    VERIFIED_BITS,
    VERIFIED_PATTERNS,
)
from reports.studies.mlperf_tiny.page import page, quickest, rates_of
from reports.studies.mlperf_tiny.results import Point, Results, Row, Run

FOLDER = Path(command.__file__).parent
RESULTS = saved(FOLDER / "results.json", Results.from_json)
ROWS = [row for row in RESULTS.rows if not row.problem]


class TestCommitted:
    def test_every_version_is_there(self) -> None:
        """Four networks by eight patterns, each at 3 to 8 bits; the autoencoder has no taps to take strides of."""
        assert RESULTS.missing == []
        assert len(RESULTS.rows) == len(NETWORKS) * len(PATTERNS)
        assert [(row.network, row.pattern) for row in RESULTS.rows if row.problem] == [("autoencoder", "ikss")]
        assert all(tuple(point.bits for point in row.points) == BITS for row in ROWS)

    @pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.network} {row.pattern}")
    def test_numbers_fit_each_other(self, row: Row) -> None:
        """Half of the work is gone where a ratio takes it; useful slots are the work over lanes and cycles."""
        network = ARCHITECTURES[row.network]()
        assert row.dense_macs == sum(network.dense_macs().values())
        assert row.dense_weights == sum(layer.weight.size for layer in network.weighted)
        if row.pattern == DENSE:
            assert (row.macs, row.weights) == (row.dense_macs, row.dense_weights)
        elif row.pattern not in FIXED:
            assert row.ratio is not None
            assert row.macs <= (1 - GONE) * row.dense_macs or row.ratio == MOST
            assert row.macs >= 0.4 * row.dense_macs
        for point in row.points:
            share = row.macs / (math.prod(LANES) * point.cycles)  # where no depthwise layer leaves padding out
            assert 0.99 * share < point.useful < share + 1e-4
        sizes = [point.memory_bits for point in row.points]
        assert sizes == sorted(sizes)

    def test_verilator_saw_what_is_told(self) -> None:
        """Each network dense and in groups, at 8 and 4 bits: no wrong row, and the cycles of the table."""
        keys = {(run.network, run.pattern, run.bits) for run in RESULTS.runs}
        assert keys == {(x, y, z) for x in NETWORKS for y in VERIFIED_PATTERNS for z in VERIFIED_BITS}
        for run in RESULTS.runs:
            row = RESULTS.row(run.network, run.pattern)
            assert row is not None
            assert (run.errors, run.cycles) == (0, run.expected_cycles)
            assert run.cycles == row.at(run.bits).cycles
            assert run.rows == ARCHITECTURES[run.network]().shapes[ARCHITECTURES[run.network]().output][0]

    def test_the_page_is_what_the_results_say(self) -> None:
        """`python -m reports.studies.mlperf_tiny page` would write the page that is there."""
        figures = ["cycles.png", "energy.png"]
        assert all((FOLDER / name).exists() for name in figures)
        assert (FOLDER / "README.md").read_text() == page(RESULTS, figures, rates_of(command.TRAINED))

    @pytest.mark.slow
    def test_a_version_is_made_again(self) -> None:
        """Measured anew, the kernels of the keyword network in groups are the row that is there."""
        pytest.importorskip("torch", reason="random weights are those of a training (extra train)")
        from reports.studies.mlperf_tiny.definition import drawn, macs
        from reports.studies.mlperf_tiny.measure import measured
        from reports.workflow.prune import prune

        row, dense = RESULTS.row("dscnn", "kernel@8"), drawn("dscnn")
        assert measured("dscnn", "kernel@8") == row
        assert row is not None
        assert row.ratio is not None
        less = prune(dense, "kernel@8", {"kernel@8": row.ratio - 1 / 40})
        assert row.macs <= macs(dense) / 2 < macs(less)


def planted(cycles: dict[str, int]) -> Results:
    """Return results of networks that all take so many cycles by pattern."""
    points = {
        pattern: tuple(Point(bits=bits, memory_bits=bits, cycles=count, useful=0.5, joules=bits) for bits in BITS)
        for pattern, count in cycles.items()
    }
    sizes = {"macs": 1, "dense_macs": 2, "weights": 1, "dense_weights": 2}
    rows = [Row(network=x, pattern=y, points=points[y], **sizes) for x in NETWORKS for y in cycles]
    return Results(tuple(rows))


class TestWords:
    def test_the_quickest(self) -> None:
        """Of two patterns the one with fewer cycles is told, over those of the dense network."""
        told = quickest(planted({DENSE: 200, "kernel": 150, "kernel@8": 90}))
        assert "resnet8 `kernel@8` (45%), dscnn `kernel@8` (45%)" in told
        assert "`kernel` (" not in told
        assert "dscnn `kernel` (40%)" in quickest(planted({DENSE: 200, "kernel": 80, "kernel@8": 90}))

    def test_errors_that_were_trained(self) -> None:
        """They stand beside the version that they are of; where none was trained there is a dash."""
        results = planted({DENSE: 200, "kernel@8": 90})
        rows = page(results, [], {("resnet8", "kernel@8", 4): 0.1234}).splitlines()
        (row,) = [row for row in rows if "12.34 %" in row]
        assert row == "| kernel@8 | - | - | 12.34 % | - | - | - | - |"  # float, then from 3 bits to 8
        assert "12.34 %" not in page(results, [], {("resnet8", "kernel", 4): 0.1234})

    def test_what_is_not_measured_yet(self) -> None:
        """A page of some networks says nothing of all."""
        text = page(Results(planted({DENSE: 1}).rows[:1]), [], {})
        assert "fewest cycles" not in text
        assert "## dscnn" not in text


def test_a_wrong_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the simulation stands on the page, and ends the command with 1; without one it ends with 0."""
    run = Run(network="dscnn", pattern=DENSE, bits=4, rows=12, cycles=101, expected_cycles=100, errors=1)
    for errors, status in ((1, 1), (0, 0)):
        monkeypatch.setattr(verify, "verified", lambda errors=errors: [replace(run, errors=errors)])
        done = CliRunner().invoke(command.main, ["verify", "--out", str(tmp_path)])
        assert done.exit_code == status
        assert f": {errors} errors in 12 rows" in (tmp_path / "README.md").read_text()
    assert saved(tmp_path / "results.json", Results.from_json).runs[0].cycles == 101
