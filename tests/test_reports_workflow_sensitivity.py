"""Which figure of a technology would change what is recommended: against choosing anew at every value."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from support.explorations import budget, point

from accel.cost import load_technology
from reports.explore.choosing import Means, figures_known, figures_of, goal_of
from reports.explore.points import Point
from reports.workflow.answer_table import FLIP_HEADS, flip_rows
from reports.workflow.recommend import Decision, dominates, front
from reports.workflow.sensitivity import Figure, flips

FIGURES = {"sram": 2.0, "sram_block": 50.0, "multiply": 100.0, "add": 10.0, "flip_flop": 5.0}
MEANS = Means("made-up", "a made-up process", None, None, area=True, figures=FIGURES)
FACTORS = np.geomspace(0.02, 50, 24)


def decided(points: list[Point], goal: str = "cheap", **limits: float) -> Decision[Point]:
    """Return what is recommended of some points within limits."""
    return Decision(points, budget(**limits), goal_of(goal, MEANS), 0.01, 250, 0.0, timed=True)


def again(decision: Decision[Point], figure: Figure[Point], factor: float) -> Point | None:
    """Return what is recommended with so many times a figure, as the point that it was."""
    priced = [figure.priced(p, factor) for p in decision.points]
    chosen = replace(decision, points=priced).chosen
    return None if chosen is None else decision.points[next(i for i, p in enumerate(priced) if p is chosen)]


def made(bits: int, blocks: int, multiply: int, rest: int, error: int, cycles: int) -> Point:
    """Return a point whose area is that of its parts, and `rest` for registers."""
    area = bits * 2 + blocks * 50 + multiply + 10 * blocks + rest
    parts = {"blocks": blocks, "multiply_um2": multiply, "add_um2": 10 * blocks, "flip_flop_um2": rest}
    words = {"memory_bits": bits, "error_rate": error / 1000, "cycles": cycles, "energy_pj": cycles * blocks}
    return point(area_um2=area, **parts, **words)


points = st.lists(
    st.builds(
        made,
        st.integers(1, 40),
        st.integers(1, 9),
        st.integers(1, 400),
        st.integers(1, 400),
        st.integers(1, 12),
        st.integers(50, 60),
    ),
    min_size=1,
    max_size=9,
)


ALIKE = [  # of three that come within the limit at once, but for the last bit of a number, the middle one is beaten
    made(1, 5, 1, 1, 6, 50),
    made(1, 5, 1, 1, 7, 53),
    made(36, 1, 1, 1, 1, 50),
    made(1, 5, 1, 318, 5, 50),
    made(33, 1, 201, 189, 1, 50),
]


class TestFlips:
    @settings(max_examples=60, deadline=None)
    @example(found=[made(1, 1, 1, 1, 1, 51), made(1, 3, 1, 1, 1, 50)], goal="cheap", limits={"power_mw": 0.3})
    @example(found=ALIKE, goal="cheap", limits={"power_mw": 0.4})
    @given(
        points,
        st.sampled_from(["cheap", "efficient", "small", "frugal"]),
        st.sampled_from(
            [{}, {"area_um2": 500}, {"power_mw": 0.4}, {"energy_pj": 300}, {"area_um2": 700, "power_mw": 0.3}]
        ),
    )
    def test_choosing_anew_agrees(self, found: list[Point], goal: str, limits: dict[str, float]) -> None:
        """Between the values that are told the answer stays; just beyond each it is what is told."""
        decision = decided(found, goal, **limits)
        assume(decision.chosen)
        alike = {(p.error_rate, p.memory_bits, p.cycles, p.energy_pj) for p in found}
        assume(len(alike) == len(found))  # areas that differ alone are compared as they are, at any value of a figure
        for figure in figures_of(MEANS):
            turns = flips(decision, [figure], math.inf)
            low = max((x.factor for x in turns if not x.above), default=0.0)
            high = min((x.factor for x in turns if x.above), default=np.inf)
            assert len(turns) <= 2
            for factor in (x for x in FACTORS if low * 1.00001 < x < high * 0.99999):
                anew = again(decision, figure, factor)
                if anew is None:  # nothing fits any more, which is no other answer
                    assert factor > 1
                    break
                assert anew is decision.chosen
            for flip in turns:
                beyond = flip.factor * (1 + 2e-6 if flip.above else 1 - 2e-6)
                anew = again(decision, figure, beyond)
                assert anew is flip.point is not decision.chosen

    def test_by_hand(self) -> None:
        """100 bits and 50 of the rest against 60 bits and 140: 2 um2 a bit make 250 and 260; from 2.25 on it turns.

        Negative controls: at 2.2 it does not, and where the goal is another no figure decides.
        """
        many, few = made(100, 0, 0, 50, 5, 50), made(60, 0, 0, 140, 6, 40)
        decision = decided([many, few])
        (flip,) = flips(decision, figures_of(MEANS)[:1])
        assert (decision.chosen, flip.point) == (many, few)
        assert (flip.figure, flip.value, flip.at) == ("sram", 2.0, pytest.approx(2.25))
        assert again(decision, figures_of(MEANS)[0], 2.2 / 2) == many
        assert flips(decided([many, few], "accurate"), figures_of(MEANS)) == []
        assert flips(decision, figures_of(MEANS)[:1], 1.1) == []  # further off than a tenth
        assert flip_rows([flip], lambda p: f"{p.memory_bits}") == [("um2 a bit of SRAM", "2", "2.25", "1.12", "60")]
        assert len(FLIP_HEADS) == 5

    def test_nothing_is_recommended(self) -> None:
        """Then no figure changes what is."""
        assert flips(decided([made(1, 1, 1, 1, 900, 1)]), figures_of(MEANS)) == []

    @given(points)
    def test_domination_is_the_fronts(self, found: list[Point]) -> None:
        """A point is on the front unless another dominates it, or is as good in everything and stands before it."""
        left = front(found)
        for place, one in enumerate(found):
            beaten = any(dominates(other, one, first=at < place) for at, other in enumerate(found) if at != place)
            assert beaten != any(x is one for x in left)


def test_the_figures_of_a_technology() -> None:
    """Those of 45 nm as its table has them, a multiplier and an adder at 8 bits; of a device without areas none."""
    known = figures_known(load_technology("asic-45nm").area)
    assert known == pytest.approx({"sram": 1.211, "sram_block": 12640, "multiply": 282, "add": 36, "flip_flop": 5.98})
    assert figures_known(load_technology("zu7ev").area) == {}
