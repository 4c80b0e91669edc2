import ast
import json
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from support.commandline import environment, made_point, made_results

from reports.report import figures, hardware_figures
from reports.report.designs import BreakEven
from reports.report.figures import FIGURES, accuracy, macs, memory, render
from reports.report.results import Results

PNG = b"\x89PNG\r\n\x1a\n"
IN_ANOTHER_PROCESS = """
import hashlib, json, sys
import reports.cli
from reports.report import figures, results
drawn = figures.render(results.Results.from_json(sys.stdin.read()))
sums = {name: hashlib.sha256(content).hexdigest() for name, content in drawn.items()}
print(json.dumps([sums, "matplotlib.pyplot" in sys.modules]))
"""


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    """Return the figures of results as they are read back from a file."""
    return render(Results.from_json(made_results().to_json()))


def texts(svg: bytes) -> list[str]:
    """Return the texts of an SVG, which must be XML."""
    return ["".join(x.itertext()) for x in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def stacked(figure: Figure) -> dict[tuple[str, str], list[float]]:
    """Return the widths of the parts of each bar by panel title and pattern, which the first panel names for all."""
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    return {
        (axes.get_title(), label): [part[place].get_width() for part in axes.containers]
        for axes in figure.axes
        for place, label in enumerate(labels)
        if axes.get_visible()
    }


class TestRender:
    @pytest.mark.slow
    def test_names(self, drawn: dict[str, bytes]) -> None:
        """Each figure is there as SVG, which is XML, and as PNG."""
        names = ("accuracy", "memory", "macs", "pareto", "layer_memory", "layer_cycles", "roofline", "break_even")
        assert set(drawn) == {f"{name}.{kind}" for name in names for kind in ("svg", "png")}
        for name, content in drawn.items():
            if name.endswith("png"):
                assert content.startswith(PNG)
            else:
                assert ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"

    def test_drawn_from_results_alone(self) -> None:
        """The modules cannot see anything live: of the house they import the results and how figures look."""
        for module in (figures, hardware_figures):
            tree = ast.parse(Path(module.__file__).read_text())
            imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
            house = {name for name in imported if name and name.split(".")[0] in ("accel", "sim", "rtl", "reports")}
            assert house <= {
                "reports",
                "reports.report",
                "reports.report.results",
                "reports.report.designs",
                "reports.shared.columns",
                "reports.shared.drawing",
                "reports.shared.words",
            }
            assert "reports.report.results" in house
            assert "numpy" in imported  # negative control: imports are found

    @pytest.mark.slow
    def test_same_results_same_bytes(self, drawn: dict[str, bytes]) -> None:
        """The same results give the same bytes, also after others were drawn and whatever a matplotlibrc says."""
        with mpl.rc_context({"lines.linewidth": 9, "axes.titlesize": 30, "text.usetex": True, "svg.fonttype": "path"}):
            assert render(made_results()) == drawn

    @pytest.mark.slow
    def test_other_results_other_bytes(self, drawn: dict[str, bytes]) -> None:
        """Negative control: an error rate is seen in the accuracy, memory in the memory, and both in the front."""
        first, *others = made_results().points
        changed = replace(
            first, error_rate=0.03, validation_error_rate=0.03, signal_memory_bits=first.signal_memory_bits + 8192
        )
        again = render(made_results(changed, *others))
        others = ("macs", "layer_memory", "layer_cycles", "roofline", "break_even")
        same = {f"{name}.{kind}" for name in others for kind in ("svg", "png")}
        assert {name for name in drawn if again[name] == drawn[name]} == same

    @pytest.mark.slow
    def test_another_process(self, drawn: dict[str, bytes]) -> None:
        """Another process with another hash seed gives the same bytes; and the commands never import pyplot."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", IN_ANOTHER_PROCESS],
            input=made_results().to_json(),
            capture_output=True,
            text=True,
            check=False,
            env=environment(PYTHONHASHSEED="12345"),
        )
        assert done.stderr == ""
        sums, pyplot = json.loads(done.stdout)
        assert pyplot is False
        assert sums == {name: sha256(content).hexdigest() for name, content in drawn.items()}

    @pytest.mark.parametrize("name", sorted({*FIGURES} - {"roofline", "break_even"}))
    def test_patterns_are_text(self, drawn: dict[str, bytes], name: str) -> None:
        """Each pattern stands in each SVG as text that can be searched."""
        found = texts(drawn[f"{name}.svg"])
        for pattern in made_results().patterns:
            assert any(text.startswith(pattern) for text in found)
        assert not any(text.startswith("ikss") for text in found)  # negative control: a pattern that is not there

    @pytest.mark.slow
    def test_awkward_names(self) -> None:
        """Names are text, never formulas or markup: dollars, backslashes, brackets, less-than and ampersands stay."""
        name = r"$\foo$ <script>&amp; [/b]"
        found = BreakEven(
            pattern=name, layer=name, shape=(1, 2, 3), density=0.5, bits=(2, 3), densities={name: [0.1, 0.2]}
        )
        result = render(made_results(made_point(name, error_rate=0.0), network=name, break_even=(found,)))
        for figure in FIGURES:
            assert any(name in text for text in texts(result[f"{figure}.svg"]))
            assert b"<script" not in result[f"{figure}.svg"]


class TestAccuracy:
    def test_one_line_a_pattern(self) -> None:
        """Each pattern has one line of its error rates in % against the widths, with a look of its own."""
        results = made_results()
        *lines, _ = accuracy(results).axes[0].lines
        for line, pattern in zip(lines, results.patterns, strict=True):
            points = results.of(pattern)
            assert list(line.get_xdata()) == [point.weight_bits for point in points] == [4, 8]
            assert list(line.get_ydata()) == [100 * point.error_rate for point in points]
            assert line.get_linestyle() == "-"
        assert len({(to_hex(line.get_color()), str(line.get_marker())) for line in lines}) == 3

    def test_dashed_float_line(self) -> None:
        """One dashed line lies at the float network's error rate and says whose it is."""
        for results, name in (
            (made_results(), "dense float network (1.25 %)"),
            (made_results(made_point("kernel")), "pruned float network (1.25 %)"),
        ):
            dashed = [line for line in accuracy(results).axes[0].lines if line.get_linestyle() == "--"]
            assert [line.get_label() for line in dashed] == [name]
            assert set(dashed[0].get_ydata()) == {1.25}

    def test_sparsity_is_named(self) -> None:
        """The legend says what share of the weights is gone; the dense network lost none."""
        labels = [text.get_text() for text in accuracy(made_results()).legends[0].get_texts()]
        assert labels == ["dense", "kernel+ikss (33% gone)", "2:4 (33% gone)", "dense float network (1.25 %)"]

    def test_axes(self) -> None:
        """Errors are on a log scale, and the ticks below stand at the widths that were measured and nowhere else."""
        for widths in ((4,), (3, 8), (2, 3, 4, 5, 6, 7, 8)):
            axes = accuracy(made_results(*(made_point(bits=bits) for bits in widths))).axes[0]
            assert axes.get_yscale() == "log"
            assert tuple(axes.get_xticks()) == widths

    @pytest.mark.slow
    def test_no_error_at_all(self) -> None:
        """No error among n images is drawn at half of one image's share, and not lost at minus infinity."""
        points = made_point(bits=3, error_rate=0.01), made_point(bits=4, error_rate=0.0)
        results = made_results(*points, float_dense_error_rate=0.0, test_images=400)
        line, dashed = accuracy(results).axes[0].lines
        assert list(line.get_ydata()) == [1.0, 0.125]  # % of 400 images: 4, and half an image
        assert set(dashed.get_ydata()) == {0.125}
        assert set(render(results)) == {f"{name}.{kind}" for name in FIGURES for kind in ("svg", "png")}


class TestMemory:
    def test_bars_sum_to_the_memory(self) -> None:
        """At each width the parts of each pattern's bar add up to its memory, in KiB."""
        results = made_results()
        bars = stacked(memory(results))
        assert len(bars) == 6
        for point in results.points:
            parts = bars[f"{point.weight_bits} bits", point.pattern]
            assert sum(parts) * 8192 == pytest.approx(point.memory_bits, rel=1e-12)
            assert sum(parts) * 8192 != pytest.approx(point.memory_bits + 1, rel=1e-9)  # negative control

    def test_parts(self) -> None:
        """The parts are weights, indices, constants and signals, stacked in this order without gaps."""
        figure = memory(made_results(made_point(signal_memory_bits=8192)))
        assert stacked(figure) == {("4 bits", "dense"): [4_800 / 8192, 140 / 8192, (160 + 44) / 8192, 1.0]}
        bars = [part[0] for part in figure.axes[0].containers]
        ends = [bar.get_x() + bar.get_width() for bar in bars]
        assert [bar.get_x() for bar in bars] == pytest.approx([0, *ends[:-1]])
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert labels == ["weights", "indices", "biases, requantisation", "signals"]

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 15])
    def test_a_panel_a_width(self, count: int) -> None:
        """Each width has its panel; what is left of the grid is not shown."""
        figure = memory(made_results(*(made_point(bits=bits) for bits in range(2, 2 + count))))
        titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
        assert titles == [f"{bits} bits" for bits in range(2, 2 + count)]

    def test_a_width_that_a_pattern_lacks(self) -> None:
        """A pattern that was not measured at a width has no bar there."""
        bars = stacked(memory(made_results(made_point("dense", 4), made_point("dense", 8), made_point("2:4", 8))))
        assert bars["4 bits", "2:4"] == [0, 0, 0, 0] != bars["8 bits", "2:4"]


def test_macs() -> None:
    """Each pattern has one bar: thousands of MACs, and their share of the dense network's."""
    results = made_results()
    axes = macs(results).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == results.patterns
    assert [bar.get_width() for bar in axes.containers[0]] == [180, 90, 45]
    assert [text.get_text().strip() for text in axes.texts] == ["100% of dense", "50% of dense", "25% of dense"]
