"""What a host and an accelerator behind a serial line say to each other; ``docs/howto/board.md`` has it in words.

A packet is a length n of 1 to 255, n bytes and a checksum of two: a number, the most significant byte first, which is a
word of the accelerator's load stream, zeros above it left out. Target 7, which no memory has, makes it a command. A
length of 0 is no packet and is passed over. The answer is `ACK`, or `NAK` where the checksum is wrong and nothing was
done; to a command a body follows, and a checksum of all of the answer.
"""

from collections.abc import Iterator
from enum import IntEnum

from amaranth.hdl import Shape
from amaranth.lib.crc.catalog import CRC16_IBM_3740

from accel.errors import EspalierError
from rtl.layout import Layout
from rtl.simulate import Words

ACK, NAK = 0x06, 0x15
COMMAND = 7  # a target
LONGEST = 255  # bytes of a packet's number
CRC = CRC16_IBM_3740(data_width=8)  # polynomial 0x1021, begun at 0xFFFF, most significant bit first
CRC_BYTES = 2
IDENTITY_BYTES, COUNTER_BYTES = 4, 8


class Command(IntEnum):
    """What the address of a word for target 7 asks for.

    RESET puts the accelerator where it begins; the body of the answer is its identity, four bytes. START runs an image;
    the body has a beat of the output stream after another, each as a number of whole bytes, up to the one that is the
    last, then cycles and stalls, four bytes each.
    """

    RESET = 0
    START = 1


def number_bytes(bits: int) -> int:
    """Return how many bytes hold a number of `bits`."""
    return -(-bits // 8)


def packet(number: int) -> bytes:
    """Return the packet of a number.

    >>> packet(COMMAND | Command.START << 3).hex(" ")
    '01 0f df d1'
    """
    body = number.to_bytes(max(1, number_bytes(number.bit_length())), "big")
    return with_checksum(bytes([len(body)]) + body)


def with_checksum(message: bytes) -> bytes:
    """Return a message with its checksum."""
    return message + CRC.compute(message).to_bytes(CRC_BYTES, "big")


def command(asked: Command) -> bytes:
    """Return the packet of a command."""
    return packet(COMMAND | asked << 3)


def load_packets(words: Words, layout: Layout) -> Iterator[bytes]:
    """Yield the packet of each word that is loaded."""
    address, word = layout.load["address"].offset, layout.load["word"].offset
    for target, place, value in words:
        yield packet(target | place << address | value << word)


def check_width(layout: Layout) -> None:
    """Raise EspalierError if a word of the load stream is longer than a packet."""
    need = number_bytes(Shape.cast(layout.load).width)
    if need > LONGEST:
        raise EspalierError(f"a word that is loaded takes {need} bytes, a packet of the serial line has {LONGEST}")
