"""Counts of a Program, layer by layer and in all. Nothing is estimated: each number is an integer of a closed form."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from accel.cost.signals import peak_signals
from accel.cost.storage import stored_index_bits
from accel.cost.summed import Summed
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, MacLayer, MulLayer, ProgramLayer, TableLayer
from accel.sparsity import parse_pattern


@dataclass(frozen=True, kw_only=True)
class Counts(Summed):
    """Work and parameter memory; ``+`` and ``sum()`` add layers up."""

    dense_weights: int = 0  # weights before pruning
    weights: int = 0  # weights that are kept
    dense_macs: int = 0  # multiply-accumulates for one image before pruning
    macs: int = 0  # multiply-accumulates for one image: kept weights x output pixels
    weight_memory_bits: int = 0  # stored words x bits of a word, the filling of edge blocks included
    index_memory_bits: int = 0  # index words of the encoding that is stored
    bias_memory_bits: int = 0  # biases x the fewest bits that hold them all
    requantize_memory_bits: int = 0  # multipliers, offsets and shifts; tables of functions too

    @property
    def parameter_memory_bits(self) -> int:
        """Everything that is stored: weights, index, biases, requantisation."""
        return self.weight_memory_bits + self.index_memory_bits + self.constant_memory_bits

    @property
    def constant_memory_bits(self) -> int:
        """What each output map has of its own beside weights: biases and requantisation."""
        return self.bias_memory_bits + self.requantize_memory_bits

    @property
    def density(self) -> float:
        """Kept weights / weights before pruning; 1 where there are none."""
        return self.weights / self.dense_weights if self.dense_weights else 1.0

    @property
    def sparsity(self) -> float:
        """The share of the weights that is gone: 1 - density."""
        return 1 - self.density


@dataclass(frozen=True, kw_only=True)
class Cycles(Summed):
    """Where the cycles of a layer go; ``+`` and ``sum()`` add layers up."""

    compute_cycles: int = 0  # steps: the array works
    drain_cycles: int = 0  # it waits for rows to leave
    fill_cycles: int = 0  # the pipeline, and what starts an image
    stall_cycles: int = 0  # it waits for weights from DRAM

    @property
    def cycles(self) -> int:
        """Cycles in all: compute, drain, fill and stalls."""
        return self.compute_cycles + self.drain_cycles + self.fill_cycles + self.stall_cycles


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """One layer's counts, and the words that they are made of."""

    name: str
    counts: Counts
    pattern: str = ""
    encoding: str = ""  # how the index is stored
    encoding_bits: Mapping[str, int] | None = None  # what each encoding of this mask would take
    weight_bits: int = 0  # bits of a weight
    signal_bits: int = 0  # bits of an output word
    accumulator_bits: int = 0

    @property
    def requantizes(self) -> bool:
        """Whether accumulators become codes here; a table of a function alone has none."""
        return bool(self.counts.requantize_memory_bits and self.accumulator_bits)


@dataclass(frozen=True, kw_only=True)
class ProgramCost:
    """The whole Program: its layers in running order, their sum, and the peak of live signals."""

    layers: tuple[LayerCost, ...]
    signal_memory_bits: int  # the most bits of signals that are held at one time
    peak_layer: str  # the layer that runs then

    @property
    def total(self) -> Counts:
        """The sum over the layers."""
        return sum((layer.counts for layer in self.layers), Counts())

    @property
    def memory_bits(self) -> int:
        """On-chip memory in all: parameters and the peak of live signals."""
        return self.total.parameter_memory_bits + self.signal_memory_bits


def cost_of(program: Program) -> ProgramCost:
    """Return what `program` costs."""
    peak_layer, signal_memory_bits = peak_signals(program)
    layers = tuple(_layer_cost(program, x) for x in program.layers)
    return ProgramCost(layers=layers, signal_memory_bits=signal_memory_bits, peak_layer=peak_layer)


def _layer_cost(program: Program, layer: ProgramLayer) -> LayerCost:
    signal_bits = program.signals[layer.name].bits
    if isinstance(layer, MacLayer):
        return _mac_cost(layer, signal_bits, math.prod(program.shapes[layer.name][1:]))
    if isinstance(layer, AvgPoolLayer | AddLayer | MulLayer):
        counts = Counts(requantize_memory_bits=layer.requantize.bits)
        accumulator_bits = layer.accumulator_bits
        return LayerCost(name=layer.name, counts=counts, signal_bits=signal_bits, accumulator_bits=accumulator_bits)
    counts = Counts(requantize_memory_bits=layer.table_bits if isinstance(layer, TableLayer) else 0)
    return LayerCost(name=layer.name, counts=counts, signal_bits=signal_bits)


def _mac_cost(layer: MacLayer, signal_bits: int, pixels: int) -> LayerCost:
    kept = layer.nest.macs_per_pixel
    counts = Counts(
        dense_weights=layer.dense_weights,
        weights=kept,
        dense_macs=layer.dense_macs,
        macs=kept * pixels,
        weight_memory_bits=layer.nest.stored_words * layer.weight_bits,
        index_memory_bits=layer.index_bits,
        bias_memory_bits=layer.bias.size * layer.bias_bits,
        requantize_memory_bits=layer.requantize.bits if layer.requantize else 0,
    )
    return LayerCost(
        name=layer.name,
        counts=counts,
        pattern=layer.pattern,
        encoding=layer.encoding,
        encoding_bits=stored_index_bits(parse_pattern(layer.pattern), layer.kept),
        weight_bits=layer.weight_bits,
        signal_bits=signal_bits,
        accumulator_bits=layer.accumulator_bits,
    )
