import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commandline import (
    MNIST_TEST_IMAGES,
    complaint,
    contents,
    espalier,
    reported,
    untrained_lenet5,
    write_mnist,
)

from accel.cost import cost_of, estimate
from accel.demand import array_for
from accel.fixedpoint import Overflow, Rounding
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.program import Program
from accel.program_layers import MacLayer
from accel.quantize import Widths, lower, ordered_for
from reports.report import figures, terminal_tables
from reports.report.page import page
from reports.report.results import Results
from reports.workflow.delivery import FILES
from reports.workflow.verdicts import account

IMAGES = 60
pytestmark = pytest.mark.usefixtures("few_calibration_images")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that a report on digits wrote."""
    out = tmp_path_factory.mktemp("report") / "new" / "digits"
    arguments = ("--bits", "2,4", "--patterns", "kernel,2:4", "--images", IMAGES, "--out", out)
    done = reported("digits", *arguments)
    (out / "printed.txt").write_text(done.out)
    return out


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    """Return the results that the report saved."""
    return Results.from_json((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory with a small MNIST."""
    return write_mnist(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of an untrained LeNet-5."""
    path = tmp_path_factory.mktemp("network") / "mine.espalier"
    untrained_lenet5().save(path)
    return path


def lowered(pattern: str, weight_bits: int, signal_bits: int) -> Program:
    """Return the Program that the commands should come to for a version of digits."""
    images = datasets.load("digits", "train").take(64).pixels()
    return lower(zoo.load("digits", pattern), Widths(weight_bits, signal_bits), images)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a Program."""
    path = tmp_path_factory.mktemp("program") / "p.espalier"
    lowered("kernel", 8, 8).save(path)
    return path


def written(path: Path) -> dict[str, Any]:
    """Return the record that a command wrote."""
    record = json.loads(path.read_text())
    assert isinstance(record, dict)
    return record


class TestReport:
    @pytest.mark.slow
    def test_files(self, folder: Path, results: Results) -> None:
        """The folder holds page, figures, the numbers twice, and what is recommended, if anything; no more."""
        drawn = {f"{name}.{kind}" for name in figures.FIGURES for kind in ("svg", "png")}
        delivered = FILES if results.recommended else ()
        assert (
            set(contents(folder)) == {"printed.txt", "report.html", "results.json", "results.csv", *delivered} | drawn
        )

    def test_points(self, results: Results) -> None:
        """Every pattern that was asked for is there at every width, after the dense network to compare with."""
        labels = [(point.pattern, point.weight_bits, point.signal_bits) for point in results.points]
        assert labels == [(pattern, bits, bits) for pattern in ("dense", "kernel", "2:4") for bits in (2, 4)]
        assert (results.network, results.data, results.test_images) == ("digits", "digits", IMAGES)
        assert (results.calibration_images, results.retrained) == (64, True)

    def test_counts(self, results: Results) -> None:
        """What is counted is the cost model's for the same Program, and not that of a Program of another width."""
        for point in results.points:
            if point.weight_bits == 4:
                cost = cost_of(lowered(point.pattern, 4, 4))
                assert point.counts == cost.total
                assert point.memory_bits == cost.memory_bits not in [other.memory_bits for other in results.points[::2]]

    def test_designs(self, results: Results) -> None:
        """Every pattern has a design at every pair of widths: what the estimate says of the same Program."""
        assert {x.key for x in results.designs} == {(p, w, s) for p in results.patterns for w in (2, 4) for s in (2, 4)}
        for key in (("kernel", 2, 4), ("2:4", 4, 4)):
            program, design = ordered_for(lowered(*key), 8, split=True), results.design(*key)
            e = estimate(program, array_for(program, 8, 8))
            assert design is not None
            found = design.cycles, design.memory_bits, design.stored_bits, design.verdict
            assert found == (e.cycles, e.memory_bits, cost_of(program).memory_bits, account(e))
            other = results.design(key[0], 2, 2)
            assert other is not None
            assert found != (other.cycles, other.memory_bits, other.stored_bits, other.verdict)  # negative control
        cycles = {(p.pattern, p.cycles) for p in results.points if p.weight_bits == 4}
        assert cycles == {(x.pattern, x.cycles) for x in results.shown_designs() if x.weights == "resident"}

    @pytest.mark.slow
    def test_other_hardware(self, tmp_path: Path) -> None:
        """The array, its clock, technology, memory and DRAM are those that were asked for."""
        arguments = ("--bits", 4, "--patterns", "kernel", "--images", 20, "--out", tmp_path / "out")
        chosen = ("--array", "4x4", "--clock", "50MHz", "--technology", "ecp5-45f", "--dram-bandwidth", "20MB/s")
        reported("digits", *arguments, *chosen, "--sram", "40KiB")
        results = Results.from_json((tmp_path / "out" / "results.json").read_text())
        program = ordered_for(lowered("kernel", 4, 4), 4, split=True)
        array = array_for(program, 4, 4)
        e = estimate(program, array, "ecp5-45f", clock_hz=50e6, dram_bytes_per_s=2e7, sram_bits=40 * 8192)
        design = results.design("kernel", 4, 4)
        assert design is not None
        assert (design.verdict, design.weights, design.joules) == (account(e), e.weights, None)
        assert (results.array, results.clock_hz, results.sram_bits) == ("4x4", 50e6, 40 * 8192)
        assert (results.technology, results.dram_bytes_per_s) == ("Lattice ECP5 LFE5U-45F", 2e7)
        page_text = " ".join((tmp_path / "out" / "report.html").read_text().split())
        assert "at 50 MHz; Lattice ECP5 LFE5U-45F; at most 40.00 KiB of memory blocks; DRAM of 0.02 GB/s" in page_text

    def test_float_error_rates(self, results: Results) -> None:
        """The float error rates are those of the networks of the zoo on the same images."""
        test = datasets.load("digits", "test").take(IMAGES)
        for pattern in ("dense", "kernel"):
            scores = zoo.load("digits", pattern).network.scores(test.pixels())
            rate = np.mean(scores.argmax(axis=1) != test.labels)
            assert {point.float_error_rate for point in results.of(pattern)} == {rate}
        assert results.float_dense_error_rate == results.of("dense")[0].float_error_rate
        assert np.mean(scores.argmax(axis=1) != np.roll(test.labels, 1)) > 0.5  # negative control: other labels

    @pytest.mark.slow
    def test_everything_is_drawn_from_the_saved_results(self, folder: Path, results: Results) -> None:
        """Figures, page and CSV are, byte for byte, what the saved JSON alone gives."""
        drawn = figures.render(results)
        assert {name: (folder / name).read_bytes() for name in drawn} == drawn
        assert (folder / "report.html").read_bytes() == page(results, drawn)
        assert (folder / "results.csv").read_text() == results.to_csv()
        assert len(list(csv.reader(io.StringIO(results.to_csv())))) == 1 + 6

    def test_printed(self, folder: Path, results: Results) -> None:
        """The table on the terminal holds the same error rates, and the answer stands under it with the folder."""
        text = (folder / "printed.txt").read_text()
        for pattern in results.patterns:
            (line,) = [line for line in text.splitlines() if line.startswith(f"│ {pattern} ")]
            cells = [cell.strip() for cell in line.strip("│").split("│")]
            assert cells[4:6] == [f"{point.error_rate:.2%}" for point in results.of(pattern)]
        assert terminal_tables.recommendation(results) in text
        assert "within 1% of the dense float network" in text
        assert f"Written to {folder}: " in text

    @pytest.mark.slow
    def test_threads_and_repetition_change_nothing(self, folder: Path, tmp_path: Path) -> None:
        """Another run, with another number of threads and into a folder that holds other things, gives the same.

        The folder is printed as it is called: square brackets are no markup.
        """
        out = tmp_path / "a[b]:c:"
        out.mkdir()
        (out / "mine").write_bytes(b"mine")
        arguments = ("--bits", "2,4", "--patterns", "kernel,2:4", "--images", IMAGES, "--threads", 1, "-o", out)
        done = reported(*arguments)  # digits is the network by default
        assert f"Written to {out}: " in done.out
        expected = contents(folder)
        del expected["printed.txt"]
        assert contents(out) == {**expected, "mine": b"mine"}


class TestReportOfAFile:
    @pytest.mark.slow
    def test_dense(self, network_file: Path, data_dir: Path, tmp_path: Path) -> None:
        """A dense file is pruned by magnitude, on the data set that it names, and the page says: not retrained."""
        arguments = ("--bits", 4, "--patterns", "kernel,feature-map+block-4", "--data-dir", data_dir)
        _ = reported(network_file, *arguments, "--out", tmp_path / "out")
        results = Results.from_json((tmp_path / "out" / "results.json").read_text())
        assert results.patterns == ["dense", "kernel", "feature-map+block-4"]
        assert (results.network, results.data, results.retrained) == ("lenet5", "mnist", False)
        assert results.test_images == MNIST_TEST_IMAGES
        assert results.calibration_images == 32  # all that there are
        dense, kernel, both = results.points
        # of 70 % of the 96 and 1,920 kernels between the first and the last layer, 67 and 1,344 whole ones, of 25 taps
        assert kernel.counts.sparsity == pytest.approx((67 + 1_344) * 25 / 61_470)
        assert dense.counts.sparsity == 0 < kernel.counts.sparsity < both.counts.sparsity
        page_text = " ".join((tmp_path / "out" / "report.html").read_text().split())
        assert "Pruned by magnitude here and not retrained." in page_text

    @pytest.mark.slow
    def test_pruned(self, tmp_path: Path) -> None:
        """A pruned file is measured as it is, and compared with its own float network, which is said."""
        path = tmp_path / "kernel.espalier"
        zoo.load("digits", "kernel").save(path)
        done = reported(path, "--bits", 4, "--images", 20, "--out", tmp_path / "out")
        results = Results.from_json((tmp_path / "out" / "results.json").read_text())
        assert results.patterns == ["kernel"]
        assert results.float_dense_error_rate == results.points[0].float_error_rate
        assert "of the pruned float network" in done.out
        assert "dense float network" not in (tmp_path / "out" / "report.html").read_text()

    @pytest.mark.slow
    def test_all_patterns_by_default(self, data_dir: Path, network_file: Path, tmp_path: Path) -> None:
        """Without --patterns a dense file is pruned in every way that there is."""
        arguments = ("--bits", 4, "--images", 2, "--data-dir", data_dir, "--out", tmp_path / "out")
        reported(network_file, *arguments)
        patterns = Results.from_json((tmp_path / "out" / "results.json").read_text()).patterns
        assert patterns == ["dense", "feature-map", "kernel", "kernel@8", "ikss", "kernel+ikss", "block-4", "irregular"]


class TestSize:
    def test_json_is_the_cost_model(self, tmp_path: Path) -> None:
        """The record holds the counts of the cost model, layer by layer and in all."""
        path = tmp_path / "size.json"
        arguments = ("--pattern", "kernel", "--weight-bits", 4, "--signal-bits", 6, "--json", path)
        assert espalier("size", "digits", *arguments).status == 0
        record, cost = written(path), cost_of(lowered("kernel", 4, 6))
        assert (record["network"], record["pattern"]) == ("digits", "kernel")
        assert {name: record[name] for name in asdict(cost.total)} == asdict(cost.total)
        assert record["parameter_memory_bits"] == cost.total.parameter_memory_bits
        assert record["signal_memory_bits"] == cost.signal_memory_bits
        assert record["memory_bits"] == cost.memory_bits
        assert (record["sram_bits"], record["fits"]) == (None, None)
        macs = {layer.name: layer.counts.macs for layer in cost.layers if layer.accumulator_bits}
        assert {row["name"]: row["macs"] for row in record["layers"]} == macs
        assert record["memory_bits"] != cost_of(lowered("kernel", 4, 5)).memory_bits  # negative control: another width

    def test_table(self, program: Path) -> None:
        """The table shows each layer's counts and their sum, and the lines below it where the memory goes."""
        done = espalier("size", program)
        assert (done.status, done.err) == (0, "")
        cost = cost_of(Program.load(program))
        for layer in cost.layers:
            if layer.accumulator_bits:
                (line,) = [line for line in done.out.splitlines() if line.startswith(f"│ {layer.name} ")]
                assert f"{layer.counts.macs:,}" in line
                assert f"{layer.counts.weight_memory_bits:,}" in line
        assert f"{cost.total.macs:,}" in done.out
        assert f"in all {cost.memory_bits / 8192:.2f} KiB" in done.out

    @pytest.mark.parametrize(
        ("spare", "needs", "words"),
        [(0, "whole layers", "fits, 0.00 KiB to spare"), (-1, "tiles", "0.00 KiB too little for whole layers\n")],
    )
    def test_fits(self, program: Path, tmp_path: Path, spare: int, needs: str, words: str) -> None:
        """Memory of exactly the bits that are needed is enough for whole layers; with one bit less there are tiles."""
        sram = cost_of(Program.load(program)).memory_bits + spare
        done = espalier("size", program, "--sram", f"{sram}b", "--json", tmp_path / "x")
        assert done.status == 0
        assert words in done.out
        record = written(tmp_path / "x")
        assert (record["sram_bits"], record["fits"], record["tiling"]["points"][0]["needs"]) == (sram, True, needs)

    def test_program(self, tmp_path: Path) -> None:
        """A Program is counted as it is: the same record as of the network at the Program's word lengths."""
        program = tmp_path / "p.espalier"
        widths = ("--weight-bits", 3, "--signal-bits", 5)
        assert espalier("quantize", "digits", "--pattern", "ikss", *widths, "-o", program).status == 0
        assert espalier("size", program, "--json", tmp_path / "a").status == 0
        assert espalier("size", "digits", "--pattern", "ikss", *widths, "--json", tmp_path / "b").status == 0
        assert espalier("size", "digits", "--pattern", "ikss", "--json", tmp_path / "c").status == 0
        assert written(tmp_path / "a") == written(tmp_path / "b") != written(tmp_path / "c")

    def test_file(self, tmp_path: Path, network_file: Path, data_dir: Path) -> None:
        """A dense file can be sized as it is or pruned by magnitude; the data directory may be the environment's."""
        arguments = ("size", network_file, "--data-dir", data_dir, "--json", tmp_path / "a")
        assert espalier(*arguments).status == 0
        # C1 4,704 x 25, C3 1,600 x 150, C5 120 x 400, F6 84 x 120, output 10 x 84
        assert written(tmp_path / "a")["macs"] == 117_600 + 240_000 + 48_000 + 10_080 + 840
        assert espalier(*arguments, "--pattern", "kernel").status == 0
        pruned = written(tmp_path / "a")
        assert pruned["pattern"] == "kernel"
        # 70 % of C3's 96 and C5's 1,920 kernels are 67 and 1,344: 29 and 576 stay, of 25 taps, at 100 pixels and one
        assert pruned["macs"] == 117_600 + 29 * 25 * 100 + 576 * 25 + 10_080 + 840


class TestQuantizeAndRun:
    @pytest.mark.parametrize("bits", [2, 4])
    def test_same_error_rate_as_the_report(self, results: Results, tmp_path: Path, bits: int) -> None:
        """A Program from its file errs on exactly as many images as the report says, and executes as many MACs."""
        program, record = tmp_path / "p.espalier", tmp_path / "run.json"
        widths = ("--weight-bits", bits, "--signal-bits", bits)
        made = espalier("quantize", "digits", "--pattern", "kernel", *widths, "-o", program)
        assert (made.status, made.err) == (0, "")
        assert made.out.startswith(f"{program}: digits, kernel, ")
        done = espalier("run", program, "--images", IMAGES, "--json", record)
        assert (done.status, done.err) == (0, "")
        here, other = sorted(results.of("kernel"), key=lambda point: point.weight_bits != bits)
        assert written(record)["error_rate"] == here.error_rate != other.error_rate
        assert sum(written(record)["macs"].values()) == here.counts.macs
        assert f"{here.error_rate:.2%} error on {IMAGES} images" in done.out

    def test_record(self, tmp_path: Path) -> None:
        """The record says what was run, on what, and how fast; all images of the test split by default."""
        program, record = tmp_path / "p.espalier", tmp_path / "run.json"
        assert espalier("quantize", "digits", "-o", program).status == 0
        assert espalier("run", program, "--json", record, "--threads", 1).status == 0
        fields = ("program", "data", "split", "images", "error_rate", "images_per_second", "macs")
        assert tuple(written(record)) == fields
        assert written(record)["program"] == str(program)
        assert [written(record)[name] for name in ("data", "split", "images")] == ["digits", "test", 350]
        assert written(record)["images_per_second"] > 0
        assert written(record)["macs"] == {"conv1": 9_216, "conv2": 294_912, "conv3": 147_456, "fc4": 1_280}
        assert espalier("run", program, "--json", record, "--split", "validation").status == 0
        assert [written(record)[name] for name in ("split", "images")] == ["validation", 250]

    def test_options(self, tmp_path: Path) -> None:
        """Word lengths, powers of two, rounding and overflow reach every layer of the Program."""
        path = tmp_path / "p.espalier"
        arguments = ["--weight-bits", 5, "--signal-bits", 6, "--input-bits", 4, "--power-of-two"]
        modes = ["--rounding", "RND_CONV", "--overflow", "SAT_ZERO"]
        assert espalier("quantize", "digits", *arguments, *modes, "-o", path).status == 0
        program = Program.load(path)
        assert program.input_signal.bits == 4
        *hidden, last = program.mac_layers
        assert isinstance(last, MacLayer)
        assert last.requantize is None
        for layer in hidden:
            assert (layer.weight_bits, layer.output.bits) == (5, 6)
            assert layer.output.format.rounding is Rounding.RND_CONV
            assert layer.output.format.overflow is Overflow.SAT_ZERO
            assert layer.requantize
            assert layer.requantize.multipliers.tolist() == [1]
        assert espalier("quantize", "digits", "-o", path).status == 0  # negative control: by default none of this
        first = Program.load(path).mac_layers[0]
        assert (first.weight_bits, first.output.bits) == (8, 8)
        assert (first.output.format.rounding, first.output.format.overflow) == (Rounding.RND, Overflow.SAT)
        assert first.requantize
        assert first.requantize.multipliers.max() > 1

    def test_another_data_set(self, network_file: Path, data_dir: Path, tmp_path: Path, mnist_twin: Path) -> None:
        """A Program runs on its own data set, or on another one whose images have the same shape."""
        program, record = tmp_path / "p.espalier", tmp_path / "run.json"
        assert espalier("quantize", network_file, "--data-dir", data_dir, "-o", program).status == 0
        for name in ("mnist", "fashion-mnist"):
            arguments = ("--data", name, "--data-dir", mnist_twin, "--json", record)
            assert espalier("run", program, *arguments).status == 0
            assert (written(record)["data"], written(record)["images"]) == (name, MNIST_TEST_IMAGES)

    @pytest.fixture
    def mnist_twin(self, tmp_path: Path) -> Path:
        """Return a data directory whose Fashion-MNIST is a copy of its MNIST."""
        data = write_mnist(tmp_path / "twin")
        (data / "fashion-mnist").symlink_to(data / "mnist")
        return data

    def test_environment(
        self, network_file: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """ESPALIER_DATA stands in for --data-dir."""
        monkeypatch.delenv("ESPALIER_DATA", raising=False)
        assert "pass --data-dir or set ESPALIER_DATA" in complaint("quantize", network_file, "-o", tmp_path / "p")
        monkeypatch.setenv("ESPALIER_DATA", str(data_dir))
        assert espalier("quantize", network_file, "-o", tmp_path / "p").status == 0
