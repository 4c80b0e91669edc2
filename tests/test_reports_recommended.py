"""What `report` and `explore` recommend is within every limit and dominated by nothing, whatever they found."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.commandline import made_design, made_point, made_results
from support.explorations import DEVICE, MEANS, budget, point, results

from reports.explore import answer
from reports.explore.choosing import GOALS
from reports.explore.points import Point
from reports.report import terminal_tables
from reports.report.results import Choice, Results
from reports.workflow import recommend
from reports.workflow.limits import MEMORY, Limit
from reports.workflow.recommend import Candidate, Decision, Goal

SURE_OF, ALL = 4, 7  # measures: errors, blocks, cycles and energy; everything that an answer says
FEW = st.integers(1, 5)  # few values each, so that many designs are equal in some of them
SURE = st.sampled_from([0.0, 0.6, 0.95, None])
NUMBERS = st.lists(st.tuples(FEW, FEW, FEW, FEW, FEW, st.booleans(), FEW, FEW), min_size=1, max_size=30)


def measures(x: Candidate) -> tuple[float, ...]:
    """Return what a reader compares designs by: errors on the images that decide, and every figure of an answer."""
    return x.error_rate, x.memory_bits, x.cycles, x.energy_pj, x.area_um2, x.multipliers, x.interval_cycles


def dominates(a: Candidate, b: Candidate, count: int = ALL) -> bool:
    """Return whether `a` is nowhere worse than `b` and somewhere better, in the first so many measures."""
    pairs = list(zip(measures(a)[:count], measures(b), strict=False))
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


def good(chosen: Candidate | None, found: Sequence[Candidate], limits: Sequence[Limit]) -> bool:
    """Return whether a recommendation is one: within the limits and not dominated there; none only if nothing fits."""
    fitting = [x for x in found if all(limit.use(x) <= limit.most for limit in limits)]
    if chosen is None:
        return not fitting
    return chosen in fitting and not any(dominates(x, chosen, count) for x in fitting for count in (SURE_OF, ALL))


def check_asides(decision: Decision[Any]) -> None:
    """Fail unless the next best in a direction is better there, and breaks no limit that it is not said to break."""
    for aside in decision.asides:
        use = recommend.DIRECTIONS[aside.direction]
        assert use(aside.point) < use(decision.chosen)
        assert aside.breaks == tuple(x.name for x in decision.limits if not x.meets(aside.point))
        assert bool(aside.breaks) == (not any(use(x) < use(decision.chosen) for x in decision.fitting))


def check_band(decision: Decision[Any], share: float = 0.3) -> None:
    """Fail unless the band is all that is within the limits, near by the goal, and dominated by nothing of that."""
    value, chosen, found = decision.goal.value, decision.chosen, decision.band(share)
    if chosen is None:
        assert found == []
        return
    near = [x for x in decision.fitting if value(x) <= value(chosen) * (1 + share) + 1e-9]
    expected = [x for x in near if not any(dominates(other, x) for other in near)]
    assert chosen in found
    assert {measures(x) for x in found} == {measures(x) for x in expected}
    assert len(found) == len({measures(x) for x in found})
    assert [value(x) for x in found] == sorted(value(x) for x in found)


def explored(numbers: list[tuple[int, ...]], **values: Any) -> Any:
    """Return an exploration of made-up designs."""
    points = tuple(
        replace(
            point(weight_bits=n, error_rate=a / 100, memory_bits=b * 1000, cycles=c * 100, energy_pj=d * 10),
            multipliers=e,
            short=short,
            area_um2=f * 100,
            load_wait_cycles=g * 10,
        )
        for n, (a, b, c, d, e, short, f, g) in enumerate(numbers, 2)
    )
    return results(points=points, **values)


def reported(numbers: list[tuple[int, ...]], **values: Any) -> Results:
    """Return a report of made-up points, each with a design of its own; test images would decide otherwise."""
    points, designs = [], []
    for n, (a, b, c, d, e, short, *_) in enumerate(numbers):
        points.append(made_point(f"p{n}", validation_error_rate=a / 100, error_rate=(5 - a) / 100))
        costs = {"memory_bits": b * 1000, "cycles": c * 100, "joules": d * 1e-11 or None, "multipliers": e}
        designs.append(made_design(f"p{n}", fits=not short, **costs))
    return made_results(*points, designs=tuple(designs), **values)


class TestExplore:
    @settings(max_examples=300, deadline=None)
    @given(NUMBERS, st.sampled_from(GOALS), st.sampled_from([MEANS, DEVICE]), FEW, FEW, FEW, FEW, SURE)
    def test_never_dominated(
        self, numbers: Any, goal: str, means: Any, a: int, b: int, c: int, e: int, confidence: float | None
    ) -> None:
        """By any goal, on any technology: within the budget, undominated; or nothing, and the nearest is told."""
        asked = budget(error_rate=a / 100, memory_bits=b * 1000, multipliers=e, images_per_s=8e5 / c, energy_pj=c * 15)
        made = explored(numbers, goal=goal, means=means, budget=asked, confidence=confidence)
        assert good(made.recommended, made.points, made.limits)
        check_band(made.decision)
        check_asides(made.decision)
        text = "\n".join(answer.answer(made))
        assert text.startswith("Nothing fits.\n") == (made.recommended is None)
        told = made.recommended or (
            made.relaxed[0].point if made.relaxed else recommend.nearest(made.points, made.limits)
        )
        assert f"{told.weight_bits}-bit weights" in text

    def test_lenet5(self) -> None:
        """Two signal widths, the same blocks and cycles: the one that errs less, though it takes some more area.

        Negative control: the goal alone, which is asked of all designs that fit, prefers the dominated one.
        """
        narrow = point(signal_bits=5, error_rate=0.0115, area_um2=216_000, energy_pj=50)
        wide = replace(narrow, signal_bits=7, error_rate=0.0105, area_um2=217_000)
        made = results(points=(narrow, wide), budget=budget())
        assert made.recommended == wide
        assert "of those that no other beats in errors, memory and cycles at once" in answer.answer(made)[-1]
        assert made.wanted.value(narrow) < made.wanted.value(wide)
        assert not good(min(made.fitting, key=made.wanted.value), made.points, made.limits)

    def test_energy_decides_between_equals(self) -> None:
        """Of designs equal in errors, blocks and cycles that with the least energy, then the fewest multipliers."""
        first, second = point(energy_pj=9, multipliers=2), point(energy_pj=8, multipliers=3)
        assert results(points=(first, second), budget=budget()).recommended == second
        third = replace(second, multipliers=2)
        assert results(points=(second, third), budget=budget()).recommended == third

    def test_the_least_energy_may_take_more_of_all_else(self) -> None:
        """A goal of energy has the design that saves it, though another is better in what is counted.

        Negative control: any other goal takes that one, and no goal takes what has as much energy and is worse.
        """
        better, thrifty = point(energy_pj=90), point(energy_pj=80, memory_bits=9000, cycles=1100)
        worse = replace(thrifty, cycles=1200)
        points = worse, better, thrifty
        chosen = {goal: results(points=points, goal=goal, budget=budget()).recommended for goal in GOALS}
        assert chosen.pop("frugal") == thrifty
        assert {*chosen.values()} == {better}
        made = results(points=points, goal="frugal", budget=budget())
        assert "no other beats in errors, memory, cycles and energy at once" in answer.answer(made)[-1]

    def test_every_version_beside_it(self) -> None:
        """The recommended design leads the table, also where another's best would be better by the goal alone.

        b's small design is beaten by a's, of which nothing beats the accurate one; a's row shows what is recommended.
        """
        best = point(version="a", error_rate=0.01, memory_bits=900, cycles=100, area_um2=50)
        beaten = point(version="b", error_rate=0.01, memory_bits=900, cycles=100, energy_pj=1, area_um2=10)
        made = results(points=(best, beaten), versions=tuple(replace(results().versions[0], name=x) for x in "ab"))
        assert [*made.best_by_version().values()] == [best, beaten]
        assert made.recommended == best


class TestReport:
    @settings(max_examples=300, deadline=None)
    @given(NUMBERS, FEW, st.none() | FEW, SURE)
    def test_never_dominated(self, numbers: Any, a: int, sram: int | None, confidence: float | None) -> None:
        """Within the tolerance, the memory and what there is, undominated; or nothing, and the nearest is told."""
        sram_bits = None if sram is None else sram * 1000
        asked = {"sram_bits": sram_bits, "confidence": confidence}
        made = reported(numbers, float_dense_validation_error_rate=a / 100 - 0.01, **asked)
        assert good(made.chosen, made.choices, made.limits)
        check_asides(made.decision)
        text = terminal_tables.recommendation(made)
        assert text.startswith("Nothing fits") == (made.recommended is None)
        told = made.recommended or made.nearest.point
        assert f"{told.pattern} at 4 bits" in text

    @settings(max_examples=100, deadline=None)
    @given(NUMBERS, FEW)
    def test_without_an_array(self, numbers: Any, a: int) -> None:
        """Where no array runs it, what the Program stores decides with the errors."""
        points = [
            made_point(f"p{n}", validation_error_rate=row[0] / 100, signal_memory_bits=row[1])
            for n, row in enumerate(numbers)
        ]
        made = made_results(*points, designs=(), float_dense_validation_error_rate=a / 100 - 0.01)
        assert good(made.chosen, made.choices, made.limits)

    def test_digits(self) -> None:
        """Fewer blocks, fewer cycles, fewer errors: the one that is better in all three, whatever the Program stores.

        Negative control: the smaller Program, which once was recommended, is caught.
        """
        both = made_point("feature-map+kernel", 5, validation_error_rate=0.0229, signal_memory_bits=1_000)
        maps = made_point("feature-map", 5, validation_error_rate=0.02, signal_memory_bits=9_000)
        designs = (
            made_design("feature-map+kernel", 5, 5, memory_bits=23 * 8192, cycles=5_713),
            made_design("feature-map", 5, 5, memory_bits=22 * 8192, cycles=4_331),
        )
        made = made_results(both, maps, designs=designs, float_dense_validation_error_rate=0.0143)
        assert made.recommended == maps
        assert both.memory_bits < maps.memory_bits
        assert not good(made.choices[0], made.choices, made.limits)

    def test_the_nearest_miss(self) -> None:
        """What comes nearest is told with each limit that it does not meet, by how much."""
        made = reported([(3, 5, 1, 1, 1, False), (5, 5, 1, 1, 1, False)], sram_bits=4_096)
        assert made.recommended is None
        assert terminal_tables.recommendation(made) == (
            "Nothing fits: no point stays within 1% of the pruned float network (1.25% error on 250 validation "
            "images) and in 0.50 KiB of memory blocks. Nearest: p0 at 4 bits, which takes 3.00% error where at most "
            "2.25% is allowed and 0.61 KiB of memory blocks where there are 0.50."
        )
        assert made.nearest == made.choices[0]
        short = reported([(1, 1, 1, 1, 1, True)])
        assert terminal_tables.recommendation(short).endswith("which takes more than the array or the technology has.")


def test_the_check_can_fail() -> None:
    """Negative control: a goal without the rule is caught, and so is an answer outside of the limits or none at all."""
    a, b = (
        Choice(made_point(), 0.02, 900, cycles=100, energy_pj=5),
        Choice(made_point(), 0.01, 900, cycles=100, energy_pj=5),
    )
    goal = Goal("small", "least memory", lambda p: p.memory_bits)
    limits = (Limit(MEMORY, 1000, lambda p: p.memory_bits),)
    large, slim = point(area_um2=70), point(area_um2=60)  # which stood side by side before areas were compared
    assert [good(x, (large, slim), limits[:0]) for x in (large, slim)] == [False, True]
    assert min((a, b), key=goal.value) is a
    assert [good(x, (a, b), limits) for x in (a, b, None)] == [False, True, False]
    assert not good(b, (a, b), (Limit(MEMORY, 800, lambda p: p.memory_bits),))
    assert goal.best((a, b)) is b


@pytest.mark.parametrize(
    "better",
    ["error_rate", "memory_bits", "cycles", "energy_pj", "multipliers", "area_um2", "load_wait_cycles"],
)
def test_each_measure_counts(better: str) -> None:
    """Better in one of the figures of an answer, equal in the others: that one is recommended."""
    usual: dict[str, Any] = {"error_rate": 0.02, "memory_bits": 900, "cycles": 100, "energy_pj": 50}
    usual |= {"multipliers": 20, "area_um2": 70, "load_wait_cycles": 8}
    less = {**usual, better: usual[better] / 2}
    points: tuple[Point, ...] = (point(**usual), point(**less))
    for order in (points, points[::-1]):
        assert Goal("any", "anything", lambda p: 0).best(order) == points[1]
