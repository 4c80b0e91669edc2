"""Offsets on the hardware: added to products in the drain, by arrays that have them, in the same cycles."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.offsets import with_offsets
from support.programs import every_kind, mac_layer, program, signal
from support.rtl_builds import WORD, write
from support.rtl_images import SIGNED, conv
from support.rtl_layers import ARRAY, random_job
from support.rtl_programs import check, corrupting, difference, images_of

from accel.array import MacArray
from accel.cost.cycles import total_cycles
from accel.cost.stalls import total_interval
from accel.demand import array_for
from accel.errors import EspalierError
from accel.fixedpoint import Overflow
from accel.memory_words import width_of
from accel.network import INPUT
from accel.program_layers import ReluLayer
from accel.signal import Requantize, Signal, integer_format
from accel.window import Window
from accel.words import Words
from rtl import simulators
from rtl.assemble import assemble
from rtl.emit import Job
from rtl.layout import Target
from rtl.simulate import simulate
from sim import golden

OFFSETS = replace(ARRAY, output_lanes=2, pixel_lanes=2, offset_bits=16)
JOBS = 60


def job_with_offsets(rng: np.random.Generator, array: MacArray) -> Job:
    """Draw a job as others are, and an offset for every sum that is requantised."""
    drawn = random_job(rng, array)
    of = with_offsets(drawn.program, rng)
    codes = golden.run(of, drawn.codes)[of.output]
    return Job(of, drawn.codes, codes, total_cycles(of, array), total_interval(of, array))


class TestTheArray:
    def test_is_sized_by_its_program(self) -> None:
        """The widest offset of a Program is the array's; without one a word of constants has no such field."""
        rng = np.random.default_rng(0)
        without = every_kind(rng)
        of = with_offsets(without, rng)
        array, plain = array_for(of, 4, 4), array_for(without, 4, 4)
        assert array == replace(plain, offset_bits=Words.of(of).offset_bits)
        assert [*plain.constant_fields] == ["bias", "multiplier"]
        assert width_of(array.constant_fields) == width_of(plain.constant_fields) + array.offset_bits
        assert array_for([without, of], 4, 4).offset_bits == array.offset_bits > 0
        assert total_cycles(of, array) == total_cycles(without, plain)

    def test_what_does_not_fit_is_refused(self) -> None:
        """A layer whose offset an array has no bits for is named, and the widths that there are."""
        of = program([conv(requantize=Requantize([200], 9, [130]), output=SIGNED)], (2, 4, 5))  # type: ignore[arg-type]
        narrow = replace(array_for(of, 2, 2), offset_bits=7)
        assert Words.of(of).problem(narrow) == "b: needs offset_bits of 8, the array has 7"
        with pytest.raises(EspalierError, match="b: needs 8 offset bits, the array has 7"):
            assemble(of, narrow)
        with pytest.raises(EspalierError, match="offset_bits must be at most 16, got 17"):
            MacArray(offset_bits=17)


class TestOnTheHardware:
    @pytest.mark.parametrize("bits", [9, pytest.param(21, marks=pytest.mark.slow)])
    def test_every_sum(self, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sums of 9 bits, and of more than a multiplier takes, with the largest offset and behind a ReLU; their cycles.

        Negative control: an offset that is 1 less than half a code is seen.
        """
        reads, output = signal(8), Signal(integer_format(8, True), 1.0)
        scale = Requantize([201, 128, 77], 7, [200, 64, 0])  # type: ignore[arg-type]
        weights, bias = np.array([1, -1, 1])[:, None, None], np.array([0, 3, (1 << bits - 1) - 128])
        made = {"window": Window((1, 1)), "bias": bias, "requantize": scale, "output": output}
        layers = [
            mac_layer("a", INPUT, weights, reads, **made),
            mac_layer("b", "a", np.eye(3, dtype=np.int64)[:, :, None], output, relu=True, **made),
        ]
        of = program(layers, (1, 1, 32), reads)
        array = array_for(of, 2, 4)
        assert (array.accumulator_bits, array.offset_bits) == (bits, 8)
        codes = np.r_[-128:-120, -8:8, 120:128].reshape(1, 1, 1, 32)
        check(of, codes, array)
        corrupting(monkeypatch, lambda image: image.constants[1].update(offset=63))
        assert difference(of, codes, simulate(of, array, codes), array) is not None

    def test_a_relu_of_its_own_behind_it(self, rng: np.random.Generator) -> None:
        """What the drain rectifies for a layer behind is zero, whatever the offset: an offset of 1.98 codes is none."""
        scale = Requantize([127], 6, [126])  # type: ignore[arg-type]
        saturates = Signal(integer_format(6, True, overflow=Overflow.SAT), 1.0)
        first = mac_layer(
            "a", INPUT, np.ones((1, 1, 1)), SIGNED, window=Window((1, 1)), requantize=scale, output=saturates
        )
        of = program([first, ReluLayer("relu", ("a",))], (1, 4, 16), SIGNED)
        check(of, np.arange(-32, 32).reshape(1, 1, 4, 16), array_for(of, 1, 2))

    @pytest.mark.slow
    def test_every_kind_of_layer(self, rng: np.random.Generator) -> None:
        """Convolutions, an addition, pools and a fully connected layer with offsets, two images."""
        of = with_offsets(every_kind(rng), rng)
        check(of, images_of(rng, of), array_for(of, 4, 4))

    @pytest.mark.slow
    def test_random_jobs(self) -> None:
        """Random Programs with offsets, on an array that has more than they ask for."""
        rng = np.random.default_rng(5)
        for job in (job_with_offsets(rng, OFFSETS) for _ in range(2)):
            check(job.program, job.codes, OFFSETS)


MISSING = shutil.which("verilator") is None


@pytest.mark.slow
@pytest.mark.skipif(MISSING, reason="needs Debian's package verilator")
def test_in_verilog(tmp_path: Path) -> None:
    """Random jobs in one Verilator build: every value and cycle. Negative control: an offset of each is changed."""
    rng = np.random.default_rng(6)
    (tmp_path / "wrong").mkdir()
    build = write(tmp_path, [job_with_offsets(rng, OFFSETS) for _ in range(JOBS)], OFFSETS, "verilator")
    assert simulators.run(tmp_path, "verilator") == build.expected
    places = [build.line_of_word(job, Target.CONSTANTS) for job in range(JOBS)]
    highest = 1 << WORD + width_of(OFFSETS.constant_fields) - 1
    build.edit(tmp_path / "wrong", "load.hex", places, lambda word: word ^ highest)
    assert simulators.run(tmp_path / "wrong", "verilator").errors
