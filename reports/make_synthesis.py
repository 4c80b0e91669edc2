"""What arrays take on an ECP5-45F, and at which clock they run: ``reports/studies/synthesis``.

    python -m reports.make_synthesis

Each array is built twice, with the lists of sparse layers and for dense layers alone, side by side (the extra
``fpga``). Builds that are in ``results.json`` already, of the same hardware, are not made again.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from accel.array import MacArray
from accel.files import write_whole
from reports import output
from reports.hardware import synthesize_both
from reports.progress import bar

STUDY = Path(__file__).parent / "studies" / "synthesis"
RTL = Path(__file__).parent.parent / "rtl"
MEMORIES = {"weight_words": 1 << 13, "list_entries": 1 << 11}
ARRAYS = (
    MacArray(4, 4, **MEMORIES),
    MacArray(8, 4, **MEMORIES),
    MacArray(8, 8, weight_bits=4, **MEMORIES),
    MacArray(8, 8, **MEMORIES),
)
HEAD = """# Arrays on an ECP5-45F, speed grade 6

`python -m reports.make_synthesis` made these numbers with yosys and nextpnr; *dense* is the same array without lists,
which runs dense layers and those of feature maps alone. Lattice's table of this device has 72 multipliers of 18 x 18
bits, 108 memories of 18 kbit and 43,848 look-up tables.

| array | weights | build | LUT | FF | multipliers | memories | MHz | LUT over dense |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def make(out: Path) -> None:
    """Build what is missing, and write ``results.json`` and the table after each array."""
    path = out / "results.json"
    with output.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        found = json.loads(path.read_text())["builds"] if path.exists() else {}
    done: dict[str, Any] = {}
    with bar("synthesis", len(ARRAYS)) as shown:
        for array in ARRAYS:
            key = _key(array)
            done[key] = found[key] if key in found else _built(array)
            write_whole(path, (json.dumps({"builds": done}, indent=1) + "\n").encode())
            write_whole(out / "README.md", (HEAD + "".join(map(_rows, done.values()))).encode())
            shown.advance(f"{array.output_lanes}x{array.pixel_lanes}")


def _built(array: MacArray) -> dict[str, Any]:
    with output.working_folder(None) as folder:
        output.write_folder(folder, {})
        builds = synthesize_both(array, folder)
    return {"array": asdict(array), **{name: asdict(result) for name, result in builds.items()}}


def _key(array: MacArray) -> str:
    """Return what a build depends on, as one short text."""
    digest = hashlib.sha256(repr(array).encode())
    for source in sorted(RTL.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _rows(build: dict[str, Any]) -> str:
    array, lines = build["array"], ""
    for name in ("sparse", "dense"):
        result = build[name]
        more = f"{result['lut'] / build['dense']['lut'] - 1:+.1%}" if name == "sparse" else ""
        cells = [
            f"{array['output_lanes']}x{array['pixel_lanes']}",
            f"{array['weight_bits']} bits",
            name,
            *(f"{result[count]:,}" for count in ("lut", "ff", "dsp", "block_ram")),
            f"{result['mhz']}",
            more,
        ]
        lines += "| " + " | ".join(cells) + " |\n"
    return lines


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=STUDY, help="Where the study lies.")
def main(out: Path) -> None:
    """Build the arrays of the table."""
    make(out)


if __name__ == "__main__":
    main()
