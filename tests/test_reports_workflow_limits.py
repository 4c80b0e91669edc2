"""Limits, and the guard band between an error rate and its limit: published closed forms, and what they assure."""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from support.explorations import budget, point, results

from accel.errors import EspalierError
from reports.workflow.answer_table import answer_rows, next_rows, sure
from reports.workflow.limits import Guard, check_confidence, images_needed, limits_of, parse_error, sureness

Z = NormalDist().inv_cdf(0.95)


class TestGuard:
    @pytest.mark.parametrize("images", [1, 250, 10_000])
    def test_no_error_at_all(self, images: int) -> None:
        """Nothing wrong of n images says z^2 / (n + z^2) at most, and everything wrong says everything."""
        assert Guard(images, 0.95).upper(0.0) == pytest.approx(Z * Z / (images + Z * Z))
        assert Guard(images, 0.95).upper(1.0) == pytest.approx(1.0)

    def test_published(self) -> None:
        """Newcombe (Statistics in Medicine 17, 1998, table I): 81 of 263, 95 % two-sided: 0.3662; 15 of 148: 0.1605."""
        assert round(Guard(263, 0.975).upper(81 / 263), 4) == 0.3662
        assert round(Guard(148, 0.975).upper(15 / 148), 4) == 0.1605

    def test_the_score_equation(self) -> None:
        """The bound is the rate from which what was measured is z standard deviations away."""
        bound = Guard(500, 0.9).upper(0.04)
        assert (bound - 0.04) / math.sqrt(bound * (1 - bound) / 500) == pytest.approx(NormalDist().inv_cdf(0.9))
        assert sureness(0.04, bound, 500) == pytest.approx(0.9)

    def test_it_holds(self) -> None:
        """Of many samples of 400 images the bound is above the true rate in at least 93 %; half of the rates are not.

        The score interval's coverage varies around 95 % with the rate, by up to 2 %.
        """
        rng = np.random.default_rng(1)
        for rate in (0.01, 0.05, 0.2):
            found = rng.binomial(400, rate, 4_000) / 400
            bounds = np.array([Guard(400, 0.95).upper(x) for x in found])
            assert (bounds >= rate).mean() >= 0.93
            assert (found >= rate).mean() < 0.7  # negative control

    def test_none(self) -> None:
        """Without confidence it is the rate itself."""
        assert Guard(10, 0.0).upper(0.3) == 0.3

    def test_more_images(self) -> None:
        """So many images as are said to be needed are just enough."""
        count = images_needed(0.02, 0.03, 0.95)
        assert sureness(0.02, 0.03, round(count)) == pytest.approx(0.95, abs=1e-3)
        assert images_needed(0.03, 0.03, 0.95) == math.inf


class TestLimits:
    def test_new_ones(self) -> None:
        """Lanes are not multipliers; area and power are of the estimate; a clock that is not reached is one too."""
        p = point(area_um2=50_000, energy_pj=2_000, cycles=1_000)
        asked = budget(lanes=16, area_um2=50_000.0, power_mw=0.2)  # 2 nJ in 10 us
        assert all(limit.meets(p) for limit in limits_of(asked, reaches_hz=100e6))
        less = budget(lanes=15, area_um2=49_999.0, power_mw=0.199)
        missed = [limit.name for limit in limits_of(less, reaches_hz=99e6) if not limit.meets(p)]
        assert missed == ["lanes", "area", "power", "clock"]

    @pytest.mark.parametrize(
        ("name", "option"), [("lanes", "--lanes"), ("area_um2", "--area"), ("power_mw", "--power")]
    )
    def test_above_nothing(self, name: str, option: str) -> None:
        """A limit of nothing is none."""
        with pytest.raises(EspalierError, match=f"{option}: {name} must be above 0"):
            budget(**{name: 0})

    @pytest.mark.parametrize("confidence", [0.2, 1.0, -1.0, math.nan, 95.0])
    def test_confidence(self, confidence: float) -> None:
        """One can be half sure or more, not entirely; 0 is no guard band."""
        with pytest.raises(EspalierError, match="--confidence"):
            check_confidence(confidence)
        for good in (None, 0, 0.5, 0.95, 0.999):
            check_confidence(good)

    def test_words(self) -> None:
        """More than the reference, or in all."""
        assert parse_error("+1%", 0.02) == 0.03
        assert parse_error("5%", 0.02) == 0.05


def decided(**values: Any) -> Any:
    """Return what is decided of designs of 2.0 % and of 1.2 % errors, the latter larger; 3 % are allowed."""
    points = point(error_rate=0.02, memory_bits=8192), point(error_rate=0.012, memory_bits=16_384)
    usual = {"points": points, "budget": budget(error_rate=0.03), "goal": "small", "confidence": 0.95}
    return results(**usual | values).decision


class TestConfidence:
    def test_it_decides(self) -> None:
        """Of 250 images 5 wrong may be 4.0 %, 3 wrong are at most 2.96 %: the larger design; without it the smaller."""
        assert decided().chosen.error_rate == 0.012
        assert decided(confidence=0.0).chosen.error_rate == 0.02
        assert decided(images={"train": 1, "validation": 10_000, "test": 1}).chosen.error_rate == 0.02

    def test_too_few_images(self) -> None:
        """Where nothing is sure because no network could be, the rates decide and that is said; unless it was asked."""
        few = {"images": {"train": 1, "validation": 40, "test": 1}, "confidence": None}
        made = decided(**few)
        assert made.guard.confidence == 0
        assert made.chosen.error_rate == 0.02
        assert "The images are too few for the usual 95%" in sure(made)
        assert decided(**few | {"confidence": 0.95}).chosen is None
        enough = decided(**few | {"budget": budget(error_rate=0.09)})  # the reference's bound of 40 images is 7.7 %
        assert enough.guard.confidence == 0.95

    def test_how_sure(self) -> None:
        """The rate, its bound, and how sure the limit is."""
        assert sure(decided()) == (
            "How sure: 1.20 % error on 250 validation images, which is at most 2.96 % with 95% confidence; 95% sure "
            "that it is within the 3.00 % allowed."
        )
        assert "with no guard band, as asked" in sure(decided(confidence=0.0))


class TestTables:
    def test_asked_and_got(self) -> None:
        """A row for each limit with its slack, and for what has none."""
        made = decided(budget=budget(error_rate=0.03, memory_bits=32_768, images_per_s=50_000.0))
        rows = {row[0]: row[1:] for row in answer_rows(made)}
        assert rows["errors, 95% sure"] == ("at most 3.00 %", "2.96 %", "0.04 %", "yes")
        assert rows["memory KiB"] == ("at most 4.00", "2.00", "2.00", "")
        assert rows["images/s"] == ("at least 50,000", "100,000", "50,000", "")
        assert rows["lanes"] == ("-", "16", "", "")

    def test_a_miss_is_below_nothing(self) -> None:
        """Where nothing fits, what comes nearest is told, with what it lacks in each limit."""
        rows = {row[0]: row[1:] for row in answer_rows(decided(budget=budget(error_rate=0.03, memory_bits=4_096)))}
        assert rows["memory KiB"] == ("at most 0.50", "1.00", "-0.50", "")

    def test_next_best(self) -> None:
        """1 KiB more buys 0.8 %; 1 KiB less breaks the limit on errors, which is said."""
        (smaller,) = next_rows(decided(), lambda p: str(p.memory_bits))
        assert smaller == ("less memory", "8192", "+0.80 %", "-1.00", "+0", "errors")
        (better,) = next_rows(decided(confidence=0.0), lambda p: str(p.memory_bits))
        assert better == ("fewer errors", "16384", "-0.80 %", "+1.00", "+0", "")
