"""`espalier synth`: what an array takes on an FPGA, with lists and without."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from accel.array import MacArray
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.program import Program
from reports.commands.options import (
    BUILD,
    IN,
    array_option,
    depth_options,
    json_option,
    number_option,
    option,
    word_options,
)
from reports.commands.places import Command
from reports.shared import output
from reports.workflow.parsing import parse_array, parse_lanes
from rtl.assemble import signal_formats
from rtl.fpga.synthesis import DEPTHS, SEED, Synthesis, synthesize

WORD_BITS = {"weight_bits": 8, "signal_bits": 8, "accumulator_bits": 24}  # of an array for no Program in particular


@click.command("synth", cls=Command)
@click.argument("program", type=IN, required=False)
@array_option
@word_options
@depth_options
@option("--sparse-only", is_flag=True, help="Do not build the array for dense layers alone beside it.")
@number_option("--seed", SEED, "Seed of placement, by which the clock of one array differs by a tenth and more.")
@option("--out", "-o", type=BUILD, help="Keep the build in this folder.")
@json_option
def command(
    program: Path | None,
    array: str,
    sparse_only: bool,
    seed: int,
    out: Path | None,
    json_file: Path | None,
    depths: Mapping[str, int] | None = None,
    **word_bits: int | None,
) -> None:
    """Build an array for an ECP5-45F FPGA: look-up tables, flip-flops, multipliers, memories, clock. Takes minutes.

    With a PROGRAM it is the array that `espalier rtl` writes for it.

    Example: espalier synth --array 4x4
    Example: espalier synth digits.espalier --array 4x4
    """
    asked = {name: bits for name, bits in word_bits.items() if bits is not None}
    if program is None:
        output_lanes, pixel_lanes = parse_lanes(array)
        words: dict[str, Any] = WORD_BITS | asked | dict(DEPTHS) | dict(depths or {})
        if words.pop("stream", False):  # both buffers take the whole memory
            words["stream_words"] = words["weight_words"] // 2
        mac_array = MacArray(output_lanes=output_lanes, pixel_lanes=pixel_lanes, **words)
        formats: Sequence[FixedFormat] = ()
    elif asked:
        option = f"--{next(iter(asked)).replace('_', '-')}"
        raise EspalierError(f"{option}: the words of {program} say how wide those of its array are")
    else:
        loaded = Program.load(program)
        mac_array, formats = parse_array(array, loaded, depths), signal_formats(loaded)
    with output.working_folder(out) as folder:
        output.write_folder(folder, {})
        builds = synthesize_both(mac_array, folder, sparse_only, formats, seed)
    if json_file:
        output.write_json(json_file, {"array": asdict(mac_array), **{name: asdict(x) for name, x in builds.items()}})
    for name, result in builds.items():
        print(
            f"{array}, {mac_array.weight_bits}-bit weights, {mac_array.signal_bits}-bit signals, {name}: "
            f"{result.lut:,} LUT, {result.ff:,} FF, {result.dsp} DSP, {result.block_ram} block RAM, {result.mhz} MHz"
        )
    if len(builds) == 2:
        print(f"lists cost {builds['sparse'].lut / builds['dense'].lut - 1:.1%} more LUT")


def synthesize_both(
    array: MacArray, folder: Path, sparse_only: bool = False, formats: Sequence[FixedFormat] = (), seed: int = SEED
) -> dict[str, Synthesis]:
    """Build an array, and the same for dense layers alone, side by side in folders of their own.

    One that has no lists is for dense layers alone, and there is nothing beside it.
    """
    dense = replace(array, list_entries=0)
    arrays = {"dense": array} if array == dense else {"sparse": array} | ({} if sparse_only else {"dense": dense})
    for name in arrays:
        (folder / name).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(len(arrays)) as pool:
        results = pool.map(lambda name: synthesize(arrays[name], folder / name, formats, seed), arrays)
        return dict(zip(arrays, results, strict=True))
