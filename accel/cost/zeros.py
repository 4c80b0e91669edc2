"""Multiplications that a zero makes needless: how many there are, and what an array with gates would spare.

A weight that is kept meets the signals of one input map at one tap, one for each output pixel. Of these as many matter
as are not zero: effective MACs = sum over columns k of the lowered matrix of nonzero weights_k x nonzero signals_k.
What counts is the code that is multiplied: quantisation makes zeros of small values, and a border that a window adds
is zeros as well. This is exact, for the images that were run (`sim.nonzeros`), and an integer over all of them.

Zeros spare energy alone here, never cycles: lanes run in step, and one with nothing to do waits for the others. That is
what Eyeriss does (Chen et al., IEEE JSSC 52(1), 2017: a zero keeps the datapath of its PE from switching). Eyeriss v2
(Chen et al., IEEE JETCAS 9(2), 2019) skips instead: a cycle of a PE for each effective MAC, as
`reports/studies/referees` counts it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accel.cost.design import Estimate
from accel.cost.energy import gated
from accel.cost.invariants import Invariants
from accel.program import Program
from accel.program_layers import MacLayer

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LayerZeros:
    """What is not zero of what a layer multiplies.

    Parameters
    ----------
    name : str
    reads : str
        The tensor of its input maps: what is flattened before a fully connected layer still has them.
    images : int
        Over which signals and effective MACs are counted.
    map_signals : int
        Signals of a map, of one image.
    map_nonzeros : tuple of int
        For each map those that are not zero, of all images; a border is none of them.
    weights, nonzero_weights : int
        That are kept, and those of them that quantisation left.
    macs : int
        For one image: kept weights x output pixels.
    nonzero_macs : int
        Of all images: those whose weight and signal are both not zero.
    """

    name: str
    reads: str
    images: int
    map_signals: int
    map_nonzeros: tuple[int, ...]
    weights: int
    nonzero_weights: int
    macs: int
    nonzero_macs: int

    @property
    def map_densities(self) -> tuple[float, ...]:
        """For each map the share of its signals that are not zero, 0..1."""
        return tuple(count / (self.images * self.map_signals) for count in self.map_nonzeros)

    @property
    def signal_density(self) -> float:
        """The share of all signals that are not zero, 0..1."""
        return sum(self.map_nonzeros) / (self.images * self.map_signals * len(self.map_nonzeros))

    @property
    def effective_macs(self) -> float:
        """Effective MACs of one image, on average."""
        return self.nonzero_macs / self.images

    @property
    def mac_density(self) -> float:
        """Effective MACs / MACs, 0..1; 1 where there are none."""
        return self.effective_macs / self.macs if self.macs else 1.0


def zeros_of(program: Program, nonzeros: Mapping[str, Counts], images: int) -> tuple[LayerZeros, ...]:
    """Return what is not zero, for each layer that holds weights, in running order.

    Parameters
    ----------
    program : Program
    nonzeros : mapping of str to int64 array
        For every tensor, in its shape without the batch, of how many images each code is not zero
        (`sim.nonzeros.count_nonzeros`).
    images : int
        How many there were, at least 1.
    """
    return tuple(_zeros(program, layer, nonzeros, images) for layer in program.mac_layers)


def _zeros(program: Program, layer: MacLayer, nonzeros: Mapping[str, Counts], images: int) -> LayerZeros:
    source, nest = program.roots[layer.inputs[0]], layer.nest
    maps = nonzeros[source].reshape(program.shapes[source][0], -1)
    per_column = nest.column_sums(layer.weights != 0)
    return LayerZeros(
        name=layer.name,
        reads=source,
        images=images,
        map_signals=maps.shape[1],
        map_nonzeros=tuple(maps.sum(axis=1).tolist()),
        weights=nest.macs_per_pixel,
        nonzero_weights=int(per_column.sum()),
        macs=nest.macs_per_pixel * int(np.prod(program.shapes[layer.name][1:], dtype=np.int64)),
        nonzero_macs=int(per_column @ _read(layer, nonzeros[layer.inputs[0]])),
    )


def _read(layer: MacLayer, nonzeros: Counts) -> Counts:
    """Return for each column of the lowered matrix how often it reads a code that is not zero, of all images."""
    if layer.window is None:
        return nonzeros
    taps = layer.window.shifts(layer.window.pad(nonzeros))
    return np.stack([tap.sum(axis=(-2, -1)) for tap in taps], axis=1).reshape(-1)


def zero_gated(e: Estimate, invariants: Invariants, zeros: Iterable[LayerZeros]) -> Estimate:
    """Return the estimate of an array whose lanes hold still where a weight or a signal is zero (`energy.gated`).

    Energies change, and nothing else: cycles, words that are read and lists are those of any data. Where a technology
    says nothing of energy, nothing changes. Rows and columns that a fused pool drops, which the array does not compute,
    are taken to have as many zeros as the rest.

    Parameters
    ----------
    e : Estimate
    invariants : Invariants
        Of its Program.
    zeros : iterable of LayerZeros
        Of the same layers; the order of their output maps does not matter.
    """
    table, densities = e.technology.energy, {x.name: x.mac_density for x in zeros}
    if table is None:
        return e
    macs = {x.name: x.macs for x in invariants.schedule(e.array)}
    layers = [
        replace(x, energy=gated(x.energy, table, e.array, macs[x.name], densities[x.name]))
        if x.energy and x.name in densities
        else x
        for x in e.layers
    ]
    return replace(e, layers=tuple(layers))
