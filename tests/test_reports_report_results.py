import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.commandline import made_design, made_point, made_results
from support.sealing import resealed

from accel.cost import START_CYCLES, Counts, Invariants, Limits, break_even, cost_of, estimate
from accel.cost.fft import layer_fft
from accel.demand import array_for
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.program import Program
from accel.quantize import Widths, lower
from accel.sparsity import parse_pattern
from accel.words import Words
from reports.report import saved
from reports.report.designing import Hardware, break_evens, designs_of, fft_multiplications
from reports.report.designs import Design
from reports.report.points import layer_rows
from reports.report.results import KIND, Results
from reports.shared.columns import WORK, columns
from reports.workflow.verdicts import account

PROMISED = (
    "network",
    "pattern",
    "sparsity",
    "weight_bits",
    "signal_bits",
    "error_rate",
    "float_error_rate",
    "macs",
    "dense_macs",
    "weight_memory_bits",
    "index_memory_bits",
    "bias_memory_bits",
    "signal_memory_bits",
)


def designed(program: Program, label: str, widths: tuple[int, int], hardware: Hardware) -> list[Design]:
    """Return the designs of a Program by its own words."""
    return [*designs_of(Invariants(program), Words.of(program), label, widths, hardware)]


class TestJson:
    def test_round_trip(self) -> None:
        """What was written comes back equal, every field of it, and is written as the same text again."""
        results = made_results()
        again = Results.from_json(results.to_json())
        assert again == results
        assert again.to_json() == results.to_json()

    def test_round_trip_sees_the_last_digit(self) -> None:
        """Negative control: results that differ in one number are not equal and are written differently."""
        results = made_results()
        first = results.points[0]
        other = replace(results, points=(replace(first, error_rate=first.error_rate + 1e-15), *results.points[1:]))
        assert Results.from_json(other.to_json()) != results
        assert other.to_json() != results.to_json()

    def test_it_says_what_it_is(self) -> None:
        """The record names its format and version, so that a later release can read it."""
        record = json.loads(made_results().to_json())
        assert (record["format"], record["version"]) == ("espalier-report", 8) == (KIND.name, KIND.version)

    @pytest.mark.parametrize("field", PROMISED)
    def test_every_point_holds_what_is_promised(self, field: str) -> None:
        """Each point has each field under its name, with the value that was measured."""
        results = made_results()
        points = json.loads(results.to_json())["points"]
        expected = [getattr(point if hasattr(point, field) else point.counts, field) for point in results.points]
        assert [point[field] for point in points] == expected

    def test_every_point_holds_its_layers(self) -> None:
        """Each point has a row for each layer, by name."""
        points = json.loads(made_results().to_json())["points"]
        assert all([layer["name"] for layer in point["layers"]] == ["conv1", "fc2"] for point in points)

    @pytest.mark.parametrize(
        "changes", [{"format": "other"}, {"version": KIND.version + 1}, {"version": 6}, {"version": 0}]
    )
    def test_another_format_is_refused(self, changes: dict[str, Any]) -> None:
        """Another format or version is refused, and the message says which one is read."""
        record = {**json.loads(made_results().to_json()), **changes}
        with pytest.raises(EspalierError, match="expected espalier-report version 8"):
            Results.from_json(resealed(record))

    @pytest.mark.parametrize("field", ["format", "version", "points", "designs", "break_even", "max_error", "network"])
    def test_a_missing_field_is_refused(self, field: str) -> None:
        """Nothing is guessed where a field is missing."""
        record = json.loads(made_results().to_json())
        del record[field]
        with pytest.raises(EspalierError, match="not the results of an espalier report"):
            Results.from_json(resealed(record))

    @pytest.mark.parametrize("field", [*PROMISED, "layers"])
    def test_a_point_that_lacks_a_field_is_refused(self, field: str) -> None:
        """Nor where a point lacks one."""
        record = json.loads(made_results().to_json())
        del record["points"][0][field]
        with pytest.raises(EspalierError, match=field):
            Results.from_json(resealed(record))

    @pytest.mark.parametrize("field", ["macs", "requantize_memory_bits", "weights", "encoding"])
    def test_a_layer_that_lacks_a_field_is_refused(self, field: str) -> None:
        """Nor where a layer of a point does: what it would count is not taken for none."""
        record = json.loads(made_results().to_json())
        del record["points"][0]["layers"][1][field]
        with pytest.raises(EspalierError, match=field):
            Results.from_json(resealed(record))

    @pytest.mark.parametrize("field", saved.TOTALS)
    def test_a_total_that_is_none_is_refused(self, field: str) -> None:
        """A point's total is the sum of its layers, and a file that says another says where."""
        record = json.loads(made_results().to_json())
        record["points"][2][field] += 1
        with pytest.raises(EspalierError, match=rf"points\[2\].{field}: is .*, and its layers make"):
            Results.from_json(resealed(record))

    def test_the_committed_study(self) -> None:
        """The report of lenet5 that is kept is read, and written again byte for byte; its CSV follows from it."""
        folder = Path(__file__).parents[1] / "reports" / "studies" / "lenet5"
        text = (folder / "results.json").read_text()
        results = Results.from_json(text)
        assert results.to_json() == text
        assert results.to_csv() == (folder / "results.csv").read_text()
        first = results.points[0]
        assert first.counts.macs == 416_520  # LeNet-5, dense
        assert results.designs[0].layers[0].counts.macs == 117_600  # conv1: 20 x 25 weights, 24 x 24 pixels

    def test_designs_have_the_work_of_their_pattern(self) -> None:
        """A file says once what a layer computes, for every design of the pattern, and its bits for each."""
        results = Results.from_json(made_results().to_json())
        for design in results.designs:
            rows = {row.name: row.counts for row in results.of(design.pattern)[0].layers}
            for layer in design.layers:
                work = rows.get(layer.name, Counts())
                assert columns(WORK, layer.counts) == columns(WORK, work)
            assert design.layers[0].counts.weight_memory_bits == 600 * design.weight_bits
        assert len({design.layers[0].counts.macs for design in results.designs}) == 3  # negative control

    def test_designs_are_rows(self) -> None:
        """A design is a line whose layers have names, and one with a name too few or too many is refused."""
        text = made_results().to_json()
        record = json.loads(text)
        assert all(len(design["layers"]) == 3 for design in record["designs"])
        assert sum(line.startswith('{"pattern": ') for line in text.splitlines()) == len(record["designs"]) + 1
        for change in (lambda row: row.pop("drain_cycles"), lambda row: row.update(more=0)):
            again = json.loads(text)
            change(again["designs"][-1]["layers"][0])
            with pytest.raises(EspalierError, match="not the results of an espalier report"):
                Results.from_json(resealed(again))

    @pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"points": 3}', made_results().to_json()[:-20]])
    def test_something_else_is_refused(self, text: str) -> None:
        """No JSON, JSON of something else, and results that were cut are refused."""
        with pytest.raises(EspalierError, match="not the results of an espalier report"):
            Results.from_json(text)

    def test_an_unknown_field_is_refused(self) -> None:
        """A field that this version does not know is not dropped in silence."""
        record = {**json.loads(made_results().to_json()), "weather": "fine"}
        with pytest.raises(EspalierError, match="weather"):
            Results.from_json(resealed(record))


class TestCsv:
    def rows(self, results: Results) -> list[dict[str, str]]:
        """Return the lines of the CSV form below its header."""
        return list(csv.DictReader(io.StringIO(results.to_csv())))

    def test_one_line_a_point(self) -> None:
        """There is one line for each point, and one with the names above them."""
        results = made_results()
        assert results.to_csv().count("\n") == len(results.points) + 1
        assert set(PROMISED) <= set(self.rows(results)[0])

    @pytest.mark.parametrize("field", PROMISED)
    def test_same_numbers(self, field: str) -> None:
        """Each number reads back as the very number that the JSON form holds."""
        results = made_results()
        points = json.loads(results.to_json())["points"]
        kind = type(points[0][field])
        assert [kind(row[field]) for row in self.rows(results)] == [point[field] for point in points]

    def test_same_numbers_sees_a_change(self) -> None:
        """Negative control: one more MAC is seen."""
        first, *others = made_results().points
        row = first.layers[0]
        more = replace(row, counts=row.counts + Counts(macs=1))
        other = made_results(replace(first, layers=(more, *first.layers[1:])), *others)
        assert self.rows(other)[0] != self.rows(made_results())[0]
        assert self.rows(other)[1:] == self.rows(made_results())[1:]

    @pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", '-x,"y'])
    def test_a_name_is_no_formula(self, name: str) -> None:
        """A spreadsheet computes no cell that a name fills: an apostrophe stands before it; numbers are left alone."""
        point = replace(made_results().points[0], network=name, error_rate=-1.0)
        (row,) = self.rows(made_results(point))
        assert (row["network"], row["error_rate"]) == (f"'{name}", "-1.0")
        (plain,) = self.rows(made_results(replace(point, network="a=1+1")))
        assert plain["network"] == "a=1+1"

    def test_awkward_names(self) -> None:
        """A name with a comma, a quote or a line break stays one field."""
        name = 'a,"b"\nc'
        assert self.rows(made_results(made_point(network=name)))[0]["network"] == name


class TestRecommendation:
    """Least memory among the points whose error rate is within the tolerance: here 2 % in float and 1 % above it."""

    def best(self, *points: tuple[float, int]) -> tuple[float, int] | None:
        """Return the recommended one of points (error rate, bits of memory)."""
        # 5,144 bits of every made-up point are weights, indices and constants; the signals fill up to what is asked for
        made = [
            made_point(error_rate=0.9, validation_error_rate=rate, signal_memory_bits=bits - 5_144)
            for rate, bits in points
        ]
        judged = {
            "float_dense_error_rate": 0.5,
            "float_dense_validation_error_rate": 0.02,
        }  # test images decide nothing
        best = made_results(*made, designs=(), max_error="+1%", **judged).recommended
        return best and (best.validation_error_rate, best.memory_bits)

    @pytest.mark.parametrize(
        ("points", "expected"),
        [
            ([(0.02, 9_000), (0.025, 8_000), (0.031, 7_000)], (0.025, 8_000)),  # the smallest errs too often
            ([(0.02, 9_000), (0.03, 8_000)], (0.03, 8_000)),  # exactly at the tolerance is within it
            ([(0.02, 9_000), (0.0301, 8_000)], (0.02, 9_000)),
            ([(0.01, 9_000), (0.02, 8_000)], (0.02, 8_000)),  # fewer errors than the float network earn nothing
            ([(0.025, 8_000), (0.021, 8_000)], (0.021, 8_000)),  # of two that are as small, the one that errs less
            ([(0.04, 9_000), (0.5, 6_000)], None),  # nothing is recommended before something bad is
            ([(0.9, 6_000)], None),
        ],
    )
    def test_examples(self, points: list[tuple[float, int]], expected: tuple[float, int] | None) -> None:
        """The rule, by literal examples."""
        assert self.best(*points) == expected
        assert self.best(*reversed(points)) == expected  # whatever the order

    def test_the_tolerance_is_above_the_float_error(self) -> None:
        """The same points with a float network that errs more: the smaller one is within 1 % of it now."""
        points = made_point(error_rate=0.02, bits=8), made_point(error_rate=0.035, signal_memory_bits=0)
        for designs in ((), made_results(*points).designs):
            made = made_results(*points, designs=designs)
            assert replace(made, float_dense_validation_error_rate=0.02).recommended is points[0]
            assert replace(made, float_dense_validation_error_rate=0.025).recommended is points[1]
            assert (
                replace(made, float_dense_error_rate=0.025).recommended is made.recommended
            )  # test images decide nothing


class TestViews:
    def test_memory_in_all(self) -> None:
        """On-chip memory is weights, indices, biases, requantisation and signals, each once."""
        parts = {"weight": 10_000, "index": 2_000, "bias": 300, "requantize": 40, "signal": 5}
        point = made_point(**{f"{part}_memory_bits": bits for part, bits in parts.items()})
        assert point.memory_bits == 12_345

    def test_order(self) -> None:
        """Patterns stay in the order in which they were measured, widths ascend."""
        results = made_results(*(made_point(pattern, bits) for pattern in ("dense", "2:4", "a") for bits in (8, 3)))
        assert results.patterns == ["dense", "2:4", "a"]
        assert results.widths == [3, 8]
        assert [point.weight_bits for point in results.of("2:4")] == [3, 8]

    def test_reference(self) -> None:
        """Errors are compared with the dense network in float, and it is said where there was none."""
        assert made_results(made_point("dense"), made_point("kernel")).reference == "dense float network"
        assert made_results(made_point("kernel")).reference == "pruned float network"

    def test_layer_rows(self) -> None:
        """The rows of a real Program name its layers with weights, and add up to the cost model's total."""
        images = datasets.load("digits", "train").take(16).pixels()
        cost = cost_of(lower(zoo.load("digits", "kernel"), Widths(3, 5), images))
        rows = layer_rows(cost)
        assert [row.name for row in rows] == ["conv1", "conv2", "conv3", "fc4"]
        counted = ("dense_weights", "weights", "dense_macs", "macs", "weight_memory_bits", "index_memory_bits")
        for name in (*counted, "bias_memory_bits", "requantize_memory_bits"):
            assert sum(getattr(row.counts, name) for row in rows) == getattr(cost.total, name) > 0

    def test_fft(self) -> None:
        """Convolutions have their multiplications by FFT beside them, where these are given."""
        images = datasets.load("digits", "train").take(16).pixels()
        program = lower(zoo.load("digits", "kernel"), Widths(3, 5), images)
        rows = layer_rows(cost_of(program), fft_multiplications(program))
        found = {row.name: row.fft_multiplications for row in rows}
        assert found == {
            x.name: layer_fft(program, x).multiplications if x.window else None for x in program.mac_layers
        }
        assert {row.fft_multiplications for row in layer_rows(cost_of(program))} == {None}

    def test_designs(self) -> None:
        """A design is found by pattern and word lengths: the first that was made of it, or the one asked for."""
        results = made_results()
        assert results.design("2:4", 8, 4) == made_design("2:4", 8, 4, macs=22_500)
        assert (
            results.design("2:4", 8, 8)
            == made_design("2:4", 8, 8, macs=22_500)
            != results.design("2:4", 8, 8, "streamed")
        )
        assert results.design("2:4", 8, 8, "streamed") == made_design("2:4", 8, 8, "streamed", 22_500)
        assert results.design("2:4", 8, 4, "streamed") is results.design("2:4", 5, 5) is None
        assert results.shown_width == 4 == results.recommended.weight_bits  # type: ignore[union-attr]
        assert [x.key for x in results.shown_designs()] == [(x, 4, 4) for x in results.patterns]
        assert made_results(made_point(error_rate=1.0), made_point(bits=8, error_rate=1.0)).shown_width == 8
        assert results.lanes == 64


class TestDesigning:
    """What a report says of a real Program on its array is what the estimate says."""

    def designs(self, pattern: str = "kernel", **limits: float) -> list[Design]:
        """Return the designs of digits at 4 and 4 bits on 4 x 8 lanes."""
        images = datasets.load("digits", "train").take(16).pixels()
        self.program = lower(zoo.load("digits", pattern), Widths(4, 4), images)
        hardware = Hardware(4, 8, limits=Limits(**{"dram_bytes_per_s": 1e8, **limits}))  # type: ignore[arg-type]
        assert hardware.name == "4x8"
        return designed(self.program, pattern, (4, 4), hardware)

    def test_the_estimate(self) -> None:
        """Cycles, bits and blocks are those of the library; of another array they are others."""
        first, streamed = self.designs()
        array = array_for(self.program, 4, 8)
        e = estimate(self.program, array, dram_bytes_per_s=1e8)
        numbers = (
            "cycles",
            "memory_bits",
            "payload_bits",
            "stored_bits",
            "multipliers",
            "dram_bits",
            "fits",
        )
        assert {name: getattr(first, name) for name in numbers} == {name: getattr(e, name) for name in numbers}
        assert first.verdict == account(e)
        assert first.joules == pytest.approx(e.energy.total_joules, rel=1e-5)  # type: ignore[union-attr]
        assert (first.weights, streamed.weights) == ("resident", "streamed")
        assert (
            streamed.cycles == first.cycles + sum(layer.spent.stall_cycles for layer in streamed.layers) > first.cycles
        )
        other = estimate(self.program, replace(array, output_lanes=8), dram_bytes_per_s=1e8)
        assert first.cycles != other.cycles  # negative control

    @pytest.mark.parametrize("pattern", ["dense", "kernel", "block-4", "irregular"])
    def test_waste_to_the_last_bit(self, pattern: str) -> None:
        """All blocks: what layers keep and store, what their words waste, the peak of signals, and what is loose."""
        first = self.designs(pattern)[0]
        kept = sum(4 * x.nest.macs_per_pixel for x in self.program.mac_layers)
        stored = sum(x.control_bits + x.counts.constant_memory_bits for x in first.layers)
        peak, filling = max(x.held_bits for x in first.layers), sum(x.filling_bits for x in first.layers)
        assert kept + stored + peak == first.payload_bits
        assert first.payload_bits + filling + first.loose_bits == first.memory_bits
        assert min(first.loose_bits, *(x.filling_bits for x in first.layers)) >= 0
        assert START_CYCLES + sum(layer.spent.cycles for layer in first.layers) == first.cycles

    def test_streamed_once(self) -> None:
        """What streaming costs is told at equal widths and with a DRAM, whether a design fits or not."""
        fitting = self.designs()
        short = self.designs(sram_bits=min(x.memory_bits for x in fitting) - 1)
        assert [(x.weights, x.fits) for x in fitting] == [("resident", True), ("streamed", True)]
        assert [(x.weights, x.fits) for x in short] == [("resident", False), ("streamed", False)]
        images = datasets.load("digits", "train").take(16).pixels()
        program = lower(zoo.load("digits"), Widths(4, 5), images)
        assert len(designed(program, "dense", (4, 5), Hardware())) == 1  # unequal widths
        assert len(designed(program, "dense", (4, 4), Hardware(limits=Limits()))) == 1

    def test_break_even(self) -> None:
        """The largest layer of each pattern, with its densities at 2 to 8 bits; dense layers have none."""
        images = datasets.load("digits", "train").take(16).pixels()
        programs = [lower(zoo.load("digits", pattern), Widths(3, 3), images) for pattern in ("dense", "kernel", "2:4")]
        found = break_evens(programs)
        assert [(x.pattern, x.layer, x.shape) for x in found] == [(x, "conv3", (32, 32, 9)) for x in ("kernel", "2:4")]
        assert found[1].density == 0.5
        for x in found:
            expected = [break_even(parse_pattern(x.pattern), x.shape, bits) for bits in range(2, 9)]
            assert x.densities == {name: [by[name] for by in expected] for name in expected[0]}
