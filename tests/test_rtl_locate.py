"""Where a simulation first went wrong: layer, map, row and column of the first word that differs, and no other."""

import shutil
from dataclasses import dataclass, replace

import numpy as np
import pytest
from support.programs import PIXEL, mac_layer, program, signal
from support.rtl_builds import WORD, Build, compiled
from support.rtl_faults import KINDS, Planted, draw_faults, draw_job, told
from support.rtl_layers import ARRAY, Codes

from accel.cost import total_cycles
from accel.demand import array_for
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import FlattenLayer
from accel.signal import Requantize
from accel.window import Window
from rtl import simulators
from rtl.emit import Job, emit
from rtl.layout import Target
from rtl.locate import Fault, first_fault
from rtl.simulate import simulate
from rtl.watch import Row
from sim import golden

RIGHT = 3  # jobs without a fault, for each of every kind


@dataclass(frozen=True)
class Faulty:
    """A build, by what it is simulated, and its jobs: those with a fault, then those without."""

    build: Build
    simulator: str
    faults: list[Planted]
    right: list[Job]

    def located(self, number: int, image: int, stall: int = 0) -> Fault | None:
        """Return what is found wrong with an image of a job, held to golden's tensors of the right Program."""
        before = int(self.build.table[:number, 1].sum())
        rows = simulators.watch(self.build.folder, self.simulator, ARRAY, before + image, stall)
        program, tensors = self._golden(number)
        return first_fault(program, ARRAY, {name: codes[image] for name, codes in tensors.items()}, rows)

    def _golden(self, number: int) -> tuple[Program, dict[str, Codes]]:
        if number < len(self.faults):
            return self.faults[number].right, self.faults[number].tensors
        job = self.right[number - len(self.faults)]
        return job.program, golden.run(job.program, job.codes)


@pytest.fixture(
    scope="module",
    params=[("iverilog", 1), pytest.param(("verilator", 10), marks=pytest.mark.slow)],
    ids=lambda x: x[0],
)
def faulty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Faulty:
    """Jobs with a flipped bit of a weight, a bias, a multiplier, a shift or an entry of a list, and without."""
    simulator, each = request.param
    if shutil.which(simulator) is None:
        pytest.skip(f"needs Debian's package {simulator}")
    rng, folder = np.random.default_rng(7), tmp_path_factory.mktemp(simulator)
    faults, right = draw_faults(rng, KINDS * each), [draw_job(rng) for _ in range(RIGHT * each)]
    for name, content in emit([*(fault.job for fault in faults), *right], ARRAY).items():
        (folder / name).write_bytes(content)
    build = compiled(folder, None)
    lines = (folder / "load.hex").read_text().split()
    for job, fault in enumerate(faults):
        if fault.flips:
            place = build.line_of_word(job, Target.ENTRIES) + fault.entry
            lines[place] = f"{int(lines[place], 16) ^ fault.flips << WORD:0{len(lines[place])}x}"
    (folder / "load.hex").write_text("\n".join(lines) + "\n")
    simulators.build(folder, simulator, watched=True)
    return Faulty(build, simulator, faults, right)


def test_every_fault(faulty: Faulty) -> None:
    """The layer is the one whose memory word was changed; the word is the first one in which its tensor differs."""
    for number, fault in enumerate(faulty.faults):
        for image in range(len(fault.job.codes)):
            assert told(faulty.located(number, image)) == fault.expected(image), (number, image)
        assert fault.expected(0)


def test_no_fault(faulty: Faulty) -> None:
    """Nothing is wrong with Programs of all kinds of layers, held back or not."""
    for number in range(len(faulty.right)):
        assert faulty.located(len(faulty.faults) + number, 0, stall=128 * (number % 2)) is None


def test_the_testbench_notices(faulty: Faulty) -> None:
    """A job is told to be wrong exactly where its outputs are others: what is located is not always seen outside."""
    outcome = simulators.run(faulty.build.folder, faulty.simulator)
    differing = [(x.wrong[x.right.output] != x.tensors[x.right.output]).any() for x in faulty.faults]
    assert [job.errors > 0 for job in outcome.jobs] == differing + [False] * len(faulty.right)


def chain() -> tuple[Program, Codes]:
    """Return a Program of two layers, the first of which writes 2 maps of 2 x 2 words, and an image."""
    rng, scale = np.random.default_rng(0), {"requantize": Requantize([1], 3), "output": signal(6)}
    layers = [
        mac_layer("conv", INPUT, rng.integers(1, 8, (2, 1, 1)), PIXEL, window=Window.square(1), **scale),
        FlattenLayer("flat", ("conv",)),
        mac_layer("scores", "flat", rng.integers(-7, 8, (3, 8)), scale["output"]),
    ]
    made = program(layers, (1, 2, 2))
    return made, rng.integers(1, 256, (1, 1, 2, 2))


CHAIN, IMAGE = chain()
LANES = array_for(CHAIN, 2, 2)
TENSORS = golden.run(CHAIN, IMAGE)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """All that the chain writes and hands out."""
    (run,) = simulate(CHAIN, LANES, IMAGE, watched=True)
    return list(run.rows)


def fault_of(rows: list[Row]) -> Fault | None:
    """Return what is wrong with rows of the chain."""
    return first_fault(CHAIN, LANES, {name: codes[0] for name, codes in TENSORS.items()}, rows)


class TestRows:
    """The chain writes two tiles of two words for each map, then hands out three scores."""

    def test_right(self, rows: list[Row]) -> None:
        """Rows as they came: nothing. The last one leaves in the last cycle, before which one less was counted."""
        assert fault_of(rows) is None
        assert [(row.begun, row.address is None, len(row.codes)) for row in rows] == [(1, False, 2)] * 4 + [
            (2, True, 1)
        ] * 3
        assert rows[-1].cycle == total_cycles(CHAIN, LANES) - 1

    def test_a_row_that_never_comes(self, rows: list[Row]) -> None:
        """The first of its words is told, without a cycle; the scores' likewise."""
        conv, scores = TENSORS["conv"][0], TENSORS["scores"][0]
        fault = fault_of(rows[1:])
        assert fault is not None
        assert (fault.tensor, fault.map, fault.row, fault.column) == ("conv", 0, 0, 0)
        assert (fault.cycle, fault.seen, fault.expected, fault.differing) == (None, None, conv[0, 0, 0], 2)
        assert str(fault).endswith(f"never: got nothing, expected {conv[0, 0, 0]}; 2 of its 8 words differ")
        late = fault_of(rows[:-1])
        assert late is not None
        assert (late.tensor, late.map, late.expected, late.differing) == ("scores", 2, scores[2], 1)

    def test_a_row_elsewhere(self, rows: list[Row]) -> None:
        """A word that lies in nothing of the layer's is wrong, whatever it is."""
        fault = fault_of([*rows[:2], replace(rows[2], address=rows[2].address + 500), *rows[3:]])
        assert fault is not None
        assert (fault.layer, fault.map, fault.cycle, fault.differing) == ("conv", None, rows[2].cycle, 2)
        assert f"word {rows[2].address + 500:,} of signals is written, which is none of its words" in str(fault)

    def test_a_row_too_many(self, rows: list[Row]) -> None:
        """One that leaves after the last one, in an earlier layer, or in one that there is not."""
        last = rows[-1]
        for wrong, layer in (([*rows, last], "scores"), ([replace(last, begun=1), *rows], "conv")):
            fault = fault_of(wrong)
            assert fault is not None
            assert (fault.layer, fault.map, fault.address) == (layer, None, None)
            assert "a row too many leaves" in str(fault)
        fault = fault_of([*rows, replace(rows[0], begun=3)])
        assert fault == Fault(layer="scores", tensor="scores", cycle=rows[0].cycle, address=rows[0].address)

    def test_what_is_written_last_counts(self, rows: list[Row]) -> None:
        """A word that is written again is the later one, right or wrong."""
        wrong = replace(rows[0], codes=(rows[0].codes[0] ^ 1, rows[0].codes[1]))
        assert fault_of([wrong, *rows]) is None
        fault = fault_of([*rows[:4], replace(wrong, cycle=999), *rows[4:]])
        assert fault is not None
        assert (fault.map, fault.row, fault.column, fault.cycle, fault.differing) == (0, 0, 0, 999, 1)

    def test_unknown_bits(self, rows: list[Row]) -> None:
        """A word whose bits are not all known differs."""
        fault = fault_of([replace(rows[0], codes=(rows[0].codes[0], None)), *rows[1:]])
        assert fault is not None
        assert (fault.column, fault.seen) == (1, None)
        assert "got unknown bits, expected" in str(fault)


def test_in_amaranth() -> None:
    """Rows that Amaranth's simulator sees say the same; of the Program that runs itself nothing is wrong."""
    (fault,) = draw_faults(np.random.default_rng(3), ["bias"])
    (run,) = simulate(fault.job.program, ARRAY, fault.job.codes[:1], watched=True)
    first = [{name: codes[0] for name, codes in one.items()} for one in (fault.tensors, fault.wrong)]
    assert told(first_fault(fault.right, ARRAY, first[0], run.rows)) == fault.expected(0)
    assert first_fault(fault.right, ARRAY, first[1], run.rows) is None
