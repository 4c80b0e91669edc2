"""What the referees and our closed forms say of the layers of some networks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import zigzag

from accel.cost import cost_of
from accel.cost.residency import Residents
from accel.cost.shapes import LayerShape
from accel.cost.stalls import schedule_of
from accel.cost.systolic import DATAFLOWS, DENSE, Accesses, Gemm, Kept, SystolicArray
from accel.demand import array_for, bare
from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower_shapes
from reports.studies.memory.networks import mobilenet_v2
from reports.studies.referees.scale_sim import simulated
from reports.studies.referees.zig_zag import dram_bytes, ideal_cycles
from reports.workflow.load import sizeable

RESNET18, MOBILENET_V2 = "resnet18", "mobilenet-v2"  # as ZigZag ships it; as the study of memories has it
NETWORKS = ("lenet5", "resnet8", "dscnn", "mobilenet-0.25", "autoencoder", RESNET18)
SIDE = 32  # rows and columns of the systolic array
LANES = 16, 16  # output maps x pixels of a row
ROOMS = tuple(kib << 13 for kib in (256, 128, 64))  # of the chip, for traffic
SPARSE = (Kept(2, 4), Kept(1, 4))
FEATURES = dict.fromkeys(("split", "flat", "pool", "lines", "overlap", "prefetch", "combine"), False)


@dataclass(frozen=True)
class Product:
    """A product of matrices on a systolic array, as both say it.

    Parameters
    ----------
    network : str
    gemm : Gemm
    layers : int
        Of the network that are this product.
    stationary : str
    kept : Kept
    ours, theirs : (int, Accesses)
        Cycles, and what is read and written; index bits are ours alone.
    """

    network: str
    gemm: Gemm
    layers: int
    stationary: str
    kept: Kept
    ours: tuple[int, Accesses]
    theirs: tuple[int, Accesses]

    @property
    def equal(self) -> bool:
        """Whether both say the same of everything that both know."""
        (cycles, mine), (other_cycles, its) = self.ours, self.theirs
        words = [(x.input_reads, x.weight_reads, x.output_writes) for x in (mine, its)]
        return cycles == other_cycles and words[0] == words[1]


@dataclass(frozen=True)
class Traffic:
    """What the layers with weights of a network move from and to DRAM, each by itself.

    Parameters
    ----------
    network : str
    room_bits : int
        On the chip.
    ours, theirs : int
        Bytes; ours with biases and constants.
    """

    network: str
    room_bits: int
    ours: int
    theirs: int


def program_of(network: str) -> Program:
    """Return a network as a Program of shapes alone."""
    if network == RESNET18:
        made = sizeable(str(Path(zigzag.__file__).parent / "inputs" / "workload" / "resnet18.onnx"), None)
        assert isinstance(made, PrunedNetwork)
    elif network == MOBILENET_V2:
        made = PrunedNetwork(mobilenet_v2(np.random.default_rng(0)))
    else:
        made = PrunedNetwork(ARCHITECTURES[network]())
    return lower_shapes(made, Widths(8, 8))


def products(network: str) -> Iterator[Product]:
    """Yield the different products of a network's layers, dense by all dataflows and sparse where weights stay.

    ResNet-18 has no inputs that stay: SCALE-Sim would take an hour for its many folds.
    """
    program, counts = program_of(network), dict[Gemm, int]()
    for layer in program.mac_layers:
        gemm = Gemm.of(LayerShape.of(program, layer))
        counts[gemm] = counts.get(gemm, 0) + 1
    for flow in DATAFLOWS:
        if network == RESNET18 and flow == "input":
            continue
        for gemm, layers in counts.items():
            for kept in (DENSE, *(SPARSE if flow == "weight" else ())):
                array = SystolicArray(SIDE, SIDE, flow)
                ours = array.cycles(gemm, kept), array.accesses(gemm, kept)
                yield Product(network, gemm, layers, flow, kept, ours, simulated(array, gemm, kept))


def ideals(program: Program, lanes: tuple[int, int] = LANES) -> Iterator[tuple[str, int, int]]:
    """Yield the name of each layer without groups, the steps of our array of so many lanes, and ZigZag's ideal cycles.

    Our array has none of the features that let a tile pass the end of a row or lanes share a sum.
    """
    layers = [layer for layer in program.mac_layers if layer.kept.all()]
    steps = {x.name: x.compute_cycles for x in schedule_of(program, bare(*lanes, 8, **FEATURES))}
    theirs = ideal_cycles([LayerShape.of(program, layer) for layer in layers], lanes)
    for layer, cycles in zip(layers, theirs, strict=True):
        yield layer.name, steps[layer.name], cycles


def traffic(program: Program, network: str, rooms: Sequence[int] = ROOMS) -> Iterator[Traffic]:
    """Yield what both say of a dense network in memories of so many bits."""
    array, costs = array_for(program, *LANES), cost_of(program).layers
    residents = Residents.of(program, array, costs)
    shapes = [replace(LayerShape.of(program, layer), name="layer") for layer in program.mac_layers]
    names = {layer.name for layer in program.mac_layers}
    for room in rooms:
        layers = residents.plan(room, between=False).layers
        ours = sum(layer.dram_bits for layer in layers if layer.name in names)
        yield Traffic(network, room, -(-ours // 8), sum(dram_bytes(shape, LANES, room) for shape in shapes))
