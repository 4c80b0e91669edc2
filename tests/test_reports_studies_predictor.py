"""The study of the predictor: its sweep goes on where it was stopped, its fit finds what is there, its page says so."""

from dataclasses import replace
from pathlib import Path

import pytest

from accel.cost import predictor
from accel.cost.hardware_terms import multipliers_of
from accel.cost.predictor import FIGURES, LUT, Model, predict
from accel.errors import EspalierError
from reports.shared.schema import saved
from reports.studies.predictor import __main__ as command
from reports.studies.predictor import fit, sweep
from reports.studies.predictor.definition import ARRAYS, DRAWN, SEED, looked_at
from reports.studies.predictor.figures import CAPTIONS
from reports.studies.predictor.page import headline, page
from reports.studies.predictor.results import CELLS, CLOCK, FPGA, STRUCTURES, Results, Structures
from rtl.structure import KINDS

FOLDER = Path(command.__file__).parent
RESULTS = saved(FOLDER / "results.json", Results.from_json)
COUNTED = saved(FOLDER / STRUCTURES, Structures.from_json).arrays
SMALL, NEXT = BOTH = list(ARRAYS)[:2]


@pytest.fixture(scope="module")
def made() -> Model:
    """Return the predictor that the committed sweep gives."""
    return fit.model_of(RESULTS, COUNTED)


class TestCommitted:
    def test_what_is_shipped_is_the_fit(self, made: Model) -> None:
        """The predictor's coefficients are those that the committed sweep gives, to a thousandth of each prediction."""
        shipped = predictor.model()
        assert (shipped.sweep, shipped.ranges, shipped.origin) == (made.sweep, made.ranges, fit.ORIGIN)
        for array in ARRAYS.values():
            mine, its = predict(array, made), predict(array, shipped)
            assert mine.lut == pytest.approx(its.lut, rel=1e-3)
            assert mine.cell_um2 == pytest.approx(its.cell_um2, rel=1e-3)
        fewer = fit.model_of(replace(RESULTS, entries=RESULTS.entries[1:]), COUNTED)
        assert fewer.sweep != shipped.sweep  # negative control

    def test_entries_are_of_the_sweep(self) -> None:
        """Each entry is the array that its name says, and its name tells all that sets it apart."""
        assert all(entry.mac_array == ARRAYS[entry.name] for entry in RESULTS.entries)
        assert len(set(ARRAYS.values())) == len(ARRAYS) >= 24
        assert [one.mac_array for one in COUNTED] == looked_at()
        assert looked_at(DRAWN, SEED + 1) != looked_at()

    def test_multipliers_and_blocks_are_counted_exactly(self) -> None:
        """What nextpnr packs is what is counted, in every build; another array has another count."""
        built = [entry for entry in RESULTS.entries if entry.has(FPGA)]
        for entry in built:
            counts = multipliers_of(entry.mac_array), predictor.block_ram(entry.mac_array)
            assert (entry.fpga["dsp"], entry.fpga["block_ram"]) == counts
        assert len({entry.fpga["block_ram"] for entry in built}) > 1

    def test_the_page_is_of_these_results(self, made: Model) -> None:
        """README.md is what the fit writes, and its headline has the errors of the model."""
        text = (FOLDER / "README.md").read_text()
        assert text == page(
            RESULTS, predictor.model(), fit.figures(RESULTS, COUNTED), [f"{name}.png" for name in CAPTIONS]
        )
        assert headline(made) in text
        other = replace(made, fits=made.fits | {LUT: replace(made.fits[LUT], median_error=0.999)})
        assert headline(other) not in text


class TestFit:
    def test_a_sum_of_terms_is_found_again(self) -> None:
        """Of arrays that take 3 for each of one base and 2 for each of another the fit finds both, without an error."""
        bases = {"lanes": {"lanes": 1.0}, "bits": {"lane_sum_bits": 1.0, "one": 10.0}}
        made = {
            name: ({"lanes": x, "lane_sum_bits": x * y, "one": 1.0}, 3 * x + 2 * (x * y + 10))
            for name, x, y in (("a", 1.0, 9.0), ("b", 4.0, 16.0), ("c", 8.0, 20.0), ("d", 2.0, 24.0))
        }
        found = fit.Figure(bases, made)
        assert found.coefficients() == pytest.approx({"lanes": 3.0, "lane_sum_bits": 2.0, "one": 20.0})
        assert found.fit().worst_error == 0
        spoiled = fit.Figure(bases, made | {"a": (made["a"][0], 2 * made["a"][1])})
        (own,) = (x for x in spoiled.held_out if x.name == "a")
        assert own.error == pytest.approx(-0.5)  # an array says nothing of itself: the others predict what it was

    def test_few_arrays_make_no_fit(self) -> None:
        """A figure that is measured of too few arrays is refused, by its name."""
        with pytest.raises(EspalierError, match=r"^lut: is measured of 2 arrays, a fit takes \d+$"):
            fit.model_of(replace(RESULTS, entries=RESULTS.entries[:2]), COUNTED)

    def test_every_figure_has_its_bases(self) -> None:
        """Each figure of the predictor is fitted, from kinds of bits that structures have, or from levels."""
        assert set(fit.ALONE) | set(fit.LEVELS) == set(FIGURES)
        assert set(fit.STRUCTURE) == set(KINDS)


class TestSweep:
    @pytest.fixture
    def measuring(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Count what is measured instead of measuring it."""
        done: list[str] = []

        def counted(entry: object, folder: Path) -> dict[str, int]:
            done.append(entry.name)  # type: ignore[attr-defined]
            return {"lut": 1, "ff": 1, "dsp": 1, "block_ram": 1}

        monkeypatch.setattr(sweep, "_counted", counted)
        return done

    def test_it_goes_on_where_it_was_stopped(self, measuring: list[str]) -> None:
        """What is measured is not measured again; what is of other hardware is, behind everything that is missing."""
        results = Results()
        assert sweep.missing(results, (FPGA,), BOTH, "new") == [(FPGA, SMALL), (FPGA, NEXT)]
        results = sweep.measured(results, FPGA, SMALL, None, "old")  # type: ignore[arg-type]
        assert sweep.missing(results, (FPGA,), BOTH, "old") == [(FPGA, NEXT)]
        assert sweep.missing(results, (FPGA,), BOTH, "new") == [(FPGA, NEXT), (FPGA, SMALL)]
        assert measuring == [SMALL]
        assert Results.from_json(results.to_json()) == results

    def test_small_arrays_come_first(self) -> None:
        """Counts take least time, place and route most; of each part the smallest array comes first."""
        order = sweep.missing(Results(), (FPGA, CELLS, CLOCK), ARRAYS, "new")
        assert order[0] == (FPGA, SMALL)
        assert order[-1][0] == CLOCK
        for part in (FPGA, CELLS, CLOCK):
            lanes = [ARRAYS[name].macs_per_cycle for mine, name in order if mine == part]
            assert lanes == sorted(lanes)
