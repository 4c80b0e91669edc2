"""Packets of the serial line: their bytes, and a checksum that others compute too."""

import binascii

import numpy as np
import pytest

from accel.array import MacArray
from rtl.fpga.protocol import COMMAND, CRC, Command, command, load_packets, packet, with_checksum
from rtl.layout import Layout, Target


def test_the_checksum_is_a_known_one() -> None:
    """CRC-16/IBM-3740: 0x29B1 of the digits 1 to 9, and what Python's binascii has of any bytes."""
    assert CRC.compute(b"123456789") == 0x29B1
    message = np.random.default_rng(0).bytes(300)
    assert CRC.compute(message) == binascii.crc_hqx(message, 0xFFFF)
    assert with_checksum(message)[-2:] == CRC.compute(message).to_bytes(2, "big")


def test_commands() -> None:
    """A command is a packet of one byte: target 7, and above it which."""
    assert command(Command.RESET) == bytes([1, 7]) + binascii.crc_hqx(bytes([1, 7]), 0xFFFF).to_bytes(2, "big")
    assert command(Command.START)[:2] == bytes([1, 0x0F])
    assert COMMAND not in {int(target) for target in Target}


@pytest.mark.parametrize(("number", "length"), [(0, 1), (0xFF, 1), (0x100, 2), (1 << 344, 44)])
def test_zeros_above_a_number_are_left_out(number: int, length: int) -> None:
    """A packet has as many bytes as its number needs, the most significant first."""
    made = packet(number)
    assert made[0] == length
    assert int.from_bytes(made[1:-2], "big") == number


def test_a_word_lies_as_in_the_load_stream() -> None:
    """Target in the lowest 3 bits, then 24 of address, then the word."""
    layout = Layout(MacArray(2, 2))
    (made,) = load_packets([(int(Target.CONSTANTS), 5, 0x2A3)], layout)
    assert int.from_bytes(made[1:-2], "big") == 4 | 5 << 3 | 0x2A3 << 27
