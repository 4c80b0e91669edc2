"""Serial lines without a board: one that says what another board said, or would say."""

from dataclasses import dataclass, field
from types import TracebackType

from amaranth.hdl import Shape

from accel.cost import total_cycles
from accel.program import Program
from reports.workflow.board import BoardBuild
from rtl.assemble import assemble
from rtl.core.accelerator import Accelerator
from rtl.emit import output_beats
from rtl.fpga.protocol import ACK, with_checksum
from rtl.fpga.uart_top import identity_of
from rtl.simulate import load_words, signal_words
from sim import golden
from support.programs import Codes

STALLS = 9


@dataclass
class Recorded:
    """A line that answers from `answers`, and keeps what is written."""

    answers: bytes
    written: bytearray = field(default_factory=bytearray)

    def __enter__(self) -> "Recorded":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def write(self, data: bytes, /) -> None:
        """Keep bytes."""
        self.written += data

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, fewer at the end."""
        found, self.answers = self.answers[:size], self.answers[size:]
        return found


def spoken(program: Program, build: BoardBuild, codes: Codes) -> bytes:
    """Return what a board says, whose outputs are golden's, to a host that loads a Program and runs images."""
    hardware = Accelerator(build.array, build.known)
    bits = Shape.cast(hardware.result).width
    image = assemble(program, build.array, build.known)
    said = with_checksum(bytes([ACK]) + identity_of(build.array, build.known).to_bytes(4, "big"))
    said += bytes([ACK]) * len(load_words(image, hardware.layout))
    counters = (total_cycles(program, build.array) + STALLS).to_bytes(4, "big") + STALLS.to_bytes(4, "big")
    for one, output in zip(codes, golden.run(program, codes)[program.output], strict=True):
        beats = [beat & (1 << bits) - 1 for beat in output_beats(program, hardware, output)]
        said += bytes([ACK]) * len(signal_words(one, build.array))
        rows = b"".join(beat.to_bytes(-(-bits // 8), "big") for beat in beats)
        said += with_checksum(bytes([ACK]) + rows + counters)
    return said
