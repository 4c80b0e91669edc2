"""What may be asked of an exploration, and how it is written."""

import math

import pytest
from support.explorations import budget

from accel.errors import EspalierError
from reports.explore.space import ARRAYS, Question, Space, parse_error
from reports.workflow.parsing import parse_arrays, parse_shares


class TestSpace:
    def test_every_pair(self) -> None:
        """Weights and signals vary independently, weights slowest."""
        assert [*Space((3, 4), (5, 6)).widths()] == [(3, 5), (3, 6), (4, 5), (4, 6)]

    def test_the_usual_arrays(self) -> None:
        """Powers of two from 1x1 to 32x16: 6 x 5 of them."""
        assert len(ARRAYS) == 30
        assert {(1, 1), (8, 8), (32, 16)} <= {*ARRAYS}

    @pytest.mark.parametrize(("weight_bits", "signal_bits"), [((1,), (4,)), ((4,), (0,)), ((17,), (4,))])
    def test_words_that_no_program_has(self, weight_bits: tuple[int], signal_bits: tuple[int]) -> None:
        """Word lengths are refused before anything is measured."""
        with pytest.raises(EspalierError):
            Space(weight_bits, signal_bits)

    @pytest.mark.parametrize("lanes", [(0, 4), (4, 3), (4, 0)])
    def test_lanes_that_no_array_has(self, lanes: tuple[int, int]) -> None:
        """So are arrays."""
        with pytest.raises(EspalierError):
            Space((4,), (4,), (lanes,))


class TestBudget:
    @pytest.mark.parametrize(
        ("name", "option"),
        [("memory_bits", "--sram"), ("multipliers", "--dsp"), ("images_per_s", "--min-fps"), ("clock_hz", "--clock")],
    )
    @pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
    def test_positive(self, name: str, option: str, value: float) -> None:
        """A limit is a finite number above 0; the option is named that says otherwise."""
        with pytest.raises(EspalierError, match=f"{option}: {name} must be above 0"):
            budget(**{name: value})

    @pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
    def test_a_rate(self, rate: float) -> None:
        """Errors are a share of the images."""
        with pytest.raises(EspalierError, match=r"0\.\.100 % of the images"):
            budget(error_rate=rate)

    def test_a_question(self) -> None:
        """With a plus the limit follows the network; without, it does not."""
        question = Question("espalier explore x", "+1%", 8192, 64, 100.0, 1e8, "fast")
        assert question.budget(0.02) == budget(
            error_rate=0.03, memory_bits=8192, multipliers=64, images_per_s=100.0, clock_hz=1e8
        )
        assert question.budget(0.5).error_rate == 0.51


class TestParseError:
    @pytest.mark.parametrize(
        ("text", "rate"),
        [
            ("+1%", 0.03),
            ("+0.5 %", 0.025),
            ("2.5%", 0.025),
            ("0.025", 0.025),
            ("+0%", 0.02),
            ("+99%", 1.0),
            ("100%", 1),
        ],
    )
    def test_what_it_means(self, text: str, rate: float) -> None:
        """Percent or a share; with a plus above the reference, here 2 %, and never above all images."""
        assert parse_error(text, 0.02) == pytest.approx(rate)

    @pytest.mark.parametrize("text", ["", "x", "-1%", "1", "+1", "101%", "1%%", "1e-2", "nan", "+ 1%"])
    def test_nonsense(self, text: str) -> None:
        """Anything else is refused; 1 alone too, which could be 1 % or everything."""
        with pytest.raises(EspalierError, match="--max-error"):
            parse_error(text, 0.02)


class TestParseLists:
    def test_arrays(self) -> None:
        """Once each, in the order given."""
        assert parse_arrays("8x2, 4x4,8x2") == ((8, 2), (4, 4))

    @pytest.mark.parametrize("text", ["", "8", "8x", "8x8;4x4", "-8x8", "8x8,"])
    def test_no_arrays(self, text: str) -> None:
        """What is no array is told with the option."""
        with pytest.raises(EspalierError, match="--arrays"):
            parse_arrays(text)

    def test_shares(self) -> None:
        """Ratios are shares of the weights to go."""
        assert parse_shares("0.5, .75,0.5") == (0.5, 0.75)
        assert parse_shares(None) == ()

    @pytest.mark.parametrize("text", ["", "0", "1", "1.5", "-0.5", "0.5;0.7", "0.5,", "50%", "0.0"])
    def test_no_shares(self, text: str) -> None:
        """0 and 1 are none: nothing, or everything, would go."""
        with pytest.raises(EspalierError, match="--ratios"):
            parse_shares(text)
