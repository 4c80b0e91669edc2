"""Layers of Sparseloop's artifact with masks of weights and signals, as Programs, and what their ground truth says.

A PE of Eyeriss v2 skips what is multiplied by zero, and takes a cycle for each effective MAC (`accel.cost.zeros`). The
masks become weights and an image of a Program, the engine runs it, and what is counted of its tensors is compared.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.cost.zeros import zeros_of
from accel.encoding import cheapest
from accel.errors import EspalierError
from accel.files import read_whole
from accel.network import INPUT
from accel.pattern import Mask
from accel.program import Program
from accel.program_layers import MacLayer
from accel.signal import Signal, integer_format
from accel.sparsity import Irregular
from accel.window import Window
from sim.engine import compile_program
from sim.nonzeros import count_nonzeros

SETUP = Path("workspace/2022.micro.artifact/evaluation_setups/fig12_eyerissv2_pe_setup")
TRUTH = SETUP / "scripts/ground_truth_cycles.yaml"
WORKLOAD = SETUP / "workload/mobilenet0.5-sparse"
MOST_BYTES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class PeLayer:
    """A layer of 1 x 1 kernels on Eyeriss v2's PE.

    Parameters
    ----------
    name : str
    weights : bool array (outputs, maps)
        Which are not zero.
    signals : bool array (maps, rows, columns)
        Which are not zero.
    cycles : int
        Of the ground truth.
    """

    name: str
    weights: Mask
    signals: Mask
    cycles: int


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What both say of a layer: MACs of kept weights, effective ones, and cycles of the ground truth."""

    name: str
    shape: tuple[int, int, int]  # outputs, maps, pixels
    macs: int
    effective_macs: int
    cycles: int


def read(checkout: Path) -> Iterator[PeLayer]:
    """Yield the layers of which a checkout of the artifact has masks, sizes and cycles.

    Raises
    ------
    EspalierError
        It is none, or a file says something else than sizes, cycles or a mask.
    OSError
        A file cannot be read.
    """
    truth = _numbers(checkout / TRUTH)
    for path in sorted((checkout / WORKLOAD / "uniform").glob("L*.yaml")):
        name, sizes = path.stem, _numbers(path)
        if name not in truth or not {"M", "C", "E", "F"} <= sizes.keys():
            raise EspalierError(f"{path}: expected sizes M, C, E and F, and cycles of {name} in {checkout / TRUTH}")
        rows, columns = sizes["E"], sizes["F"]
        masks = checkout / WORKLOAD / "actual_data" / "actual_data_masks"
        weights = _mask(masks / f"{name}_weights.txt", (sizes["M"], sizes["C"]))
        signals = _mask(masks / f"{name}_iacts.txt", (rows, columns, sizes["C"]))  # maps of a pixel side by side
        yield PeLayer(name=name, weights=weights, signals=signals.transpose(2, 0, 1), cycles=truth[name])


def compared(layer: PeLayer) -> Compared:
    """Return what is counted of a layer, a Program that the engine runs, beside the ground truth."""
    made = program_of(layer)
    nonzeros = count_nonzeros(compile_program(made), layer.signals[None].astype(np.uint8))
    (found,) = zeros_of(made, nonzeros, images=1)
    outputs, maps = layer.weights.shape
    shape = outputs, maps, layer.signals[0].size
    return Compared(
        name=layer.name, shape=shape, macs=found.macs, effective_macs=found.nonzero_macs, cycles=layer.cycles
    )


def program_of(layer: PeLayer) -> Program:
    """Return a Program of a layer whose weights that are not zero are ones, and whose signals have a bit."""
    kept, (outputs, maps) = layer.weights[:, :, None], layer.weights.shape
    encoding, index = cheapest(Irregular(), kept)
    bits = maps.bit_length() + 1
    conv = MacLayer(
        layer.name,
        (INPUT,),
        shape=(outputs, maps, 1),
        window=Window.square(1),
        pattern=str(Irregular()),
        encoding=encoding,
        index=index,
        weight_bits=2,
        weights=Irregular().nest(kept).gather(layer.weights.astype(np.int8)),
        weight_steps=np.ones(1),
        bias_bits=1,
        bias=np.zeros(outputs, np.int64),
        accumulator_bits=bits,
        relu=False,
        requantize=None,
        output=Signal(integer_format(bits, signed=True), 1.0),
        dense_weights=kept.size,
        dense_macs=kept.size * layer.signals[0].size,
    )
    reads = Signal(integer_format(1, signed=False), 1.0)
    _, rows, columns = layer.signals.shape
    return Program(layer.name, str(Irregular()), "", (maps, rows, columns), reads, (conv,))


def _numbers(path: Path) -> dict[str, int]:
    """Return the whole numbers that a file of YAML has beside names, at any depth."""
    text = read_whole(path, MOST_BYTES).decode()
    return {name: int(number) for name, number in re.findall(r"^ *(\w+): *(\d+) *$", text, re.MULTILINE)}


def _mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    flags = np.frombuffer(read_whole(path, MOST_BYTES), np.uint8)
    if flags.size != np.prod(shape) or not np.isin(flags, (ord("0"), ord("1"))).all():
        raise EspalierError(f"{path}: expected {np.prod(shape)} digits 0 or 1")
    return (flags == ord("1")).reshape(shape)
