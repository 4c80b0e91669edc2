"""The layers of one design as tables of a page: what stands in each cell.

`page.js` fills the same tables in a browser from `table_data`; both read the same `TABLES`, and a test in a browser
holds them equal.
"""

from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from reports.report.designs import Design, LayerDesign
from reports.report.hardware_figures import CYCLES, MEMORY
from reports.report.results import LayerRow, Results

Row = dict[str, Any]
# heading, field of a row, format (text, count, share, kib, nano, bar), whether it is written from the left
TABLES: dict[str, list[tuple[str, str, str, bool]]] = {
    "layer-memory": [
        ("layer", "name", "text", True),
        ("pattern", "pattern", "text", True),
        ("weights", "weights", "count", False),
        ("of dense", "density", "share", False),
        ("weight bits", "weight_memory_bits", "count", False),
        ("index bits", "index_memory_bits", "count", False),
        ("encoding", "encoding", "text", True),
        ("bias bits", "bias_memory_bits", "count", False),
        ("requant. bits", "requantize_memory_bits", "count", False),
        ("acc. bits", "accumulator_bits", "count", False),
        ("entries, taps, layer", "control_bits", "count", False),
        ("signals held", "held_bits", "count", False),
        ("waste", "filling_bits", "count", False),
        ("", "memory", "bar", True),
    ],
    "layer-cycles": [
        ("layer", "name", "text", True),
        ("kind", "kind", "text", True),
        ("MACs", "macs", "count", False),
        ("by FFT", "fft_multiplications", "count", False),
        ("compute", "compute_cycles", "count", False),
        ("drain", "drain_cycles", "count", False),
        ("fill", "fill_cycles", "count", False),
        ("stall", "stall_cycles", "count", False),
        ("cycles", "cycles", "count", False),
        ("lanes used", "utilization", "share", False),
        ("DRAM bits", "dram_bits", "count", False),
        ("nJ (est.)", "joules", "nano", False),
        ("", "cycles", "bar", True),
    ],
    "blocks": [
        ("memory", "name", "text", True),
        ("wanted", "wanted", "text", True),
        ("blocks", "made", "text", True),
        ("KiB", "macro_bits", "kib", False),
        ("used KiB", "payload_bits", "kib", False),
        ("empty", "empty", "share", False),
    ],
}
BARS = {
    "memory": [(name, color) for name, color, _ in MEMORY],
    "cycles": [(name, color) for name, color, _ in CYCLES],
}
SUMS = ("weights", "macs", "weight_memory_bits", "index_memory_bits", "bias_memory_bits", "requantize_memory_bits")
STORED = SUMS[2:]  # of what holds nothing these stay empty
MORE_SUMS = ("control_bits", "filling_bits", "compute_cycles", "drain_cycles", "stall_cycles")


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
    heads: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[Cell, ...], ...]
    key: tuple[tuple[str, str], ...] = ()


def tables_of(results: Results, design: Design) -> tuple[Table, ...]:
    """Return the tables of a design."""
    layers = layer_rows(results, design)
    bodies = {"layer-memory": layers, "layer-cycles": layers, "blocks": block_rows(design)}
    return tuple(_table(name, bodies[name]) for name in TABLES)


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
    """Return what is known of each layer that takes time, and of all of them, by field."""
    known = {row.name: row for row in _point_rows(results, design.pattern)}
    rows = [_row(layer, known.get(layer.name), design, results.lanes) for layer in design.layers]
    total: Row = {name: sum(row[name] or 0 for row in rows) for name in (*SUMS, *MORE_SUMS)}
    dense = sum(row.dense_weights for row in known.values())
    total |= {"name": "all", "pattern": "", "kind": "", "encoding": "", "reason": "", "accumulator_bits": None}
    total |= {"fft_multiplications": None, "held_bits": max(row["held_bits"] for row in rows), "cycles": design.cycles}
    total["fill_cycles"] = design.cycles - sum(total[f"{x}_cycles"] for x in ("compute", "drain", "stall"))
    total |= {"density": total["weights"] / dense if dense else None, "dram_bits": design.dram_bits}
    total |= {"utilization": total["macs"] / (results.lanes * design.cycles), "joules": design.joules}
    return [*rows, total]


def block_rows(design: Design) -> list[Row]:
    """Return what is known of each memory, and of all of them, by field."""
    rows: list[Row] = []
    for m in design.memories:
        banks = f"{m.banks} x " if m.banks > 1 else ""
        wanted, made = f"{banks}{m.words:,} x {m.width_bits} bit", f"{m.count:,} {m.macro}"
        used = {"macro_bits": m.macro_bits, "payload_bits": m.payload_bits}
        rows.append({"name": m.name, "wanted": wanted, "made": made, **used})
    total = {"macro_bits": design.memory_bits, "payload_bits": design.payload_bits}
    rows.append({"name": "all", "wanted": "", "made": "", **total})
    return [row | {"empty": 1 - row["payload_bits"] / row["macro_bits"]} for row in rows]


def table_data(results: Results) -> Row:
    """Return what `page.js` needs: tables, formats, and the numbers of every design that is not streamed on purpose."""
    designs = {design.key: design for design in reversed(results.designs)}  # the first of each
    stored, best = [*STORED], results.recommended
    layer_fields = [*asdict(results.designs[0].layers[0])]
    memory_fields = [*asdict(results.designs[0].memories[0])]
    records = [design.record() for design in reversed(designs.values())]
    fields = [name for name in records[0] if name not in ("multipliers", "area_mm2", "fits", "weights")]
    shown = best.pattern if best else results.patterns[0]
    return {
        "tables": TABLES,
        "bars": BARS,
        "sums": [*SUMS, *MORE_SUMS],
        "stored": stored,
        "lanes": results.lanes,
        "shown": {"pattern": shown, "weight_bits": results.shown_width, "signal_bits": results.shown_width},
        "known": {pattern: [asdict(row) for row in _point_rows(results, pattern)] for pattern in results.patterns},
        "errors": [[p.pattern, p.weight_bits, p.error_rate] for p in results.points],
        "layer_fields": layer_fields,
        "memory_fields": memory_fields,
        "fields": fields,
        "designs": [[record[name] for name in fields] for record in records],
    }


def fixed(value: float, digits: int) -> str:
    """Return a number with so many decimals, halves rounded up, as a browser's toFixed does.

    >>> fixed(6.25, 1), fixed(0.125, 2)
    ('6.3', '0.13')
    """
    return str(Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def _point_rows(results: Results, pattern: str) -> tuple[LayerRow, ...]:
    """Return the rows of a pattern's layers; what is read of them is the same at every width."""
    return results.of(pattern)[0].layers


def _row(layer: LayerDesign, known: LayerRow | None, design: Design, lanes: int) -> Row:
    row: Row = asdict(layer) | {"cycles": layer.cycles, "accumulator_bits": layer.accumulator_bits or None}
    row |= {} if known else dict.fromkeys(STORED)
    macs = known.macs if known else 0
    kept = known.weights * design.weight_bits if known else 0
    return row | {
        "pattern": known.pattern if known else "",
        "encoding": known.encoding if known else "",
        "reason": known.encoding_reason if known else "",
        "weights": known.weights if known else None,
        "density": known.weights / known.dense_weights if known and known.dense_weights else None,
        "macs": macs or None,
        "fft_multiplications": known.fft_multiplications if known else None,
        "utilization": macs / (lanes * layer.cycles) if macs else None,
        "memory_bar": [part(layer, kept) for _, _, part in MEMORY],
        "cycles_bar": [part(layer, kept) for _, _, part in CYCLES],
    }


def _table(name: str, rows: list[Row]) -> Table:
    columns = TABLES[name]
    bars = [BARS[field] for _, field, form, _ in columns if form == "bar"]
    heads = tuple((head, left) for head, _, _, left in columns)
    body = tuple(tuple(_cell(row, rows, *column[1:]) for column in columns) for row in rows)
    return Table(name, heads, body, tuple(bars[0]) if bars else ())


def _cell(row: Row, rows: list[Row], field: str, form: str, left: bool) -> Cell:
    if form == "bar":
        longest = max((sum(other[f"{field}_bar"]) for other in rows[:-1]), default=0) or 1
        sizes = row.get(f"{field}_bar", [])
        shares = [(fixed(100 * size / longest, 2), color) for size, (_, color) in zip(sizes, BARS[field], strict=False)]
        return Cell("", left, bar=tuple(shares))
    title = row.get("reason", "") if field == "encoding" else ""
    return Cell(formatted(row[field], form), left, title)


def formatted(value: Any, form: str) -> str:
    """Return a number, or None, as its format has it."""
    if value is None or form == "text":
        return value or ""
    if form == "count":
        return f"{value:,}"
    factor, digits, unit = {"share": (100, 1, " %"), "kib": (1 / 8192, 2, ""), "nano": (1e9, 2, "")}[form]
    return fixed(value * factor, digits) + unit
