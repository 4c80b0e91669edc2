"""The loader without a line: packets become words, commands and answers, and a packet that is damaged does nothing."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pytest
from amaranth.sim import Simulator
from support.board_lines import Recorded
from support.rtl_programs import images_of
from support.small_programs import CONV, small

from accel.array import MacArray
from accel.cost import total_cycles
from accel.demand import array_for
from accel.errors import EspalierError
from accel.program import Program
from rtl.assemble import assemble, signal_formats
from rtl.core.accelerator import Accelerator
from rtl.fpga.host import Board
from rtl.fpga.loader import Loader
from rtl.fpga.protocol import ACK, COMMAND, NAK, Command, check_width, command, load_packets, packet, with_checksum
from rtl.layout import Layout, Target
from rtl.simulate import load_words, output_rows, signal_words
from sim import golden

IDENTITY = 0x12345678


def answers(dut: Loader, messages: Sequence[bytes], expected: Sequence[int]) -> list[bytes]:
    """Return what a loader says to each message; as many bytes as are expected are waited for, and some cycles more."""
    heard = [bytearray() for _ in messages]

    async def bench(ctx):
        ctx.set(dut.bytes.ready, 1)
        for message, said, count in zip(messages, heard, expected, strict=True):
            given, quiet = list(message), 0
            while given or (len(said) < count and quiet < 1000) or quiet < 20:
                comes = bool(given) and quiet % 4 == 0
                ctx.set(dut.valid, comes)
                if comes:
                    ctx.set(dut.data, given.pop(0))
                    quiet = 0
                quiet += 1
                if ctx.get(dut.bytes.valid):
                    said.append(ctx.get(dut.bytes.payload))
                    quiet %= 4
                await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return [bytes(said) for said in heard]


@pytest.fixture(scope="module")
def program() -> Program:
    """A convolution of 2 x 2 ones, twice, whose 2 x 4 sums leave."""
    return small(CONV)


@pytest.fixture(scope="module")
def array(program: Program) -> MacArray:
    """The array that is just large enough."""
    return array_for(program, 2, 2)


def loader(program: Program, array: MacArray) -> Loader:
    """Return the hardware."""
    return Loader(Accelerator(array, signal_formats(program)), IDENTITY)


def test_images(program: Program, array: MacArray) -> None:
    """A Program is loaded and runs three images, in the places of the array in turn.

    The host's side reads golden's codes and the closed form's cycles of what is said, and writes what was given.
    """
    codes = images_of(np.random.default_rng(0), program, 3)
    dut, image = loader(program, array), assemble(program, array)
    layout, rows = dut.accelerator.layout, len(output_rows(program, array))
    messages = [bytes(258) + command(Command.RESET), b"".join(load_packets(load_words(image, layout), layout))]
    expected = [7, len(load_words(image, layout))]
    for one, place in zip(codes, cycle(image.places), strict=False):
        words = signal_words(one, array, place)
        messages += [b"".join(load_packets(words, layout)), command(Command.START)]
        expected += [len(words), 1 + rows * dut.row_bytes + 8 + 2]
    heard = answers(dut, messages, expected)
    assert heard[0] == with_checksum(bytes([ACK]) + IDENTITY.to_bytes(4, "big"))
    assert heard[1] == bytes([ACK]) * expected[1]
    assert [len(said) for said in heard] == expected
    line = Recorded(b"".join(heard))
    board = Board(line, program, array, signal_formats(program))
    board.identity = IDENTITY
    board.load()
    for one, wanted in zip(codes, golden.run(program, codes)[program.output], strict=True):
        found = board.run(one)
        np.testing.assert_array_equal(found.codes, wanted)
        assert found.cycles - found.stalls == total_cycles(program, array)
    assert bytes(line.written) == b"".join(messages)


def test_what_is_damaged(program: Program, array: MacArray) -> None:
    """A byte that was flipped, one that is missing, and a command that is none are refused; what follows is taken.

    A packet that was cut swallows what follows until it is whole, so that a host sends zeros before it begins.
    """
    dut, right = loader(program, array), packet(Target.CONSTANTS | 1 << 3 | 5 << 27)
    flipped = [right[:place] + bytes([right[place] ^ 0x10]) + right[place + 1 :] for place in range(1, len(right))]
    cut = [right[:-3] + bytes(8), right[:2] + bytes(8)]
    strange = [packet(COMMAND | 9 << 3)]
    messages = [message for wrong in (*flipped, *cut, *strange) for message in (wrong, right)]
    heard = answers(dut, messages, [1] * len(messages))
    assert heard == [bytes([NAK]), bytes([ACK])] * (len(messages) // 2)


def test_a_word_that_is_refused_is_not_written(program: Program, array: MacArray) -> None:
    """Negative control of `test_images`: with one word damaged the codes are not golden's."""
    (codes,) = images_of(np.random.default_rng(0), program, 1)
    layout, image = loader(program, array).accelerator.layout, assemble(program, array)
    words = [*load_words(image, layout), *signal_words(codes, array)]
    said = []
    for damage in (0, 1):
        packets = list(load_packets(words, layout))
        packets[0] = packets[0][:-1] + bytes([packets[0][-1] ^ damage])
        dut = loader(program, array)
        *_, rows = answers(dut, [b"".join(packets), command(Command.START)], [len(words), 1 + 2 * dut.row_bytes + 10])
        said.append(rows[: 1 + dut.row_bytes])
    assert said[0] != said[1]


def test_a_word_that_is_too_wide() -> None:
    """A loaded word of more than 255 bytes fits no packet, which is said in a line."""
    check_width(Layout(MacArray(1, 128)))
    with pytest.raises(EspalierError, match=r"a word that is loaded takes 260 bytes, a packet .* has 255"):
        check_width(Layout(MacArray(1, 256)))
