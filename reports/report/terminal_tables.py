"""Tables on the terminal."""

from collections.abc import Sequence
from dataclasses import replace

from rich.table import Table

from accel.cost import Counts, Estimate, LayerEstimate, ProgramCost, layer_storages, signal_plans
from accel.cost.fft import fft_cost, layer_fft
from accel.cost.shapes import LayerShape
from accel.program import Program
from accel.program_layers import MacLayer
from reports.report.results import Choice, Results
from reports.report.sentences import plan_note, storage_line
from reports.shared.columns import COLUMNS, SPENT, STORED, TEXT, columns
from reports.shared.words import clock_line, kib, memory_size
from reports.workflow import predictions
from reports.workflow.limits import CLOCK, ERROR, MEMORY, ROOM
from reports.workflow.verdicts import binding, filled, losses, verdict


def summary_table(results: Results) -> Table:
    """Return the error rate of every pattern (rows) at every width (columns), with memory at the narrowest."""
    table = Table(title=f"{results.network} on {results.test_images:,} test images of {results.data}: error rate in %")
    table.add_column("pattern", no_wrap=True)
    for name in ("sparsity", "MACs", "float"):
        table.add_column(name, justify="right")
    for width in results.widths:
        table.add_column(f"{width} bit", justify="right")
    table.add_column(f"KiB at {results.widths[0]}..{results.widths[-1]} bit", justify="right")
    for pattern in results.patterns:
        points = results.of(pattern)
        sizes = f"{kib(points[0].memory_bits)}..{kib(points[-1].memory_bits)}"
        shares = f"{points[0].counts.sparsity:.1%}", f"{points[0].counts.macs:,}", f"{points[0].float_error_rate:.2%}"
        table.add_row(pattern, *shares, *(f"{p.error_rate:.2%}" for p in points), sizes)
    return table


def recommendation(results: Results) -> str:
    """Return in words which point to build, or that none is good enough and what comes nearest."""
    rate, best = results.float_dense_validation_error_rate, results.chosen
    judges = f"{results.validation_images:,} validation images"
    if results.max_error.startswith("+"):
        rise = f"within {results.max_error[1:]} of the {results.reference}"
    else:
        rise = f"within {results.max_error} in all, with the {results.reference}"
    within = f"{rise} ({rate:.2%} error on {judges})"
    if best is None:
        return f"Nothing fits: no point stays {within}{_also(results)}. Nearest: {_miss(results)}."
    point = best.point
    return (
        f"Least memory {within}{_also(results)}: {point.pattern} at {point.weight_bits} bits, {_costs(results, best)}, "
        f"{point.counts.macs:,} MACs an image; {best.error_rate:.2%} error on validation images, by which it was "
        f"chosen, and {point.error_rate:.2%} on {results.test_images:,} test images ({results.reference}: "
        f"{results.float_dense_error_rate:.2%})."
    )


def _also(results: Results) -> str:
    return f" and in {kib(results.sram_bits)} KiB of memory blocks" if results.sram_bits is not None else ""


def _costs(results: Results, choice: Choice) -> str:
    if not results.designs:
        return f"{kib(choice.memory_bits)} KiB of parameters and signals"
    joules = f", {choice.energy_pj / 1e3:,.1f} nJ (estimated)" if choice.energy_pj else ""
    return f"{kib(choice.memory_bits)} KiB of memory blocks, {choice.cycles:,} cycles{joules}"


def _miss(results: Results) -> str:
    """Return in words what comes nearest, and which limits it does not meet."""
    near, missed = results.nearest, []
    for limit in results.limits:
        if limit.meets(near):
            continue
        missed.append(
            {
                ERROR: f"{_rate(results, near.error_rate)} where at most {limit.most:.2%} is allowed",
                MEMORY: f"{kib(near.memory_bits)} KiB of memory blocks where there are {kib(int(limit.most))}",
                CLOCK: f"a clock of {results.clock_hz / 1e6:g} MHz where {limit.most / 1e6:g} MHz are reached",
                ROOM: "more than the array or the technology has",
            }[limit.name]
        )
    point = near.point
    return f"{point.pattern} at {point.weight_bits} bits, which takes {' and '.join(missed)}"


def _rate(results: Results, rate: float) -> str:
    """Return an error rate; with a guard band also what has to be within the limit."""
    bound = results.decision.guard.upper(rate)
    return f"{rate:.2%} error{f' (at most {bound:.2%} for sure)' if bound > rate else ''}"


def design(choice: Choice) -> str:
    """Return a point in short."""
    return f"{choice.point.pattern} {choice.point.weight_bits} bit"


def left_out(results: Results) -> str:
    """Return in words which patterns are not in the results and why; nothing if none was left out."""
    return f"Left out, for the network cannot have them: {'; '.join(results.left_out)}." if results.left_out else ""


def size_table(program: Program, cost: ProgramCost) -> Table:
    """Return the per-layer table of one Program; FFT columns are real multiplications of its convolutions."""
    table = Table(title=f"{program.name}, {program.pattern}: bits and MACs of one image")
    ffts = "fft_multiplications", "dense_fft_multiplications"
    names = ("name", "pattern", "encoding", "dense_macs", "macs", *ffts, *STORED, "accumulator_bits")
    _columns(table, names, told="bits")
    lowered = {layer.name: layer for layer in program.mac_layers if layer.shape[2] > 1}
    for layer in cost.layers:
        if layer.accumulator_bits:
            ffts = "", ""
            if layer.name in lowered:
                pruned = layer_fft(program, lowered[layer.name]), fft_cost(_whole(program, lowered[layer.name]))
                ffts = f"{pruned[0].multiplications:,}", f"{pruned[1].multiplications:,}"
            words = layer.name, layer.pattern, layer.encoding
            table.add_row(*words, *_counts(layer.counts, ffts), str(layer.accumulator_bits))
    table.add_section()
    table.add_row("all", "", "", *_counts(cost.total, ("", "")), "")
    return table


def _counts(c: Counts, ffts: tuple[str, str]) -> list[str]:
    return [f"{c.dense_macs:,}", f"{c.macs:,}", *ffts, *(f"{bits:,}" for bits in columns(STORED, c).values())]


def _whole(program: Program, layer: MacLayer) -> LayerShape:
    """Return the shape of a layer as it was before kernels were pruned."""
    shape = LayerShape.of(program, layer)
    return replace(shape, pairs=shape.outputs * shape.maps)


def cycles_table(e: Estimate) -> Table:
    """Return where the cycles of every layer go on an array, and its energy."""
    array = e.array
    table = Table(
        title=f"{array.output_lanes}x{array.pixel_lanes} lanes, words of {array.weight_bits}, {array.signal_bits} and "
        f"{array.accumulator_bits} bits, {e.limits.clock_hz / 1e6:g} MHz: cycles of one image"
    )
    _columns(table, ("name", "kind", *SPENT, "cycles", "utilization", "dram_bits", "joules"), told="cycles")
    for layer in e.layers:
        table.add_row(layer.name, layer.kind, *_cycle_words(layer))
    table.add_section()
    table.add_row("all", "", *_cycle_words(e))
    return table


def _cycle_words(x: LayerEstimate | Estimate) -> list[str]:
    cycles = *columns(SPENT, x.spent).values(), x.cycles
    joules = f"{1e9 * x.energy.total_joules:,.1f}" if x.energy else "-"
    return [*(f"{n:,}" for n in cycles), f"{x.utilization:.1%}", f"{x.dram_bits:,}", joules]


def blocks_table(e: Estimate) -> Table:
    """Return the memories as blocks of the technology, with what of them is empty."""
    table = Table(title=f"{e.technology.about}: memory blocks")
    _columns(table, ("memory", "wanted", "made", "macro_bits", "payload_bits", "empty"))
    for m in e.memories:
        made = f"{m.count:,} {m.macro} as {m.shape[0]:,} x {m.shape[1]}"
        empty = f"{m.waste_bits / m.macro_bits:.0%}"
        table.add_row(
            m.name, memory_size(m.banks, m.words, m.width_bits), made, kib(m.macro_bits), kib(m.payload_bits), empty
        )
    table.add_section()
    table.add_row("all", "", "", kib(e.memory_bits), kib(e.payload_bits), f"{e.waste_bits / e.memory_bits:.0%}")
    return table


def memory_lines(program: Program, cost: ProgramCost) -> list[str]:
    """Return what every encoding would take, and where the memory goes."""
    lines = [
        f"{x.name} is stored as {storage_line(layer_storages(x), x.weight_bits, x.encoding)}"
        for x in program.mac_layers
        if x.pattern != "dense"
    ]
    t = cost.total
    plans = (f"{plan.name} {kib(plan.bits)} KiB ({plan_note(plan)})" for plan in signal_plans(program))
    lines += [
        f"signals: {', '.join(plans)}",
        f"parameters {kib(t.parameter_memory_bits)} KiB, signals {kib(cost.signal_memory_bits)} KiB "
        f"(peak of live maps, while {cost.peak_layer} runs), in all {kib(cost.memory_bits)} KiB; "
        f"sparsity {t.sparsity:.1%}",
    ]
    return lines


def sram_line(cost: ProgramCost, sram_bits: int) -> str:
    """Return whether whole layers fit."""
    spare = sram_bits - cost.memory_bits
    verdict = f"fits, {kib(spare)} KiB to spare" if spare >= 0 else f"{kib(-spare)} KiB too little for whole layers"
    return f"SRAM of {kib(sram_bits)} KiB: {verdict}"


def estimate_lines(
    e: Estimate,
    streamed: Estimate | None = None,
    tiled: bool = False,
    packed: Estimate | None = None,
    fps: float | None = None,
) -> list[str]:
    """Return multipliers, roofs, what is estimated or predicted, what streaming would take, and last the verdict.

    `packed` is what streamed weights would take as they are stored, `fps` a rate of images of which the power is told.
    Where layers fit `tiled`, that is the verdict, which others give; here stands what whole layers lack.
    """
    most, roof = e.technology.multipliers, e.roofline
    bandwidth = "" if roof.bandwidth_macs_per_s is None else f", {roof.bandwidth_macs_per_s / 1e9:,.2f} by bandwidth"
    lines = [
        f"{e.multipliers:,} multipliers{'' if most is None else f' of {most:,}'}; "
        f"{roof.attained_macs_per_s / 1e9:,.2f} GMAC/s of {roof.peak_macs_per_s / 1e9:,.2f} by lanes{bandwidth}; "
        f"{roof.macs_per_dram_byte:,.0f} MACs a DRAM byte"
    ]
    lines.append(losses(e))
    lines += filter(None, [filled(e)])
    if e.energy:
        lanes = e.energy.register_joules + e.energy.requantize_joules
        parts = {"mac": e.energy.mac_joules, "registers": lanes, "SRAM": e.energy.sram_joules}
        parts |= {"DRAM": e.energy.dram_joules, "leakage": e.energy.leakage_joules}
        if e.energy.fetch_joules or e.energy.control_joules:
            parts |= {"fetch": e.energy.fetch_joules, "clock of control": e.energy.control_joules}
        shares = ", ".join(f"{name} {1e9 * joules:,.1f}" for name, joules in parts.items())
        lines.append(f"estimated, {e.technology.origin}: {1e9 * e.energy.total_joules:,.1f} nJ an image ({shares})")
    if fps is not None and (watts := e.watts_at(fps)) is not None:
        lines.append(f"estimated, {e.technology.origin}: {1e3 * watts:.4g} mW at {fps:g} images a second")
    if e.area_mm2 is not None:
        lines.append(f"estimated: {e.area_mm2:.3f} square millimeters of lanes and memories")
    lines += predictions.lines(e.array)
    if packed:
        lines.append(packed_line(packed, streamed or e))
    highest = e.technology.clock
    lines.append(clock_line(e.limits.clock_hz, highest.hz if highest else None))
    if streamed:
        lines.append(
            f"with --stream it {'fits' if streamed.fits else 'takes too much, too'}: weights streamed through two "
            f"buffers take {kib(streamed.memory_bits)} KiB of memory blocks and {streamed.cycles:,} cycles"
        )
    return [*filter(None, lines), f"whole layers: {binding(e)}" if tiled else verdict(e)]


def packed_line(packed: Estimate, streamed: Estimate) -> str:
    """Return what streamed weights would take that come as they are stored, beside lane words."""
    return (
        f"unpacked on the chip, stored weights and their index would move {kib(packed.dram_bits)} KiB an image from "
        f"and to DRAM, lane words {kib(streamed.dram_bits)}; {kib(packed.memory_bits)} KiB of memory blocks and "
        f"{packed.cycles:,} cycles (an estimate: our hardware streams lane words, and does not unpack)"
    )


def _columns(table: Table, names: Sequence[str], told: str = "") -> None:
    for column in (COLUMNS[name] for name in names):
        heading, words = column.heading(told), column.form == TEXT
        table.add_column(heading, no_wrap=words, justify="left" if words else "right")
