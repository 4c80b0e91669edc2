"""`espalier size`: what a network takes on chip, and on an array what it takes in blocks, cycles and joules."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from accel.array import MacArray
from accel.cost import (
    Estimate,
    Invariants,
    Limits,
    ProgramCost,
    SignalPlan,
    cost_of,
    estimate_of,
    layer_storages,
    load_technology,
    signal_plans,
)
from accel.cost.design import CLOCK_HZ
from accel.cost.fft import layer_fft
from accel.cost.technology import DEFAULT
from accel.errors import EspalierError, reading
from accel.program import Program
from accel.quantize import Calibration, Widths, lower_shapes, ordered_for, with_zero_runs
from reports.commands.options import (
    ZEROS,
    clock_option,
    csv_option,
    data_options,
    depth_options,
    json_option,
    network_argument,
    option,
    pattern_option,
    technology_option,
    zero_runs_option,
)
from reports.commands.places import Command
from reports.report import memory_tables, saved, terminal_tables, zero_tables
from reports.report.points import layer_rows
from reports.report.sentences import plan_note
from reports.shared import console as shared_console
from reports.shared import notes, output
from reports.shared.spreadsheet import csv_text
from reports.workflow import memory_curve, zeros
from reports.workflow.load import is_program, sizeable
from reports.workflow.lowering import lowered
from reports.workflow.memory_curve import TILED, MemoryCurve, capacity, curve_of, memory_short
from reports.workflow.parsing import parse_array, parse_bandwidth, parse_frequency, parse_lanes, parse_memories
from reports.workflow.sources import check_range, random_images, source_if_any
from reports.workflow.verdicts import record
from reports.workflow.zeros import Zeros

ARRAY = "8x8"
BITS = 8


@dataclass(frozen=True)
class Sized:
    """What a network takes on an array, if one was asked for, and where it does not fit what streaming would take."""

    on_array: Estimate | None = None
    streamed: Estimate | None = None
    packed: Estimate | None = None  # weights streamed as they are stored, which our hardware does not
    resident: Estimate | None = None  # of the same array with room for all weights
    invariants: Invariants | None = None
    fps: float | None = None
    watts: float | None = None  # at that rate of images

    def fits(self, cost: ProgramCost, curve: MemoryCurve, sram_bits: int | None) -> bool | None:
        """Return whether it fits, whole or in tiles; None where nothing is said that it should fit into."""
        if self.on_array is not None:
            return self.on_array.fits or self.tiled(curve)
        return None if sram_bits is None else cost.memory_bits <= sram_bits or bool(curve.points)

    def tiled(self, curve: MemoryCurve) -> bool:
        """Return whether an array has too little memory for whole layers, and enough for tiles."""
        return self.on_array is not None and memory_short(self.on_array) and bool(curve.points)


@click.command("size", cls=Command)
@network_argument
@option("--weight-bits", type=int, help="Bits of a weight; 8 by default.")
@option("--signal-bits", type=int, help="Bits of a signal; 8 by default.")
@pattern_option
@option("--sram", help="On-chip memory to fit into, such as 64KiB, or a range to compare, such as 64KiB..4MiB.")
@option("--array", help="Array, as output lanes x pixel lanes; 8x8 where another option asks for one.")
@option(
    "--accumulator-bits",
    type=click.IntRange(2),
    help="Bits of an accumulator of the array; as many as the Program needs by default.",
)
@clock_option
@option(
    "--dram-bandwidth",
    help="Bandwidth of the DRAM, such as 800MB/s: what streaming weights would take if they do not fit.",
)
@technology_option
@option("--fps", type=click.FloatRange(0, min_open=True), help="Images a second at which to tell the power, estimated.")
@depth_options
@option(
    "--images",
    type=click.IntRange(1),
    help="Count zeros of signals over so many images of those that give steps: effective MACs, energy with gates.",
)
@option("--zeros", "folder", type=ZEROS, help="Folder to write these zeros to, of all such images unless --images.")
@zero_runs_option
@json_option
@csv_option
@data_options
def command(
    network: str,
    weight_bits: int | None,
    signal_bits: int | None,
    pattern: str | None,
    sram: str | None,
    array: str | None,
    accumulator_bits: int | None,
    clock: str | None,
    dram_bandwidth: str | None,
    technology: str | None,
    fps: float | None,
    images: int | None,
    folder: Path | None,
    zero_runs: bool,
    json_file: Path | None,
    csv_file: Path | None,
    data: str | None,
    data_dir: str | None,
    depths: Mapping[str, int] | None = None,
) -> int:
    """Count bits and MACs layer by layer; on an array also cycles, memory blocks, energy, and what binds.

    NETWORK may also be a Program, whose pattern, word lengths and order of output maps are its own; those of a network
    are ordered for the array, as `espalier quantize --lanes` does it. Or it is an ONNX file, whose weights may have
    shapes alone. Where the memory is too small for whole layers, it is said how they run in tiles, which our hardware
    does not. Exit status 1 if it does not fit.

    Example: espalier size lenet5 --pattern kernel --weight-bits 4 --signal-bits 6 --sram 64KiB
    Example: espalier size lenet5 --pattern kernel --array 8x8 --sram 4KiB..64KiB --dram-bandwidth 400MB/s
    Example: espalier size lenet5 --pattern kernel --array 8x8 --technology ecp5-45f --clock 80MHz
    Example: espalier size digits --pattern kernel --array 8x8 --images 256 --zeros build/zeros
    """
    rooms = parse_memories(sram) if sram else ()
    sram_bits = max(rooms, default=None)
    dram_bytes_per_s = parse_bandwidth(dram_bandwidth) if dram_bandwidth else None
    limits = Limits(
        clock_hz=parse_frequency(clock) if clock else CLOCK_HZ,
        dram_bytes_per_s=dram_bytes_per_s,
        sram_bits=sram_bits,
    )
    chip = load_technology(technology or DEFAULT)
    program = program_of(network, weight_bits, signal_bits, pattern, data, data_dir)
    counting = None
    if images is not None or folder is not None:
        if folder:
            output.write_folder(folder, {})  # an unwritable folder is known before the work, not after it
        counting = zeros.counted(network, program, data, data_dir, images)
    sized = Sized()
    asked = (array, accumulator_bits, clock, dram_bandwidth, technology, fps)
    has_array = bool(depths) or any(option is not None for option in asked)
    if has_array and not is_program(network):  # whose order is its own
        outputs, pixels = parse_lanes(array or ARRAY)
        program = ordered_for(program, outputs, split=pixels > 1 and bool((depths or {}).get("split", True)))
    if zero_runs:
        program = with_zero_runs(program)
    if has_array:
        made, invariants = _array(array or ARRAY, accumulator_bits, program, depths), Invariants(program)
        on_array, streamed = estimate_of(invariants, invariants.words, made, chip, limits), None
        if not on_array.fits and dram_bytes_per_s is not None:
            streamed = estimate_of(invariants, invariants.words, made, chip, replace(limits, stream=True))
        packed = _packed(invariants, on_array if made.stream_words else streamed)
        resident = on_array
        if made.stream_words:
            room = {name: words for name, words in (depths or {}).items() if name not in ("stream", "weight_words")}
            all_there = _array(array or ARRAY, accumulator_bits, program, room)
            resident = estimate_of(invariants, invariants.words, all_there, chip, limits)
        sized = Sized(on_array, streamed, packed, resident, invariants, fps, _watts(on_array, fps))
    cost = cost_of(program)
    curve = _curve(program, cost, rooms, sized)
    found = counting.on_array(sized.on_array, sized.invariants) if counting else None
    if folder and found:
        output.write_folder(folder, _drawn(found))
    if csv_file:
        output.write_text(csv_file, _csv(cost))
    if json_file:
        output.write_json(json_file, _record(program, cost, sram_bits, sized, curve, found))
    _show(program, cost, sram_bits, sized, curve, found)
    return 1 if sized.fits(cost, curve, sram_bits) is False else 0


def program_of(
    network: str,
    weight_bits: int | None,
    signal_bits: int | None,
    pattern: str | None,
    data: str | None,
    data_dir: str | None,
) -> Program:
    """Return the Program in a file, or a network lowered at the word lengths, 8 bits where none is given.

    Where nothing says where images are, a random one gives it steps, which say nothing of its accuracy. Of an ONNX file
    the shapes of weights are enough.

    Raises
    ------
    EspalierError
        The network is unknown, or is not of that pattern; or something is asked of a Program that is its own.
    """
    made = sizeable(network, pattern)
    if isinstance(made, Program):
        asked = {"--weight-bits": weight_bits, "--signal-bits": signal_bits, "--pattern": pattern}
        given = [f"{option} {value}" for option, value in asked.items() if value is not None]
        if given:
            raise EspalierError(
                f"{network}: is a Program, whose pattern and word lengths are its own; {', '.join(given)} cannot apply"
            )
        return made
    widths = Widths(BITS if weight_bits is None else weight_bits, BITS if signal_bits is None else signal_bits)
    if made.shapes_alone:
        if data is not None:
            made.check_values(f"calibration (--data {data})")
        notes.say(f"{network}: weights have no values; sums, biases and multipliers are as wide as any may need")
        return lower_shapes(made, widths)
    source = source_if_any(network, made, data, data_dir)
    if source is None:
        notes.say(
            f"{network}: without images (--data, --data-dir) steps are from a random one, biases may have other bits"
        )
        return lowered(Calibration(made, random_images(made.network.input_shape, 1)), widths)
    images = source.calibration()
    check_range(images, made, network)
    return lowered(Calibration(made, images.pixels()), widths)


def _array(text: str, accumulator_bits: int | None, program: Program, depths: Mapping[str, int] | None) -> MacArray:
    array = parse_array(text, program, depths)
    return array if accumulator_bits is None else replace(array, accumulator_bits=accumulator_bits)


def _watts(on_array: Estimate, fps: float | None) -> float | None:
    """Return the power at a rate of images; raises EspalierError where the technology knows no energy."""
    if fps is None:
        return None
    if on_array.energy is None:
        raise EspalierError(f"--fps: nothing is known of energy in the technology {on_array.technology.name}")
    with reading("--fps"):
        return on_array.watts_at(fps)


def _packed(invariants: Invariants, streamed: Estimate | None) -> Estimate | None:
    """Return what streamed weights take that come as they are stored; None where that is no less than lane words."""
    if streamed is None:
        return None
    limits = replace(streamed.limits, unpack=True)
    found = estimate_of(invariants, invariants.words, streamed.array, streamed.technology, limits)
    return found if found.dram_bits < streamed.dram_bits else None


def _curve(program: Program, cost: ProgramCost, rooms: tuple[int, ...], sized: Sized) -> MemoryCurve:
    """Return what it takes in the memories that were asked for, or, where blocks are short, in all that there are."""
    whole = sized.resident
    if sized.on_array and sized.on_array.fits and sized.on_array is not whole and len(rooms) == 1:
        rooms = ()  # streamed weights are what was asked for, and they fit
    most = capacity(whole.technology) if whole else None
    if most is not None:
        short = sized.on_array is not None and memory_short(sized.on_array)
        rooms = tuple(dict.fromkeys(min(room, most) for room in rooms)) or ((most,) if short else ())
    return curve_of(program, cost, rooms, whole, sized.invariants)


def _drawn(found: Zeros) -> dict[str, bytes]:
    """Return the files of a folder of zeros."""
    from reports.report import zero_figures  # with matplotlib, which whoever asks for sizes alone need not wait for

    return {**zero_figures.render(found), "zeros.json": found.to_json().encode()}


def _show(
    program: Program, cost: ProgramCost, sram_bits: int | None, sized: Sized, curve: MemoryCurve, found: Zeros | None
) -> None:
    console, on_array = shared_console.console(), sized.on_array
    console.print(terminal_tables.size_table(program, cost))
    if on_array is not None:
        console.print(terminal_tables.cycles_table(on_array))
        console.print(terminal_tables.blocks_table(on_array))
    if found:
        console.print(zero_tables.zeros_table(found))
    if len(curve.points) > 1:
        console.print(memory_tables.curve_table(curve))
    for point in curve.points if len(curve.points) == 1 else ():
        if point.needs == TILED:
            console.print(memory_tables.tiles_table(curve, point))
    lines = [*terminal_tables.memory_lines(program, cost), memory_tables.least_line(curve)]
    lines += [zero_tables.zeros_line(found)] if found else []
    if on_array is None:
        lines += [terminal_tables.sram_line(cost, sram_bits)] if sram_bits is not None else []
    else:
        lines += terminal_tables.estimate_lines(on_array, sized.streamed, sized.tiled(curve), sized.packed, sized.fps)
    for line in (*lines, *memory_tables.verdict_lines(curve)):
        console.print(line)


def _plan(plan: SignalPlan) -> dict[str, Any]:
    return {"name": plan.name, "bits": plan.bits, "parts": plan.parts, "note": plan_note(plan)}


def _csv(cost: ProgramCost) -> str:
    """Return one line a layer, without its cycles: where they go, and the rest, is in --json."""
    return csv_text(saved.LAYER, (saved.layer(row).values() for row in layer_rows(cost)))


def _record(
    program: Program, cost: ProgramCost, sram_bits: int | None, sized: Sized, curve: MemoryCurve, found: Zeros | None
) -> dict[str, Any]:
    total, on_array, streamed = cost.total, sized.on_array, sized.streamed
    storages = {x.name: {way.name: way.bits(x.weight_bits) for way in layer_storages(x)} for x in program.mac_layers}
    return {
        "network": program.name,
        "pattern": program.pattern,
        **asdict(total),
        "parameter_memory_bits": total.parameter_memory_bits,
        "signal_memory_bits": cost.signal_memory_bits,
        "memory_bits": cost.memory_bits,
        "sram_bits": sram_bits,
        "fits": sized.fits(cost, curve, sram_bits),
        "layers": [saved.layer(row) for row in layer_rows(cost)],
        "storage_bits": storages,
        "signal_plans": [_plan(plan) for plan in signal_plans(program)],
        "fft": {x.name: asdict(layer_fft(program, x)) for x in program.mac_layers if x.shape[2] > 1},
        "estimate": record(on_array) if on_array else None,
        "streamed": record(streamed) if streamed else None,
        "packed": record(sized.packed) if sized.packed else None,
        "power": {"images_per_s": sized.fps, "watts": sized.watts} if sized.fps else None,
        "tiling": memory_curve.record(curve),
        "zeros": asdict(found) if found else None,
    }
