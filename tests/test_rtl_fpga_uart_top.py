"""A board's hardware, simulated whole: bits of a serial line in, what the digits are out, equal to golden."""

import shutil
from dataclasses import dataclass
from importlib import resources
from itertools import cycle
from pathlib import Path
from string import Template

import pytest
from support.board_lines import Recorded
from support.programs import Codes

from accel.array import MacArray
from accel.cost import total_cycles
from accel.demand import array_for
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.program import Program
from accel.quantize import Widths, lower
from rtl import children, simulators
from rtl.assemble import assemble, signal_formats
from rtl.fpga.host import Answer, Board
from rtl.fpga.protocol import Command, command, load_packets
from rtl.fpga.uart_top import UartTop, bit_cycles_of
from rtl.layout import Layout
from rtl.simulate import load_words, output_rows, signal_words
from rtl.verilog import convert
from sim import golden

BIT_CYCLES, IMAGES = 4, 4
needs_verilator = pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Debian's package verilator")


@dataclass
class Bench:
    """A compiled simulation, and what is sent to it: a packet, and the answers that must have come before, each."""

    folder: Path
    program: Program
    array: MacArray
    codes: Codes
    packets: list[tuple[int, bytes]]
    answers: int

    def hear(self) -> bytes:
        """Return what the hardware says to the packets."""
        script = [byte | before << 8 for before, message in self.packets for byte in message]
        (self.folder / "script.hex").write_text("".join(f"{word:08x}\n" for word in script))
        children.run(["./obj_dir/simulation"], self.folder)
        return bytes(int(line, 16) for line in (self.folder / "heard.hex").read_text().split())

    def board(self, heard: bytes) -> Board:
        """Return the host's side of a line on which this was heard."""
        return Board(Recorded(heard), self.program, self.array, signal_formats(self.program))

    def run(self, heard: bytes) -> list[Answer]:
        """Return what the host makes of it."""
        board = self.board(heard)
        board.load()
        return [board.run(one) for one in self.codes]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The digits pruned by kernels, weights of 4 bits, on 2 x 2 lanes, behind a line of 4 cycles a bit."""
    calibration, test = (datasets.load("digits", split) for split in ("train", "test"))
    program = lower(zoo.load("digits", "kernel"), Widths(4, 8), calibration.take(64).pixels())
    codes = program.input_signal.encode(test.take(IMAGES).pixels())
    array, folder = array_for(program, 2, 2), tmp_path_factory.mktemp("uart")
    packets, answers = _script(program, array, codes)
    text = Template((Path(__file__).parent / "support" / "uart_bench.v").read_text())
    sizes = {"bit_cycles": BIT_CYCLES, "bytes": sum(len(x) for _, x in packets), "answers": answers}
    (folder / "testbench.v").write_text(text.substitute(sizes))
    (folder / "espalier.v").write_text(convert(UartTop(array, signal_formats(program), BIT_CYCLES), "espalier"))
    shutil.copy(str(resources.files("rtl") / "espalier.vlt"), folder)
    simulators.build(folder, "verilator")
    return Bench(folder, program, array, codes, packets, answers)


def _script(program: Program, array: MacArray, codes: Codes) -> tuple[list[tuple[int, bytes]], int]:
    """Return the packets of loading a Program and running images, each with the bytes of answers before it."""
    image, layout = assemble(program, array), Layout(array)
    top = UartTop(array, signal_formats(program), BIT_CYCLES)
    rows = 1 + len(output_rows(program, array)) * top.loader.row_bytes + 8 + 2
    packets, before = [(0, bytes(258)), (0, command(Command.RESET))], 7
    words = load_words(image, layout)
    packets += [(before, message) for message in load_packets(words, layout)]
    before += len(words)
    for one, place in zip(codes, cycle(image.places), strict=False):
        words = signal_words(one, array, place)
        packets += [(before, message) for message in load_packets(words, layout)]
        before += len(words)
        packets.append((before, command(Command.START)))
        before += rows
    return packets, before


def differences(bench: Bench, answers: list[Answer]) -> int:
    """Return how many images have codes or cycles other than golden and the closed form."""
    wanted, cycles = (
        golden.run(bench.program, bench.codes)[bench.program.output],
        total_cycles(bench.program, bench.array),
    )
    pairs = zip(answers, wanted, strict=True)
    return sum(bool((x.codes != y).any()) or x.cycles - x.stalls != cycles for x, y in pairs)


@needs_verilator
def test_digits_over_a_line(bench: Bench) -> None:
    """Every image's scores are golden's, its cycles the closed form's; the host sends what the simulation was given."""
    heard = bench.hear()
    assert len(heard) == bench.answers
    assert differences(bench, bench.run(heard)) == 0
    board = bench.board(heard)
    board.load()
    for one in bench.codes:
        board.run(one)
    assert bytes(board.line.written) == b"".join(message for _, message in bench.packets)
    assert len({int(answer.codes.argmax()) for answer in bench.run(heard)}) > 1  # of digits that differ


@needs_verilator
def test_a_byte_that_is_flipped_on_the_line(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: one bit of one byte is noticed by the board, and by the host in what the board says."""
    place = len(bench.packets) // 2
    before, message = bench.packets[place]
    flipped = [*bench.packets]
    flipped[place] = before, message[:2] + bytes([message[2] ^ 4]) + message[3:]
    monkeypatch.setattr(bench, "packets", flipped)
    heard = bench.hear()
    with pytest.raises(EspalierError, match="a word came damaged: the board refused packet"):
        bench.run(heard)


@needs_verilator
def test_a_weight_that_is_another_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a word that is wrong, with a checksum that is right, gives scores that are not golden's."""
    board = bench.board(b"")
    words = load_words(board.image, board.hardware.layout)
    target, address, word = words[-20]
    words[-20] = target, address, word ^ 0xFF
    changed = list(load_packets(words, board.hardware.layout))
    packets = [*bench.packets]
    packets[2 : 2 + len(words)] = [(before, x) for (before, _), x in zip(packets[2:], changed, strict=False)]
    monkeypatch.setattr(bench, "packets", packets)
    heard = bench.hear()
    assert differences(bench, bench.run(heard)) > 0


def test_bits_of_a_line() -> None:
    """A bit is a whole number of cycles within 2 %; what is too quick for the clock, or too far off, is refused."""
    assert bit_cycles_of(25e6, 115_200) == 217
    assert bit_cycles_of(100e6, 1_000_000) == 100
    with pytest.raises(EspalierError, match="--baud 10000000: a bit takes 4 cycles or more of 25 MHz"):
        bit_cycles_of(25e6, 10_000_000)
    with pytest.raises(EspalierError, match="--baud 3000000: 25 MHz gives 3125000 at the nearest, over 2 % off"):
        bit_cycles_of(25e6, 3_000_000)


def test_streamed_weights_do_not_come_over_a_line() -> None:
    """An array of streamed weights has a port that no line serves."""
    array = MacArray(1, 1, stream_words=64, weight_words=128)
    with pytest.raises(EspalierError, match="leave --stream out"):
        UartTop(array, (), BIT_CYCLES)
