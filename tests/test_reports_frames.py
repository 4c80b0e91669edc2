"""Objects in a notebook: short in a line, results as data frames and as HTML."""

import csv
import io
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.commandline import made_results
from support.explorations import results
from support.networks import chain
from support.programs import every_kind

import espalier as esp
from accel.errors import EspalierError
from accel.pruned import PrunedNetwork
from reports.report.library import report


class TestShort:
    def test_networks(self) -> None:
        """A line says name, layers, shapes and weights, and holds no array; with masks how many are kept."""
        network = chain()
        weights = sum(layer.weight.size for layer in network.weighted)
        shape = " x ".join(map(str, network.input_shape))
        scores = network.shapes[network.output][0]
        expected = f"<Network {network.name}: {len(network.layers)} layers, {shape} -> {scores}, {weights:,} weights>"
        assert repr(network) == expected
        kept = esp.load("lenet5", "kernel")
        assert repr(kept) == "<PrunedNetwork lenet5: kernel, 26,195 of 61,470 weights, mnist>"
        assert repr(PrunedNetwork(network)).endswith("weights>")

    def test_programs(self) -> None:
        """A Program's line has its pattern and bits, whatever layers it has."""
        program = every_kind(np.random.default_rng(0))
        text = repr(program)
        assert text.startswith(f"<Program {program.name}: {program.pattern}, {len(program.layers)} layers, ")
        assert "array" not in text
        assert "\n" not in text

    @pytest.mark.parametrize(("made", "told"), [(made_results(), "2:4 at 4 bits"), (results(), "kernel, 4 and 5 bits")])
    def test_results(self, made: Any, told: str) -> None:
        """Results say of what they are, and what is recommended."""
        assert told in repr(made)
        assert len(repr(made)) < 120


class TestTables:
    @pytest.mark.parametrize("made", [made_results(), results()])
    def test_frame(self, made: Any) -> None:
        """A data frame has the rows and columns of the CSV, as numbers."""
        frame = made.to_dataframe()
        rows = list(csv.DictReader(io.StringIO(made.to_csv())))
        assert [*frame.columns] == [*rows[0]]
        assert len(frame) == len(rows) == len(made.points)
        assert [str(x) for x in frame["cycles"]] == [row["cycles"] for row in rows]
        assert frame["error_rate"].dtype == np.float64

    def test_without_pandas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where pandas is not installed that is said, with what to install; HTML needs none."""
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(EspalierError, match=r"pip install \"espalier-hw\[dataframe\]\""):
            made_results().to_dataframe()
        assert "<table>" in made_results()._repr_html_()

    @pytest.mark.parametrize("made", [made_results(), results()])
    def test_html(self, made: Any) -> None:
        """A notebook shows the table of what was asked and got; names are text."""
        text = made._repr_html_()
        assert "<th>asked</th><th>got</th><th>slack</th>" in text
        hostile = replace(made, network="<script>")._repr_html_()
        assert "<script" not in hostile
        assert "&lt;script&gt;" in hostile


def test_report() -> None:
    """The facade measures what the command does; negative control: other bits, other points."""
    found = report("digits", (4,), ["kernel"], images=30, max_error="90%")
    assert [(p.pattern, p.weight_bits) for p in found.points] == [("dense", 4), ("kernel", 4)]
    assert found.recommended is not None
    with pytest.raises(EspalierError, match="--max-error 1: expected"):
        report("digits", max_error="1")
