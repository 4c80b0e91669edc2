"""What arrays take on an ECP5-45F, and at which clock they run: ``reports/studies/synthesis``.

    python -m reports.maintain.synthesis

Each array is built twice, with the lists of sparse layers and for dense layers alone (the extra ``fpga``). Results are
written as they come: builds of the same hardware that are in ``results.json`` already are not made again.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from accel.array import MacArray
from accel.files import write_whole
from reports.shared import markdown, output
from reports.shared.journal import results_of, write_results
from reports.shared.progress import bar
from rtl.fpga.synthesis import DEPTHS, fingerprint, synthesize

STUDY = Path(__file__).parents[1] / "studies" / "synthesis"
TOGETHER = 2  # builds at a time
ARRAYS = (
    MacArray(8, 8, **DEPTHS),
    MacArray(8, 8, weight_bits=4, **DEPTHS),
    MacArray(8, 4, **DEPTHS),
    MacArray(4, 4, **DEPTHS),
)
HEAD = """# Arrays on an ECP5-45F, speed grade 6

    python -m reports.maintain.synthesis

builds these with yosys and nextpnr; `espalier synth --array 8x8` builds one line and the one below it. *Dense* is the
same array without lists, which runs dense layers and those of feature maps alone. All have signals of 8 bits,
accumulators of 24 bits, 8 Ki weight words, 16 Ki signals and, where they have lists, 2 Ki entries. LUT and FF are what
nextpnr packed, adders and the frame of shift registers around the array included; the clock is that of its timing
analysis after routing. The device has 43,848 look-up tables, 72 multipliers of 18 x 18 bits and 108 memories of 18
kbit. With 4-bit weights two of them share a multiplier.
"""


def make(out: Path) -> None:
    """Build what is missing, and write ``results.json`` and the table after each build."""
    with output.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        found = results_of(out, "builds")
    wanted = {_name(array): array for both in ARRAYS for array in (both, replace(both, list_entries=0))}
    prints = {name: fingerprint(array) for name, array in wanted.items()}
    done = {name: found[name] for name in wanted if found.get(name, {}).get("fingerprint") == prints[name]}
    missing = [name for name in wanted if name not in done]
    with bar("synthesis", len(missing)) as shown, ThreadPoolExecutor(TOGETHER) as pool:
        builds = {pool.submit(_built, wanted[name]): name for name in missing}
        for build in as_completed(builds):
            name = builds[build]
            done[name] = {"fingerprint": prints[name], "array": asdict(wanted[name]), **build.result()}
            _write(out, {name: done[name] for name in wanted if name in done})
            shown.advance(name)


def _name(array: MacArray) -> str:
    lists = "sparse" if array.list_entries else "dense"
    return f"{array.output_lanes}x{array.pixel_lanes}, {array.weight_bits} bits, {lists}"


def _built(array: MacArray) -> dict[str, Any]:
    with output.working_folder(None) as folder:
        return asdict(synthesize(array, folder))


def _write(out: Path, builds: Mapping[str, Mapping[str, Any]]) -> None:
    write_results(out, {"builds": builds})
    rows = [_row(name, build, builds.get(name.replace("sparse", "dense"))) for name, build in builds.items()]
    heads = "array | weights | build | LUT | FF | multipliers | memories | MHz | LUT over dense"
    write_whole(out / "README.md", f"{HEAD}\n{markdown.table(heads, 'lllrrrrrr', rows)}\n".encode())


def _row(name: str, build: Mapping[str, Any], dense: Mapping[str, Any] | None) -> list[str]:
    more = f"{build['lut'] / dense['lut'] - 1:+.1%}" if dense and dense is not build else ""
    counts = [f"{build[count]:,}" for count in ("lut", "ff", "dsp", "block_ram")]
    return [*name.split(", "), *counts, f"{build['mhz']}", more]


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=STUDY, help="Where the study lies.")
def main(out: Path) -> None:
    """Build the arrays of the table."""
    make(out)


if __name__ == "__main__":
    main()
