"""Output maps of a Program in an order in which the lanes of an array agree on what they read.

An array's group of output lanes reads the union of what its lanes keep. Maps stand in any order if the layers that read
them are reordered with them, and sums of integers do not depend on it: every score stays as it is, to the bit. Layers
whose maps an addition adds have one order; what must keep its places (the image, the scores, columns that blocks or N:M
runs cut, sums that saturate on the way) keeps them.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from accel.array import MacArray
from accel.demand import bare
from accel.encoding import encoding_called
from accel.errors import EspalierError
from accel.fixedpoint import Overflow
from accel.kernel_patterns import Kernel, KernelStrided
from accel.map_orders import Graph, Order, Orders, in_runs, moves
from accel.pattern import keeps_everything
from accel.program import Program
from accel.program_layers import ConcatLayer, FlattenLayer, MacLayer, ProgramLayer
from accel.row_order import Floats, lane_order
from accel.signal import Requantize
from accel.sparsity import Block, Mask, NOfM, parse_pattern
from accel.split import covering, splits, words_of

WINDOW = 8  # words
LEAST_WEIGHT_BITS = 2  # of an array; no order depends on them


def ordered_for(program: Program, lanes: int, split: bool = False) -> Program:
    """Return the Program with its output maps in an order that suits an array (`lane_orders`); scores are the same."""
    return in_order(program, lane_orders(program, lanes, split))


def lane_orders(program: Program, lanes: int, split: bool = False) -> Orders:
    """Return the order of output maps of every layer with weights that suits an array.

    Programs of the same masks have the same orders, whatever their word lengths.

    Parameters
    ----------
    program : Program
    lanes : int
        Output lanes, which share a list.
    split : bool
        Whether pixel lanes, of which there are several, share the sums of layers of one pixel (`accel.split`). There a
        list is one of windows, and an order is taken if it needs fewer of them: of `WINDOW` words, however many the
        array has, so that one order does for all arrays with so many output lanes.

    Raises
    ------
    EspalierError
        `lanes` is less than 1.
    """
    if lanes < 1:
        raise EspalierError(f"lanes must be at least 1, got {lanes}")
    array = bare(lanes, WINDOW if split else 1, LEAST_WEIGHT_BITS)
    graph = _graph(program)
    found: dict[str, Order] = {}
    for members in graph.free({*_kept_in_place(program)}):
        layers = [layer for layer in program.mac_layers if layer.name in members]
        order = _common_order(program, layers, array, graph.orders(found))
        if order is not None and _legal(program, trial := found | {layer.name: order for layer in layers}):
            found = trial
    return {layer.name: found.get(layer.name, np.arange(layer.shape[0])) for layer in program.mac_layers}


def in_order(program: Program, orders: Orders) -> Program:
    """Return the Program whose layers with weights give their output maps in these orders."""
    if not any(map(moves, orders.values())):
        return program
    of = _graph(program).orders(orders)
    return replace(program, layers=tuple(_in_order(layer, of) for layer in program.layers))


def _graph(program: Program) -> Graph:
    return Graph(program.layers, program.shapes, MacLayer, FlattenLayer, ConcatLayer)


def _kept_in_place(program: Program) -> Iterable[str]:
    """Yield the tensors whose maps a layer counts, or adds up in their order."""
    for layer in program.layers:
        if isinstance(layer, FlattenLayer) and layer.shape:
            yield from (*layer.inputs, layer.name)
    for layer in program.mac_layers:
        saturates = layer.accumulator_overflow is Overflow.SAT
        if saturates or isinstance(parse_pattern(layer.pattern), Block | NOfM):
            yield layer.inputs[0]


def _common_order(program: Program, layers: list[MacLayer], array: MacArray, of: Orders) -> Order | None:
    """Return an order that suits layers of one number of outputs all in all, or None where there is no better one.

    `of` has the orders of what they read.
    """
    size, outputs = math.lcm(*map(_together, layers)), layers[0].shape[0]
    if array.output_lanes % size or outputs % size or all(keeps_everything(layer.kept) for layer in layers):
        return None
    found, costs = zip(*(_reads(program, layer, array, of) for layer in layers), strict=True)
    kept = np.hstack(found)
    runs = np.any(kept.reshape(outputs // size, size, -1), axis=1)
    order = in_runs(lane_order(runs, array.output_lanes // size, np.concatenate(costs)), size)
    split = [_words(program, layer, of) for layer in layers if splits(program, layer, array)]
    if split and _windows(split, order, array) >= _windows(split, np.arange(outputs), array):
        return None
    return order if moves(order) else None


def _reads(program: Program, layer: MacLayer, array: MacArray, of: Orders) -> tuple[Mask, Floats]:
    """Return what each output of a layer reads (M, places), and what it costs that a group of lanes reads a place.

    A place is a column, which costs a step for each pixel. Of a sum that is split it is where a window may begin that
    holds a word: how many there are of these grows with the windows, which no other count does place by place (ours).
    """
    outputs, lanes = layer.shape[0], array.pixel_lanes
    if not splits(program, layer, array):
        kept = layer.kept.reshape(outputs, -1)
        return kept, np.full(kept.shape[1], float(math.prod(program.shapes[layer.name][1:])))
    words = _words(program, layer, of)
    within = np.zeros((outputs, words.shape[1] + lanes - 1), bool)
    for place in range(lanes):
        within[:, place : place + words.shape[1]] |= words
    return within, np.full(within.shape[1], 1 / lanes)


def _words(program: Program, layer: MacLayer, of: Orders) -> Mask:
    """Return which words of the input each output of a layer whose sums are split keeps (M, words)."""
    kept = layer.kept[:, of[layer.inputs[0]]].reshape(layer.shape[0], -1)
    return np.asarray(kept[:, words_of(program, layer)])


def _windows(split: list[Mask], order: Order, array: MacArray) -> int:
    """Return how many windows layers need whose outputs stand in an order: the steps that an array takes."""
    firsts = np.arange(0, order.size, array.output_lanes)
    unions = [np.logical_or.reduceat(words[order], firsts, axis=0) for words in split]
    return sum(starts.size for union in unions for starts in covering(union, array.pixel_lanes))


def _together(layer: MacLayer) -> int:
    """Return how many neighbouring outputs of a layer must stay neighbours."""
    match pattern := parse_pattern(layer.pattern):
        case Block():
            return pattern.size
        case Kernel() | KernelStrided():
            return pattern.group
    return 1


def _legal(program: Program, orders: Orders) -> bool:
    """Return whether every mask is of its pattern still; ours see to it, those of other packages may depend on it."""
    of = _graph(program).orders(orders)
    moved = (x for x in program.mac_layers if moves(of[x.name]) or moves(of[x.inputs[0]]))
    return all(parse_pattern(x.pattern).problem(_mask(x, of)) is None for x in moved)


def _mask(layer: MacLayer, of: Orders) -> Mask:
    return layer.kept[of[layer.name]][:, of[layer.inputs[0]]]


def _in_order(layer: ProgramLayer, of: Orders) -> ProgramLayer:
    """Return a layer whose input and output maps stand in the orders of their tensors."""
    rows = of[layer.name]
    requantize: Requantize | None = getattr(layer, "requantize", None)
    if requantize is not None:
        layer = replace(layer, requantize=requantize.reordered(rows))  # type: ignore[call-arg]
    if not isinstance(layer, MacLayer):
        return layer
    pattern, kept = parse_pattern(layer.pattern), _mask(layer, of)
    matrix = layer.matrix.reshape(layer.shape)[rows][:, of[layer.inputs[0]]]
    return replace(
        layer,
        index=encoding_called(pattern, layer.encoding).encode(kept),
        weights=pattern.nest(kept).gather(matrix.reshape(len(rows), -1)),
        weight_steps=layer.weight_steps[rows] if layer.weight_steps.size > 1 else layer.weight_steps,
        bias=layer.bias[rows],
    )
