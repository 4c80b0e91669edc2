"""Figures and page: drawn from what was saved, the same bytes each time, with what they are about in them."""

from typing import Any

import pytest
from support.explorations import budget, results

from reports.explore import figures
from reports.explore.page import page, thinned
from reports.explore.results import Results, Verified
from reports.shared.browsing import plotly

ESTIMATE: dict[str, Any] = {
    "binding": "multipliers bind",
    "weights": "resident",
    "layers": [
        dict.fromkeys(("macs", "compute_cycles", "drain_cycles", "fill_cycles", "stall_cycles", "cycles"), 1234)
        | {"name": "conv<1>", "pattern": "kernel", "encoding": "flags", "weights": 9, "weight_memory_bits": 99}
        | {"index_memory_bits": 7, "accumulator_bits": 17, "utilization": 0.5}
    ],
    "memories": [
        {"name": "weights", "banks": 2, "words": 99, "width_bits": 16, "count": 3, "macro": "block", "shape": [128, 16]}
        | {"macro_bits": 8192, "payload_bits": 4096, "waste_bits": 4096}
    ],
    **dict.fromkeys(("macs", "compute_cycles", "drain_cycles", "fill_cycles", "stall_cycles", "cycles"), 1300),
    **{"utilization": 0.25, "memory_bits": 8192, "payload_bits": 4096, "waste_bits": 4096},
}
FULL = results(
    verified=Verified(0.0123, 0.006, ESTIMATE), budget=budget(error_rate=0.015, memory_bits=70_000, multipliers=90)
)
NOTHING = results(budget=budget(error_rate=0.004, memory_bits=8192, images_per_s=1e5))


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    """Return the figures of results that have everything."""
    return figures.render(FULL)


class TestFigures:
    def test_all(self, drawn: dict[str, bytes]) -> None:
        """Four, each for the page and for whoever wants a picture."""
        names = {"pareto", "patterns", "widths", "arrays"}
        assert set(drawn) == {f"{name}.{kind}" for name in names for kind in ("svg", "png")}

    @pytest.mark.slow
    def test_from_saved_results(self, drawn: dict[str, bytes]) -> None:
        """What was written and read again is drawn the same, byte for byte; other results are not."""
        assert figures.render(Results.from_json(FULL.to_json())) == drawn
        assert figures.render(NOTHING)["pareto.svg"] != drawn["pareto.svg"]

    def test_what_they_say(self, drawn: dict[str, bytes]) -> None:
        """Patterns by name, word lengths with error and memory, arrays with lanes."""
        texts = {name: content.decode() for name, content in drawn.items() if name.endswith(".svg")}
        assert "kernel" in texts["pareto.svg"]
        assert " 4/5 bits, 4x4" in texts["patterns.svg"]
        assert "1.00 %" in texts["widths.svg"]
        assert "4.9 KiB" in texts["widths.svg"]
        assert "2.00 % ✗" in texts["widths.svg"]
        assert "8x2: 5" in texts["arrays.svg"]

    def test_where_nothing_fits(self) -> None:
        """All of them can be drawn without a design to recommend."""
        assert all(figures.render(NOTHING).values())


class TestPage:
    def test_needs_no_network(self, drawn: dict[str, bytes]) -> None:
        """One file: no address is loaded, every figure stands in it."""
        text = page(FULL, drawn).decode().replace(plotly(), "")
        assert text.count("<svg") == 4
        for loading in ("src=", "<link", "@import", "url(http"):
            assert loading not in text

    @pytest.mark.slow
    def test_answer(self, drawn: dict[str, bytes]) -> None:
        """The command, the answer, the four questions, the layers; names cannot break the page."""
        text = page(FULL, drawn).decode()
        for words in (
            "espalier explore made --max-error +1% --data-dir DATA",
            "What to build: made pruned by kernel",
            "Which pattern?",
            "How many bits?",
            "How many multipliers?",
            "How much memory?",
            "conv&lt;1&gt;",
            "2 x 99 x 16 bit",
        ):
            assert words in text
        assert (
            "would take 1.00 % errors, 4.88 KiB, 49,900 images/s (or a clock of 200.4 MHz): kernel, 4-bit"
            in page(NOTHING, figures.render(NOTHING)).decode()
        )

    def test_what_is_over_a_limit(self, drawn: dict[str, bytes]) -> None:
        """Designs of the tables that are over a limit are marked there."""
        tight = results(budget=budget(error_rate=0.015, multipliers=1))
        assert 'class="over"' in page(tight, drawn).decode()
        assert 'class="over"' not in page(results(), drawn).decode()

    def test_thinned(self) -> None:
        """A long table keeps its first and last row and is spread evenly."""
        points = list(FULL.points)
        assert thinned(points, 8) == points
        assert thinned(points, 3) == [points[0], points[4], points[7]]
