"""Hold our closed forms against SCALE-Sim and ZigZag, and write the page: needs the extra ``referees``.

python -m reports.studies.referees
"""

import importlib.metadata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from accel.files import write_whole
from reports.shared import markdown, output
from reports.studies.referees.compared import (
    LANES,
    MOBILENET_V2,
    NETWORKS,
    RESNET18,
    SIDE,
    Product,
    Traffic,
    ideals,
    products,
    program_of,
    traffic,
)
from reports.studies.referees.zig_zag import SEARCHED

HERE = Path(__file__).parent
HEAD = """# Against other people's simulators

    python -m reports.studies.referees

runs SCALE-Sim {scalesim} and ZigZag {zigzag} (`pip install -e ".[referees]"`) on the layers of {networks},
of ResNet-18 as ZigZag ships it and of MobileNetV2, and writes this page. The tests hold a handful of layers against
both. Another page has [Eyeriss v2's PE](eyeriss_v2/README.md), which skips zeros.

## SCALE-Sim: cycles, reads and writes of a dense systolic array of {side} x {side}

Each layer is a product of matrices (M x K) times (K x N); layers of one shape are one product. Equal are those of which
all four numbers are: cycles, words of inputs and weights that are read, words of outputs that are written, counted in
what SCALE-Sim's ports ask for, cycle by cycle. `accel/cost/systolic.py` has the closed forms. n:m keeps n of each m
weights, which SCALE-Sim has for weight stationary arrays alone; the bits of its index are ours.
"""
IDEAL = """
## ZigZag: ideal cycles of {outputs} output maps x {pixels} pixels of a row

The steps of our array (without the features that let a tile pass the end of a row or lanes share a sum) beside the
cycles of ZigZag's temporal mapping, whose memories never stall.
"""
TRAFFIC = """
## ZigZag: DRAM traffic of {outputs} output maps x {pixels} pixels of a row

Bytes from and to DRAM for one image, dense at 8 bits, each layer with weights by itself, at a chip's memory of so many
KiB: ours in the tiles of `accel/cost/tiling.py`, biases and constants included; ZigZag's where its mapping takes the
least energy and DRAM nearly all of it. ZigZag cuts loops at their prime factors, of which it orders at most {searched},
ours anywhere: in a small memory ours may move less.
"""


def page(
    found: Sequence[Product],
    ideal: Iterable[tuple[str, Sequence[tuple[str, int, int]]]],
    moved: Iterable[Traffic],
) -> str:
    """Return README.md."""
    versions = {name: importlib.metadata.version(name) for name in ("scalesim", "zigzag-dse")}
    networks = ", ".join(name for name in NETWORKS if name != RESNET18)
    words = {"networks": networks, "side": SIDE, "scalesim": versions["scalesim"], "zigzag": versions["zigzag-dse"]}
    equal = f"**{sum(x.equal for x in found)} of {len(found)} products are equal.**"
    groups: dict[tuple[str, str, str], list[Product]] = defaultdict(list)
    for x in found:
        groups[x.network, x.stationary, "dense" if x.kept.m == 1 else f"{x.kept.n}:{x.kept.m}"].append(x)
    sums = []
    for key, alike in groups.items():
        cycles = sum(x.ours[0] for x in alike), sum(x.theirs[0] for x in alike)
        sums.append([*key, *_counts(len(alike), sum(x.equal for x in alike), *cycles)])
    steps = []
    for network, layers in ideal:
        totals = (sum(x) for x in zip(*((a == b, a, b) for _, a, b in layers), strict=True))
        steps.append([network, *_counts(len(layers), *totals)])
    megabytes = []
    for one in moved:
        cells = f"{one.ours / 1e6:.2f}", f"{one.theirs / 1e6:.2f}", f"{one.ours / one.theirs:.3f}"
        megabytes.append([one.network, *_counts(one.room_bits >> 13), *cells])
    parts = [
        HEAD.format(**words),
        equal + "\n",
        markdown.table("network | stationary | weights | products | equal | cycles here | there", "lllrrrr", sums),
        IDEAL.format(outputs=LANES[0], pixels=LANES[1]),
        markdown.table("network | layers | equal | cycles here | there", "lrrrr", steps),
        TRAFFIC.format(outputs=LANES[0], pixels=LANES[1], searched=SEARCHED),
        markdown.table("network | KiB | MB here | there | here / there", "lrrrr", megabytes),
    ]
    return "\n".join(parts) + "\n"


def _counts(*counts: int) -> Iterable[str]:
    return (f"{count:,}" for count in counts)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=HERE, help="Where the page goes.")
def main(out: Path) -> None:
    """Run both, and write the page."""
    found: list[Product] = []
    for network in NETWORKS:
        found += products(network)
        click.echo(f"{network}: {len(found)} products so far, {sum(x.equal for x in found)} equal", err=True)
    ideal = [(network, list(ideals(program_of(network)))) for network in ("lenet5", RESNET18)]
    moved = [x for network in (RESNET18, MOBILENET_V2) for x in traffic(program_of(network), network)]
    with output.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "README.md", page(found, ideal, moved).encode())


if __name__ == "__main__":
    main()
