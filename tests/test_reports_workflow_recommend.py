"""Which design is recommended, what binds, what it would take: rules, checked against their definitions."""

from itertools import pairwise

import numpy as np
import pytest
from support.explorations import MEANS, budget, point

from reports.explore.choosing import goal_of
from reports.explore.points import Point
from reports.workflow import limits
from reports.workflow.limits import limits_of
from reports.workflow.recommend import binding, front, nearest, relaxed, within


def some_points(seed: int, count: int = 300) -> list[Point]:
    """Return points of few values each, so that many are equal in one or two of them."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(1, 9, (count, 4)).tolist()
    return [point(error_rate=a / 100, memory_bits=b, cycles=c, multipliers=d, weight_bits=4) for a, b, c, d in numbers]


def beats(a: Point, b: Point) -> bool:
    """Return whether `a` is nowhere worse than `b` and somewhere better."""
    mine, other = ((p.error_rate, p.memory_bits, p.cycles) for p in (a, b))
    return mine != other and all(x <= y for x, y in zip(mine, other, strict=True))


class TestFront:
    @pytest.mark.parametrize("seed", range(5))
    def test_by_definition(self, seed: int) -> None:
        """The front is every point that no other beats, once for each (error, memory, cycles)."""
        points = some_points(seed)
        expected = {
            (p.error_rate, p.memory_bits, p.cycles) for p in points if not any(beats(other, p) for other in points)
        }
        found = front(points)
        assert [(p.error_rate, p.memory_bits, p.cycles) for p in found] == sorted(expected)
        assert len(expected) < len(points)  # negative control: most points are beaten

    def test_equal_points(self) -> None:
        """Of points equal in all three the one with the fewest multipliers stays."""
        assert front([point(multipliers=9), point(multipliers=7), point(multipliers=8)]) == [point(multipliers=7)]

    def test_none(self) -> None:
        """No points, no front."""
        assert front([]) == []


class TestLimits:
    def test_each(self) -> None:
        """Each limit holds up to and including what it says, and is told how far a point is off."""
        limits = limits_of(budget(memory_bits=8192, multipliers=20, images_per_s=100_000.0, error_rate=0.02))
        assert [limit.name for limit in limits] == ["error", "memory", "multipliers", "speed", "room"]
        assert within([point()], limits) == [point()]  # 100 MHz / 100,000 images/s are the 1,000 cycles it takes
        for worse in (
            point(error_rate=0.0201),
            point(memory_bits=8193),
            point(multipliers=21),
            point(cycles=1001),
            point(short=True),
        ):
            assert within([worse], limits) == []
        assert limits[1].share(point(memory_bits=4096)) == 0.5

    def test_what_is_not_asked_for(self) -> None:
        """Without a number there is no limit."""
        assert [limit.name for limit in limits_of(budget())] == ["error", "room"]
        assert within([point(memory_bits=10**9, multipliers=10**6, cycles=10**9)], limits_of(budget()))

    def test_all_but_one(self) -> None:
        """One limit can be left out."""
        limits = limits_of(budget(memory_bits=100))
        assert within([point()], limits) == []
        assert within([point()], limits, but="memory") == [point()]


class TestGoals:
    def test_ties(self) -> None:
        """Points that are equal by the goal are told apart by error, then memory, multipliers, cycles."""
        points = [point(), point(error_rate=0.01), point(error_rate=0.01, multipliers=19)]
        assert goal_of("small", MEANS).best(points) == points[2]
        assert goal_of("small", MEANS).best([]) is None


class TestBinding:
    def test_what_binds(self) -> None:
        """A limit binds if with twice as much of it there were something better; the others do not."""
        slow, fast = point(), point(cycles=500, multipliers=40)
        limits = limits_of(budget(multipliers=20, memory_bits=9000))
        (found,) = binding([slow, fast], limits, goal_of("fast", MEANS), slow)
        assert (found.limit, found.point, found.factor) == ("multipliers", fast, 2.0)

    def test_far_behind(self) -> None:
        """What would take more than twice as much is no argument: a network that guesses is small."""
        far = point(cycles=1, error_rate=0.9)
        assert binding([point(), far], limits_of(budget()), goal_of("fast", MEANS), point()) == []
        near = point(cycles=1, error_rate=0.06)
        assert [x.point for x in binding([point(), near], limits_of(budget()), goal_of("fast", MEANS), point())] == [
            near
        ]

    def test_room_binds(self) -> None:
        """So does what the technology has."""
        (found,) = binding([point(), point(cycles=1, short=True)], limits_of(budget()), goal_of("fast", MEANS), point())
        assert found.limit == "room"

    def test_two_at_once(self) -> None:
        """What two limits keep out binds neither: with one of them gone it still does not fit."""
        kept_out = point(cycles=500, multipliers=40, memory_bits=10_000)
        limits = limits_of(budget(multipliers=20, memory_bits=9000))
        assert binding([point(), kept_out], limits, goal_of("fast", MEANS), point()) == []


class TestNothingFits:
    def test_one_limit_to_blame(self) -> None:
        """Each limit is told with what comes nearest to it among the points that meet the others; the least first."""
        small, quick = point(memory_bits=9_000, cycles=4_000), point(memory_bits=24_576, cycles=900)
        limits = limits_of(budget(memory_bits=8192, images_per_s=100_000.0))
        points = [small, quick, point(memory_bits=8_000, cycles=1_500)]
        found = relaxed(points, limits)
        assert [(x.limit, x.point) for x in found] == [("speed", points[2]), ("memory", quick)]
        assert [x.factor for x in found] == [1.5, 3.0]
        assert all(a.factor <= b.factor for a, b in pairwise(found))

    def test_several_to_blame(self) -> None:
        """If no single limit would do, the point whose worst overshoot is the least is nearest."""
        far, near = point(memory_bits=12_000, cycles=3_000), point(memory_bits=16_384, cycles=1_500)
        limits = limits_of(budget(memory_bits=8192, images_per_s=100_000.0))
        assert relaxed([far, near], limits) == []
        assert nearest([far, near], limits) == near

    def test_room(self) -> None:
        """A technology that has too little is a limit like any other."""
        found = relaxed([point(short=True)], limits_of(budget()))
        assert [x.limit for x in found] == [limits.ROOM]
