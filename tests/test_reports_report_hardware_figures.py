"""Figures of hardware: what is stacked, how far the bars reach, where the roofs are, what the front joins."""

from dataclasses import replace

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from support.commandline import made_design, made_point, made_results

from reports.report.designs import BreakEven
from reports.report.figures import render
from reports.report.hardware_figures import (
    CYCLES,
    FIGURES,
    KEPT,
    LOOSE,
    MEMORY,
    NOTHING,
    STREAMED,
    break_even,
    layer_cycles,
    layer_memory,
    pareto,
    roofline,
    stairs,
)


def bars(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """Return where each bar begins and how long it is, by the name of its part, in the order of the layers."""
    return {str(part.get_label()): [(bar.get_x(), bar.get_width()) for bar in part] for part in axes.containers}


def shown(figure: Figure) -> list[Axes]:
    """Return the panels that are seen."""
    return [axes for axes in figure.axes if axes.get_visible()]


class TestLayerMemory:
    def test_stacked(self) -> None:
        """Weights kept, entries and taps, constants, signals, waste: end to end in KiB; one panel a pattern."""
        results = made_results(made_point("dense"), made_point("2:4"))
        panels = shown(layer_memory(results))
        assert [axes.get_title() for axes in panels] == ["dense", "2:4"]
        found = bars(panels[0])
        # conv1 of `made_point` keeps 600 weights of 4 bits
        sizes = [x / 8192 for x in (2_400, 90, 80 + 22, 8_004, 900)]
        assert [found[name][0][1] for name, _, _ in MEMORY] == pytest.approx(sizes)
        starts = [sum(sizes[:place]) for place in range(5)]
        assert [found[name][0][0] for name, _, _ in MEMORY] == pytest.approx(starts)
        assert found["weights"][1][1] == 0  # the pool's
        assert [text.get_text() for text in panels[0].get_yticklabels()] == ["conv1", "pool", "fc2", LOOSE]

    def test_nothing_is_lost(self) -> None:
        """The bar under the layers is what is left of the blocks: all waste together is memory less payload."""
        design = made_design()
        (axes,) = shown(layer_memory(made_results(made_point())))
        wasted = [bar.get_width() for bar in axes.patches if to_hex(bar.get_facecolor()) == MEMORY[-1][1].lower()]
        assert sum(wasted) * 8192 == pytest.approx(design.memory_bits - design.payload_bits)
        assert len(wasted) == 3 + 1
        more = replace(design, memory_bits=design.memory_bits + 8192)
        (other,) = shown(layer_memory(made_results(made_point(), designs=(more,))))
        assert sum(bar.get_width() for bar in other.patches) == pytest.approx(
            1 + sum(bar.get_width() for bar in axes.patches)
        )  # negative control

    def test_other_layers(self) -> None:
        """Patterns whose layers have other names keep their own names."""
        few = made_design("few", layers=made_design().layers[:1])
        results = made_results(made_point("dense"), made_point("few"), designs=(made_design("dense"), few))
        labels = [[text.get_text() for text in axes.get_yticklabels()] for axes in shown(layer_memory(results))]
        assert labels == [["conv1", "pool", "fc2", LOOSE], ["conv1", LOOSE]]


class TestLayerCycles:
    def test_stacked(self) -> None:
        """What becomes of all lanes' slots, useful first; what stalls if weights were streamed is hollow after it."""
        (axes,) = shown(layer_cycles(made_results(made_point())))
        found = bars(axes)
        parts = [found[name][0][1] * 1e3 for name, _, _ in CYCLES]
        assert parts[:5] == pytest.approx([1_160, 870, 580, 290, 0])
        assert parts[5:] == pytest.approx([60, 33, 0])
        assert sum(parts) == pytest.approx(2_900 + 60 + 33)
        assert sum(found[name][2][1] for name, _, _ in CYCLES) * 1e3 == pytest.approx(120 + 9 + 24)
        assert found[STREAMED] == [pytest.approx((2.993, 0.25))]  # conv1's alone waits

    def test_a_streamed_design(self) -> None:
        """Where the design itself is streamed its stalls are solid, and nothing is hollow."""
        results = made_results(made_point(), designs=(made_design(weights="streamed"),))
        (axes,) = shown(layer_cycles(results))
        assert bars(axes)["stall"][0][1] * 1e3 == 250
        assert STREAMED not in bars(axes)


class TestRoofline:
    def spots(self, **values: object) -> dict[str, list[tuple[float, float]]]:
        """Return the points of each line by its label."""
        axes = roofline(made_results(made_point(), **values)).axes[0]
        return {str(line.get_label()): [*zip(*line.get_data(), strict=True)] for line in axes.lines}  # type: ignore[arg-type]

    def test_spots(self) -> None:
        """MACs for each byte against billion MACs a second, at 100 MHz: of the image both ways, and of layers."""
        found = self.spots()
        # 2 layers of 60,000 MACs; 6,272 bits are 784 bytes, with 250 more bits of weights
        assert found["whole image, weights resident"] == [pytest.approx((120_000 / 784, 12 / 3_456 * 1e3))]
        assert found["whole image, weights streamed"] == [pytest.approx((120_000 * 8 / 6_522, 12 / 3_706 * 1e3))]
        assert found["a layer, weights streamed"] == [pytest.approx((60_000 * 8 / 250, 6 / 3_243 * 1e3))]

    def test_roofs(self) -> None:
        """64 lanes at 100 MHz are 6.4; below 6.4 MACs a byte 1 GB/s is the lower roof. No spot is above them."""
        (name,) = [label for label in self.spots() if label.startswith("roof")]
        assert name == "roofs: 6.4 by lanes, 1 GB/s of DRAM"
        low, knee, high = self.spots()[name]
        assert knee == pytest.approx((6.4, 6.4))
        assert low == pytest.approx((low[0], low[0]))
        assert high[1] == pytest.approx(6.4)
        for label, spots in self.spots().items():
            assert "weights" not in label or all(y <= min(6.4, x) for x, y in spots)

    def test_without_a_bandwidth(self) -> None:
        """Then the lanes are the only roof."""
        found = self.spots(dram_bytes_per_s=None, designs=(made_design(),))
        assert [y for _, y in found["roof: 6.4 by lanes"]] == [6.4, 6.4]


class TestBreakEven:
    def test_lines(self) -> None:
        """One panel a pattern, one line an encoding, and what the layer keeps dotted."""
        other = BreakEven(
            pattern="kernel",
            layer="conv1",
            shape=(3, 4, 9),
            density=0.3,
            bits=(2, 8),
            densities={"kernel flags": [0.9, 0.95], "csr": [0, 0.25]},
        )
        panels = shown(break_even(made_results(break_even=(*made_results().break_even, other))))
        assert [axes.get_title() for axes in panels] == ["2:4: fc2", "kernel: conv1"]
        lines = {str(line.get_label()): [*zip(*line.get_data(), strict=True)] for line in panels[0].lines}  # type: ignore[arg-type]
        assert lines["bitmap"] == [(2, 0.5), (8, 0.875)]
        assert {y for _, y in lines[KEPT]} == {2 / 3}
        colors = [{str(line.get_label()): line.get_color() for line in axes.lines} for axes in panels]
        assert colors[0]["csr"] == colors[1]["csr"] != colors[0]["bitmap"]


class TestPareto:
    def test_points_and_front(self) -> None:
        """Every point is there; the line joins those that nothing beats; the recommended one is ringed and named."""
        results = made_results()
        axes = pareto(results).axes[0]
        lines = {str(line.get_label()): [*zip(*line.get_data(), strict=True)] for line in axes.lines}  # type: ignore[arg-type]
        for pattern in results.patterns:
            of = [x for x in results.choices if x.point.pattern == pattern]
            assert lines[pattern] == [(x.memory_bits / 8192, 100 * x.error_rate) for x in of]
        front = [(x.memory_bits / 8192, 100 * x.error_rate) for x in stairs(results.choices)]
        assert lines["nothing is better in both"] == front
        assert len(front) < len(results.points)
        best = results.chosen
        assert best is not None
        assert lines["recommended: 2:4, 4 bits"] == [(best.memory_bits / 8192, 100 * best.error_rate)]
        assert best.memory_bits != best.point.memory_bits  # blocks, not what the Program stores
        assert [y for _, y in lines["float error + 1%"]] == pytest.approx([2.25, 2.25])

    def test_stairs(self) -> None:
        """Points of which no other has less memory and as few errors; a tie in memory is won by fewer errors."""
        found = [(0.1, 7_000), (0.05, 8_000), (0.04, 8_000), (0.06, 9_000), (0.04, 9_500), (0.01, 9_900)]
        made = [made_point(error_rate=rate, signal_memory_bits=bits - 5_144) for rate, bits in found]
        kept = stairs(made_results(*made, designs=()).choices)
        assert [(x.error_rate, x.memory_bits) for x in kept] == [found[0], found[2], found[5]]

    def test_nothing_recommended(self) -> None:
        """Where no point is within the tolerance none is ringed."""
        labels = [str(line.get_label()) for line in pareto(made_results(made_point(error_rate=0.9))).axes[0].lines]
        assert not any(label.startswith("recommended") for label in labels)


@pytest.mark.slow
def test_without_designs() -> None:
    """What the array does not run has figures that say so."""
    results = made_results(designs=(), break_even=(), not_on_array="the array runs no Clip yet")
    assert roofline(results).axes[0].get_title() == NOTHING
    assert {f"{name}.svg" for name in FIGURES} <= set(render(results))
