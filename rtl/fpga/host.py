"""The host's side of the serial line: load a Program into a board's accelerator, run images on it, hear what comes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Protocol

import numpy as np
from amaranth.hdl import Shape
from numpy.typing import NDArray

from accel.array import MacArray
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.program import Program
from rtl.assemble import assemble
from rtl.core.accelerator import Accelerator
from rtl.fpga.protocol import (
    ACK,
    COUNTER_BYTES,
    CRC_BYTES,
    IDENTITY_BYTES,
    LONGEST,
    NAK,
    Command,
    command,
    load_packets,
    number_bytes,
    with_checksum,
)
from rtl.fpga.uart_top import identity_of
from rtl.simulate import Words, load_words, output_rows, signal_words

TOGETHER = 64  # packets on their way before their answers are read: what any system's buffers hold
EXTRA = "board"


class Line(Protocol):
    """A serial line, as pyserial has it: `read` gives fewer bytes than are asked for after a while without any."""

    def write(self, data: bytes, /) -> object:
        """Send bytes."""

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes, or fewer."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the hardware gave for one image: codes in the shape of the Program's output, cycles, and stalls in them."""

    codes: NDArray[np.int64]
    cycles: int
    stalls: int


class Board:
    """An accelerator behind a line, with a Program for it.

    Parameters
    ----------
    line : Line
    program : Program
    array : MacArray
        That the board's hardware was built for.
    formats : sequence of FixedFormat
        That it was built for.

    Raises
    ------
    EspalierError
        The array cannot run the Program.
    """

    def __init__(self, line: Line, program: Program, array: MacArray, formats: Sequence[FixedFormat]) -> None:
        self.line, self.program, self.array = line, program, array
        self.image = assemble(program, array, formats)
        self.identity = identity_of(array, formats)
        self.hardware = Accelerator(array, formats)
        self.places = cycle(self.image.places)
        self.order = np.concatenate(output_rows(program, array))

    def load(self) -> None:
        """Put the accelerator where it begins, and load everything but images.

        Raises
        ------
        EspalierError
            Nothing answers, the board has other hardware, or a word came damaged.
        """
        self.line.write(bytes(LONGEST + 1 + CRC_BYTES) + command(Command.RESET))  # ends a packet that was cut
        first = self._read(1)
        while first[0] == NAK:
            first = self._read(1)
        body = self._checked(first, [IDENTITY_BYTES])[0]
        if body != self.identity:
            raise EspalierError("the board's hardware was built for another array: load the bitstream of this build")
        self.places = cycle(self.image.places)
        self._load(load_words(self.image, self.hardware.layout))

    def run(self, codes: NDArray[np.int64]) -> Answer:
        """Return what comes of an image of input codes (maps, height, width).

        Raises
        ------
        EspalierError
            The line falls silent, or something came damaged.
        """
        self._load(signal_words(codes, self.array, next(self.places)))
        self.line.write(command(Command.START))
        row_bytes = number_bytes(Shape.cast(self.hardware.result).width)
        rows = len(output_rows(self.program, self.array))
        *beats, counters = self._checked(self._read(1), [*[row_bytes] * rows, COUNTER_BYTES])
        flat = [code for beat in beats for code in self._codes(beat)]
        codes = np.empty(self.program.shapes[self.program.output], np.int64)
        codes.reshape(-1)[self.order] = flat
        return Answer(codes, counters >> 32, counters & 0xFFFFFFFF)

    def _codes(self, beat: int) -> Iterable[int]:
        row = self.hardware.result.from_bits(beat)
        return [row.row[lane] for lane in range(row.lanes)]

    def _load(self, words: Words) -> None:
        packets = list(load_packets(words, self.hardware.layout))
        for some in (packets[first : first + TOGETHER] for first in range(0, len(packets), TOGETHER)):
            self.line.write(b"".join(some))
            answers = self._read(len(some))
            if bad := [place for place, answer in enumerate(answers) if answer != ACK]:
                raise EspalierError(f"a word came damaged: the board refused packet {bad[0]} of {len(some)}")

    def _checked(self, first: bytes, sizes: Sequence[int]) -> list[int]:
        """Return the numbers, of so many bytes each, of an answer that began with `first`."""
        if first[0] != ACK:
            raise EspalierError(f"the board refused a command: it answered {first[0]:#04x}, expected {ACK:#04x}")
        said = self._read(sum(sizes) + CRC_BYTES)
        if with_checksum(first + said[:-CRC_BYTES]) != first + said:
            raise EspalierError("an answer of the board came damaged: its checksum is wrong")
        ends = np.cumsum(sizes).tolist()
        return [int.from_bytes(said[end - size : end], "big") for end, size in zip(ends, sizes, strict=True)]

    def _read(self, count: int) -> bytes:
        found = self.line.read(count)
        if len(found) < count:
            came = f"the board fell silent: {len(found)} of {count} bytes came"
            raise EspalierError(f"{came}; is its bitstream loaded, and are port and baud right?")
        return found


def open_line(port: str, baud: int, seconds: float = 5.0) -> Any:
    """Return a serial line, which falls silent after so many seconds.

    Raises
    ------
    EspalierError
        pyserial is not installed, or the port cannot be opened.
    """
    try:
        import serial
    except ImportError as error:
        raise EspalierError(f"a board needs pyserial: pip install 'espalier-hw[{EXTRA}]'") from error
    try:
        return serial.serial_for_url(port, baudrate=baud, timeout=seconds)
    except (serial.SerialException, ValueError) as error:
        raise EspalierError(f"cannot open {port}: {error}") from error
