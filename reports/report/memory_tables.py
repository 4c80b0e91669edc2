"""Tables and lines of networks in memories of several sizes, for the terminal."""

from collections.abc import Iterator

from rich.table import Table

from accel.cost.plans import LayerPlan
from reports.shared.words import kib
from reports.workflow.memory_curve import TILED, MemoryCurve, MemoryPoint

STAYS, NONE = "stays", "-"
NOT_OURS = "an estimate: our hardware runs whole layers, and neither tiles nor groups"


def tiles_table(curve: MemoryCurve, point: MemoryPoint) -> Table:
    """Return how each layer runs in a memory: its tile, and what goes to DRAM and comes from there for one image."""
    table = Table(title=f"{curve.name} in {kib(point.room_bits)} KiB: tiles, and KiB from and to DRAM for one image")
    stalls = point.on_array.stall_cycles if point.on_array else None
    heads = ("tile", "order", "input", "weights", "partial sums", "output", "DRAM", *(("stall",) if stalls else ()))
    table.add_column("layer", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="left" if head in ("tile", "order") else "right", no_wrap=head == "tile")
    for layer in point.plan.layers:
        cells = [*_tile(layer), *_moved(layer), kib(layer.dram_bits)]
        table.add_row(layer.name, *cells, *([f"{stalls[layer.name]:,}"] if stalls else []))
    table.add_section()
    waits = [f"{sum(stalls.values()):,}"] if stalls else []
    table.add_row("all", "", "", *_sums(point), kib(point.plan.dram_bits), *waits)
    return table


def curve_table(curve: MemoryCurve) -> Table:
    """Return traffic, stalls and energy against memory, a row a size."""
    table = Table(title=f"{curve.name}: one image in memories of several sizes")
    timed = any(curve.images_per_s(point) is not None for point in curve.points)
    known = curve.best is not None
    heads = ["KiB", "needs", "DRAM KiB", "with weights that stay", "weights that stay KiB"]
    heads += ["stall cycles", "images/s"] * timed + ["µJ (est.)", "mm² (est.)"] * known
    for head in heads:
        table.add_column(head, justify="left" if head == "needs" else "right")
    for point in curve.points:
        plan, speed = point.plan, curve.images_per_s(point)
        cells = [kib(point.room_bits), point.needs]
        cells += [kib(bits) for bits in (plan.dram_bits, plan.first_dram_bits, plan.resident_bits)]
        if timed and point.on_array:
            cells += [f"{point.on_array.stalls:,}", f"{speed:,.1f}"]
        if known and point.on_array:
            cells += [f"{1e6 * (point.joules or 0):,.1f}", f"{point.on_array.area_mm2:.2f}"]
        table.add_row(*cells)
    return table


def least_line(curve: MemoryCurve) -> str:
    """Return the smallest memories."""
    return (
        f"the smallest memory that works: {kib(curve.least_bits)} KiB, in tiles ({NOT_OURS}); "
        f"{kib(curve.whole_bits)} KiB for whole layers"
    )


def verdict_lines(curve: MemoryCurve) -> Iterator[str]:
    """Yield what fits in tiles where whole layers do not; of several memories, which is best."""
    if len(curve.points) > 1 and curve.best:
        yield f"the least energy times area (estimated): {kib(curve.best.room_bits)} KiB, in {curve.best.needs}"
    for point in curve.points if len(curve.points) == 1 else ():
        if point.needs == TILED:
            yield _verdict(curve, point)


def _verdict(curve: MemoryCurve, point: MemoryPoint) -> str:
    plan, moved = point.plan, f"{kib(point.plan.dram_bits)} KiB from and to DRAM for one image"
    stays = f"{kib(plan.resident_bits)} KiB of weights stay"
    speed = curve.images_per_s(point)
    told = f", {point.on_array.stalls:,} cycles of stalls, {speed:,.1f} images/s" if speed and point.on_array else ""
    energy = "" if point.joules is None else f", {1e6 * point.joules:,.1f} µJ"
    return f"fits in tiles: {kib(point.room_bits)} KiB, {moved}, {stays}{told}{energy}; {NOT_OURS}"


def _tile(layer: LayerPlan) -> tuple[str, str]:
    if layer.tile is None:
        return f"group {layer.group}" if layer.group else "whole", ""
    tile = layer.tile
    return f"{tile.rows} x {tile.outputs} x {tile.maps}", ", ".join(tile.order)


def _moved(layer: LayerPlan) -> Iterator[str]:
    """Yield what of a layer moves: its input, weights, partial sums and output; or that it stays on the chip."""
    yield kib(layer.input_bits) if layer.input_bits else STAYS
    yield kib(layer.weight_bits) if layer.weight_bits else STAYS
    yield kib(layer.sum_bits) if layer.sum_bits else NONE
    yield kib(layer.output_bits) if layer.output_bits else STAYS


def _sums(point: MemoryPoint) -> Iterator[str]:
    """Yield what moves of all layers; an image that comes at once is an input."""
    layers = point.plan.layers
    yield kib(point.plan.image_bits + sum(layer.input_bits for layer in layers))
    for name in ("weight_bits", "sum_bits", "output_bits"):
        yield kib(sum(getattr(layer, name) for layer in layers))
