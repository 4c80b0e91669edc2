"""What arrays take on an ECP5-45F, speed grade 6: the table of ``reports/studies/synthesis``.

    python -m reports.make_synthesis

needs the extra ``fpga``. Each array is built twice, as it is and for dense layers alone. A build takes minutes; those
that are in the results are not made again.
"""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from accel.array import MacArray
from accel.files import write_whole
from reports.hardware import synthesize_both

STUDY = Path(__file__).parent / "studies" / "synthesis"
ARRAYS = {
    "8x8, 8-bit weights, 8-bit signals": MacArray(8, 8),
    "8x8, 4-bit weights, 8-bit signals": MacArray(8, 8, weight_bits=4, accumulator_bits=20),
    "8x8, 4-bit weights, 4-bit signals": MacArray(8, 8, weight_bits=4, signal_bits=4, accumulator_bits=16),
    "4x4, 8-bit weights, 8-bit signals": MacArray(4, 4),
}
HEAD = """# Synthesis for an ECP5-45F, speed grade 6

`python -m reports.make_synthesis` (yosys and nextpnr as YoWASP ships them; seed 1) made these numbers. "dense" is
the same array without index lists (`MacArray.list_entries = 0`), which runs dense and feature-map layers alone.
Memories are those of `MacArray()`: 16 Ki signals, 16 Ki weight words, 4 Ki entries. The device has 43,848 LUT, 72
multipliers and 108 block RAMs. Where two weights and a signal have at most 18 bits, two output lanes share one.

| array | build | LUT | FF | DSP | block RAM | MHz | LUT for lists |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


def make(out: Path) -> None:
    """Build what is missing; write ``results.json`` after each array, and the table."""
    results = out / "results.json"
    rows = json.loads(results.read_text()) if results.exists() else {}
    for name, array in ARRAYS.items():
        if rows.get(name, {}).get("array") != asdict(array):
            with tempfile.TemporaryDirectory() as folder:
                builds = synthesize_both(array, Path(folder))
            rows[name] = {"array": asdict(array), **{build: asdict(result) for build, result in builds.items()}}
            out.mkdir(parents=True, exist_ok=True)
            write_whole(results, (json.dumps(rows, indent=1) + "\n").encode())
        print(json.dumps({name: rows[name]["sparse"]}))
    write_whole(out / "README.md", (HEAD + "".join(_lines(rows))).encode())


def _lines(rows: dict) -> list[str]:
    lines = []
    for name, row in rows.items():
        for build in ("sparse", "dense"):
            x = row[build]
            more = f"+{row['sparse']['lut'] / row['dense']['lut'] - 1:.1%}" if build == "sparse" else ""
            counts = f"{x['lut']:,} | {x['ff']:,} | {x['dsp']} | {x['block_ram']} | {x['mhz']}"
            lines.append(f"| {name} | {build} | {counts} | {more} |\n")
    return lines


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=STUDY, help="Where the study lies.")
def main(out: Path) -> None:
    """Build the arrays of the table."""
    make(out)


if __name__ == "__main__":
    main()
