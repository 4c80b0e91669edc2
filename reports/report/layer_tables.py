"""The layers of one design, or of one point, as tables of a page: what stands in each cell.

`page.js` shows the same tables in a browser for whichever design a reader chooses, from `table_data`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accel.cost import Counts, Cycles
from reports.report.designs import Design, LayerDesign
from reports.report.hardware_figures import CYCLES, MEMORY, Part
from reports.report.points import LayerRow, Point
from reports.report.results import Results
from reports.shared.columns import COLUMNS, SPENT, STORED, TEXT, columns, fixed
from reports.shared.words import memory_size

Row = dict[str, Any]  # of columns; what a row does not have is empty
BARS: dict[str, Sequence[Part]] = {"memory_bar": MEMORY, "cycles_bar": CYCLES}
STORAGE = ("name", "pattern", "encoding", "weights", "density")
TABLES = {
    "layer-memory": (
        *(*STORAGE, *STORED, "accumulator_bits", "control_bits", "held_bits", "filling_bits", "memory_bar"),
    ),
    "layer-cycles": (
        *("name", "kind", "macs", "fft_multiplications", *SPENT, "cycles", "utilization", "dram_bits", "joules"),
        "cycles_bar",
    ),
    "blocks": ("memory", "wanted", "made", "macro_bits", "payload_bits", "empty"),
}
OF_A_POINT = (*STORAGE, "macs", *STORED, "accumulator_bits")
OF_A_DESIGN = ("name", "kind", *SPENT, "cycles", "control_bits", "held_bits", "filling_bits", "dram_bits", "joules")


@dataclass(frozen=True)
class Head:
    """The head of a column."""

    text: str
    left: bool
    title: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell: its text, or the shares in % of a bar with their colours."""

    text: str
    left: bool = False
    title: str = ""
    bar: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True)
class Table:
    """A table of the page; its last row is the total."""

    name: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    key: tuple[tuple[str, str], ...] = ()


def tables_of(results: Results, design: Design) -> tuple[Table, ...]:
    """Return the tables of a design."""
    layers = layer_rows(results, design)
    bodies = {"layer-memory": layers, "layer-cycles": layers, "blocks": block_rows(design)}
    return tuple(_table(name, TABLES[name], bodies[name]) for name in TABLES)


def point_table(point: Point) -> Table:
    """Return what is counted of each layer of a point, whatever array it runs on."""
    rows = [_counted(row) | {"macs": row.counts.macs, "accumulator_bits": row.accumulator_bits} for row in point.layers]
    return _table("", OF_A_POINT, [*rows, _total(point.counts)])


def title_of(design: Design) -> str:
    """Return what a design is called."""
    return f"{design.pattern}, {design.weight_bits}-bit weights, {design.signal_bits}-bit signals"


def summary_of(results: Results, design: Design) -> str:
    """Return a design in one line; its error rate is known where weights and signals have the same width."""
    point = next((p for p in results.of(design.pattern) if p.weight_bits == design.weight_bits), None)
    measured = point is not None and design.weight_bits == design.signal_bits
    error = f"{fixed(100 * point.error_rate, 2)} % error" if measured and point else "error not measured"
    return f"{fixed(design.stored_bits / 8192, 2)} KiB of parameters and signals, {error}"


def layer_rows(results: Results, design: Design) -> list[Row]:
    """Return what is known of each layer that takes time, and of all of them."""
    known = {row.name: row for row in results.of(design.pattern)[0].layers}  # words are the same at every width
    layers, lanes = design.layers, results.lanes
    spent = sum((layer.spent for layer in layers), Cycles())
    spent += Cycles(fill_cycles=design.cycles - spent.cycles)  # the start of the image
    counts = sum((layer.counts for layer in layers), Counts())
    total = _total(counts) | columns(SPENT, spent) | columns(("cycles", "dram_bits", "joules"), design)
    total |= {name: sum(getattr(layer, name) for layer in layers) for name in ("control_bits", "filling_bits")}
    total |= {
        "held_bits": max(layer.held_bits for layer in layers),
        "utilization": sum(layer.slots.useful_slots for layer in layers) / (lanes * design.cycles),
    }
    return [*(_row(layer, known.get(layer.name), design.weight_bits, lanes) for layer in layers), total]


def block_rows(design: Design) -> list[Row]:
    """Return what is known of each memory, and of all of them."""
    rows: list[Row] = []
    for m in design.memories:
        words = {"wanted": memory_size(m.banks, m.words, m.width_bits), "made": f"{m.count:,} {m.macro}"}
        rows.append({"memory": m.name, **words, **columns(("macro_bits", "payload_bits"), m)})
    rows.append({"memory": "all", "macro_bits": design.memory_bits, "payload_bits": design.payload_bits})
    return [row | {"empty": 1 - row["payload_bits"] / row["macro_bits"]} for row in rows]


def table_data(results: Results) -> Row:
    """Return what `page.js` needs: words and tables of every design that is not streamed on purpose.

    A table is a list of numbers of rows, as many are those of other designs, too. A row is a list of cells: a text; the
    shares of a bar; or, where it has a title, a number of those in ``titled``.
    """
    rows: dict[str, int] = {}
    titled: dict[tuple[str, str], int] = {}

    def plain(cell: Cell) -> str | int | list[float]:
        if cell.bar is not None:
            return [float(share) for share, _ in cell.bar]
        return titled.setdefault((cell.text, cell.title), len(titled)) if cell.title else cell.text

    designs = {design.key: design for design in reversed(results.designs)}  # the first of each
    made = []
    for design in reversed(designs.values()):
        tables = [
            [rows.setdefault(json.dumps([*map(plain, row)]), len(rows)) for row in table.rows]
            for table in tables_of(results, design)
        ]
        made.append([[*map(str, design.key)], title_of(design), summary_of(results, design), design.verdict, tables])
    best, width = results.recommended, str(results.shown_width)
    return {
        "tables": [*TABLES],
        "colors": [
            [color for name in names if name in BARS for _, color, _ in BARS[name]] for names in TABLES.values()
        ],
        "rows": [*map(json.loads, rows)],
        "titled": [*titled],
        "designs": made,
        "shown": [best.pattern if best else results.patterns[0], width, width],
    }


def _counted(row: LayerRow) -> Row:
    """Return the columns of a layer that holds weights or constants."""
    words = columns(("name", "pattern", "encoding", "encoding_reason", "fft_multiplications"), row)
    return words | _kept(row.counts)


def _kept(counts: Counts) -> Row:
    density = counts.density if counts.dense_weights else None
    return columns(("weights", *STORED), counts) | {"density": density}


def _total(counts: Counts) -> Row:
    return {"name": "all", "macs": counts.macs, **_kept(counts)}


def _row(layer: LayerDesign, known: LayerRow | None, weight_bits: int, lanes: int) -> Row:
    row = columns(OF_A_DESIGN, layer, layer.spent)
    row |= {name: [part(layer, weight_bits) for _, _, part in parts] for name, parts in BARS.items()}
    if known:
        row |= _counted(known) | _kept(layer.counts) | {"accumulator_bits": layer.accumulator_bits}
    if layer.counts.macs:
        row |= {"macs": layer.counts.macs, "utilization": layer.slots.useful_slots / (lanes * layer.spent.cycles)}
    return row


def _table(name: str, names: Sequence[str], rows: Sequence[Row]) -> Table:
    told = "cycles" if "cycles" in names else ""
    heads = [
        Head("", left=True) if x in BARS else Head(COLUMNS[x].heading(told), COLUMNS[x].form == TEXT, COLUMNS[x].about)
        for x in names
    ]
    body = tuple(tuple(_bar(x, row, rows) if x in BARS else _cell(x, row) for x in names) for row in rows)
    key = tuple((part, color) for x in names if x in BARS for part, color, _ in BARS[x])
    return Table(name, tuple(heads), body, key)


def _cell(name: str, row: Mapping[str, Any]) -> Cell:
    column = COLUMNS[name]
    title = row.get("encoding_reason", "") if name == "encoding" else ""
    return Cell(column.written(row.get(name)), column.form == TEXT, title)


def _bar(name: str, row: Row, rows: Sequence[Row]) -> Cell:
    longest = max((sum(other[name]) for other in rows if name in other), default=0) or 1
    parts = zip(row.get(name, []), BARS[name], strict=False)  # the total has none
    return Cell("", left=True, bar=tuple((fixed(100 * size / longest, 2), color) for size, (_, color, _) in parts))
