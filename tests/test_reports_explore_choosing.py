"""What a design costs in the technology's own terms, and what each goal wants least of."""

import pytest
from support.explorations import DEVICE, MEANS, point

from reports.explore.choosing import GOALS, Means, goal_of


class TestMeans:
    def test_cost(self) -> None:
        """Area where it is known; else the mean share of blocks and multipliers; else memory."""
        assert MEANS.cost(point(area_um2=70)) == 70
        assert DEVICE.cost(point(memory_bits=50_000, multipliers=10)) == (0.5 + 0.2) / 2
        assert Means("x", "x", None, None, area=False).cost(point(memory_bits=50_000)) == 50_000
        names = [means.cost_name for means in (MEANS, DEVICE, Means("x", "x", None, 5, area=False))]
        assert names == ["area", "share of the device", "memory"]


class TestGoals:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("efficient", 50_000_000),
            ("cheap", 50_000),
            ("fast", 1000),
            ("small", 8192),
            ("accurate", 0.02),
            ("frugal", 7),
        ],
    )
    def test_values(self, name: str, value: float) -> None:
        """What each goal wants least of."""
        assert goal_of(name, MEANS).value(point(energy_pj=7)) == value
        assert len(GOALS) == 6
