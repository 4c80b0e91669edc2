"""The page of the study of memories: README.md, from saved results alone."""

from collections.abc import Iterable, Iterator

from reports.shared import markdown
from reports.shared.words import kib
from reports.studies.files import picture
from reports.studies.memory.definition import (
    CLOCK_HZ,
    DRAM_BYTES_PER_S,
    GONE,
    LANES,
    MEMORIES,
    PRUNED,
    RATIO,
    SEED,
    STREAMED,
    TECHNOLOGY,
)
from reports.studies.memory.figures import CAPTIONS
from reports.studies.memory.networks import NETWORKS
from reports.studies.memory.results import Results, Row

SHOWN = (64, 128, 256, 512, 1024, 2048, 4096)  # KiB
ARRAY = "x".join(map(str, LANES))
HOW = f"""What ResNet-18 and MobileNetV2 (224 x 224 pixels) move from and to DRAM in memories of {MEMORIES}, up to the
first in which whole layers fit; `espalier size NETWORK --sram {MEMORIES}` does the same for any network. Where whole
layers do not fit they run in tiles, or several at once, row by row; which do, which weights stay for all images and
which tensors stay between layers is chosen so that the least moves, exactly, by dynamic programming
(`accel.cost.residency`). Weights are random (seed {SEED}); `{PRUNED}` takes {RATIO:.0%} of the kernels of each layer,
those of sixteen output maps together, but of the first and the last one, of ResNet's 1x1 layers and of MobileNetV2's
depthwise ones. Bits are of weights and signals, the image has 8. Weights travel as they are stored, with their index,
biases and constants. Energy, area and stalls are estimates, for an array of {ARRAY} lanes at {CLOCK_HZ / 1e6:g} MHz, a
DRAM of {DRAM_BYTES_PER_S / 1e9:g} GB/s and the table `{TECHNOLOGY}`, with memories as large as a plan uses them; the
memory that is recommended has the least energy times area of lanes and memories. **Our hardware runs whole layers
alone: all but the last point of each curve is an estimate for hardware that nobody has built.**"""


def page(results: Results, figures: Iterable[str]) -> str:
    """Return README.md; `figures` are file names."""
    parts = [
        "# DRAM traffic and energy against memory",
        "    python -m reports.studies.memory",
        HOW,
        *(() if results.missing else (f"**{recommended(results)}**",)),
        *(picture(name, CAPTIONS, figures) for name in CAPTIONS),
        _table(results),
        *(_section(results, network) for network in NETWORKS),
        *_streamed(results),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def recommended(results: Results) -> str:
    """Return the memories that are recommended for the dense networks at 8 bits."""
    told = []
    for network in NETWORKS:
        row = results.row(network, "dense", 8)
        moved = f"{row.best.dram_bits / 8e6:.2f} MB of DRAM traffic and {1e3 * row.best.joules:.2f} mJ an image"
        told.append(f"{network} {kib(row.best.room_bits)} KiB, {moved}")
    return f"Least energy times area, dense at 8 bits: {'; '.join(told)}."


def _table(results: Results) -> str:
    heads = "network | pattern | bits | weights | smallest KiB | whole layers KiB | recommended KiB"
    rows = []
    for row in results.rows:
        best = row.best
        cells = [row.network, row.pattern, str(row.bits), f"{row.weights:,}", kib(row.least_bits), kib(row.whole_bits)]
        cells += [kib(best.room_bits), f"{best.dram_bits / 8e6:.2f}", f"{1e3 * best.joules:.2f}"]
        cells += [f"{best.stall_cycles / (row.cycles + best.stall_cycles):.1%}"]
        rows.append(cells)
    return markdown.table(f"{heads} | MB there | mJ there | stalls there", "llrrrrrrrr", rows)


def _section(results: Results, network: str) -> str:
    told = "MB an image in memories of so many KiB: by the plan, in parentheses each layer by itself."
    heads = " | ".join(["pattern", "bits", *map(str, SHOWN)])
    rows = ([row.pattern, str(row.bits), *_cells(row)] for row in results.rows if row.network == network)
    return f"## {network}\n\n{told}\n\n{markdown.table(heads, 'lr' + 'r' * len(SHOWN), rows)}"


def _cells(row: Row) -> Iterator[str]:
    for size in SHOWN:
        point = row.at(size << 13)
        yield f"{point.dram_bits / 8e6:.2f} ({point.apart_dram_bits / 8e6:.2f})"


def _streamed(results: Results) -> Iterator[str]:
    if not results.streamed:
        return
    network, pattern, bits = STREAMED
    yield "## Streamed weights"
    yield (
        f"{network} with {GONE:.0%} of the single weights of every layer gone (`{pattern}`, by magnitude) at {bits} "
        f"bits, whole layers, all weights streamed each image into two buffers of a group of {LANES[0]} output maps "
        "(`espalier size NETWORK --stream`). Lane words are a weight for each of these maps, zeros where one keeps "
        "nothing, and the lists of what is kept stay on the chip. Stored words are those that are kept, each group's "
        "with its index, by a bitmap or by runs of zeros (`--zero-runs`), unpacked on the chip into buffers of two "
        "groups. Pairs of input maps that a step reads do not follow from the index, so that steps read one map there, "
        "and take more cycles. **Our hardware streams lane words; it unpacks nothing, so that all but the first line "
        "are estimates for hardware that nobody has built** (`accel.cost.packed` says what is assumed)."
    )
    megabytes = "DRAM, MB an image | stored weights, MB | their index, MB | image and scores, MB"
    heads = f"what travels | our hardware | {megabytes} | lists on chip, KiB | memory, KiB | cycles | stalls | mJ"
    rows = []
    for row in results.streamed:
        moved = row.dram_bits, row.weight_bits, row.index_bits, row.borders_bits
        cells = [row.way, "yes" if row.on_our_hardware else "**no**", *(f"{x / 8e6:.2f}" for x in moved)]
        cells += [kib(row.list_bits), kib(row.memory_bits), f"{row.cycles:,}", f"{row.stall_cycles / row.cycles:.1%}"]
        rows.append([*cells, f"{1e3 * row.joules:.2f}"])
    yield markdown.table(heads, "llrrrrrrrrr", rows)
