"""From an accelerator behind a serial line to the bitstream of a board's ECP5: yosys, nextpnr, ecppack."""

from collections.abc import Sequence
from pathlib import Path

from accel.array import MacArray
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from rtl.fpga.boards import Board
from rtl.fpga.synthesis import Synthesis, map_to_cells, route
from rtl.fpga.uart_top import UartTop, bit_cycles_of
from rtl.tools import run_tool

BITSTREAM = "espalier.bit"


def build(
    array: MacArray, formats: Sequence[FixedFormat], board: Board, baud: int, folder: Path, seed: int
) -> Synthesis:
    """Leave ``espalier.bit`` in `folder`, which is made if it is not there, and return what it takes of the FPGA.

    Parameters
    ----------
    array : MacArray
        Without streamed weights.
    formats : sequence of FixedFormat
        Of the output signals that it knows.
    board : Board
    baud : int
        Bits a second on the serial line.
    folder : Path
    seed : int
        With which nextpnr begins to place.

    Raises
    ------
    EspalierError
        A tool is not installed or fails, the array does not fit the board's FPGA or is slower than its clock.
    """
    top = UartTop(array, formats, bit_cycles_of(board.clock_hertz, baud))
    folder.mkdir(parents=True, exist_ok=True)
    map_to_cells(top, folder)
    (folder / "board.lpf").write_text(board.constraints)
    placed = ("--lpf", "board.lpf", "--textcfg", "top.config")
    found = route(folder, *board.device, *placed, "--timing-allow-fail", "--seed", str(seed))
    megahertz = board.clock_hertz / 1e6
    if found.mhz < megahertz:
        reached = f"reaches {found.mhz} MHz, and the clock of {board.name} is {megahertz:g} MHz"
        raise EspalierError(f"the array {reached}: a smaller one, or another --seed, may be as fast")
    run_tool(folder, "yowasp-ecppack", "fpga", "--compress", "top.config", BITSTREAM)
    return found
