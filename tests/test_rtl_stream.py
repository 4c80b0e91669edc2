"""Streamed weights: golden's codes whatever the bandwidth, and the stalls of the closed form without a tolerance."""

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.programs import PIXEL, mac_layer, program
from support.rtl_builds import write
from support.rtl_programs import SIGNED, check, difference, images_of, mac

from accel.cost import total_cycles
from accel.cost.stalls import schedule_of, stalls, total_interval, unit_loads, unit_stalls
from accel.demand import array_for, demand_of
from accel.errors import EspalierError
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import FlattenLayer, MaxPoolLayer
from accel.window import Window
from reports.workflow.hardware import job_of
from rtl import simulate as module
from rtl import simulators
from rtl.assemble import assemble
from rtl.emit import emit
from rtl.image import Image
from rtl.simulate import simulate


def network(rng: np.random.Generator) -> Program:
    """Return two convolutions, a pool that has weights of its own, and a linear layer: lists, groups, split sums."""
    layers = [
        mac(rng, "a", INPUT, (9, 2, 9), PIXEL, window=Window.square(3, 1, 1), pattern="kernel", output=SIGNED),
        MaxPoolLayer("pool", ("a",), Window.square(3, 2, 1)),
        mac(rng, "b", "pool", (6, 9, 2), SIGNED, window=Window((1, 2)), output=SIGNED),
        FlattenLayer("flat", ("b",)),
        mac(rng, "c", "flat", (9, 24, 1), SIGNED),
    ]
    return program(layers, (2, 4, 5))


class TestStalls:
    @pytest.mark.slow
    @pytest.mark.parametrize("lanes", [(4, 4), (2, 2), (4, 1)])
    @pytest.mark.parametrize("rate", [Fraction(1), Fraction(2, 5)], ids=str)
    def test_the_closed_form(self, lanes: tuple[int, int], rate: Fraction, rng: np.random.Generator) -> None:
        """Of images one after another, each stands still as long as the formula says; the first waits longer."""
        of = network(rng)
        array = array_for(of, *lanes, stream=True)
        assert array.weight_words < array_for(of, *lanes).weight_words
        rows = schedule_of(of, array)
        words = sum(int(row.units.sum()) for row in rows)
        runs = check(of, images_of(rng, of, 3), array, rate=rate)
        wanted = [sum(unit_stalls(rows, rate, before=image * words)) for image in range(3)]
        assert [run.stalls for run in runs[1:]] == wanted[1:]
        assert 0 < wanted[0] < runs[0].stalls
        starts = np.diff([run.started for run in runs])
        assert starts[1] == total_cycles(of, array) + wanted[1]
        assert rate != 1 or starts[1] == total_interval(of, array)

    def test_by_hand(self) -> None:
        """Units of 5, 4 and 9 cycles before runs of 6, 2 and 3: 5 + 3 - 3 behind the last, 4 + 3 - 6, 9 + 3 - 2."""
        assert stalls(np.array([5, 4, 9]), np.array([6, 2, 3])).tolist() == [5, 1, 10]

    def test_loads(self) -> None:
        """At two words in five cycles, word n comes in cycle ceil(5 n / 2): 3, 5, 8, 10, 13."""
        assert unit_loads(np.array([1, 2, 2]), Fraction(2, 5)).tolist() == [3, 5, 5]
        assert unit_loads(np.array([1, 2]), Fraction(2, 5), before=2).tolist() == [8 - 5, 13 - 8]


class TestWhatMayHappen:
    @pytest.mark.slow
    def test_back_pressure(self, rng: np.random.Generator) -> None:
        """A receiver that is not always ready, images that are loaded meanwhile, and slow weights: the same codes."""
        of = network(rng)
        check(of, images_of(rng, of, 3), array_for(of, 4, 2, stream=True), ready=0.3, rng=rng, rate=Fraction(1, 2))

    @pytest.mark.slow
    @pytest.mark.parametrize("fault", ["a word lost", "a unit that ends early"])
    def test_a_fault_is_noticed(self, fault: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
        """Negative control: a word that is not there, or one after which the unit ends, and codes or cycles differ."""
        of = network(rng)
        array, images = array_for(of, 4, 2, stream=True), images_of(rng, of, 2)

        def broken(*arguments: Any) -> Image:
            image = assemble(*arguments)
            first, *others = image.units
            faulty = [[*first[1:], first[-1]]] if fault == "a word lost" else [first[:1], first[1:]]
            return replace(image, units=[*faulty, *others])

        monkeypatch.setattr(module, "assemble", broken)
        assert difference(of, images, simulate(of, array, images), array) is not None

    def test_the_smallest_buffer(self, rng: np.random.Generator) -> None:
        """A buffer holds the largest group; a memory that has no room for two of them is refused with its need."""
        of = network(rng)
        array = array_for(of, 2, 2, stream=True)
        demand = demand_of(of, array)
        assert array.stream_words == demand.unit == 24
        assert array.weight_words == demand.made + 2 * 24
        more = array_for(of, 2, 2, {"weight_words": 100}, stream=True)
        assert more.stream_words == (100 - demand.made) // 4 * 2
        line = f"^test: needs {array.weight_words} words of weights to stream them, weight_words are 40$"
        with pytest.raises(EspalierError, match=line):
            array_for(of, 2, 2, {"weight_words": 40}, stream=True)
        with pytest.raises(EspalierError, match="has 24 words of weights, a buffer for streamed weights holds 8"):
            assemble(of, replace(array, stream_words=8))


def test_words_that_are_the_same_end_no_unit() -> None:
    """Of a build's words of weights the last of each group alone says so, be they all zero."""
    layer = mac_layer("conv", INPUT, np.zeros((5, 2, 9), int), PIXEL, window=Window((3, 3)))
    of = program([layer], (2, 4, 4))
    array = array_for(of, 2, 2, stream=True)
    words = emit([job_of(of, array, np.zeros((1, 2, 4, 4), int))], array)["units.hex"].split()
    assert [int(word, 16) >> 16 for word in words] == ([0] * 17 + [1]) * 3  # groups of 2, 2 and 1 maps


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog")
def test_in_verilog(tmp_path: Path, rng: np.random.Generator) -> None:
    """The testbench of a build gives the stream its words; codes, cycles and time between starts are right."""
    of = network(rng)
    array = array_for(of, 2, 2, stream=True)
    build = write(tmp_path, [job_of(of, array, images_of(rng, of, 3))], array, "iverilog")
    outcome = simulators.run(tmp_path, "iverilog")
    assert (outcome.errors, outcome.complaints, outcome.images) == (0, (), 3)
    assert outcome.cycles - outcome.stalls == build.expected.cycles
    assert simulators.run(tmp_path, "iverilog", stall=100).errors == 0
    (tmp_path / "wrong").mkdir()
    build.edit(tmp_path / "wrong", "jobs.hex", 5, lambda interval: interval + 1)  # negative control
    assert simulators.run(tmp_path / "wrong", "iverilog").errors == 1
