"""The answer in words holds the numbers that decide, and no sentence without one."""

from dataclasses import replace

import pytest
from support.explorations import DEVICE, MEANS, budget, point, results

from reports.explore import answer
from reports.explore.page import contents
from reports.explore.results import Results, Verified
from reports.workflow.answer_table import FLIP_HEADS

VERIFIED = Verified(0.0123, 0.006, {"binding": "multipliers bind: 90% of the cycles"})


def told(made: Results) -> str:
    """Return the answer as one text."""
    return "\n".join(answer.answer(made))


class TestRecommended:
    def test_what_to_build(self) -> None:
        """Pattern, bits, lanes, memory, multipliers, cycles, images a second, area: all of the chosen point."""
        text = told(results(verified=VERIFIED))
        assert (
            "What to build: made pruned by kernel (zoo), 50% of its weights gone, 4-bit weights and 5-bit signals, on "
            "an array of 4x4 lanes (output maps x pixels): 4.88 KiB of memory blocks, 68 multipliers for 16 lanes, "
            "2,004 cycles an image, the next loaded meanwhile, which is 49,900 images/s at 100 MHz. Estimated area "
            "0.004 square millimeters. Estimated energy 12.0 nJ an image (a made-up process).\n"
        ) in text
        assert "nothing fits" not in text.lower()

    def test_loading(self) -> None:
        """An image that is loaded before the array starts: 784 cycles beside 11,910 make 7,878 images of 8,396."""
        chosen = point(cycles=11_910, load_wait_cycles=784)
        for one, load, rate in (
            (chosen, "and 784 more to load the next", "7,878"),
            (replace(chosen, load_wait_cycles=0), "the next loaded meanwhile", "8,396"),
        ):
            assert f"11,910 cycles an image, {load}, which is {rate} images/s" in told(
                results(points=(one,), budget=budget())
            )
        made = results(points=(chosen,), budget=budget(images_per_s=7_877.0))
        assert made.recommended == chosen
        short = replace(made, budget=budget(images_per_s=7_878.0))
        assert short.recommended is None
        assert "It would take 7,878 images/s (or a clock of 100 MHz)" in told(short)

    def test_clocks(self) -> None:
        """A clock above the highest that is known is a warning; where nothing is known that is said."""
        assert "clock" not in told(results()).lower()
        known = replace(results().means, clock_hz=99e6)
        assert "\nWarning: a clock of 100 MHz; in this technology" in told(results(means=known))
        assert "technology is not known.\n" in told(results(means=replace(known, clock_hz=None)))

    def test_its_error(self) -> None:
        """On validation images, which chose it, and on test images, against the float network's."""
        text = told(results(verified=VERIFIED))
        assert "1.00 % on 250 validation images, by which it was chosen, and 1.23 % on 350 test images" in text
        assert "+0.63 % over the dense float network's 0.60 %" in text
        assert "more than was asked for" not in text

    def test_missed_on_test_images(self) -> None:
        """If it errs more there than was allowed, that is said."""
        text = told(results(verified=replace(VERIFIED, test_rate=0.03)))
        assert "That is 1.40 % more than was asked for." in text
        text = told(results(verified=replace(VERIFIED, test_rate=0.03), max_error="1.5%"))
        assert "That is 1.50 % more than was asked for" in text

    def test_what_binds(self) -> None:
        """Which limit, what would be better without it, and by how much; and where the cycles go."""
        text = told(results(verified=VERIFIED))
        assert (
            "What binds: the errors (with twice as much allowed, kernel, 3-bit weights, 5-bit signals, 4x4 lanes would "
            "take 25% less area x cycles, with 2.00 % errors instead of 1.00 % errors). In time, multipliers bind: 90%"
        ) in text
        assert "What binds: no limit" in told(results(budget=budget(error_rate=0.02)))

    def test_figures(self) -> None:
        """The figure nearest to where it changes the answer: 0.8 instead of 1.2 um2 a bit; none within ten times.

        10,000 bits at 1.2 and 3,000 of lanes are 15,000 um2, 5,000 and 8,600 are 14,600: at 0.8 instead of 1.2 they
        would be 11,000 and 12,600; where they are equal is 5,600 / 5,000 = 1.12. Without areas nothing is said.
        """
        known = replace(MEANS, figures={"sram": 1.2})
        large, small = (
            point(version=version, memory_bits=bits, area_um2=area, error_rate=error)
            for version, bits, area, error in (("dense", 10_000, 15_000, 0.01), ("kernel", 5_000, 14_600, 0.02))
        )
        made = results(points=(large, small), budget=budget(), goal="cheap", means=known)
        assert made.recommended == small
        assert "What figures decide: below 1.12 instead of 1.2 um2 a bit of SRAM (0.933 times), dense" in told(made)
        assert made.answer()["sensitivity"][0]["at"] == pytest.approx(1.12)
        page = contents(made)["flips"]
        assert page == [FLIP_HEADS, ("um2 a bit of SRAM", "1.2", "1.12", "0.933", "dense 4/5 4x4")]
        certain = replace(made, points=(large, replace(small, area_um2=8_000)))
        assert "What figures decide: none; with any of them 10 times as large or as small" in told(certain)
        assert "figures" not in told(replace(made, means=MEANS))

    def test_index(self) -> None:
        """What the index takes beside the weights, which version's takes most, and what dense words would take."""
        text = told(results())
        assert "Indices: kernel 0.01 KiB beside 0.24 KiB of weights, 4% more; the best dense design takes 7.32" in text
        rows = results().versions
        large = replace(rows[1], name="irregular", index_bits=4_000, weights=250)
        text = told(results(versions=(*rows, large)))
        assert "4% more; the most on top of 4-bit weights has irregular 0.49 KiB beside 0.12 KiB" in text
        assert "of weights, 400% more" in text
        none = replace(rows[1], index_bits=0)
        assert "Indices: kernel needs none; the most" in told(results(versions=(rows[0], none, large)))
        assert "Indices" not in told(results(versions=(rows[0], none)))

    def test_dense(self) -> None:
        """Where nothing pruned is best, it says so in other words."""
        text = told(results(budget=budget(error_rate=0.006)))
        assert "What to build: made dense, 4-bit weights" in text
        assert "Indices: dense needs none; the most on top of 4-bit weights has kernel 0.01 KiB" in text

    def test_what_was_asked(self) -> None:
        """Every limit with its number, how many designs meet them, and what decides between those."""
        made = results(budget=budget(error_rate=0.015, memory_bits=81920, multipliers=100, images_per_s=20_000.0))
        text = told(made)
        assert "at most 1.50 % errors on validation images (0.50 % of the dense float network +1%)" in text
        assert (
            "at most 10.00 KiB of memory blocks; at most 100 multipliers; at least 20,000 images/s at 100 MHz" in text
        )
        assert "6 of 8 designs meet that (2 versions, weights of 3 to 4 and signals of 5 bits, 2 arrays)" in text
        assert "the one with the least area x cycles is recommended" in text
        assert "a made-up device (12.21 KiB of blocks and 50 multipliers)" in told(results(means=DEVICE))


class TestNothingFits:
    def test_one_limit(self) -> None:
        """What one limit would have to be, with the design that it takes."""
        text = told(results(budget=budget(error_rate=0.004)))
        assert text.startswith("Nothing fits.\nIt would take 0.50 % errors where at most 0.40 % errors on validation")
        assert "all else as asked: dense, 4-bit weights, 5-bit signals, 4x4 lanes." in text
        assert "What to build" not in text

    def test_speed(self) -> None:
        """Images a second are told with the clock that would do as well."""
        text = told(results(budget=budget(images_per_s=200_000.0)))
        assert "It would take 49,900 images/s (or a clock of 400.8 MHz) where at least 200,000 images/s" in text

    def test_several(self) -> None:
        """If no single limit is to blame: what comes nearest, and how far off it is."""
        made = results(
            points=(point(memory_bits=16_384, cycles=1_500),),
            budget=budget(memory_bits=8192, images_per_s=100_000.0),
        )
        text = told(made)
        assert (
            "No single limit is to blame. What comes nearest, kernel, 4-bit weights, 5-bit signals, 4x4 lanes" in text
        )
        assert "2.00 KiB, 66,667 images/s (or a clock of 150 MHz): at worst 2.00 times what is asked for" in text


@pytest.mark.parametrize(("bits", "text"), [((3, 4, 5), "3 to 5"), ((4,), "4"), ((3, 5), "3, 5"), ((3, 4), "3 to 4")])
def test_spans(bits: tuple[int, ...], text: str) -> None:
    """Word lengths as one says them."""
    assert answer.span(bits) == text
