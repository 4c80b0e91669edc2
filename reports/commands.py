"""What each command does, once its arguments are words and numbers."""

import importlib.metadata
import os
import platform
import re
import sys
import time
from dataclasses import asdict
from enum import IntEnum
from pathlib import Path
from typing import Any

from accel import archive
from accel.cost import ProgramCost, cost_of
from accel.errors import EspalierError
from accel.fixedpoint import Overflow, Rounding
from accel.interchange import datasets, fetch, zoo
from accel.program import KIND, WORD_BITS, Program
from accel.prune import cluster
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from reports import figures, measure, output, tables
from reports.page import page
from reports.pruning import prune
from reports.results import layer_rows
from sim.engine import compile_program

_UNITS = {"b": 1, "B": 8, "KiB": 8 * 1024, "MiB": 8 * 1024**2}


def report(
    network: str,
    bits: str,
    patterns: str | None,
    out: Path,
    data_dir: str | None,
    images: int | None,
    threads: int | None,
) -> None:
    """Measure, write the folder `out`, and print the summary."""
    labels = None if patterns is None else parse_patterns(patterns)
    planned = measure.plan(network, parse_bits(bits), labels, data_dir, images, threads)
    output.write_folder(out, {})  # an unwritable folder is known before the work, not after it
    results = measure.measure(planned)
    drawn = figures.render(results)
    files = {"results.json": results.to_json().encode(), "results.csv": results.to_csv().encode()}
    output.write_folder(out, {**drawn, **files, "report.html": page(results, drawn)})
    console = tables.console()
    console.print(tables.summary_table(results))
    console.print(tables.recommendation(results))
    console.print(f"Written to {out}: report.html, results.json, results.csv and figures.")


def size(
    network: str,
    weight_bits: int,
    signal_bits: int,
    pattern: str | None,
    sram: str | None,
    json_file: Path | None,
    data_dir: str | None,
) -> None:
    """Print the per-layer table, and whether it fits."""
    sram_bits = parse_memory(sram) if sram else None
    program = _program(network, Widths(weight_bits, signal_bits), pattern, data_dir)
    cost = cost_of(program)
    if json_file:
        output.write_json(json_file, _size_record(program, cost, sram_bits))
    console = tables.console()
    console.print(tables.size_table(program, cost))
    for line in tables.memory_lines(cost, sram_bits):
        console.print(line)


def quantize(
    network: str,
    out: Path,
    weight_bits: int,
    signal_bits: int,
    input_bits: int,
    pattern: str | None,
    power_of_two: bool,
    rounding: str,
    overflow: str,
    cluster_lanes: int | None,
    data_dir: str | None,
) -> None:
    """Lower a network and write the Program."""
    widths = Widths(weight_bits, signal_bits, input_bits)
    modes = {"rounding": _mode(Rounding, rounding), "overflow": _mode(Overflow, overflow)}
    pruned = _version(network, pattern)
    pruned = cluster(pruned, cluster_lanes) if cluster_lanes else pruned
    images = measure.calibration_images(network, pruned.data, data_dir).pixels()
    program = lower(pruned, widths, images, power_of_two=power_of_two, **modes)
    with output.writing(out):
        program.save(out)
    cost = cost_of(program)
    print(f"{out}: {program.name}, {program.pattern}, {tables.kib(cost.total.parameter_memory_bits)} KiB of parameters")


def run(
    program: Path,
    data: str | None,
    split: str,
    data_dir: str | None,
    images: int | None,
    threads: int | None,
    json_file: Path | None,
) -> None:
    """Run a Program over a split and print error rate and speed."""
    loaded = Program.load(program)
    if not (data or loaded.data):
        raise EspalierError(f"{program}: does not say which data set it was made for; name one with --data")
    images_of = datasets.load(data or loaded.data, split, data_dir)
    images_of = images_of.take(images) if images else images_of
    codes = loaded.input_signal.encode(images_of.pixels())
    engine = compile_program(loaded)
    engine.run(codes[:1], threads)  # compiles the kernels, or fetches them from the cache
    start = time.perf_counter()
    rate = engine.error_rate(codes, images_of.labels, threads)
    seconds = time.perf_counter() - start
    record = {
        "program": str(program),
        "data": images_of.name,
        "split": images_of.split,
        "images": len(images_of),
        "error_rate": rate,
        "images_per_second": len(images_of) / seconds,
        "macs": engine.run(codes[:1], threads).macs,
    }
    if json_file:
        output.write_json(json_file, record)
    print(f"{program}: {rate:.2%} error on {len(images_of):,} images, {record['images_per_second']:,.0f} images/s")


def info() -> None:
    """Print versions, processor, zoo and data folder."""
    for name in ("espalier-hw", "numpy", "numba", "llvmlite", "amaranth"):
        print(f"{name} {importlib.metadata.version(name)}")
    print(f"python {platform.python_version()}, {os.cpu_count()} processors")
    for name in zoo.names():
        print(f"zoo: {name} ({', '.join(zoo.patterns(name))})")
    print(f"data: {os.environ.get(datasets.DATA_DIR_VARIABLE) or 'ESPALIER_DATA is not set'}")


def data_fetch(name: str, data_dir: str | None, base_url: str | None) -> None:
    """Download a data set."""
    print(fetch.fetch(name, data_dir, base_url, progress=sys.stderr.isatty()))


def parse_bits(text: str) -> tuple[int, ...]:
    """Return the word lengths that `text` names, ascending.

    >>> parse_bits("3..8"), parse_bits("8,4")
    ((3, 4, 5, 6, 7, 8), (4, 8))
    """
    widths: set[int] = set()
    if match := re.fullmatch(r"([0-9]{1,3})\.\.([0-9]{1,3})", text):
        widths = {*range(int(match[1]), int(match[2]) + 1)}
    elif re.fullmatch(r"[0-9]{1,3}(,[0-9]{1,3})*", text):
        widths = {*map(int, text.split(","))}
    if not widths or not 2 <= min(widths) <= max(widths) <= WORD_BITS:
        allowed = f"within 2..{WORD_BITS}"
        raise EspalierError(f"--bits {text}: expected a range {allowed}, such as 3..8, or a list, such as 3,4,8")
    return tuple(sorted(widths))


def parse_patterns(text: str) -> list[str]:
    """Return the labels that `text` names.

    >>> parse_patterns("dense, 2:4")
    ['dense', '2:4']
    """
    labels = [label.strip() for label in text.split(",")]
    if "" in labels:
        raise EspalierError(f"--patterns {text}: expected names with commas between them, such as dense,kernel")
    return labels


def parse_memory(text: str) -> int:
    """Return the bits that `text` names.

    >>> parse_memory("64KiB"), parse_memory("512b")
    (524288, 512)
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(b|B|KiB|MiB)", text)
    if not match:
        raise EspalierError(f"--sram {text}: expected a size such as 64KiB, 1.5MiB, 4096B or 32768b")
    return int(float(match[1]) * _UNITS[match[2]])


def _program(network: str, widths: Widths, pattern: str | None, data_dir: str | None) -> Program:
    if zoo.is_file(network) and archive.kind_of(network) == KIND:
        program = Program.load(network)
        if pattern not in (None, program.pattern):
            raise EspalierError(f"{network}: holds a Program with the pattern {program.pattern}, not {pattern}")
        return program
    pruned = _version(network, pattern)
    return lower(pruned, widths, measure.calibration_images(network, pruned.data, data_dir).pixels())


def _version(network: str, pattern: str | None) -> PrunedNetwork:
    """Return the version of a zoo network that `pattern` names, or a file, pruned by magnitude if asked for."""
    if not zoo.is_file(network):
        return zoo.load(network, pattern)
    given = zoo.load(network)
    return given if pattern in (None, given.pattern) else prune(given, pattern)


def _mode(modes: type[IntEnum], name: str) -> Any:
    datasets.check_choice(modes.__name__.lower(), name, [*modes.__members__])
    return modes[name]


def _size_record(program: Program, cost: ProgramCost, sram_bits: int | None) -> dict[str, Any]:
    total = cost.total
    return {
        "network": program.name,
        "pattern": program.pattern,
        **asdict(total),
        "parameter_memory_bits": total.parameter_memory_bits,
        "signal_memory_bits": cost.signal_memory_bits,
        "memory_bits": cost.memory_bits,
        "sram_bits": sram_bits,
        "fits": None if sram_bits is None else cost.memory_bits <= sram_bits,
        "layers": [asdict(row) for row in layer_rows(cost)],
    }
