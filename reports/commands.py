"""What each command does, once its arguments are words and numbers."""

import importlib.metadata
import os
import platform
import sys
import time
from pathlib import Path

from accel.array import MacArray
from accel.cost import Limits, load_technology
from accel.cost.estimate import CLOCK_HZ
from accel.cost.technology import DEFAULT
from accel.interchange import datasets, fetch, zoo
from accel.program import Program
from reports import figures, measure, output, tables
from reports.designing import DRAM_BYTES_PER_S, Hardware
from reports.hardware import parse_lanes
from reports.page import page
from reports.parsing import parse_bandwidth, parse_bits, parse_frequency, parse_memory, parse_patterns
from reports.sources import check_range, source_of
from sim import instructions
from sim.engine import compile_program


def report(
    network: str,
    bits: str,
    patterns: str | None,
    out: Path,
    data_dir: str | None,
    images: int | None,
    threads: int | None,
    array: str,
    clock: str | None,
    dram_bandwidth: str | None,
    sram: str | None,
    technology: str | None,
    data: str | None,
) -> int:
    """Measure, write the folder `out`, and print the summary; return 0, or 1 if nothing can be recommended."""
    labels = None if patterns is None else parse_patterns(patterns)
    hardware = _hardware(array, clock, dram_bandwidth, sram, technology)
    planned = measure.plan(network, parse_bits(bits), labels, data_dir, images, threads, hardware, data)
    output.write_folder(out, {})  # an unwritable folder is known before the work, not after it
    results = measure.measure(planned)
    drawn = figures.render(results)
    files = {"results.json": results.to_json().encode(), "results.csv": results.to_csv().encode()}
    output.write_folder(out, {**drawn, **files, "report.html": page(results, drawn)})
    console = tables.console()
    console.print(tables.summary_table(results))
    console.print(tables.recommendation(results))
    clock = tables.clock_line(results.clock_hz, results.highest_clock_hz)
    if clock and results.designs:
        console.print(clock)
    if results.left_out:
        console.print(tables.left_out(results))
    console.print(f"Written to {out}: report.html, results.json, results.csv and figures.")
    return 0 if results.recommended else 1


def _hardware(
    array: str, clock: str | None, dram_bandwidth: str | None, sram: str | None, technology: str | None
) -> Hardware:
    limits = Limits(
        clock_hz=parse_frequency(clock) if clock else CLOCK_HZ,
        dram_bytes_per_s=parse_bandwidth(dram_bandwidth) if dram_bandwidth else DRAM_BYTES_PER_S,
        sram_bits=parse_memory(sram) if sram else None,
    )
    lanes = parse_lanes(array)
    _ = MacArray(*lanes)  # an array that cannot be is known before the work
    return Hardware(*lanes, load_technology(technology or DEFAULT), limits)


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
    images_of = source_of(str(program), loaded, data, data_dir).load(split)
    check_range(images_of, loaded, loaded.name)
    images_of = images_of.take(images) if images else images_of
    codes = images_of.codes(loaded.input_signal)
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
    choice = instructions.choose()
    print(f"kernel: {choice.name} ({choice.reason}); {', '.join(instructions.available())} can run here")
    for name in zoo.names():
        print(f"zoo: {name} ({', '.join(zoo.patterns(name))})")
    print(f"data: {os.environ.get(datasets.DATA_DIR_VARIABLE) or 'ESPALIER_DATA is not set'}")


def data_fetch(name: str, data_dir: str | None, base_url: str | None) -> None:
    """Download a data set."""
    print(fetch.fetch(name, data_dir, base_url, progress=sys.stderr.isatty()))
