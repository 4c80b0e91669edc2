"""Predictions of what an array takes: sums of terms, counts that are exact, ranges, and the file that is shipped."""

from dataclasses import asdict, replace

import pytest

from accel.array import MacArray
from accel.cost import predictor
from accel.cost.predictor import BUILDS, FIGURES, RANGED, Fit, Model, block_ram, model, predict
from accel.errors import EspalierError
from accel.records import record_of, sealed, unsealed

ARRAY = MacArray(4, 4, weight_bits=4, signal_bits=8, accumulator_bits=20)


def made(**coefficients: dict[str, float]) -> Model:
    """Return a model that counts lanes, but for the figures whose coefficients are given."""
    fits = {
        name: Fit(arrays=3, median_error=0.02, worst_error=0.1, coefficients=coefficients.get(name, {"lanes": 1.0}))
        for name in FIGURES
    }
    ranges = {BUILDS[0]: dict.fromkeys(RANGED, (1, 64)), BUILDS[1]: dict.fromkeys(RANGED, (1, 128))}
    return Model(origin="a test", sweep="none", fpga="an FPGA", library="cells", ranges=ranges, fits=fits)


def test_a_figure_is_the_sum_of_its_terms() -> None:
    """16 lanes of 20 bits at 2 tables a bit, and 100; a period of 5 ns is 200 MHz."""
    found = predict(ARRAY, made(lut={"one": 100.0, "lane_sum_bits": 2.0}, cell_ns={"one": 5.0}))
    assert (found.lut, found.ff, found.cell_um2, found.cell_mhz) == (100 + 2 * 16 * 20, 16, 16.0, 200.0)
    assert found.lut != predict(ARRAY, made(lut={"one": 100.0})).lut


def test_block_ram_is_counted() -> None:
    """A bank of 2,048 words of 8 bits is a block; one of 128 words is made of look-up tables, and takes none."""
    deep, shallow = (MacArray(4, 4, signal_words=8 * words) for words in (2048, 128))
    others = sum(1 for _ in range(8))  # a block for each bank of signals
    assert block_ram(deep) - block_ram(shallow) >= others
    assert block_ram(replace(deep, signal_words=8 * 4096)) - block_ram(deep) >= others


def test_beyond_the_sweep_it_says_so() -> None:
    """What is outside of the range is named with the range; what is inside is not."""
    using = made()
    assert predict(ARRAY, using).outside == ()
    found = predict(replace(ARRAY, output_lanes=32, weight_bits=8), using).outside
    assert found == ("128 macs per cycle, in ECP5 the sweep has 1..64",)


class TestShipped:
    def test_it_was_not_changed(self) -> None:
        """The file is what the fit wrote: its digest says so, and another coefficient would not pass."""
        record = sealed(asdict(model()))
        assert record_of(Model, unsealed(record)) == model()
        record["sweep"] = "another"
        with pytest.raises(EspalierError, match="SHA-256"):
            unsealed(record)

    def test_more_of_everything_takes_more(self) -> None:
        """No coefficient is negative, so that lanes, bits and features never make an array smaller."""
        assert all(part > 0 for fit in model().fits.values() for part in fit.coefficients.values())
        small, large = (predict(MacArray(lanes, lanes)) for lanes in (2, 8))
        assert (small.lut, small.ff, small.cell_um2) < (large.lut, large.ff, large.cell_um2)

    def test_a_model_without_a_figure_is_refused(self) -> None:
        """A file that lacks a figure is none."""
        fits = {name: fit for name, fit in model().fits.items() if name != "lut"}
        with pytest.raises(EspalierError, match="expected fits of"):
            replace(model(), fits=fits)

    def test_its_range_is_that_of_the_sweep(self) -> None:
        """Two by two lanes were built; 32 by 16 lie outside, and words of 16 bits, in both."""
        assert predictor.outside(MacArray(2, 2, accumulator_bits=20)) == ()
        assert "32 output lanes" in predictor.outside(MacArray(32, 16))[0]
        wide = MacArray(1, 1, weight_bits=16, signal_bits=16, accumulator_bits=40)
        assert len(predictor.outside(wide)) == 3 * len(BUILDS)
