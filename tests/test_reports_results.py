import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from commandline import made_point, made_results

from accel.array import MacArray
from accel.cost import START_CYCLES, cost_of, cycles_of, total_cycles
from accel.errors import EspalierError
from accel.interchange import datasets, zoo
from accel.quantize import Widths, lower
from reports.results import FORMAT, VERSION, Results, layer_rows

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
        assert (record["format"], record["version"]) == ("espalier-report", 2) == (FORMAT, VERSION)

    @pytest.mark.parametrize("field", PROMISED)
    def test_every_point_holds_what_is_promised(self, field: str) -> None:
        """Each point has each field under its name, with the value that was measured."""
        results = made_results()
        points = json.loads(results.to_json())["points"]
        assert [point[field] for point in points] == [getattr(point, field) for point in results.points]

    def test_every_point_holds_its_layers(self) -> None:
        """Each point has a row for each layer, by name."""
        points = json.loads(made_results().to_json())["points"]
        assert all([layer["name"] for layer in point["layers"]] == ["conv1", "fc2"] for point in points)

    @pytest.mark.parametrize("changes", [{"format": "other"}, {"version": VERSION + 1}, {"version": 0}])
    def test_another_format_is_refused(self, changes: dict[str, Any]) -> None:
        """Another format or version is refused, and the message says which one is read."""
        record = {**json.loads(made_results().to_json()), **changes}
        with pytest.raises(EspalierError, match="expected espalier-report version 2"):
            Results.from_json(json.dumps(record))

    @pytest.mark.parametrize("field", ["format", "version", "points", "tolerance", "network"])
    def test_a_missing_field_is_refused(self, field: str) -> None:
        """Nothing is guessed where a field is missing."""
        record = json.loads(made_results().to_json())
        del record[field]
        with pytest.raises(EspalierError, match="not the results of an espalier report"):
            Results.from_json(json.dumps(record))

    @pytest.mark.parametrize("field", [*PROMISED, "layers"])
    def test_a_point_that_lacks_a_field_is_refused(self, field: str) -> None:
        """Nor where a point lacks one."""
        record = json.loads(made_results().to_json())
        del record["points"][0][field]
        with pytest.raises(EspalierError, match=field):
            Results.from_json(json.dumps(record))

    @pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"points": 3}', made_results().to_json()[:-20]])
    def test_something_else_is_refused(self, text: str) -> None:
        """No JSON, JSON of something else, and results that were cut are refused."""
        with pytest.raises(EspalierError, match="not the results of an espalier report"):
            Results.from_json(text)

    def test_an_unknown_field_is_refused(self) -> None:
        """A field that this version does not know is not dropped in silence."""
        record = {**json.loads(made_results().to_json()), "weather": "fine"}
        with pytest.raises(EspalierError, match="weather"):
            Results.from_json(json.dumps(record))


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
        other = made_results(replace(first, macs=first.macs + 1), *others)
        assert self.rows(other)[0] != self.rows(made_results())[0]
        assert self.rows(other)[1:] == self.rows(made_results())[1:]

    def test_awkward_names(self) -> None:
        """A name with a comma, a quote or a line break stays one field."""
        name = 'a,"b"\nc'
        assert self.rows(made_results(made_point(network=name)))[0]["network"] == name


class TestRecommendation:
    """Least memory among the points whose error rate is within the tolerance: here 2 % in float and 1 % above it."""

    def best(self, *points: tuple[float, int]) -> tuple[float, int] | None:
        """Return the recommended one of points (error rate, bits of memory)."""
        # 5,144 bits of every made-up point are weights, indices and constants; the signals fill up to what is asked for
        made = [made_point(error_rate=rate, signal_memory_bits=bits - 5_144) for rate, bits in points]
        best = made_results(*made, float_dense_error_rate=0.02, tolerance=0.01).recommended
        return best and (best.error_rate, best.memory_bits)

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
        assert made_results(*points, float_dense_error_rate=0.02).recommended is points[0]
        assert made_results(*points, float_dense_error_rate=0.025).recommended is points[1]


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
            assert sum(getattr(row, name) for row in rows) == getattr(cost.total, name) > 0

    def test_layer_rows_on_an_array(self) -> None:
        """With cycles the pools have rows too, and the rows add up to the image's cycles less the one of the start."""
        images = datasets.load("digits", "train").take(16).pixels()
        program = lower(zoo.load("digits", "kernel"), Widths(3, 5), images)
        rows = layer_rows(cost_of(program), cycles_of(program, MacArray(4, 4)))
        assert [row.name for row in rows] == ["conv1", "conv2", "pool2", "conv3", "pool3", "fc4"]
        assert START_CYCLES + sum(row.cycles or 0 for row in rows) == total_cycles(program, MacArray(4, 4))
        assert total_cycles(program, MacArray(4, 4)) != total_cycles(program, MacArray(8, 8))
        assert all(0 < (row.utilization or 0) <= 1 for row in rows if row.macs)
