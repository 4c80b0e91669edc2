"""Choosing among vectors of designs gives what choosing among objects does, in the same order."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.explorations import DEVICE, MEANS, budget, point

from reports.explore.choosing import GOALS, Means, goal_of
from reports.explore.points import Point
from reports.workflow.limits import limits_of
from reports.workflow.recommend import band, front, within
from reports.workflow.recommend_vectors import band_places, best_place, front_places, within_places

FIGURES = ("error_rate", "memory_bits", "cycles", "multipliers", "area_um2", "energy_pj", "load_wait_cycles", "short")


def some(seed: int, count: int) -> tuple[list[Point], Any]:
    """Return designs of few values each, as objects and as vectors."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(1, 6, (count, len(FIGURES) - 1)).tolist()
    points = [
        point(**dict(zip(FIGURES, (a / 10, *row, bool(rng.random() < 0.2)), strict=True)) | {"output_lanes": 1 + n % 5})
        for n, (a, *row) in enumerate(numbers)
    ]
    vectors = SimpleNamespace(**{name: np.array([getattr(p, name) for p in points]) for name in FIGURES})
    vectors.output_lanes = np.array([p.output_lanes for p in points])
    vectors.pixel_lanes, vectors.interval_cycles = 4, np.array([p.interval_cycles for p in points])
    return points, vectors


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize(
    "means", [MEANS, DEVICE, Means("x", "x", None, None, area=False)], ids=["area", "device", "bits"]
)
@pytest.mark.parametrize("seed", range(4))
def test_as_of_objects(goal: str, means: Means, seed: int) -> None:
    """Limits, fronts, the best and bands are the same designs, by any goal; negative control: of other limits not."""
    points, vectors = some(seed, 200)
    wanted = goal_of(goal, means)
    power = 1e-9 * 5 * 100e6 / 3
    asked = budget(error_rate=0.4, memory_bits=4, multipliers=4, lanes=16, images_per_s=100e6 / 9, power_mw=power)
    limits = limits_of(asked, reaches_hz=1e9)
    places, fitting = within_places(vectors, len(points), limits), within(points, limits)
    assert [points[place] for place in places] == fitting
    assert 0 < len(fitting) < len(points)
    found = front_places(vectors, places, wanted.figures)
    assert [points[place] for place in found] == front(fitting, wanted.figures)
    best, chosen = best_place(vectors, found, wanted), wanted.best(fitting)
    assert best is not None
    assert chosen is points[best]
    near = band_places(vectors, places, wanted, best, 0.5)
    assert [points[place] for place in near] == band(fitting, wanted, points[best], 0.5)
    assert [points[place] for place in within_places(vectors, len(points), limits[:2])] != fitting


def test_nothing() -> None:
    """Where nothing is within the limits there is no front and no best."""
    _, vectors = some(0, 9)
    limits = limits_of(budget(error_rate=0.0))
    places = within_places(vectors, 9, limits)
    assert places.size == 0
    assert front_places(vectors, places).size == 0
    assert best_place(vectors, front_places(vectors, places), goal_of("fast", MEANS)) is None
