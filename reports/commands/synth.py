"""`espalier synth`: what an array takes on FPGAs, or in standard cells, with lists and without."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from accel.array import MacArray
from accel.cost.design import CLOCK_HZ
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.program import Program
from reports.commands.options import (
    BUILD,
    IN,
    OUT,
    array_option,
    clock_option,
    depth_options,
    json_option,
    number_option,
    option,
    sram_library_option,
    word_options,
)
from reports.commands.places import Command, Place, Word
from reports.report import fpga_tables, silicon_tables
from reports.shared import output
from reports.shared.console import console
from reports.workflow import board as boards
from reports.workflow.fpga import PLACED, FpgaCounts, in_family, placed
from reports.workflow.parsing import parse_array, parse_frequency, parse_lanes
from reports.workflow.silicon import Silicon, in_cells
from rtl.asic.liberty import read
from rtl.asic.sram import read_sram
from rtl.assemble import signal_formats
from rtl.fpga.bitstream import BITSTREAM
from rtl.fpga.boards import Board, board_of, names
from rtl.fpga.families import FAMILIES
from rtl.fpga.synthesis import DEPTHS, SEED, Synthesis, synthesize

BAUD = 115_200
FIGURES = (".png", ".svg")
WORD_BITS = {"weight_bits": 8, "signal_bits": 8, "accumulator_bits": 24}  # of an array for no Program in particular


@click.command("synth", cls=Command)
@click.argument("program", type=IN, required=False)
@array_option
@word_options
@depth_options
@option("--sparse-only", is_flag=True, help="Do not build the array for dense layers alone beside it.")
@option(
    "--family",
    type=Word(lambda: (PLACED, *FAMILIES)),
    default=PLACED,
    show_default=True,
    help=f"FPGAs to build it for: {PLACED}, placed and routed; {', '.join(FAMILIES)}, counted.",
)
@option(
    "--board",
    type=Place(may_be_name=True, names=names),
    help="Write a bitstream for a board with an ECP5, ulx3s, ecpix5 or one of a constraint file, NAME.lpf.",
)
@number_option("--baud", BAUD, "Bits a second on the serial line of --board.", least=300)
@option(
    "--liberty", type=IN, help="Map it to the standard cells of this Liberty file, .lib or .lib.gz, not to an FPGA."
)
@clock_option
@sram_library_option
@option("--figure", type=OUT, help="Also draw the area, stacked by module, to this file; it ends in .png or .svg.")
@number_option("--seed", SEED, "Seed of placement, by which the clock of one array differs by a tenth and more.")
@option("--out", "-o", type=BUILD, help="Keep the build in this folder.")
@json_option
def command(
    program: Path | None,
    array: str,
    sparse_only: bool,
    family: str,
    board: str | None,
    baud: int,
    liberty: Path | None,
    clock: str | None,
    sram_library: Path | None,
    figure: Path | None,
    seed: int,
    out: Path | None,
    json_file: Path | None,
    depths: Mapping[str, int] | None = None,
    **word_bits: int | None,
) -> int:
    """Build an array for FPGAs, or in standard cells: what it takes, and its clock. Takes minutes.

    With a PROGRAM it is the array that `espalier rtl` writes for it. In an ECP5-45F it is placed and routed: look-up
    tables, flip-flops, multipliers, memories, clock. For another --family Yosys counts its cells, module by module,
    before any placement; exit status 1 if they do not fit an iCE40 UP5K. With --board it stands behind a serial line,
    by which `espalier board` loads and runs it, and the bitstream is written to --out. With --liberty logic is mapped
    to standard cells, sized for --clock, and memories to macros: area, gate equivalents, flip-flops, bits, leakage, the
    slowest path, module by module. With --sram-library memories are built of macros that exist, whose area, leakage and
    access times are in the numbers.

    Example: espalier synth --array 4x4
    Example: espalier synth digits.espalier --array 4x4
    Example: espalier synth --array 4x4 --family xilinx-7
    Example: espalier synth digits.espalier --array 4x4 --board ulx3s --out build
    Example: espalier synth --array 4x4 --liberty cells.lib.gz --clock 200MHz
    Example: espalier synth --array 4x4 --liberty cells.lib --sram-library sram.toml --figure area.png
    """
    _check_fpga(family, seed, liberty)
    if board is None and baud != BAUD:
        raise EspalierError("--baud: only a --board has a serial line")
    with_pins = _board(board, family, liberty, out) if board else None
    if liberty is None:
        _refuse_for_an_fpga({"--clock": clock, "--sram-library": sram_library, "--figure": figure})
    if figure and figure.suffix not in FIGURES:
        raise EspalierError(f"--figure {figure}: expected a file that ends in {' or '.join(FIGURES)}")
    hertz, library = parse_frequency(clock) if clock else CLOCK_HZ, read(liberty) if liberty else None
    sram = read_sram(sram_library) if sram_library else None
    asked = {name: bits for name, bits in word_bits.items() if bits is not None}
    mac_array, formats = _wanted(program, array, asked, depths)
    output.check_place(json_file, figure)
    with output.working_folder(out) as folder:
        output.write_folder(folder, {})
        if library:
            silicon = in_cells(_arrays(mac_array, sparse_only, folder), library, folder, hertz, formats, sram)
        elif with_pins:
            build = boards.build(mac_array, formats, with_pins, baud, folder, seed)
            counts = placed(mac_array, {"sparse" if mac_array.list_entries else "dense": build}, with_pins.part)
        elif family == PLACED:
            counts = placed(mac_array, synthesize_both(mac_array, folder, sparse_only, formats, seed))
        else:
            counts = in_family(_arrays(mac_array, sparse_only, folder), family, folder, formats)
    if library:
        _tell_cells(silicon, json_file, figure)
        return 0
    _tell_fpga(array, counts, json_file)
    if with_pins:
        megahertz = f"{with_pins.clock_hertz / 1e6:g} MHz"
        print(f"{out}/{BITSTREAM}: for {with_pins.name}, {with_pins.part}, {megahertz}, {baud:,} baud")
    return 1 if len(counts.shortages()) == len(counts.whole()) else 0


def _check_fpga(family: str, seed: int, liberty: Path | None) -> None:
    """Raise EspalierError for a family that is none, and for options that mean nothing with it."""
    if family not in (PLACED, *FAMILIES):
        raise EspalierError(f"--family {family}: expected one of {', '.join((PLACED, *FAMILIES))}")
    if liberty is not None and family != PLACED:
        raise EspalierError("--family: with --liberty it is built in standard cells, for no FPGA")
    if seed != SEED and (liberty is not None or family != PLACED):
        raise EspalierError(f"--seed: nothing is placed with {'--liberty' if liberty else f'--family {family}'}")


def _board(name: str, family: str, liberty: Path | None, out: Path | None) -> Board:
    """Return the board of that name; raise EspalierError if it is none, or what it is asked with means nothing."""
    if liberty is not None or family != PLACED:
        raise EspalierError(f"--board: bitstreams are made for {PLACED} alone")
    if out is None:
        raise EspalierError(f"--board: needs --out, the folder for {BITSTREAM}")
    return board_of(name)


def _wanted(
    program: Path | None, array: str, asked: Mapping[str, int], depths: Mapping[str, int] | None
) -> tuple[MacArray, Sequence[FixedFormat]]:
    """Return the array of a Program and its formats, or the array whose words and depths are asked for."""
    if program is None:
        output_lanes, pixel_lanes = parse_lanes(array)
        words: dict[str, Any] = WORD_BITS | dict(asked) | dict(DEPTHS) | dict(depths or {})
        if words.pop("stream", False):  # both buffers take the whole memory
            words["stream_words"] = words["weight_words"] // 2
        return MacArray(output_lanes=output_lanes, pixel_lanes=pixel_lanes, **words), ()
    if asked:
        option = f"--{next(iter(asked)).replace('_', '-')}"
        raise EspalierError(f"{option}: the words of {program} say how wide those of its array are")
    loaded = Program.load(program)
    return parse_array(array, loaded, depths), signal_formats(loaded)


def _refuse_for_an_fpga(given: Mapping[str, object]) -> None:
    """Raise EspalierError if an option is there that only standard cells have."""
    for name, value in given.items():
        if value is not None:
            raise EspalierError(f"{name}: means something with --liberty alone")


def _tell_cells(silicon: Silicon, json_file: Path | None, figure: Path | None) -> None:
    if json_file:
        output.write_text(json_file, silicon.to_json())
    if figure:
        from reports.report.silicon_figures import drawn  # with matplotlib, which whoever asks for no figure spares

        output.write_folder(figure.parent, {figure.name: drawn(silicon, figure.suffix[1:])}, own=False)
    for table in silicon_tables.tables_of(silicon):
        console().print(table)
    for line in silicon_tables.sentences_of(silicon):
        console().print(line)


def _tell_fpga(array: str, counts: FpgaCounts, json_file: Path | None) -> None:
    if json_file:
        output.write_text(json_file, counts.to_json())
    if not counts.placed:
        for table in fpga_tables.tables_of(counts):
            console().print(table)
    for line in fpga_tables.sentences_of(counts, array):
        console().print(line)


def synthesize_both(
    array: MacArray, folder: Path, sparse_only: bool = False, formats: Sequence[FixedFormat] = (), seed: int = SEED
) -> dict[str, Synthesis]:
    """Build an array, and the same for dense layers alone, side by side in folders of their own."""
    arrays = _arrays(array, sparse_only, folder)
    with ThreadPoolExecutor(len(arrays)) as pool:
        results = pool.map(lambda name: synthesize(arrays[name], folder / name, formats, seed), arrays)
        return dict(zip(arrays, results, strict=True))


def _arrays(array: MacArray, sparse_only: bool, folder: Path) -> dict[str, MacArray]:
    """Return what is built, and make a folder for each.

    An array that has no lists is for dense layers alone, and there is nothing beside it.
    """
    dense = replace(array, list_entries=0)
    arrays = {"dense": array} if array == dense else {"sparse": array} | ({} if sparse_only else {"dense": dense})
    for name in arrays:
        (folder / name).mkdir(parents=True, exist_ok=True)
    return arrays
